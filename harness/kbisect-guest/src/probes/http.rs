//! HTTP requests.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kbisect_guest::answers::http_head;
use kbisect_proto::{BODY_SENT_BACK, ConnectionError, HttpAttempt, HttpRequest};
use nix::poll::PollFlags;
use socket2::Socket;

use super::connection::{connect, wait};

/// Most bytes of a body that is compared: the format allows no larger one.
const MAX_COMPARED: usize = 64 << 20;

/// Makes the connections, one after the other, up to the first failure.
pub fn run(request: &HttpRequest) -> Vec<HttpAttempt> {
    let mut attempts = Vec::new();
    for _ in 0..request.connections {
        let attempt = one(request);
        let failed = attempt.error.is_some();
        attempts.push(attempt);
        if failed {
            break;
        }
    }
    attempts
}

fn one(request: &HttpRequest) -> HttpAttempt {
    let start = Instant::now();
    let mut attempt = HttpAttempt {
        local: None,
        status: None,
        bytes: 0,
        announced: None,
        body: Vec::new(),
        body_matches: false,
        error: None,
        millis: 0,
    };
    attempt.error = exchange(request, &mut attempt, start).err();
    attempt.body_matches = matches(request, &attempt.body);
    attempt.body.truncate(BODY_SENT_BACK);
    attempt.millis = start.elapsed().as_millis() as u64;
    attempt
}

fn exchange(
    request: &HttpRequest,
    attempt: &mut HttpAttempt,
    start: Instant,
) -> Result<(), ConnectionError> {
    let deadline = start + Duration::from_millis(request.timeout_ms);
    let server = SocketAddr::new(request.host, request.port);
    let socket = connect(server, deadline, &mut attempt.local)?;
    let text = format!(
        "GET {} HTTP/1.0\r\nHost: {server}\r\nUser-Agent: kbisect\r\nConnection: close\r\n\r\n",
        request.path
    );
    // The request fits into any send buffer, so one write takes it whole.
    (&socket)
        .write_all(text.as_bytes())
        .map_err(|error| ConnectionError::Reset(error.to_string()))?;
    read_answer(&socket, request, attempt, deadline)
}

fn read_answer(
    socket: &Socket,
    request: &HttpRequest,
    attempt: &mut HttpAttempt,
    deadline: Instant,
) -> Result<(), ConnectionError> {
    let mut head = Vec::new();
    let mut in_body = false;
    let mut buffer = vec![0; 65536];
    loop {
        if !wait(socket, PollFlags::POLLIN, deadline) {
            return Err(ConnectionError::ReadTimeout);
        }
        let count = match { socket }.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(ConnectionError::Reset(error.to_string())),
        };
        if in_body {
            take_body(request, attempt, &buffer[..count]);
        } else {
            head.extend_from_slice(&buffer[..count]);
            if let Some(end) = head.windows(4).position(|part| part == b"\r\n\r\n") {
                in_body = true;
                let (status, announced) =
                    http_head(&head[..end]).map_err(ConnectionError::Malformed)?;
                attempt.status = Some(status);
                attempt.announced = announced;
                let rest = head.split_off(end + 4);
                take_body(request, attempt, &rest);
            } else if head.len() > 65536 {
                return Err(ConnectionError::Malformed("the header is over 64 KiB".to_owned()));
            }
        }
        if attempt.announced.is_some_and(|announced| attempt.bytes >= announced) {
            return Ok(());
        }
    }
    match attempt.announced {
        _ if !in_body => Err(ConnectionError::Malformed(format!(
            "the connection ended after {} bytes",
            head.len()
        ))),
        Some(announced) if attempt.bytes < announced => Err(ConnectionError::Malformed(format!(
            "{} of {announced} body bytes arrived",
            attempt.bytes
        ))),
        _ => Ok(()),
    }
}

fn take_body(request: &HttpRequest, attempt: &mut HttpAttempt, part: &[u8]) {
    attempt.bytes += part.len() as u64;
    let compared = request.equals.is_some() || request.contains.is_some();
    let keep = if compared { MAX_COMPARED } else { BODY_SENT_BACK };
    let room = keep.saturating_sub(attempt.body.len());
    attempt.body.extend_from_slice(&part[..room.min(part.len())]);
}

fn matches(request: &HttpRequest, body: &[u8]) -> bool {
    let equals = request
        .equals
        .as_ref()
        .is_none_or(|wanted| String::from_utf8_lossy(body).trim() == wanted.trim());
    let contains = request.contains.as_ref().is_none_or(|wanted| {
        wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted.as_bytes())
    });
    equals && contains
}
