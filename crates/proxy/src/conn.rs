//! One downstream connection, top to bottom, until its bytes are HTTP or are relayed.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use plenipo_model::{ProxyProtocol, TlsServer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::exchange::{ClientCertificate, Connection, Tls};
use crate::io::{Prefixed, Stream};
use crate::metrics::ListenerMeter;
use crate::proxy_protocol::{self, Parsed};
use crate::snapshot::tls::{TerminatedTls, suite_names};
use crate::snapshot::{CompiledListener, CompiledServe, CompiledTls};
use crate::sniff::{self, ClientHello, Sniff};
use crate::worker::Worker;
use crate::{serve, tcp};

/// Time for a PROXY header.
const PROXY_TIME: Duration = Duration::from_secs(5);
/// Time for a ClientHello, or for the first bytes that tell it is not one.
const SNIFF_TIME: Duration = Duration::from_secs(15);
/// Time for a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Most that is read before a connection is understood.
const MAX_EARLY: usize = 80 * 1024;

static IDS: AtomicU64 = AtomicU64::new(1);

/// A connection that is understood.
pub(crate) struct Understood {
    pub(crate) stream: Stream,
    pub(crate) connection: Rc<Connection>,
    pub(crate) bind: SocketAddr,
    /// ALPN chose HTTP/2.
    pub(crate) http2: bool,
    /// The rules its TLS was made by.
    pub(crate) tls_rules: Option<Arc<TlsServer>>,
    pub(crate) meter: Rc<ListenerMeter>,
    pub(crate) closing: CancellationToken,
}

