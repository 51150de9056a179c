//! TCP connections, made step by step so that every way to fail is told apart and the local port is
//! known even when no connection comes about.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use kbisect_proto::ConnectionError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

/// Connects; the own address goes to `own` as soon as the kernel chose it.
pub fn connect(
    server: SocketAddr,
    deadline: Instant,
    own: &mut Option<SocketAddr>,
) -> Result<Socket, ConnectionError> {
    let local = |error: std::io::Error| ConnectionError::Local(error.to_string());
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))
        .map_err(local)?;
    socket.set_nonblocking(true).map_err(local)?;
    let pending = match socket.connect(&server.into()) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            return Err(ConnectionError::Refused(error.to_string()));
        }
        Err(error) => return Err(local(error)),
    };
    *own = socket.local_addr().ok().and_then(|address| address.as_socket());
    if pending {
        if !wait(&socket, PollFlags::POLLOUT, deadline) {
            return Err(ConnectionError::ConnectTimeout);
        }
        if let Some(error) = socket.take_error().map_err(local)? {
            return Err(match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                    ConnectionError::Refused(error.to_string())
                }
                ErrorKind::TimedOut => ConnectionError::ConnectTimeout,
                _ => ConnectionError::Local(error.to_string()),
            });
        }
    }
    Ok(socket)
}

/// Waits until the socket is ready; false at the deadline.
pub fn wait(socket: &Socket, flags: PollFlags, deadline: Instant) -> bool {
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
