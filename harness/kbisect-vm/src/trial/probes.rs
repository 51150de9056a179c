//! How checks are made, a file for each kind. This file is the list of them.

mod alive;
mod capture;
mod command;
mod commands;
mod conntrack;
mod counter;
mod dns;
mod guest;
mod http;
mod https;
mod idempotent;
mod ktap;
mod plugin;
mod tcp;

use kbisect_core::scenario::{Check, Probe};
use kbisect_core::wrong::CheckFailure;

use super::{Stop, Trial};

pub(super) use http::request;

/// What a check found: what was seen, or what was wrong.
type Outcome = Result<String, CheckFailure>;

impl Trial<'_> {
    pub(super) async fn probe(&mut self, check: &Check) -> Result<Outcome, Stop> {
        if !matches!(check.probe, Probe::Ktap(_)) {
            self.shared = None;
        }
        match &check.probe {
            Probe::Http(probe) => self.http(check, probe).await,
            Probe::Dns(probe) => self.dns(check, probe).await,
            Probe::Tcp(probe) => self.tcp(check, probe).await,
            Probe::Https(probe) => self.https(check, probe).await,
            Probe::Capture(probe) => self.capture(check, probe).await,
            Probe::Command(probe) => self.command(check, probe).await,
            Probe::Commands(probe) => self.commands(check, probe).await,
            Probe::Counter(probe) => self.counter(check, probe).await,
            Probe::Conntrack(probe) => self.conntrack(check, probe).await,
            Probe::Plugin(probe) => self.plugin(check, probe).await,
            Probe::Ktap(probe) => self.ktap(check, probe).await,
            Probe::Idempotent(probe) => self.idempotent(check, probe).await,
            Probe::Alive => self.alive(check).await,
        }
    }
}
