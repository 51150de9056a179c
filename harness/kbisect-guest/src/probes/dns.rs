//! A DNS question over UDP (RFC 1035), with nothing between it and the kernel.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use kbisect_guest::answers::dns_addresses;
use kbisect_proto::{DnsAnswer, DnsRequest};

/// How long an answer is waited for before the question is asked again.
const AGAIN: Duration = Duration::from_secs(1);

const A: u16 = 1;
const AAAA: u16 = 28;

/// Asks until an answer comes or the time is over.
pub fn run(request: &DnsRequest) -> DnsAnswer {
    let mut answer =
        DnsAnswer { local: None, addresses: Vec::new(), error: None, timed_out: false, asked: 0 };
    match ask(request, &mut answer) {
        Ok(addresses) => answer.addresses = addresses,
        Err(error) => answer.error = Some(error),
    }
    answer
}

fn ask(request: &DnsRequest, answer: &mut DnsAnswer) -> Result<Vec<IpAddr>, String> {
    let text = |error: std::io::Error| error.to_string();
    let any: SocketAddr = if request.server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).map_err(text)?;
    socket.connect(request.server).map_err(text)?;
    answer.local = socket.local_addr().ok();
    let deadline = Instant::now() + Duration::from_millis(request.timeout_ms);
    let kind = if request.ipv6 { AAAA } else { A };
    let number = std::process::id() as u16 ^ answer.local.map_or(0, |local| local.port());
    let question = encode(number, &request.name, kind);
    let mut buffer = [0; 4096];
    while Instant::now() < deadline {
        answer.asked += 1;
        socket.send(&question).map_err(text)?;
        let until = (Instant::now() + AGAIN).min(deadline);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left)).map_err(text)?;
            match socket.recv(&mut buffer) {
                Ok(count) if buffer[..count].starts_with(&number.to_be_bytes()) => {
                    return dns_addresses(&buffer[..count], kind)
                        .ok_or_else(|| "the answer makes no sense".to_owned());
                }
                // An answer to something else.
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    answer.timed_out = true;
    Err(format!("no answer to {} questions", answer.asked))
}

fn encode(number: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    // Recursion desired; one question.
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as servers write it: the question, then a record whose name is a pointer.
    fn answer(question: &[u8], data: &[u8], kind: u16) -> Vec<u8> {
        let mut bytes = question.to_vec();
        bytes[2] = 0x85;
        bytes[7] = 1;
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn addresses_are_read_from_answers() {
        let question = encode(7, "www.example.test", A);
        assert!(question.ends_with(b"\x03www\x07example\x04test\0\0\x01\0\x01"));
        let got = dns_addresses(&answer(&question, &[192, 0, 2, 7], A), A);
        assert_eq!(got, Some(vec![IpAddr::from([192, 0, 2, 7])]));
        let other = dns_addresses(&answer(&question, &[192, 0, 2, 7], A), AAAA);
        assert_eq!(other, Some(Vec::new()));
    }

    #[test]
    fn a_message_that_is_cut_short_is_no_answer() {
        let whole = answer(&encode(7, "a.test", A), &[192, 0, 2, 7], A);
        for length in 0..whole.len() {
            assert_eq!(dns_addresses(&whole[..length], A), None, "{length} bytes");
        }
    }
}
