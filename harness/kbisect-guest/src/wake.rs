//! What makes a restored machine another one than its twins, and right in time. A machine that was
//! just booted goes the same way, so that both are alike.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::libc;
use socket2::{Domain, Socket, Type};

use crate::node::find_nic;

/// Bytes that the kernel's generator is seeded from at most.
const MAX_ENTROPY: usize = 64;

/// Argument of `RNDADDENTROPY` (linux/random.h, `struct rand_pool_info`).
#[repr(C)]
struct Pool {
    entropy_bits: libc::c_int,
    bytes: libc::c_int,
    buffer: [u8; MAX_ENTROPY],
}

nix::ioctl_write_ptr_bad!(add_entropy, nix::request_code_write!(b'R', 3, 8), Pool);
nix::ioctl_none_bad!(reseed, nix::request_code_none!(b'R', 7));
nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFHWADDR, libc::ifreq);

/// Sets the time, seeds the kernel's random numbers, gives the interfaces their addresses.
pub fn wake(unix_nanos: u64, entropy: &[u8], macs: &[[u8; 6]]) -> Result<(), String> {
    seed(entropy).map_err(|error| format!("cannot seed the random numbers: {error}"))?;
    set_time(unix_nanos).map_err(|error| format!("cannot set the time: {error}"))?;
    for (position, mac) in macs.iter().enumerate() {
        let first = kbisect_proto::boot_address(position as u8);
        let name = find_nic(first, Duration::from_secs(5))?;
        give_address(&name, *mac)
            .map_err(|error| format!("cannot set the hardware address of {name}: {error}"))?;
    }
    Ok(())
}

/// Credits the bytes and has the generator use them at once (random(4)).
fn seed(entropy: &[u8]) -> io::Result<()> {
    let bytes = entropy.len().min(MAX_ENTROPY);
    let mut pool =
        Pool { entropy_bits: bytes as i32 * 8, bytes: bytes as i32, buffer: [0; MAX_ENTROPY] };
    pool.buffer[..bytes].copy_from_slice(&entropy[..bytes]);
    let device = OpenOptions::new().write(true).open("/dev/urandom")?;
    // SAFETY: the descriptor is open, and the argument is laid out as the call reads it, with as
    // many bytes behind its header as that says.
    unsafe { add_entropy(device.as_raw_fd(), &raw const pool) }?;
    // Kernels before 4.14 do not know it, and reseed by themselves; an unseeded generator is seeded now.
    // SAFETY: no argument.
    let _ = unsafe { reseed(device.as_raw_fd()) };
    Ok(())
}

fn set_time(unix_nanos: u64) -> io::Result<()> {
    let time = libc::timespec {
        tv_sec: (unix_nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (unix_nanos % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: the pointer is valid for the call.
    match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// netdevice(7), `SIOCSIFHWADDR`.
fn give_address(name: &str, mac: [u8; 6]) -> io::Result<()> {
    // SAFETY: all zeros are a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::other("the name is too long"));
    }
    for (into, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *into = byte as libc::c_char;
    }
    let mut data = [0; 14];
    for (into, byte) in data.iter_mut().zip(mac) {
        *into = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    // SAFETY: the descriptor is open and the structure complete.
    unsafe { set_address(socket.as_raw_fd(), &raw const request) }?;
    Ok(())
}
