//! One downstream connection, top to bottom, until its bytes are HTTP or are relayed.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::TryFutureExt as _;
use ipnet::IpNet;
use plenipo_model::{ClientAuth, ProxyProtocol, TlsServer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::exchange::{ClientCertificate, Connection, Tls};
use crate::io::{Prefixed, Stream};
use crate::metrics::ListenerMeter;
use crate::proxy_protocol::{self, Parsed};
use crate::refusal::{self, Dropped};
use crate::snapshot::tls::{TerminatedTls, suite_names};
use crate::snapshot::{CompiledListener, CompiledServe, CompiledTls, Log};
use crate::sniff::{self, ClientHello, Sniff};
use crate::turns::Turns;
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

/// Serves a connection in a task of its own.
pub(crate) fn start(
    worker: &Rc<Worker>,
    bind: SocketAddr,
    stream: TcpStream,
    direct: SocketAddr,
    open: &Arc<AtomicU32>,
    closing: CancellationToken,
) {
    let begun = begin(Rc::clone(worker), bind, stream, direct, Arc::clone(open), closing);
    let begun = Box::pin(begun.inspect_err(move |dropped| {
        tracing::debug!(%bind, peer = %direct, reason = %dropped, "connection dropped");
    }));
    // Each in a box of its own: a connection at rest has nothing left of how it began.
    worker.tasks.spawn_local(async move {
        if let Ok(Some((serving, _open))) = begun.await {
            serving.await;
        }
    });
}

/// What serves a connection to its end.
pub(crate) type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// Finds out what a connection is; tells what serves it, if there is anything to serve.
async fn begin(
    worker: Rc<Worker>,
    bind: SocketAddr,
    socket: TcpStream,
    direct: SocketAddr,
    open: Arc<AtomicU32>,
    closing: CancellationToken,
) -> Result<Option<(Serving, Open)>, Dropped> {
    let snapshot = worker.snapshot();
    let listener = Arc::clone(snapshot.listener(bind).ok_or(Dropped::Gone)?);
    drop(snapshot);
    socket.set_nodelay(true)?;
    let meter = worker.meter(&listener.stats_prefix);
    let mut connection = Connection {
        id: Connection::next_id(),
        direct,
        peer: direct,
        peer_text: Connection::text(direct.ip()),
        local: socket.local_addr()?,
        declared_port: listener.model.declared_port,
        tls: None,
    };
    let received = Cell::new(0);
    let early = Early { socket, bytes: BytesMut::new(), received: &received };
    let mut log = listener.log();
    let understood = match Open::count(Rc::clone(&meter), open, listener.model.max_connections) {
        None => Err(Dropped::Full),
        Some(open) => understand(&worker.turns, &listener, &meter, early, &mut connection, &mut log)
            .await
            .map(|understood| (open, understood)),
    };
    let (open, (stream, tls_rules, behind)) = match understood {
        Ok(understood) => understood,
        Err(dropped) => {
            refusal::connection(&worker, &meter, log.as_deref(), connection, &dropped, received.get());
            return Err(dropped);
        }
    };
    drop(listener);
    let http2 =
        matches!(&stream, Stream::Server(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"));
    let understood =
        Understood { stream, connection: Rc::new(connection), bind, http2, tls_rules, meter, closing };
    let serving = match behind {
        CompiledServe::Http(_) => serve::connection(worker, understood).await?,
        CompiledServe::Tcp(route) => Some(Box::pin(tcp::relay(worker, understood, route)) as Serving),
    };
    Ok(serving.map(|serving| (serving, open)))
}

/// Takes off what comes before the bytes that are served. `log` becomes that of the chain, once it is known.
async fn understand(
    turns: &Turns,
    listener: &CompiledListener,
    meter: &ListenerMeter,
    mut early: Early<'_>,
    connection: &mut Connection,
    log: &mut Option<Arc<Log>>,
) -> Result<(Stream, Option<Arc<TlsServer>>, CompiledServe), Dropped> {
    if let Err(dropped) = early.proxy_header(listener, connection).await {
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
    *log = chain.serve.log().cloned();
    let mut tls_rules = None;
    let stream = match (&chain.tls, hello) {
        (CompiledTls::Broken, _) => return Err(Dropped::BrokenChain),
        (CompiledTls::Terminate(_), None) => return Err(Dropped::NotTls("clear text where TLS is ended")),
        (CompiledTls::Untouched, _) => Stream::Plain(early.into_stream()),
        (CompiledTls::Terminate(config), Some(hello)) => {
            tls_rules = Some(Arc::clone(&config.model));
            match early.handshake(turns, config, &hello).await {
                Ok((stream, tls)) => {
                    meter.tls_connections.add(1);
                    connection.tls = Some(Box::new(tls));
                    stream
                }
                Err(dropped) => {
                    meter.tls_failures.add(1);
                    return Err(dropped);
                }
            }
        }
    };
    Ok((stream, tls_rules, chain.serve.clone()))
}

/// Counts a connection while it is open.
struct Open {
    meter: Rc<ListenerMeter>,
    /// Of the listener, on all data threads.
    all: Arc<AtomicU32>,
}

impl Open {
    /// None when there are as many as there may be.
    fn count(meter: Rc<ListenerMeter>, all: Arc<AtomicU32>, limit: Option<u32>) -> Option<Self> {
        meter.connections_total.add(1);
        meter.connections.set(meter.connections.get() + 1);
        let before = all.fetch_add(1, Ordering::Relaxed);
        let open = Self { meter, all };
        limit.is_none_or(|limit| before < limit).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.meter.connections.set(self.meter.connections.get() - 1);
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket whose first bytes are being looked at.
struct Early<'a> {
    socket: TcpStream,
    bytes: BytesMut,
    /// How many came in all.
    received: &'a Cell<u64>,
}

impl Early<'_> {
    async fn more(&mut self) -> Result<(), Dropped> {
        if self.bytes.len() >= MAX_EARLY {
            return Err(Dropped::NotTls("too many bytes before the connection was understood"));
        }
        match self.socket.read_buf(&mut self.bytes).await? {
            0 => Err(Dropped::Io(io::ErrorKind::UnexpectedEof.into())),
            read => {
                self.received.set(self.received.get() + read as u64);
                Ok(())
            }
        }
    }

    /// Takes the PROXY headers off, where there are to be any.
    async fn proxy_header(
        &mut self,
        listener: &CompiledListener,
        connection: &mut Connection,
    ) -> Result<(), Dropped> {
        let within = |networks: &[IpNet], address: SocketAddr| {
            networks.iter().any(|network| network.contains(&address.ip().to_canonical()))
        };
        let required = match &listener.model.proxy_protocol {
            ProxyProtocol::Off => return Ok(()),
            ProxyProtocol::Required => true,
            ProxyProtocol::AcceptedFrom(networks) if within(networks, connection.direct) => false,
            ProxyProtocol::AcceptedFrom(_) => return Ok(()),
        };
        if self.one_proxy_header(required, connection).await?
            && within(&listener.model.inner_proxy_from, connection.peer)
        {
            self.one_proxy_header(true, connection).await?;
        }
        Ok(())
    }

    /// Takes one PROXY header off; false when there is none, or it speaks of nobody.
    async fn one_proxy_header(
        &mut self,
        required: bool,
        connection: &mut Connection,
    ) -> Result<bool, Dropped> {
        let header = async {
            loop {
                match proxy_protocol::parse(&self.bytes) {
                    Parsed::NeedMore => self.more().await?,
                    Parsed::Header(header) => return Ok(Some(header)),
                    Parsed::NotProxy if required => return Err(Dropped::NoProxyHeader),
                    Parsed::NotProxy => return Ok(None),
                    Parsed::Invalid(why) => return Err(Dropped::ProxyHeader(why)),
                }
            }
        };
        let header =
            tokio::time::timeout(PROXY_TIME, header).await.map_err(|_| Dropped::SlowProxyHeader)??;
        let Some(header) = header else { return Ok(false) };
        self.bytes.advance(header.length);
        // LOCAL and UNKNOWN speak of nobody: the peer is who it is.
        let Some((source, destination)) = header.addresses else { return Ok(false) };
        connection.peer = source;
        connection.peer_text = Connection::text(source.ip());
        connection.local = destination;
        Ok(true)
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
        tokio::time::timeout(SNIFF_TIME, hello).await.map_err(|_| Dropped::SlowStart)?
    }

    fn into_stream(self) -> Prefixed<TcpStream> {
        Prefixed::new(self.bytes, self.socket)
    }

    async fn handshake(
        self,
        turns: &Turns,
        config: &TerminatedTls,
        hello: &ClientHello,
    ) -> Result<(Stream, Tls), Dropped> {
        let acceptor = TlsAcceptor::from(Arc::clone(config.config(&hello.alpn)));
        let handshake = turns.pace(acceptor.accept(self.into_stream()));
        let handshake = tokio::time::timeout(HANDSHAKE_TIME, handshake);
        let stream = handshake.await.map_err(|_| Dropped::SlowHandshake)?.map_err(Dropped::Handshake)?;
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
        // Which of several certificates was shown is not told; one name has them all.
        let own = config.model.certificates.first().filter(|_| client.is_some());
        let own = own.and_then(|own| ClientCertificate::read(own.chain().first()?));
        let own_uris = own.map(|own| own.uris).unwrap_or_default();
        let server_name = hello.server_name.clone();
        let client_verified = match &config.model.client_auth {
            ClientAuth::Optional(roots) | ClientAuth::Required(roots) => !roots.accept_untrusted,
            ClientAuth::None | ClientAuth::Unverified => false,
        };
        let tls =
            Tls { version, cipher, server_name, client_chain: chain, client_verified, client, own_uris };
        Ok((Stream::Server(Box::new(stream)), tls))
    }
}
