//! Requests for unencrypted addresses through a proxy (RFC 9112 §3.2.2: the request names the whole
//! address). ureq would open a tunnel, which proxies for packages refuse: they are there to keep copies.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(60);
/// More than the head of any answer.
const HEAD_LIMIT: u64 = 64 << 10;

pub struct Answer {
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Its content; an error when the connection ends before it does.
    pub body: Box<dyn Read + Send>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim())
    }

    /// Where the answer sends on to, as a whole address.
    pub fn redirection(&self, url: &str) -> Option<String> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let location = self.header("location")?;
        if location.contains("://") {
            return Some(location.to_owned());
        }
        let authority_end = url.find("://")? + 3;
        let path_begin = url[authority_end..].find('/').map_or(url.len(), |n| authority_end + n);
        match location.strip_prefix("//") {
            Some(rest) => Some(format!("{}//{rest}", &url[..authority_end - 2])),
            None if location.starts_with('/') => Some(format!("{}{location}", &url[..path_begin])),
            None => Some(format!("{}/{location}", url.rsplit_once('/')?.0)),
        }
    }
}

/// Asks a proxy for an address; `from` leaves out the bytes before it.
pub fn get(proxy: &ureq::Proxy, url: &str, agent: &str, from: Option<u64>) -> io::Result<Answer> {
    if url.contains(|c: char| c.is_control() || c == ' ') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address has a blank in it"));
    }
    let authority = url.split('/').nth(2).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut request = format!(
        "GET {url} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\naccept: */*\r\n\
         accept-encoding: identity\r\nconnection: close\r\n"
    );
    if let Some(from) = from {
        request += &format!("range: bytes={from}-\r\n");
    }
    if let Some(user) = proxy.username() {
        let credentials = format!("{user}:{}", proxy.password().unwrap_or_default());
        request += &format!("proxy-authorization: Basic {}\r\n", base64(credentials.as_bytes()));
    }
    let mut stream = connect(proxy.host(), proxy.port())?;
    stream.write_all(format!("{request}\r\n").as_bytes())?;
    read(BufReader::with_capacity(1 << 16, stream))
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the proxy has no address");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    for address in (bare, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(READ))?;
                stream.set_write_timeout(Some(READ))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub fn read(mut reader: impl BufRead + Send + 'static) -> io::Result<Answer> {
    let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut left = HEAD_LIMIT;
    loop {
        let status = line(&mut reader, &mut left)?;
        let mut words = status.split(' ');
        let http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
        let status = words.next().and_then(|word| word.parse::<u16>().ok()).filter(|_| http);
        let status = status.ok_or_else(|| malformed("the proxy does not speak HTTP"))?;
        let mut headers = Vec::new();
        loop {
            let line = line(&mut reader, &mut left)?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        if (100..200).contains(&status) {
            continue;
        }
        let mut answer = Answer { status, headers, body: Box::new(io::empty()) };
        let chunked = answer
            .header("transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"));
        let length = answer.header("content-length").map(str::parse::<u64>).transpose();
        let length = length.map_err(|_| malformed("the length of the answer is no number"))?;
        answer.body = match length {
            _ if chunked => Box::new(Chunked { reader, left: 0, state: Chunks::First }),
            Some(left) => Box::new(Counted { reader, left }),
            None => Box::new(reader),
        };
        return Ok(answer);
    }
}

/// One line of the head, without its end.
fn line(reader: &mut impl BufRead, left: &mut u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(*left).read_until(b'\n', &mut bytes)?;
    *left -= read as u64;
    if bytes.pop() != Some(b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the head of the answer has no end",
        ));
    }
    Ok(String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned())
}

/// So many bytes, no fewer.
struct Counted<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.by_ref().take(self.left).read(buffer)?;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// Pieces, each behind its length (RFC 9112 §7.1).
struct Chunked<R> {
    reader: R,
    left: u64,
    state: Chunks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chunks {
    First,
    Next,
    Ended,
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.state != Chunks::Ended {
            let mut limit = HEAD_LIMIT;
            if self.state == Chunks::Next {
                line(&mut self.reader, &mut limit)?;
            }
            let size = line(&mut self.reader, &mut limit)?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(digits, 16)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk has no length"))?;
            self.state = if self.left == 0 { Chunks::Ended } else { Chunks::Next };
        }
        if self.state == Chunks::Ended || buffer.is_empty() {
            return Ok(0);
        }
        let n = self.reader.by_ref().take(self.left).read(buffer)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        (0..4)
            .map(|n| match n <= chunk.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * n)) as usize & 63]),
                false => '=',
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &'static str) -> io::Result<(u16, Vec<u8>)> {
        let mut answer = read(text.as_bytes())?;
        let mut body = Vec::new();
        answer.body.read_to_end(&mut body)?;
        Ok((answer.status, body))
    }

    #[test]
    fn bodies_end_where_they_say() {
        let ok =
            |text, body: &[u8]| assert_eq!(answer(text).unwrap(), (200, body.to_vec()), "{text}");
        ok("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", b"abc");
        ok("HTTP/1.0 200 OK\nX: y\n\nabc", b"abc");
        ok(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
            b"abc0123456789",
        );
        for cut in [
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0-x\r\n\r\n",
            "",
        ] {
            assert!(answer(cut).is_err(), "{cut}");
        }
    }

    #[test]
    fn redirections_become_whole_addresses() {
        let to = |status: u16, location: &str| {
            let headers = vec![("location".to_owned(), location.to_owned())];
            Answer { status, headers, body: Box::new(io::empty()) }
                .redirection("http://a.example:80/x/y")
        };
        assert_eq!(to(302, "https://b.example/z").as_deref(), Some("https://b.example/z"));
        assert_eq!(to(301, "/z").as_deref(), Some("http://a.example:80/z"));
        assert_eq!(to(307, "z").as_deref(), Some("http://a.example:80/x/z"));
        assert_eq!(to(308, "//c.example/z").as_deref(), Some("http://c.example/z"));
        assert_eq!(to(200, "/z"), None);
    }

    #[test]
    fn base64_is_that_of_everybody() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("user:p\u{e4}", "dXNlcjpww6Q="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
