//! A small Debian-like archive with a signing key of its own, and a server for it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

pub mod archive;
pub mod deb;
pub mod gpg;
pub mod mainline;
pub mod module;
pub mod proxy;
pub mod rpm;
pub mod server;
pub mod snapshot;

use std::path::Path;
use std::sync::Mutex;

use kbisect_kernels::{Options, Progress, ProgressItem, Settings, Silent};

/// Settings that know nothing of the host.
pub fn settings(dir: &Path, options: Options) -> Settings {
    let config = dir.join("config.toml");
    std::fs::write(&config, "").unwrap();
    Settings::discover(&Options {
        cache_dir: Some(dir.join("cache")),
        apt_dir: Some(dir.join("no-apt")),
        config_file: Some(config),
        ..options
    })
    .unwrap()
}

/// Remembers notes and begun items.
#[derive(Default)]
pub struct Record {
    pub notes: Mutex<Vec<String>>,
    pub begun: Mutex<Vec<String>>,
}

impl Progress for Record {
    fn begin(&self, what: &str, _total: Option<u64>) -> Box<dyn ProgressItem> {
        self.begun.lock().unwrap().push(what.to_owned());
        Box::new(Silent)
    }
    fn note(&self, line: &str) {
        self.notes.lock().unwrap().push(line.to_owned());
    }
}

/// An error with all its sources, as the command line shows it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
