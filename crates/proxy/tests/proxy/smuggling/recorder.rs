//! An upstream that notices when it and the gateway disagree on where a message ends.
//!
//! It keeps every byte, reads requests by the letter of RFC 9112 and nothing else, and answers each with what it read: so
//! that a request nobody sent, half a request taken for a whole one, and an answer that went to another request all show.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::message::{self, Head};

/// What came over one of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// A whole request: `POST /path body`.
    Request(String),
    /// The beginning of a request whose connection then ended.
    Cut,
    /// No request by RFC 9112: why, and the bytes.
    Desync(String),
}

/// How the next request is answered instead.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// These bytes, whatever they are.
    pub(super) bytes: Vec<u8>,
    /// As soon as the request's head is there.
    pub(super) early: bool,
    /// The connection ends behind them.
    pub(super) ends: bool,
}

#[derive(Debug, Default)]
struct Log {
    seen: Vec<Seen>,
    planned: Option<Planned>,
    open: usize,
}

/// The upstream, gone when dropped.
#[derive(Debug)]
pub(super) struct Recorder {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    accepting: AbortHandle,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = Arc::clone(&log);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, log, accepting: accepting.abort_handle() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was seen since this was asked last.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut lock(&self.log).seen)
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        lock(&self.log).open
    }

    /// Answers the next request like this.
    pub(super) fn plan(&self, planned: Planned) {
        lock(&self.log).planned = Some(planned);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Log>>) {
    lock(&log).open += 1;
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::new();
    let mut answered_early = false;
    let end = loop {
        match message::request(&bytes) {
            Ok(Some((head, body, length))) => {
                bytes.drain(..length);
                lock(&log).seen.push(Seen::Request(head.shown(&body)));
                if !std::mem::take(&mut answered_early) && !answer(&mut stream, &log, &head, &body).await {
                    break None;
                }
                continue;
            }
            Err(why) => break Some(Seen::Desync(format!("{why}: {:?}", String::from_utf8_lossy(&bytes)))),
            Ok(None) => {}
        }
        let early = lock(&log).planned.take_if(|planned| planned.early && message::has_head(&bytes));
        if let Some(planned) = early {
            answered_early = true;
            let _ = stream.write_all(&planned.bytes).await;
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break (!bytes.is_empty()).then_some(Seen::Cut),
            Ok(_) => {}
        }
    };
    let mut log = lock(&log);
    log.seen.extend(end);
    log.open -= 1;
}

/// Answers with what was read, or as planned; tells whether the connection goes on.
async fn answer(stream: &mut TcpStream, log: &Mutex<Log>, head: &Head, body: &[u8]) -> bool {
    let planned = lock(log).planned.take();
    let (bytes, ends) = match planned {
        Some(planned) => (planned.bytes, planned.ends),
        None => {
            let text = head.shown(body);
            let shown = if head.method == "HEAD" { "" } else { &text };
            (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{shown}", text.len()).into_bytes(), false)
        }
    };
    stream.write_all(&bytes).await.is_ok() && !ends
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
