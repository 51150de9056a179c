//! What a machine is sent before a trial: the scenario's files, modules, nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use kbisect_core::judge::{NodePart, Unprepared};
use kbisect_proto::{Event, FileContent, NodeSetup, Part, Request};

use crate::machine::{CallError, Machine};

/// Largest part of a file that goes into one message, in bytes.
const FILE_PART: usize = 256 << 10;

/// Why the nodes of a machine are not there.
#[derive(Debug)]
pub enum PrepareError {
    /// A node could not be made.
    Node(Unprepared),
    /// The guest did not do what it was asked, or did not answer.
    Guest(String),
}

/// Everything that makes the nodes of a machine. A value of its own, so that one machine can be
/// prepared beside another.
#[derive(Clone, Debug)]
pub struct Preparation {
    files: Vec<Vec<FileContent>>,
    modules: Vec<String>,
    nodes: Vec<NodeSetup>,
    patience: Duration,
}

impl Preparation {
    /// Of these nodes, with the scenario's files; each request may take `patience`.
    pub fn new(
        assets: &BTreeMap<String, Vec<u8>>,
        modules: Vec<String>,
        nodes: Vec<NodeSetup>,
        patience: Duration,
    ) -> Self {
        Self { files: batches(assets), modules, nodes, patience }
    }

    /// Sends it.
    ///
    /// # Errors
    /// The node that could not be made; else what the guest said, or that it did not answer.
    pub async fn send(self, machine: &Machine) -> Result<(), PrepareError> {
        for files in self.files {
            let id = machine.next_id();
            let answer = machine.call(id, &Request::Files { id, files }, self.patience).await;
            done(answer).map_err(PrepareError::Guest)?;
        }
        let id = machine.next_id();
        let (modules, nodes) = (self.modules, self.nodes);
        let request = Request::Prepare { id, modules, nodes, files: Vec::new() };
        match machine.call(id, &request, self.patience).await {
            Ok(Event::NotPrepared { node, part, command, said, .. }) => {
                let part = match part {
                    Part::Namespaces | Part::Files => NodePart::Own,
                    Part::Interfaces => NodePart::Interfaces,
                    Part::Devices => NodePart::Devices,
                    Part::Sysctl => NodePart::Sysctl,
                    Part::UnknownSysctl => NodePart::UnknownSysctl,
                    Part::Network => NodePart::Network,
                };
                Err(PrepareError::Node(Unprepared { node, part, command, said }))
            }
            answer => done(answer).map_err(PrepareError::Guest),
        }
    }
}

/// What an answer that only says whether something was done amounts to.
pub(crate) fn done(answer: Result<Event, CallError>) -> Result<(), String> {
    match answer {
        Ok(Event::Done { .. }) => Ok(()),
        Ok(Event::Failed { error, .. }) => Err(error),
        Ok(other) => Err(format!("an answer that makes no sense: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Cuts files into parts and puts parts together into messages.
fn batches(assets: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<FileContent>> {
    let mut batches = Vec::new();
    let mut batch: Vec<FileContent> = Vec::new();
    let mut size = 0;
    for (path, data) in assets {
        let mut parts: Vec<&[u8]> = data.chunks(FILE_PART).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for part in parts {
            if size + part.len() > FILE_PART && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
                size = 0;
            }
            size += part.len();
            batch.push(FileContent { path: path.clone(), data: part.to_vec() });
        }
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_size_travel_in_messages_that_fit() {
        let assets = BTreeMap::from([
            ("empty".to_owned(), Vec::new()),
            ("large".to_owned(), (0..700_000u32).map(|i| i as u8).collect::<Vec<u8>>()),
            ("small".to_owned(), b"x".to_vec()),
        ]);
        let mut merged: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for files in batches(&assets) {
            let request = Request::Files { id: 1, files: files.clone() };
            assert!(kbisect_proto::frame::encode(&request).is_ok());
            for file in files {
                merged.entry(file.path).or_default().extend(file.data);
            }
        }
        assert_eq!(merged, assets);
    }
}
