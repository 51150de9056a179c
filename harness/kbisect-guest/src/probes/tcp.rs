//! TCP connections: a text is sent, and what comes back is compared while it comes.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use kbisect_proto::{ANSWER_SENT_BACK, ConnectionError, TcpAttempt, TcpRequest};
use nix::poll::PollFlags;
use socket2::Socket;

use super::connection::{connect, wait};

/// Most bytes of an answer that are compared; twice what a text that is looked for can have.
const MAX_COMPARED: usize = 128 << 10;
/// How long nothing more must come after an answer that is the expected one.
const SETTLES: Duration = Duration::from_millis(100);

/// Makes the connections, one after the other, up to the first failure.
pub fn run(request: &TcpRequest) -> Vec<TcpAttempt> {
    let mut attempts = Vec::new();
    for _ in 0..request.connections {
        let attempt = one(request);
        let failed = attempt.error.is_some() || !attempt.matches;
        attempts.push(attempt);
        if failed {
            break;
        }
    }
    attempts
}

fn one(request: &TcpRequest) -> TcpAttempt {
    let start = Instant::now();
    let mut attempt = TcpAttempt {
        local: None,
        bytes: 0,
        start: Vec::new(),
        matches: false,
        error: None,
        millis: 0,
    };
    attempt.error = exchange(request, &mut attempt, start).err();
    attempt.start.truncate(ANSWER_SENT_BACK);
    attempt.millis = start.elapsed().as_millis() as u64;
    attempt
}

fn exchange(
    request: &TcpRequest,
    attempt: &mut TcpAttempt,
    start: Instant,
) -> Result<(), ConnectionError> {
    let deadline = start + Duration::from_millis(request.timeout_ms);
    let socket = connect(request.server, deadline, &mut attempt.local)?;
    send(&socket, &request.send, deadline)?;
    let mut buffer = vec![0; 65536];
    let mut so_far = so_far(request, attempt);
    loop {
        match so_far {
            SoFar::Never => return Ok(()),
            SoFar::Same if request.equals.is_none() => {
                attempt.matches = true;
                return Ok(());
            }
            SoFar::Same | SoFar::Less => {}
        }
        let until =
            if so_far == SoFar::Same { deadline.min(Instant::now() + SETTLES) } else { deadline };
        if !wait(&socket, PollFlags::POLLIN, until) {
            attempt.matches = so_far == SoFar::Same;
            return if attempt.matches { Ok(()) } else { Err(ConnectionError::ReadTimeout) };
        }
        match { &socket }.read(&mut buffer) {
            Ok(0) => {
                attempt.matches = so_far == SoFar::Same;
                return Ok(());
            }
            Ok(count) => {
                attempt.bytes += count as u64;
                let room = MAX_COMPARED.saturating_sub(attempt.start.len());
                attempt.start.extend_from_slice(&buffer[..room.min(count)]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(ConnectionError::Reset(error.to_string())),
        }
        so_far = self::so_far(request, attempt);
    }
}

/// Sends a text as fast as the server takes it.
fn send(socket: &Socket, text: &[u8], deadline: Instant) -> Result<(), ConnectionError> {
    let mut rest = text;
    while !rest.is_empty() {
        match { socket }.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !wait(socket, PollFlags::POLLOUT, deadline) {
                    return Err(ConnectionError::ReadTimeout);
                }
            }
            Err(error) => return Err(ConnectionError::Reset(error.to_string())),
        }
    }
    Ok(())
}

/// What came, held against what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SoFar {
    /// It is what is expected.
    Same,
    /// It can still become that.
    Less,
    /// It cannot.
    Never,
}

fn so_far(request: &TcpRequest, attempt: &TcpAttempt) -> SoFar {
    let came = &attempt.start;
    let whole = attempt.bytes == came.len() as u64;
    let equals = request.equals.as_ref().map_or(SoFar::Same, |wanted| {
        let wanted = wanted.trim_ascii();
        match came.trim_ascii() {
            trimmed if trimmed == wanted && whole => SoFar::Same,
            _ if wanted.starts_with(came.trim_ascii_start()) && whole => SoFar::Less,
            _ => SoFar::Never,
        }
    });
    let contains = request.contains.as_ref().map_or(SoFar::Same, |wanted| {
        match came.windows(wanted.len().max(1)).any(|part| part == wanted) {
            true => SoFar::Same,
            false if whole => SoFar::Less,
            false => SoFar::Never,
        }
    });
    let least = if attempt.bytes >= request.least_bytes { SoFar::Same } else { SoFar::Less };
    let all = [equals, contains, least];
    [SoFar::Never, SoFar::Less].into_iter().find(|one| all.contains(one)).unwrap_or(SoFar::Same)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Serves one connection: reads what was sent up to `read` bytes, answers piece by piece.
    fn asked(request: &TcpRequest, read: usize, pieces: &'static [&'static str]) -> TcpAttempt {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let held = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = vec![0; read];
            stream.read_exact(&mut sent).unwrap();
            for piece in pieces {
                stream.set_nodelay(true).unwrap();
                // The client may have seen enough, and be gone.
                let _ = stream.write_all(piece.as_bytes());
                std::thread::sleep(Duration::from_millis(10));
            }
            (stream, sent)
        });
        let mut attempts = run(&TcpRequest { server, ..request.clone() });
        let (_, sent) = held.join().unwrap();
        assert_eq!(sent, request.send[..read]);
        attempts.remove(0)
    }

    fn request() -> TcpRequest {
        TcpRequest {
            server: "127.0.0.1:9".parse().unwrap(),
            send: Vec::new(),
            connections: 1,
            timeout_ms: 400,
            equals: None,
            contains: None,
            least_bytes: 0,
        }
    }

    #[test]
    fn an_answer_is_told_from_another_one_and_from_none() {
        let hello = TcpRequest { send: b"hello\n".to_vec(), ..request() };
        let equals = TcpRequest { equals: Some(b"hello".to_vec()), ..hello.clone() };
        let contains = TcpRequest { contains: Some(b"ell".to_vec()), ..hello.clone() };
        let least = TcpRequest { least_bytes: 6, ..hello.clone() };
        let late = Some(ConnectionError::ReadTimeout);
        // In two pieces, while the connection stays open.
        for (request, pieces, matches, error) in [
            (&hello, &[][..], true, None),
            (&equals, &["hel", "lo\n"][..], true, None),
            (&equals, &["hello", " you\n"][..], false, None),
            (&equals, &["other\n"][..], false, None),
            (&contains, &["he", "llo"][..], true, None),
            (&contains, &["other"][..], false, late.clone()),
            (&least, &["abc", "def"][..], true, None),
            (&least, &["abc"][..], false, late.clone()),
        ] {
            let attempt = asked(request, 6, pieces);
            assert_eq!((attempt.matches, attempt.error), (matches, error), "{pieces:?}");
            assert!(attempt.local.is_some());
        }
    }

    #[test]
    fn a_connection_that_is_refused_is_told_as_that() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        drop(listener);
        let attempts = run(&TcpRequest { server, connections: 3, ..request() });
        assert_eq!(attempts.len(), 1, "the first failure ends it");
        assert!(matches!(attempts[0].error, Some(ConnectionError::Refused(_))), "{attempts:?}");
    }
}
