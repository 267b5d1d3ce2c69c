//! Connections that end before they serve anything, and requests refused before anything could look at them: why, how
//! they are counted, and what the access log says.

use std::io;
use std::rc::Rc;

use http::StatusCode;
use tokio::time::Instant;

use crate::exchange::{Connection, Exchange};
use crate::framing::Violation;
use crate::http1;
use crate::metrics::ListenerMeter;
use crate::snapshot::Log;
use crate::tcp;
use crate::worker::Worker;

/// Why a connection ended before it served anything. These happen all day on the internet: they are counted and have a
/// line in the access log, nothing more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Dropped {
    #[error("the listener is gone")]
    Gone,
    #[error("the listener has as many connections as it may")]
    Full,
    #[error("the PROXY header is missing")]
    NoProxyHeader,
    #[error("PROXY header: {0}")]
    ProxyHeader(&'static str),
    #[error("the PROXY header took too long")]
    SlowProxyHeader,
    #[error("the first bytes took too long")]
    SlowStart,
    #[error("not TLS: {0}")]
    NotTls(&'static str),
    #[error("no chain takes this connection (server name {0:?})")]
    NoChain(Option<String>),
    #[error("TLS cannot be served as asked")]
    BrokenChain,
    #[error("the handshake took too long")]
    SlowHandshake,
    #[error("handshake: {0}")]
    Handshake(#[source] io::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Dropped {
    /// The metric's label, and Envoy's response flag.
    fn told(&self) -> (&'static str, &'static str) {
        match self {
            Self::Gone => ("listener_gone", ""),
            Self::Full => ("connection_limit", ""),
            Self::NoProxyHeader => ("proxy_header_missing", "DPE"),
            Self::ProxyHeader(_) => ("proxy_header_malformed", "DPE"),
            Self::SlowProxyHeader => ("proxy_header_timeout", "DPE"),
            Self::SlowStart => ("first_bytes_timeout", "DPE"),
            Self::NotTls(_) => ("not_tls", "DPE"),
            Self::NoChain(_) => ("filter_chain_not_found", "NR"),
            Self::BrokenChain => ("tls_not_configured", "NR"),
            Self::SlowHandshake => ("tls_timeout", "DPE"),
            Self::Handshake(error) => handshake(error),
            Self::Io(_) => ("ended", "DC"),
        }
    }

    /// Is there something to tell, when the client sent so many bytes? Who only opened a connection, as browsers and
    /// health checks do, was refused nothing; and who meets a full listener would fill the log too.
    fn worth_a_line(&self, received: u64) -> bool {
        match self {
            Self::Gone | Self::Full => false,
            Self::SlowStart | Self::SlowProxyHeader | Self::Io(_) => received > 0,
            _ => true,
        }
    }
}

fn handshake(error: &io::Error) -> (&'static str, &'static str) {
    use rustls::Error as Tls;
    match error.get_ref().and_then(|error| error.downcast_ref::<Tls>()) {
        None => ("tls_ended", "DC"),
        Some(Tls::NoCertificatesPresented) => ("client_certificate_missing", "DPE"),
        Some(Tls::InvalidCertificate(_)) => ("client_certificate_invalid", "DPE"),
        Some(Tls::AlertReceived(_)) => ("tls_alert", "DPE"),
        Some(Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol) => ("tls_incompatible", "DPE"),
        Some(_) => ("tls_malformed", "DPE"),
    }
}

/// Counts a connection that was dropped after so many bytes, and gives it its line.
pub(crate) fn connection(
    worker: &Worker,
    meter: &ListenerMeter,
    log: Option<&Log>,
    connection: Connection,
    dropped: &Dropped,
    received: u64,
) {
    let (reason, flag) = dropped.told();
    meter.refused(reason);
    meter.received.add(received);
    if dropped.worth_a_line(received) {
        let mut exchange = Exchange::begin(&Rc::new(connection));
        (exchange.flags, exchange.details, exchange.bytes_received) = (flag, reason, received);
        tcp::report(worker, log, &exchange);
    }
}

/// A request that was answered before anything but the codec saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusedRequest {
    /// Status of the answer.
    pub(crate) status: StatusCode,
    /// Envoy's response flag.
    pub(crate) flag: &'static str,
    /// Envoy's response code details.
    pub(crate) details: &'static str,
    /// When it began.
    pub(crate) since: Instant,
}

impl RefusedRequest {
    /// Details of a request that the gate answers itself.
    pub(crate) const SLOW: &str = "request_header_timeout";

    /// Its framing breaks the rules. The codec, unlike the stages, has few statuses to answer with.
    pub(crate) fn by_framing(violation: Violation, since: Instant, by_stages: bool) -> Self {
        let status = match violation {
            Violation::UnknownCoding if by_stages => StatusCode::NOT_IMPLEMENTED,
            Violation::UnknownVersion if by_stages => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Violation::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let too_large = violation == Violation::HeadTooLarge;
        let details = if too_large { "http1.headers_too_large" } else { "http1.codec_error" };
        Self { status, flag: "DPE", details, since }
    }

    /// Its head did not come to its end. (Envoy sets no flag for it.)
    pub(crate) fn slow(since: Instant) -> Self {
        Self { status: StatusCode::REQUEST_TIMEOUT, flag: "", details: Self::SLOW, since }
    }

    /// The codec refused it, if that is what its error says.
    pub(crate) fn by_codec(error: &http1::Error) -> Option<Self> {
        let status = error.status()?;
        let too_large = status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let details = if too_large { "http1.too_many_headers" } else { "http1.codec_error" };
        Some(Self { status, flag: "DPE", details, since: Instant::now() })
    }
}
