//! Messages between the harness and the program in the guest.
//!
//! They travel over a virtio-serial port as frames (see [`frame`]): a length, a check sum and a
//! [postcard](https://docs.rs/postcard) body. Both ends are built from one source tree and the
//! guest program is embedded in the harness, so the encoding needs no compatibility between
//! versions; [`PROTOCOL`] in [`Event::Hello`] catches a mix-up all the same.

pub mod frame;
mod message;
mod probes;

pub use message::*;
pub use probes::*;

/// Version of the protocol. Raised with every change of a message.
pub const PROTOCOL: u32 = 10;

/// Name of the virtio-serial port that carries the frames.
pub const PORT_NAME: &str = "kbisect.channel.0";

/// Where the scenario's files are put in the guest.
pub const ASSETS_DIR: &str = "/run/kbisect/assets";

/// Hardware address that the interface with this position on its machine boots with. It is the same
/// for all scenarios, so that one saved state serves them all; [`Request::Wake`] changes it.
pub const fn boot_address(position: u8) -> [u8; 6] {
    [0x02, 0x6b, 0, 0, 0, position]
}
