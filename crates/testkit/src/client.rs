//! Clients that say what they saw.
//!
//! [`Raw`] sends and shows bytes; [`Http`] speaks HTTP/1.1 or HTTP/2, WebSocket and gRPC. Each can begin with a PROXY
//! protocol header and start TLS.

mod http;
mod raw;
mod rpc;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use self::http::{Http, HttpConnection, Response, WebSocket};
pub use self::raw::Raw;
pub use self::rpc::{Call, RpcStatus};

/// Both directions of a connection, whatever is below.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Where and how to connect; shared by all clients.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    proxy_header: Vec<u8>,
    tls: Option<(Arc<ClientConfig>, String)>,
}

impl Target {
    /// In clear text.
    pub fn clear(address: SocketAddr) -> Self {
        Self { address, proxy_header: Vec::new(), tls: None }
    }

    /// With TLS to this server name. An IP address sends no server name (RFC 6066 section 3).
    pub fn tls(address: SocketAddr, server_name: &str, config: Arc<ClientConfig>) -> Self {
        Self { tls: Some((config, server_name.to_owned())), ..Self::clear(address) }
    }

    /// Sends these bytes before anything else, TLS included.
    #[must_use]
    pub fn proxy_header(mut self, header: Vec<u8>) -> Self {
        self.proxy_header = header;
        self
    }

    /// The server name, else the address: what a `Host` header would say.
    pub fn authority(&self) -> String {
        match &self.tls {
            Some((_, name)) => name.clone(),
            None => self.address.to_string(),
        }
    }

    /// Connects, sends the PROXY header, shakes hands.
    ///
    /// # Errors
    /// When the connection or the handshake fails. With TLS 1.3 a refused client certificate shows only in the first
    /// read after it.
    pub async fn connect(&self) -> Result<Box<dyn Stream>> {
        let mut stream =
            TcpStream::connect(self.address).await.with_context(|| format!("connect {}", self.address))?;
        stream.set_nodelay(true)?;
        stream.write_all(&self.proxy_header).await?;
        let Some((config, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(name.clone())?;
        let stream =
            TlsConnector::from(Arc::clone(config)).connect(name, stream).await.context("TLS handshake")?;
        Ok(Box::new(stream))
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::clear(address)
    }
}