/// Why a connection ends before it served anything. For debugging only: these happen all day on the internet.
#[derive(Debug, thiserror::Error)]
enum Dropped {
    #[error("the listener is gone, or full")]
    Listener,
    #[error("PROXY header: {0}")]
    ProxyHeader(&'static str),
    #[error("{0} took too long")]
    Slow(&'static str),
    #[error("not TLS: {0}")]
    NotTls(&'static str),
    #[error("no chain takes this connection (server name {0:?})")]
    NoChain(Option<String>),
    #[error("TLS cannot be served as asked")]
    BrokenChain,
    #[error("handshake: {0}")]
    Handshake(#[source] io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a connection in a task of its own.
pub(crate) fn start(
    worker: &Rc<Worker>,
    bind: SocketAddr,
    stream: TcpStream,
    direct: SocketAddr,
    closing: CancellationToken,
) {
    let served = Rc::clone(worker);
    worker.tasks.spawn_local(async move {
        if let Err(dropped) = understand(served, bind, stream, direct, closing).await {
            tracing::debug!(%bind, peer = %direct, reason = %dropped, "connection dropped");
        }
    });
}

async fn understand(
    worker: Rc<Worker>,
    bind: SocketAddr,
    socket: TcpStream,
    direct: SocketAddr,
    closing: CancellationToken,
) -> Result<(), Dropped> {
    let snapshot = worker.snapshot();
    let listener = Arc::clone(snapshot.listener(bind).ok_or(Dropped::Listener)?);
    drop(snapshot);
    socket.set_nodelay(true)?;
    let meter = worker.meter(&listener.stats_prefix);
    let limit = listener.model.max_connections.map_or(u64::MAX, u64::from);
    if meter.connections.get() >= limit {
        return Err(Dropped::Listener);
    }
    let _open = Open::count(&meter);

    let mut early = Early { socket, bytes: BytesMut::new() };
    let mut connection = Connection {
        id: IDS.fetch_add(1, Ordering::Relaxed),
        direct,
        peer: direct,
        peer_text: Connection::text(direct.ip()),
        local: early.socket.local_addr()?,
        declared_port: listener.model.declared_port,
        tls: None,
    };
    if let Err(dropped) = early.proxy_header(&listener, &mut connection).await {
        meter.proxy_protocol_failures.add(1);
        return Err(dropped);
    }
    let hello = match listener.needs_sniffing() {
        true => early.client_hello().await?,
        false => None,
    };
    let choice = match &hello {
        Some(hello) => listener.tls_chain(hello.server_name.as_deref()),
        None => listener.clear_chain(),
    };
    let Some(chain) = choice else {
        return Err(Dropped::NoChain(hello.and_then(|hello| hello.server_name)));
    };
    let mut tls_rules = None;
    let stream = match (&chain.tls, hello) {
        (CompiledTls::Broken, _) => return Err(Dropped::BrokenChain),
        (CompiledTls::Terminate(_), None) => return Err(Dropped::NotTls("clear text where TLS is ended")),
        (CompiledTls::Untouched, _) => Stream::Plain(early.into_stream()),
        (CompiledTls::Terminate(config), Some(hello)) => {
            tls_rules = Some(Arc::clone(&config.model));
            match early.handshake(config, &hello).await {
                Ok((stream, tls)) => {
                    meter.tls_connections.add(1);
                    connection.tls = Some(tls);
                    stream
                }
                Err(dropped) => {
                    meter.tls_failures.add(1);
                    return Err(dropped);
                }
            }
        }
    };
    let serve = chain.serve.clone();
    drop(listener);
    let http2 =
        matches!(&stream, Stream::Server(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"));
    let understood = Understood {
        stream,
        connection: Rc::new(connection),
        bind,
        http2,
        tls_rules,
        meter: Rc::clone(&meter),
        closing,
    };
    match serve {
        CompiledServe::Http(_) => serve::connection(worker, understood).await?,
        CompiledServe::Tcp(route) => tcp::relay(worker, understood, route).await,
    }
    Ok(())
}

/// Counts a connection while it is open.
struct Open<'a>(&'a ListenerMeter);

impl<'a> Open<'a> {
    fn count(meter: &'a ListenerMeter) -> Self {
        meter.connections_total.add(1);
        meter.connections.set(meter.connections.get() + 1);
        Self(meter)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

/// A socket whose first bytes are being looked at.
struct Early {
    socket: TcpStream,
    bytes: BytesMut,
}

impl Early {
    async fn more(&mut self) -> Result<(), Dropped> {
        if self.bytes.len() >= MAX_EARLY {
            return Err(Dropped::NotTls("too many bytes before the connection was understood"));
        }
        match self.socket.read_buf(&mut self.bytes).await? {
            0 => Err(Dropped::Io(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }

    /// Takes the PROXY header off, where there is to be one.
    async fn proxy_header(
        &mut self,
        listener: &CompiledListener,
        connection: &mut Connection,
    ) -> Result<(), Dropped> {
        let expected = match &listener.model.proxy_protocol {
            ProxyProtocol::Off => false,
            ProxyProtocol::Required => true,
            ProxyProtocol::AcceptedFrom(networks) => {
                networks.iter().any(|network| network.contains(&connection.direct.ip()))
            }
        };
        if !expected {
            return Ok(());
        }
        let optional = listener.model.proxy_protocol != ProxyProtocol::Required;
        let header = async {
            loop {
                match proxy_protocol::parse(&self.bytes) {
                    Parsed::NeedMore => self.more().await?,
                    Parsed::Header(header) => return Ok(Some(header)),
                    Parsed::NotProxy if optional => return Ok(None),
                    Parsed::NotProxy => return Err(Dropped::ProxyHeader("missing")),
                    Parsed::Invalid(why) => return Err(Dropped::ProxyHeader(why)),
                }
            }
        };
        let header = tokio::time::timeout(PROXY_TIME, header)
            .await
            .map_err(|_| Dropped::Slow("the PROXY header"))??;
        if let Some(header) = header {
            self.bytes.advance(header.length);
            // LOCAL and UNKNOWN speak of nobody: the peer is who it is.
            if let Some((source, destination)) = header.addresses {
                connection.peer = source;
                connection.peer_text = Connection::text(source.ip());
                connection.local = destination;
            }
        }
        Ok(())
    }

    /// Reads the ClientHello; none when the connection does not begin with one.
    async fn client_hello(&mut self) -> Result<Option<ClientHello>, Dropped> {
        let hello = async {
            loop {
                match sniff::sniff(&self.bytes) {
                    Sniff::NeedMore => self.more().await?,
                    Sniff::Tls(hello) => return Ok(Some(hello)),
                    Sniff::ClearText => return Ok(None),
                    Sniff::Invalid(why) => return Err(Dropped::NotTls(why)),
                }
            }
        };
        tokio::time::timeout(SNIFF_TIME, hello).await.map_err(|_| Dropped::Slow("the first byte"))?
    }

    fn into_stream(self) -> Prefixed<TcpStream> {
        Prefixed::new(self.bytes, self.socket)
    }

    async fn handshake(self, config: &TerminatedTls, hello: &ClientHello) -> Result<(Stream, Tls), Dropped> {
        let acceptor = TlsAcceptor::from(Arc::clone(config.config(&hello.alpn)));
        let handshake = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(self.into_stream()));
        let stream =
            handshake.await.map_err(|_| Dropped::Slow("the handshake"))?.map_err(Dropped::Handshake)?;
        let (_, session) = stream.get_ref();
        let chain: Vec<_> = session
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = session.negotiated_cipher_suite().map_or("-", |suite| suite_names(suite.suite()).1);
        let client = chain.first().and_then(|leaf| ClientCertificate::read(leaf));
        let tls =
            Tls { version, cipher, server_name: hello.server_name.clone(), client_chain: chain, client };
        Ok((Stream::Server(Box::new(stream)), tls))
    }
}
