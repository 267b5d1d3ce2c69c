//! Listening sockets: one for each data thread at the same address (SO_REUSEPORT), so that the kernel spreads
//! connections (and the senders of datagrams, each to the same thread always) and threads share nothing.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use plenipo_model::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::conn;
use crate::udp;
use crate::worker::Worker;

/// Connections that may wait to be accepted, on each socket. The kernel caps it (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// When no descriptor is left, the thread waits this long before it accepts again, instead of spinning.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Connections that are accepted before it is the turn of those that are there already.
const AT_ONCE: usize = 16;

/// One data thread's socket of a listener.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) transport: Transport,
    pub(crate) bind: SocketAddr,
    pub(crate) socket: Socket,
    /// Connections (or flows) open on the listener, on all data threads.
    pub(crate) open: Arc<AtomicU32>,
}

/// Binds one socket for each of `workers` threads.
///
/// # Errors
/// When the address is taken by anybody, cannot be used, or is privileged.
pub(crate) fn bind(transport: Transport, address: SocketAddr, workers: usize) -> io::Result<Vec<Bound>> {
    // SO_REUSEPORT would let us share the port with whatever listens there with the same option, without an error: first
    // make sure that nobody does.
    let (bind, mut address) = (address, address);
    let probe = socket(transport, address, false)?;
    if address.port() == 0 {
        address.set_port(probe.local_addr()?.as_socket().map_or(0, |bound| bound.port()));
    }
    drop(probe);
    let open = Arc::new(AtomicU32::new(0));
    let bound = |socket| Bound { transport, bind, socket, open: Arc::clone(&open) };
    (0..workers).map(|_| socket(transport, address, true).map(bound)).collect()
}

fn socket(transport: Transport, address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if transport == Transport::Tcp {
        // (For UDP it would let others take the address.)
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        // `::` also takes IPv4 connections, as the addresses of other gateways do.
        socket.set_only_v6(false)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if transport == Transport::Tcp {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}

/// A data thread's socket of a listener, being accepted from.
pub(crate) struct LocalListener {
    closing: CancellationToken,
    accepting: JoinHandle<()>,
}

/// Begins to accept.
pub(crate) fn start(worker: &Rc<Worker>, bound: Bound) -> io::Result<LocalListener> {
    let Bound { transport, bind, socket, open } = bound;
    let closing = worker.draining.child_token();
    let worker = Rc::clone(worker);
    let accepting = match transport {
        Transport::Tcp => {
            let socket = TcpListener::from_std(socket.into())?;
            tokio::task::spawn_local(accept(worker, bind, socket, open, closing.clone()))
        }
        Transport::Udp => {
            let socket = UdpSocket::from_std(socket.into())?;
            tokio::task::spawn_local(udp::serve(worker, bind, socket, open, closing.clone()))
        }
    };
    Ok(LocalListener { closing, accepting })
}

impl LocalListener {
    /// Takes what the kernel has accepted already, then closes the socket; connections go on until nothing is under way
    /// on them.
    pub(crate) async fn close(self) {
        self.closing.cancel();
        // The task only ends; it cannot fail but by being aborted with the runtime.
        let _ = self.accepting.await;
    }
}

async fn accept(
    worker: Rc<Worker>,
    bind: SocketAddr,
    socket: TcpListener,
    open: Arc<AtomicU32>,
    closing: CancellationToken,
) {
    for number in 1_usize.. {
        tokio::select! {
            biased;
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => conn::start(&worker, bind, stream, peer, &open, closing.clone()),
                Err(error) => rest_after(&error).await,
            },
            () = closing.cancelled() => break,
        }
        if number.is_multiple_of(AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
    // A socket that closes resets what waits in its queue: empty it first.
    while let Some(Ok((stream, peer))) = futures_util::FutureExt::now_or_never(socket.accept()) {
        conn::start(&worker, bind, stream, peer, &open, closing.clone());
    }
}

/// Errors of one connection (it was reset before we took it) are nothing; errors of the process need a pause.
async fn rest_after(error: &io::Error) {
    use io::ErrorKind as Kind;
    if !matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted) {
        tracing::warn!(%error, "connections cannot be accepted");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}
