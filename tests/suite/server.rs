//! A web server that serves a folder, and lies as a test tells it to.
#![allow(unreachable_pub, reason = "shared by the modules of one binary")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is asked for.
pub struct Asked {
    /// The path, without a slash before it.
    pub path: String,
    /// The first byte, where a range is asked for.
    pub from: Option<u64>,
    /// How often this path was asked for before.
    pub before: usize,
}

/// What is answered.
pub enum Answer {
    /// The file as it is.
    Honest,
    /// These bytes in the place of the file's.
    Bytes(Vec<u8>),
    /// The file, and the connection is closed after so many bytes of the answer's body.
    Cut(u64),
    /// The file, and silence after so many bytes.
    Stall(u64),
    /// The file, a byte at a time, each before a client loses patience.
    Drip,
    /// The file's beginning, with no length and no end.
    Endless,
    /// A range that begins one byte later than was asked.
    WrongRange,
    /// All of the file, whatever range was asked for.
    NoRanges,
    /// Another status, with a header line.
    Status(u16, String),
}

type Lie = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server on a port of its own, until it is dropped.
pub struct Server {
    pub url: String,
    pub asked: Arc<Mutex<Vec<String>>>,
    pub moved: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Server {
    pub fn honest(root: &Path) -> Self {
        Self::start(root, |_| Answer::Honest)
    }

    pub fn start(root: &Path, lie: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, moved, stop) =
            (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let server = Self {
            url: format!("http://{address}"),
            asked: asked.clone(),
            moved: moved.clone(),
            stop: stop.clone(),
            address,
        };
        let (root, lie): (PathBuf, Arc<Lie>) = (root.to_owned(), Arc::new(lie));
        let counts = Arc::new(Mutex::new(HashMap::new()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (root, lie, asked, moved, counts) =
                    (root.clone(), lie.clone(), asked.clone(), moved.clone(), counts.clone());
                // A client that goes away in the middle is no failure of the server's.
                thread::spawn(move || drop(serve(stream, &root, &*lie, &asked, &moved, &counts)));
            }
        });
        server
    }

    /// Returns what was asked for so far, and forgets it.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    mut stream: TcpStream,
    root: &Path,
    lie: &Lie,
    asked: &Mutex<Vec<String>>,
    moved: &AtomicU64,
    counts: &Mutex<HashMap<String, usize>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut from = None;
    while let Some(line) = lines.next().transpose()? {
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.split('-').next().and_then(|from| from.parse::<u64>().ok());
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let path = path.trim_start_matches('/').to_owned();
    asked.lock().unwrap().push(path.clone());
    let before = {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(path.clone()).or_insert(0);
        *count += 1;
        *count - 1
    };
    let answer = lie(&Asked { path: path.clone(), from, before });
    let file = fs::read(root.join(&path)).ok();
    let (bytes, from) = match &answer {
        Answer::Status(code, header) => {
            return write!(
                stream,
                "HTTP/1.1 {code} Other\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Answer::Bytes(bytes) => (Some(bytes.clone()), from),
        Answer::NoRanges => (file, None),
        _ => (file, from),
    };
    let Some(bytes) = bytes else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let tag = bytes.len();
    let status = match (&answer, from) {
        (Answer::Endless, _) => "200 OK\r\n".to_owned(),
        (Answer::WrongRange, Some(from)) => {
            format!("206 Partial Content\r\nContent-Range: bytes {}-{}/{}\r\n", from + 1, bytes.len(), bytes.len())
        }
        (_, Some(from)) if from > 0 => {
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())
        }
        _ => "200 OK\r\n".to_owned(),
    };
    let body = &bytes[(from.unwrap_or(0) as usize).min(bytes.len())..];
    let length = match answer {
        Answer::Endless => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    write!(stream, "HTTP/1.1 {status}{length}ETag: \"{tag}\"\r\nConnection: close\r\n\r\n")?;
    if method == "HEAD" {
        return Ok(());
    }
    let most = match answer {
        Answer::Drip => 0,
        Answer::Cut(after) | Answer::Stall(after) => (after as usize).min(body.len()),
        _ => body.len(),
    };
    stream.write_all(&body[..most])?;
    moved.fetch_add(most as u64, Ordering::Relaxed);
    match answer {
        Answer::Stall(_) => {
            // Until the client has had enough.
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            drop(stream.read(&mut [0; 1]));
        }
        Answer::Drip => {
            for byte in body {
                thread::sleep(Duration::from_millis(100));
                stream.write_all(&[*byte])?;
            }
        }
        Answer::Endless => loop {
            stream.write_all(&[b'#'; 4096])?;
        },
        _ => {}
    }
    Ok(())
}
