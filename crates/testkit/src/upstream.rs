//! Servers to put behind the gateway, each on 127.0.0.1 with a free port, gone when dropped.
//!
//! [`Upstream`] answers HTTP/1, HTTP/2 (with or without TLS), WebSocket and gRPC, or echoes plain TCP; what it answers is
//! [`Echoed`]. [`Scripted`] plays given bytes and keeps what it was sent: for broken peers and for byte-exact requests.

mod echo;
mod grpc;
mod programmed;
mod scripted;
mod websocket;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use echo::{Echoed, EchoedBody, EchoedTls};
pub(crate) use grpc::{frame_message, take_message};
pub use programmed::{Programmed, Whole};
pub use scripted::{Scripted, Step};

use crate::{eventually, proxy_header};

/// A server that says what reached it.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
}

/// What the next requests are answered with instead of the echo, see [`Upstream::plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The echo, with this status.
    Status(u16),
    /// The connection (HTTP/1) or stream (HTTP/2) ends without an answer.
    Reset,
    /// Nothing, for ever.
    Silence,
    /// The echo, this much later.
    After(Duration),
}

/// How an [`Upstream`] shall be, before it starts.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    bind: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    proxy_header: bool,
    serves: Serves,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Serves {
    Http,
    Tcp,
}

/// What the connections of one upstream share.
#[derive(Debug, Default)]
struct State {
    name: String,
    accepted: AtomicUsize,
    open: AtomicUsize,
    proxy_headers: Mutex<Vec<Vec<u8>>>,
    seen: Mutex<Vec<Echoed>>,
    plan: Mutex<VecDeque<Answer>>,
    /// WebSockets: they outlive the HTTP connection they came from.
    tasks: Mutex<JoinSet<()>>,
}

impl Upstream {
    /// An HTTP server: HTTP/1.1, HTTP/2 with prior knowledge, WebSocket on `Upgrade`, gRPC by its content type.
    /// `name` is in every answer.
    pub fn http(name: &str) -> Builder {
        Builder::new(name, Serves::Http)
    }

    /// A TCP server that sends back every byte. It speaks second: nothing is sent before the client does.
    pub fn tcp(name: &str) -> Builder {
        Builder::new(name, Serves::Tcp)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Connections accepted so far (after TLS and PROXY header, if any).
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// The raw PROXY header of each connection, in order; empty unless asked for by [`Builder::proxy_header`].
    pub fn proxy_headers(&self) -> Vec<Vec<u8>> {
        lock(&self.state.proxy_headers).clone()
    }

    /// Every HTTP request seen so far, those answered otherwise included.
    pub fn seen(&self) -> Vec<Echoed> {
        lock(&self.state.seen).clone()
    }

    /// Forgets the requests seen so far.
    pub fn forget(&self) {
        lock(&self.state.seen).clear();
    }

    /// Answers the next HTTP requests by these, one each; then the echo again.
    pub fn plan(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state.plan).extend(answers);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // The accepting task owns the connections: all end with it.
        self.accepting.abort();
        lock(&self.state.tasks).abort_all();
    }
}

impl Builder {
    fn new(name: &str, serves: Serves) -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { name: name.to_owned(), bind, tls: None, proxy_header: false, serves }
    }

    /// Listens here instead of on a free port: to come back where an earlier one was.
    #[must_use]
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.bind = address;
        self
    }

    /// Ends TLS with this configuration.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Expects a PROXY protocol header (either version) first on every connection, before TLS.
    #[must_use]
    pub fn proxy_header(mut self) -> Self {
        self.proxy_header = true;
        self
    }

    /// Binds and begins to accept.
    ///
    /// # Panics
    /// When the address cannot be bound.
    pub async fn start(self) -> Upstream {
        // An upstream dropped just now gives its port back only when its task is told.
        let listener = eventually("the address to bind", || async { listen(self.bind) }).await;
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State { name: self.name.clone(), ..State::default() });
        let accepting = tokio::spawn(accept(listener, self, Arc::clone(&state))).abort_handle();
        Upstream { address, state, accepting }
    }
}

/// Binds with SO_REUSEADDR, so that a stopped server can come back at once although old connections linger.
fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    let socket = match bind {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(bind)?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener, how: Builder, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, how.clone(), Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A connection that ends early or badly is the client's affair: the test sees it there, so errors are dropped.
async fn serve(mut stream: TcpStream, how: Builder, state: Arc<State>) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Small answers must not wait for the delayed acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let mut header = None;
    if how.proxy_header {
        let Ok(bytes) = proxy_header::read(&mut stream).await else { return };
        lock(&state.proxy_headers).push(bytes.clone());
        header = Some(bytes);
    }
    let Some(config) = how.tls else {
        return talk(stream, how.serves, echo::Connection::new(state, peer, header.as_deref(), None)).await;
    };
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
    let tls = Some(EchoedTls::of(stream.get_ref().1));
    talk(stream, how.serves, echo::Connection::new(state, peer, header.as_deref(), tls)).await;
}

async fn talk<S>(mut stream: S, serves: Serves, connection: echo::Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match serves {
        Serves::Tcp => {
            let _ = send_back(&mut stream).await;
        }
        Serves::Http => {
            let connection = Arc::new(connection);
            let service = service_fn(|request| echo::answer(Arc::clone(&connection), request));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().enable_connect_protocol();
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        }
    }
}

async fn send_back(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
