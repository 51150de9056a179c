//! A proxy for packages: it passes requests on to one server, whatever host they name, and opens no
//! tunnels.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::server::Server;

pub struct Proxy {
    /// `127.0.0.1:PORT`
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (target, seen) = (server.url.replace("http://", ""), Arc::clone(&requests));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, seen) = (target.clone(), Arc::clone(&seen));
                thread::spawn(move || pass_on(stream, &target, &seen));
            }
        });
        Self { address, requests }
    }

    /// Heads of the requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn pass_on(mut stream: TcpStream, target: &str, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    seen.lock().unwrap().push(head.clone());
    let (line, headers) = head.split_once("\r\n")?;
    let Some(url) = line.strip_prefix("GET http://") else {
        return stream.write_all(b"HTTP/1.1 403 CONNECT denied\r\ncontent-length: 0\r\n\r\n").ok();
    };
    let path = &url[url.find('/')?..];
    let mut server = TcpStream::connect(target).ok()?;
    server.write_all(format!("GET {path}\r\n{headers}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    stream.write_all(&answer).ok()
}
