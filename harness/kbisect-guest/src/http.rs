//! HTTP requests, made step by step so that every way to fail is told apart and the local port is
//! known even when no connection comes about.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use kbisect_guest::answers::http_head;
use kbisect_proto::{BODY_SENT_BACK, HttpAttempt, HttpError, HttpRequest};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::node::Node;

/// Most bytes of a body that is compared: the format allows no larger one.
const MAX_COMPARED: usize = 64 << 20;

/// Makes the connections, one after the other, up to the first failure.
pub fn run(node: &Node, request: &HttpRequest) -> Result<Vec<HttpAttempt>, String> {
    node.enter_network()?;
    let mut attempts = Vec::new();
    for _ in 0..request.connections {
        let attempt = one(request);
        let failed = attempt.error.is_some();
        attempts.push(attempt);
        if failed {
            break;
        }
    }
    Ok(attempts)
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
) -> Result<(), HttpError> {
    let local = |error: std::io::Error| HttpError::Local(error.to_string());
    let deadline = start + Duration::from_millis(request.timeout_ms);
    let server = SocketAddr::new(request.host, request.port);
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))
        .map_err(local)?;
    socket.set_nonblocking(true).map_err(local)?;
    let pending = match socket.connect(&server.into()) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            return Err(HttpError::Refused(error.to_string()));
        }
        Err(error) => return Err(local(error)),
    };
    attempt.local = socket.local_addr().ok().and_then(|address| address.as_socket());
    if pending {
        if !wait(&socket, PollFlags::POLLOUT, deadline) {
            return Err(HttpError::ConnectTimeout);
        }
        if let Some(error) = socket.take_error().map_err(local)? {
            return Err(match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                    HttpError::Refused(error.to_string())
                }
                ErrorKind::TimedOut => HttpError::ConnectTimeout,
                _ => HttpError::Local(error.to_string()),
            });
        }
    }
    let text = format!(
        "GET {} HTTP/1.0\r\nHost: {server}\r\nUser-Agent: kbisect\r\nConnection: close\r\n\r\n",
        request.path
    );
    // The request fits into any send buffer, so one write takes it whole.
    (&socket).write_all(text.as_bytes()).map_err(|error| HttpError::Reset(error.to_string()))?;
    read_answer(&socket, request, attempt, deadline)
}

fn read_answer(
    socket: &Socket,
    request: &HttpRequest,
    attempt: &mut HttpAttempt,
    deadline: Instant,
) -> Result<(), HttpError> {
    let mut head = Vec::new();
    let mut in_body = false;
    let mut buffer = vec![0; 65536];
    loop {
        if !wait(socket, PollFlags::POLLIN, deadline) {
            return Err(HttpError::ReadTimeout);
        }
        let count = match { socket }.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(HttpError::Reset(error.to_string())),
        };
        if in_body {
            take_body(request, attempt, &buffer[..count]);
        } else {
            head.extend_from_slice(&buffer[..count]);
            if let Some(end) = head.windows(4).position(|part| part == b"\r\n\r\n") {
                in_body = true;
                let (status, announced) = http_head(&head[..end]).map_err(HttpError::Malformed)?;
                attempt.status = Some(status);
                attempt.announced = announced;
                let rest = head.split_off(end + 4);
                take_body(request, attempt, &rest);
            } else if head.len() > 65536 {
                return Err(HttpError::Malformed("the header is over 64 KiB".to_owned()));
            }
        }
        if attempt.announced.is_some_and(|announced| attempt.bytes >= announced) {
            return Ok(());
        }
    }
    match attempt.announced {
        _ if !in_body => {
            Err(HttpError::Malformed(format!("the connection ended after {} bytes", head.len())))
        }
        Some(announced) if attempt.bytes < announced => Err(HttpError::Malformed(format!(
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

/// Waits until the socket is ready; false at the deadline.
fn wait(socket: &Socket, flags: PollFlags, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis().min(i32::MAX as u128) as i32 + 1)
            .unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), flags)], timeout) {
            Ok(1..) => return true,
            Ok(_) if Instant::now() < deadline => {}
            Err(nix::Error::EINTR) => {}
            _ => return false,
        }
    }
}
