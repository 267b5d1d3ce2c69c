//! What happened: to a connection, and to one request on it. One record, read by access log, metrics and headers.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Version};
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;

use crate::fields::Fields;

/// A downstream connection, as far as it is known once its first request (or byte to relay) is there.
#[derive(Debug)]
pub struct Connection {
    /// Unique in the process.
    pub id: u64,
    /// The TCP peer.
    pub direct: SocketAddr,
    /// Who the PROXY header says it is; else the TCP peer.
    pub peer: SocketAddr,
    /// Its address as text, for the header fields of every request.
    pub peer_text: HeaderValue,
    /// Our end (or the destination that the PROXY header names).
    pub local: SocketAddr,
    /// The port that users wrote for the listener.
    pub declared_port: u16,
    /// TLS, when it was ended here.
    pub tls: Option<Box<Tls>>,
}

/// What a TLS handshake agreed.
#[derive(Debug)]
pub struct Tls {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// OpenSSL's name of the suite, as access logs have it.
    pub cipher: &'static str,
    /// Name asked for, lower case.
    pub server_name: Option<String>,
    /// Certificates that the client showed (and that were verified), leaf first.
    pub client_chain: Vec<CertificateDer<'static>>,
    /// Their chain was checked, and would not have been let in otherwise: the leaf says who the client is.
    pub client_verified: bool,
    /// The leaf, read.
    pub client: Option<ClientCertificate>,
    /// URIs of our own certificate; looked up only for who showed one too.
    pub own_uris: Vec<String>,
}

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// RFC 2253 form, as Envoy prints it.
    pub subject: String,
    /// RFC 2253 form.
    pub issuer: String,
    /// Lower-case hex.
    pub serial: String,
    /// SHA-256 of the DER, lower-case hex.
    pub sha256: String,
    /// DNS names.
    pub dns: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
}

/// A client's certificate, told by a load balancer that is believed.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the leaf says.
    pub client: ClientCertificate,
    /// As it was shown to the load balancer, leaf first; empty when only what it says is told.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A client's certificate, wherever it is known from.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// What the leaf says.
    pub client: &'a ClientCertificate,
    /// All that were shown, leaf first.
    pub chain: &'a [CertificateDer<'static>],
    /// An authority that is believed vouches for it: the leaf says who the client is.
    pub verified: bool,
    /// URIs of the certificate that they were shown to.
    pub own_uris: &'a [String],
}

/// One request, from its head to the last byte of its response.
#[derive(Debug)]
pub struct Exchange {
    /// The connection it came on.
    pub connection: Rc<Connection>,
    /// Wall clock at the head's arrival.
    pub started: SystemTime,
    /// Monotonic clock at the head's arrival.
    pub begun: Instant,
    /// Method.
    pub method: Method,
    /// HTTP version of the request.
    pub version: Version,
    /// `https` or `http`, as believed.
    pub scheme: &'static str,
    /// Host, as sent; where a route rewrote it, as it went upstream.
    pub authority: String,
    /// Path and query as routes compare them: normalised, before any rewrite. Of a request refused for its path, as it came.
    pub original_path: String,
    /// Path and query as they went upstream, where a route rewrote them.
    pub sent_path: Option<PathAndQuery>,
    /// The client's address, as believed.
    pub client: IpAddr,
    /// The client's certificate, when somebody believed tells it.
    pub identity: Option<Arc<Identity>>,
    /// `x-request-id`; none before it is known.
    pub request_id: Option<HeaderValue>,
    /// Name of the route.
    pub route: Option<Arc<str>>,
    /// Place of the target that was drawn among those of its route.
    pub target: Option<usize>,
    /// Name of the cluster.
    pub cluster: Option<Arc<str>>,
    /// Endpoint of the last attempt.
    pub upstream: Option<SocketAddr>,
    /// Our end of the connection to it.
    pub upstream_local: Option<SocketAddr>,
    /// Why its connection failed.
    pub upstream_failure: Option<String>,
    /// Time that the upstream took to its response head.
    pub upstream_time: Option<std::time::Duration>,
    /// From the head's arrival to the last byte of the request sent.
    pub request_sent_after: Option<std::time::Duration>,
    /// Status of the response; 0 when there was none.
    pub status: u16,
    /// Envoy's response flags (`UH`, `UF,URX`); empty = none.
    pub flags: &'static str,
    /// Envoy's response code details (`via_upstream`, `route_not_found`).
    pub details: &'static str,
    /// Fields that the response gets besides its own.
    pub added: Option<Box<Fields>>,
    /// Bytes of request body received.
    pub bytes_received: u64,
    /// Bytes of response body sent.
    pub bytes_sent: u64,
    /// `grpc-status` of the trailers (or of a trailers-only head).
    pub grpc_status: Option<u16>,
    /// Request headers kept for the log: only those that its format asks for.
    pub kept_request: Fields,
    /// Response headers kept for the log.
    pub kept_response: Fields,
    /// Response trailers kept for the log.
    pub kept_trailers: Fields,
}

impl Connection {
    /// A number that no other connection (or flow of datagrams) of the process has.
    pub(crate) fn next_id() -> u64 {
        static IDS: AtomicU64 = AtomicU64::new(1);
        IDS.fetch_add(1, Ordering::Relaxed)
    }

    /// The certificate that the client showed us.
    pub fn shown(&self) -> Option<Shown<'_>> {
        let tls = self.tls.as_ref()?;
        let client = tls.client.as_ref()?;
        let (chain, verified) = (&*tls.client_chain, tls.client_verified);
        Some(Shown { client, chain, verified, own_uris: &tls.own_uris })
    }

    /// An address as the value of a header field.
    pub fn text(address: IpAddr) -> HeaderValue {
        HeaderValue::from_str(&address.to_string()).expect("an address is visible ASCII")
    }
}

impl Exchange {
    /// The client's certificate: the one that somebody believed tells of, else that of the connection.
    pub fn shown(&self) -> Option<Shown<'_>> {
        match &self.identity {
            Some(identity) => {
                let Identity { client, chain } = &**identity;
                Some(Shown { client, chain, verified: true, own_uris: &[] })
            }
            None => self.connection.shown(),
        }
    }

    /// Something begins on a connection; everything else becomes known as it goes on.
    pub(crate) fn begin(connection: &Rc<Connection>) -> Self {
        Self {
            connection: Rc::clone(connection),
            started: SystemTime::now(),
            begun: Instant::now(),
            method: Method::GET,
            version: Version::HTTP_11,
            scheme: if connection.tls.is_some() { "https" } else { "http" },
            authority: String::new(),
            original_path: String::new(),
            sent_path: None,
            client: connection.peer.ip(),
            identity: None,
            request_id: None,
            route: None,
            target: None,
            cluster: None,
            upstream: None,
            upstream_local: None,
            upstream_failure: None,
            upstream_time: None,
            request_sent_after: None,
            status: 0,
            flags: "",
            details: "",
            added: None,
            bytes_received: 0,
            bytes_sent: 0,
            grpc_status: None,
            kept_request: Fields::new(),
            kept_response: Fields::new(),
            kept_trailers: Fields::new(),
        }
    }
}
