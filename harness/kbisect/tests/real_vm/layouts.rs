//! What the tests of kbisect-kernels serve to their sources, with packages of real kernels.

#![allow(dead_code, reason = "made for several tests, of which these need a part")]

#[path = "../../../kbisect-kernels/tests/support/deb.rs"]
pub mod deb;
#[path = "../../../kbisect-kernels/tests/support/mainline.rs"]
pub mod mainline;
#[path = "../../../kbisect-kernels/tests/support/rpm.rs"]
pub mod rpm;
#[path = "../../../kbisect-kernels/tests/support/server.rs"]
pub mod server;
#[path = "../../../kbisect-kernels/tests/support/snapshot.rs"]
pub mod snapshot;
