//! `https`: a request by the image's curl, and the frames of its connection.

use std::time::Duration;

use kbisect_core::command::CommandEnd;
use kbisect_core::flow::Since;
use kbisect_core::judge::fault_of_given;
use kbisect_core::scenario::{Check, HttpsProbe, Kind as _};
use kbisect_core::wrong::{CheckFailure, Wrong};
use kbisect_proto::{ASSETS_DIR, Command};

use super::super::{Stop, Trial};
use super::Outcome;
use super::command::{Running, Went};

/// How long curl may take beyond its own deadline: to start, and to say what went wrong.
const AROUND: Duration = Duration::from_secs(3);

impl Trial<'_> {
    pub(super) async fn https(
        &mut self,
        check: &Check,
        probe: &HttpsProbe,
    ) -> Result<Outcome, Stop> {
        let timeout = self.timeout(check);
        let argv = probe.argv(timeout, ASSETS_DIR);
        let running = Running {
            command: Command { argv, stdin: Vec::new(), keep: HttpsProbe::COMPARED },
            timeout: timeout + self.lab.patience(AROUND),
            connection: probe.server().map(|server| (server.transport, server.at)),
        };
        let since = Since::Opened(self.lab.wires().recorded());
        let ran = match self.run_check(check, &running, since).await? {
            Went::Ran(ran) => ran,
            Went::Lost(why) => return Ok(Err(CheckFailure::wrong(why, Wrong::NoConnection))),
        };
        let failure = match probe.judge(&ran) {
            Ok(seen) => return Ok(Ok(seen)),
            Err(failure) => failure,
        };
        if let CommandEnd::NotStarted(_) = ran.end {
            return Ok(Err(self.not_started(check, failure, &ran)));
        }
        if let Some(said) = HttpsProbe::misgiven(&ran).filter(|_| !check.record_only) {
            self.seen.fault.get_or_insert_with(|| fault_of_given(check, "curl", said));
        }
        let Some(waited) = HttpsProbe::broke(&ran) else { return Ok(Err(failure)) };
        match self.follow(check, &running, since, waited).await.filter(|_| waited) {
            Some(wrong) => Ok(Err(CheckFailure::wrong(failure.detail, wrong))),
            None => Ok(Err(failure)),
        }
    }
}
