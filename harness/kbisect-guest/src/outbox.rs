//! Messages to the harness.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};

use kbisect_proto::Event;
use kbisect_proto::frame::encode;

/// The way to the harness. Clones share it; a message is never torn apart.
#[derive(Clone)]
pub struct Outbox(Arc<Mutex<File>>);

impl Outbox {
    /// Sends through a port.
    pub fn new(port: File) -> Self {
        Self(Arc::new(Mutex::new(port)))
    }

    /// Sends a message. A failure has no recipient, so it is dropped: the harness notices silence.
    pub fn send(&self, event: &Event) {
        if let Ok(frame) = encode(event)
            && let Ok(mut port) = self.0.lock()
        {
            let _ = port.write_all(&frame);
        }
    }
}
