//! Whether the machines that run the reference kernel are there. Without them nothing that the candidate does can
//! be judged.

use std::time::Duration;

use super::describe_end;
use crate::pulse::Pulse;

/// How long the peer may be silent on fast hardware. Six of its heartbeats.
pub(super) const PEER_PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

/// Ends when such a machine is gone or silent, with the reason. Never ends otherwise, and not before one is
/// ready.
pub(super) async fn lost(pulse: Pulse, patience: Duration) -> String {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some((name, state)) = pulse.peer_end() {
            return format!("the {name} failed: {}", describe_end(&state));
        }
        if let Some((name, silent)) = pulse.peer_silence().filter(|(_, silent)| *silent > patience)
        {
            let seconds = silent.as_secs_f64();
            return format!("the {name} gave no sign of life for {seconds:.1} s");
        }
    }
}
