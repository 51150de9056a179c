//! Checks that are made from a node, a file for each kind.
//!
//! They run on a thread that is in the node's network already.

mod connection;
mod dns;
pub mod http;
mod tcp;

use kbisect_proto::{ProbeAnswer, ProbeRequest};

/// Makes a check.
pub fn run(probe: &ProbeRequest) -> ProbeAnswer {
    match probe {
        ProbeRequest::Http(request) => ProbeAnswer::Http(http::run(request)),
        ProbeRequest::Tcp(request) => ProbeAnswer::Tcp(tcp::run(request)),
        ProbeRequest::Dns(request) => ProbeAnswer::Dns(dns::run(request)),
    }
}
