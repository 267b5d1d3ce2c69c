//! A peer that plays given bytes and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::{listen, lock};

/// One move of a scripted peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Reads until this text has come in (since the step before).
    ReadUntil(&'static str),
    /// Reads so many bytes.
    Read(usize),
    /// Reads until the other side ends.
    ReadToEnd,
    /// Writes these bytes at once.
    Write(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Ends its direction (FIN) and goes on reading.
    Finish,
    /// Aborts the connection (RST).
    Reset,
    /// Stays silent with the connection open.
    Hang,
}

impl Step {
    /// [`Step::Write`] of text.
    pub fn text(text: &str) -> Self {
        Self::Write(text.as_bytes().to_vec())
    }
}

/// A TCP server that plays the same script on every connection and closes behind its last step.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    accepting: AbortHandle,
}

impl Scripted {
    /// Starts on a free port.
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port of the loopback is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let script = script.into_iter().collect::<Arc<[Step]>>();
        let accepting = tokio::spawn(accept(listener, script, Arc::clone(&received))).abort_handle();
        Self { address, received, accepting }
    }

    /// Reads one request head, answers with these bytes, closes: the most usual script.
    pub async fn answering(response: &str) -> Self {
        Self::start([Step::ReadUntil("\r\n\r\n"), Step::text(response)]).await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What each connection has brought so far, in order of acceptance.
    pub fn received(&self) -> Vec<Vec<u8>> {
        lock(&self.received).clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<[Step]>, received: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let index = {
                    let mut received = lock(&received);
                    received.push(Vec::new());
                    received.len() - 1
                };
                connections.spawn(play(stream, Arc::clone(&script), index, Arc::clone(&received)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Plays until the script or the connection ends; the latter is for the test to see at its own end.
async fn play(mut stream: TcpStream, script: Arc<[Step]>, index: usize, received: Arc<Mutex<Vec<Vec<u8>>>>) {
    let _ = stream.set_nodelay(true);
    // How much of what came in the steps before have used up.
    let mut used = 0;
    for step in &*script {
        match step {
            Step::ReadUntil(text) => {
                let end = |bytes: &[u8]| find(bytes, text.as_bytes()).map(|at| at + text.len());
                let Some(length) = read_until(&mut stream, index, &received, used, end).await else { return };
                used += length;
            }
            Step::Read(count) => {
                let end = |bytes: &[u8]| (bytes.len() >= *count).then_some(*count);
                let Some(length) = read_until(&mut stream, index, &received, used, end).await else { return };
                used += length;
            }
            Step::ReadToEnd => {
                let _ = read_until(&mut stream, index, &received, used, |_| None).await;
                used = lock(&received)[index].len();
            }
            Step::Write(bytes) => {
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Step::Pause(duration) => tokio::time::sleep(*duration).await,
            Step::Finish => {
                let _ = stream.shutdown().await;
            }
            Step::Reset => return reset(&stream),
            Step::Hang => std::future::pending().await,
        }
    }
}

/// Reads until `end` finds its end in what came since `used`; `None` when the other side ended first.
async fn read_until(
    stream: &mut TcpStream,
    index: usize,
    received: &Mutex<Vec<Vec<u8>>>,
    used: usize,
    end: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if let Some(length) = end(&lock(received)[index][used..]) {
            return Some(length);
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => lock(received)[index].extend_from_slice(&buffer[..count]),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Closing with a linger time of zero sends RST instead of FIN.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
