//! What a guest answers.

use kbisect_proto::{
    ConnectionError, Event, Exit, HttpAttempt, HttpRequest, ProbeAnswer, ProbeRequest, Request,
};

use crate::script::{HttpFailure, Reply, When};

/// Bytes of a body when the script says nothing: what the scenario `smoke` expects.
const BODY: u64 = 65536;

/// Which clause a request calls for, and the text that its word is looked for in.
pub fn event_of(request: &Request) -> (When, String) {
    match request {
        Request::Prepare { nodes, .. } => {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            (When::Prepare, names.join(" "))
        }
        Request::Files { files, .. } => {
            let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            (When::Files, names.join(" "))
        }
        Request::Exec { node, command, .. } => {
            (When::Exec, format!("{node}: {}", command.argv.join(" ")))
        }
        Request::Serve { node, command, .. } => {
            (When::Serve, format!("{node}: {}", command.argv.join(" ")))
        }
        Request::Probe { node, probe: ProbeRequest::Http(http), .. } => {
            (When::Http, format!("{node}: {}", http.path))
        }
        Request::Wake { .. } => (When::Wake, String::new()),
        Request::Settle { .. } => (When::Settle, String::new()),
        Request::Lacks { features, .. } => {
            let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
            (When::Lacks, names.join(" "))
        }
        Request::Reset { .. } => (When::Reset, String::new()),
        Request::PowerOff => (When::PowerOff, String::new()),
        // Nobody has a terminal here.
        Request::Ping { .. }
        | Request::Signal { .. }
        | Request::Probe { .. }
        | Request::Read { .. }
        | Request::Shell { .. }
        | Request::Terminal { .. }
        | Request::Resize { .. } => (When::Ping, String::new()),
    }
}

/// The number of a request.
pub fn id_of(request: &Request) -> u32 {
    match request {
        Request::Wake { id, .. }
        | Request::Settle { id, .. }
        | Request::Prepare { id, .. }
        | Request::Files { id, .. }
        | Request::Exec { id, .. }
        | Request::Serve { id, .. }
        | Request::Probe { id, .. }
        | Request::Read { id, .. }
        | Request::Lacks { id, .. }
        | Request::Reset { id }
        | Request::Ping { id }
        | Request::Signal { id, .. }
        | Request::Shell { id, .. }
        | Request::Terminal { id, .. }
        | Request::Resize { id, .. } => *id,
        Request::PowerOff => 0,
    }
}

/// The answer: as the script says, else as a healthy guest would.
pub fn answer(request: &Request, reply: Option<&Reply>) -> Option<Event> {
    let id = id_of(request);
    match (reply, request) {
        (Some(Reply::Nothing), _) | (None, Request::PowerOff) => None,
        (Some(Reply::Unprepared { part, command, said }), Request::Prepare { nodes, .. }) => {
            let node = nodes.first().map(|node| node.name.clone()).unwrap_or_default();
            let (part, command, said) = (*part, command.clone(), said.clone());
            Some(Event::NotPrepared { id, node, part, command, said })
        }
        (Some(Reply::Lacking(names)), _) => Some(Event::Lacking { id, names: names.clone() }),
        (Some(Reply::Failed(error)), _) => Some(Event::Failed { id, error: error.clone() }),
        // No request of a trial is answered by this.
        (Some(Reply::Nonsense), _) => Some(Event::Ready { id }),
        (Some(Reply::Status(status, said)), _) => Some(exited(id, Exit::Status(*status), "", said)),
        (Some(Reply::Printed(status, said)), _) => {
            Some(exited(id, Exit::Status(*status), said, ""))
        }
        (Some(Reply::Output(said)), _) => Some(exited(id, Exit::Status(0), said, "")),
        (Some(Reply::Ended(status)), _) => {
            Some(Event::ServiceExited { id, exit: Exit::Status(*status), again: false })
        }
        (Some(Reply::NotStarted(why)), _) => {
            Some(exited(id, Exit::NotStarted(why.clone()), "", ""))
        }
        (Some(Reply::TimedOut), _) => Some(exited(id, Exit::TimedOut, "", "")),
        (None, Request::Exec { .. }) => Some(exited(id, Exit::Status(0), "", "")),
        (None, Request::Serve { .. }) => Some(Event::Ready { id }),
        (None, Request::Lacks { .. }) => Some(Event::Lacking { id, names: Vec::new() }),
        (None, Request::Read { .. }) => Some(Event::Contents { id, files: Vec::new() }),
        (reply, Request::Probe { probe: ProbeRequest::Http(http), .. }) => {
            Some(Event::Probed { id, answer: ProbeAnswer::Http(attempts(http, reply)) })
        }
        (_, _) => Some(Event::Done { id }),
    }
}

fn exited(id: u32, exit: Exit, stdout: &str, stderr: &str) -> Event {
    let (stdout, stderr) = (stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec());
    Event::Exited { id, exit, stdout, stderr, millis: 3 }
}

fn attempts(probe: &HttpRequest, reply: Option<&Reply>) -> Vec<HttpAttempt> {
    let good = HttpAttempt {
        local: None,
        status: Some(200),
        bytes: BODY,
        announced: Some(BODY),
        body: b"1000000\n".to_vec(),
        body_matches: true,
        error: None,
        millis: 5,
    };
    let failed = |error| HttpAttempt {
        status: None,
        bytes: 0,
        announced: None,
        body: Vec::new(),
        error: Some(error),
        ..good.clone()
    };
    let one = match reply {
        Some(Reply::Body(bytes)) => HttpAttempt { bytes: *bytes, ..good },
        Some(Reply::OtherBody) => HttpAttempt { body_matches: false, ..good },
        Some(Reply::Code(status)) => HttpAttempt { status: Some(*status), ..good },
        Some(Reply::Http(failure)) => return vec![failed(error_of(*failure))],
        _ => good,
    };
    vec![one; probe.connections as usize]
}

fn error_of(failure: HttpFailure) -> ConnectionError {
    match failure {
        HttpFailure::Local => ConnectionError::Local("Operation not permitted".to_owned()),
        HttpFailure::Refused => ConnectionError::Refused("Connection refused".to_owned()),
        HttpFailure::ConnectTimeout => ConnectionError::ConnectTimeout,
        HttpFailure::Reset => ConnectionError::Reset("Connection reset by peer".to_owned()),
        HttpFailure::ReadTimeout => ConnectionError::ReadTimeout,
        HttpFailure::Malformed => ConnectionError::Malformed("the answer is no HTTP".to_owned()),
    }
}
