//! An HTTP server for a directory, with faults on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is to go wrong with a path, once.
pub enum Fault {
    /// The connection breaks after so many bytes of the body.
    CutAfter(usize),
    /// The whole file comes, whatever range was asked for.
    NoRange,
    /// A status in place of the file, with a header.
    Status(u16, &'static str),
    /// Half of the body is sent, and nothing more until the sender of the receiver is dropped. The
    /// first channel hears of it.
    Stall(Sender<()>, Receiver<()>),
}

#[derive(Default)]
struct State {
    faults: Mutex<HashMap<String, Vec<Fault>>>,
    requests: Mutex<Vec<String>>,
}

pub struct Server {
    pub url: String,
    state: Arc<State>,
}

impl Server {
    pub fn start(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let (root, shared) = (root.to_owned(), Arc::clone(&state));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, state) = (root.clone(), Arc::clone(&shared));
                thread::spawn(move || serve(stream, root, &state));
            }
        });
        Self { url, state }
    }

    /// Lets the next request of a path that ends so go wrong; several faults come one after another.
    pub fn fault(&self, suffix: &str, fault: Fault) {
        self.state.faults.lock().unwrap().entry(suffix.to_owned()).or_default().push(fault);
    }

    /// Takes a fault back; says whether there was one.
    pub fn take_fault(&self, suffix: &str) -> bool {
        take_fault(&self.state, suffix).is_some()
    }

    /// Lets a path stall; gives what tells that it does, and what releases it when dropped.
    pub fn stall(&self, suffix: &str) -> (Receiver<()>, Sender<()>) {
        let (reached, wait) = channel();
        let (release, released) = channel();
        self.fault(suffix, Fault::Stall(reached, released));
        (wait, release)
    }

    /// Paths that were asked for, with the start of the range when there was one.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    pub fn count(&self, part: &str) -> usize {
        self.requests().iter().filter(|request| request.contains(part)).count()
    }
}

fn serve(stream: TcpStream, root: PathBuf, state: &State) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut from = None;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(range) = header.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse::<usize>().ok();
        }
    }
    let shown = from.map_or(path.clone(), |from| format!("{path} from {from}"));
    state.requests.lock().unwrap().push(shown);
    let fault = take_fault(state, &path);
    let from = from.filter(|_| !matches!(fault, Some(Fault::NoRange)));
    // What is below a directory that is asked for itself lies beside a file `index`.
    let file = path.strip_suffix('/').map_or_else(|| path.clone(), |dir| format!("{dir}/index"));
    answer(stream, &root.join(&file[1..]), from, fault)
}

fn take_fault(state: &State, path: &str) -> Option<Fault> {
    let mut faults = state.faults.lock().unwrap();
    let suffix = faults.keys().find(|suffix| path.ends_with(suffix.as_str()))?.clone();
    let list = faults.get_mut(&suffix)?;
    let fault = list.remove(0);
    if list.is_empty() {
        faults.remove(&suffix);
    }
    Some(fault)
}

fn answer(
    mut out: TcpStream,
    file: &Path,
    from: Option<usize>,
    fault: Option<Fault>,
) -> Option<()> {
    if let Some(Fault::Status(status, header)) = fault {
        return write!(
            out,
            "HTTP/1.1 {status} x\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n"
        )
        .ok();
    }
    let Ok(all) = std::fs::read(file) else {
        return out
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .ok();
    };
    let body = &all[from.unwrap_or(0).min(all.len())..];
    let status = match from {
        Some(from) => format!(
            "206 Partial Content\r\ncontent-range: bytes {from}-{}/{}",
            all.len() - 1,
            all.len()
        ),
        None => "200 OK".to_owned(),
    };
    write!(out, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())
        .ok()?;
    match fault {
        None | Some(Fault::NoRange | Fault::Status(..)) => out.write_all(body).ok(),
        Some(Fault::CutAfter(bytes)) => out.write_all(&body[..bytes.min(body.len())]).ok(),
        Some(Fault::Stall(reached, released)) => {
            out.write_all(&body[..body.len() / 2]).ok()?;
            out.flush().ok()?;
            reached.send(()).ok()?;
            let _ = released.recv();
            out.write_all(&body[body.len() / 2..]).ok()
        }
    }
}
