//! A new connection to an endpoint: TCP, then the PROXY header, then TLS.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{Cluster, SendProxyProtocol, TcpKeepalive, UpstreamProtocol};
use rustls_pki_types::ServerName;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::exchange::Connection;
use crate::io::Stream;
use crate::proxy_protocol;
use crate::snapshot::clusters::Upstream;
use crate::snapshot::tls::OriginatedTls;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("connection refused or unreachable: {0}")]
    Tcp(#[source] io::Error),
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error("TLS: no handshake within {0:?}")]
    TlsTimedOut(Duration),
    #[error("TLS towards the cluster cannot be set up")]
    TlsUnusable,
}

/// A connection to an endpoint.
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    pub(crate) local: Option<SocketAddr>,
}

/// Connects, within the cluster's time.
///
/// `downstream` is whose addresses the PROXY header tells; a health check tells none.
pub(crate) async fn connect(
    upstream: &Upstream,
    address: SocketAddr,
    downstream: Option<&Connection>,
) -> Result<Connected, ConnectError> {
    connect_for(upstream, address, (None, upstream.model.protocol), downstream).await
}

/// As [`connect`], for a protocol, and to whom that host is: its name is sent where the cluster says so.
pub(crate) async fn connect_for(
    upstream: &Upstream,
    address: SocketAddr,
    (host, protocol): (Option<&str>, UpstreamProtocol),
    downstream: Option<&Connection>,
) -> Result<Connected, ConnectError> {
    if upstream.in_clear_text(address) {
        return connect_by(upstream, &Ok(None), address, None, downstream).await;
    }
    connect_by(upstream, upstream.tls_for(protocol), address, host, downstream).await
}

/// As [`connect`], with other TLS than that of the traffic.
pub(crate) async fn connect_by(
    upstream: &Upstream,
    tls: &Result<Option<Arc<OriginatedTls>>, String>,
    address: SocketAddr,
    host: Option<&str>,
    downstream: Option<&Connection>,
) -> Result<Connected, ConnectError> {
    let limit = upstream.model.connect_timeout;
    let shaking = Cell::new(false);
    match tokio::time::timeout(limit, unbounded(upstream, tls, (address, host), downstream, &shaking)).await {
        Ok(result) => result,
        Err(_) if shaking.get() => Err(ConnectError::TlsTimedOut(limit)),
        Err(_) => Err(ConnectError::TimedOut(limit)),
    }
}

async fn unbounded(
    upstream: &Upstream,
    tls: &Result<Option<Arc<OriginatedTls>>, String>,
    (address, host): (SocketAddr, Option<&str>),
    downstream: Option<&Connection>,
    shaking: &Cell<bool>,
) -> Result<Connected, ConnectError> {
    let mut socket = dial(&upstream.model, address, downstream).await.map_err(ConnectError::Tcp)?;
    tune(&socket, &upstream.model).map_err(ConnectError::Tcp)?;
    if let Some(version) = &upstream.model.send_proxy {
        let header = proxy_header(version, downstream);
        socket.write_all(&header).await.map_err(ConnectError::Tcp)?;
    }
    let local = socket.local_addr().ok();
    let stream = match tls {
        // Never in clear text instead.
        Err(_) => return Err(ConnectError::TlsUnusable),
        Ok(None) => Stream::plain(socket),
        Ok(Some(tls)) => {
            let name = tls.name_for(host).unwrap_or_else(|| ServerName::from(address.ip()));
            shaking.set(true);
            let connector = TlsConnector::from(tls.config(address));
            let stream = connector.connect(name, socket).await.map_err(ConnectError::Tls)?;
            Stream::Client(Box::new(stream))
        }
    };
    Ok(Connected { stream, local })
}

async fn dial(
    cluster: &Cluster,
    address: SocketAddr,
    downstream: Option<&Connection>,
) -> io::Result<TcpStream> {
    let client = downstream.map(|connection| connection.peer.ip().to_canonical());
    let Some(client) = client.filter(|ip| cluster.from_client && ip.is_ipv4() == address.is_ipv4()) else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    match socket.bind(SocketAddr::new(client, 0)) {
        Ok(()) => socket.connect(address).await,
        // The address is another machine's.
        Err(_) => TcpStream::connect(address).await,
    }
}

fn tune(socket: &TcpStream, cluster: &Cluster) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if let Some(TcpKeepalive { probes, idle, interval }) = cluster.keepalive {
        let mut keepalive = socket2::TcpKeepalive::new();
        if let Some(idle) = idle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = interval {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(probes) = probes {
            keepalive = keepalive.with_retries(probes);
        }
        SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

fn proxy_header(version: &SendProxyProtocol, downstream: Option<&Connection>) -> Vec<u8> {
    let addresses = downstream.map(|connection| (connection.peer, connection.local));
    let mut header = Vec::with_capacity(128);
    match (version, addresses) {
        (SendProxyProtocol::V1, Some((source, destination))) => {
            proxy_protocol::write_v1(&mut header, source, destination);
        }
        (SendProxyProtocol::V1, None) => header.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        (SendProxyProtocol::V2(tlvs), addresses) => proxy_protocol::write_v2(&mut header, addresses, tlvs),
    }
    header
}
