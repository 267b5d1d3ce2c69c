//! Why a request got an answer that no upstream made: what happened, who is to blame, what the client is told.

use http::StatusCode;
use plenipo_jwt::Refused;

/// What went wrong. One exhaustive match below turns it into everything that is derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request breaks a rule of HTTP or a limit; status and details as given.
    Request(StatusCode, &'static str),
    /// The client's address is not let in.
    AddressDenied,
    /// Who the client is is not known, or not believed, where it must be.
    Certificate(&'static str),
    /// The rules do not let it in.
    Denied,
    /// Its token is worth nothing.
    Token(Refused),
    /// Whoever had to be asked about it has not answered.
    Unanswered(StatusCode),
    /// No virtual host or no route.
    NoRoute,
    /// The connection was made for another name.
    Misdirected,
    /// The host (or the server) refuses all traffic, because it cannot be served as asked.
    Refused(StatusCode),
    /// An upgrade that the route does not let through.
    UpgradeRefused,
    /// The request's body is larger than allowed.
    BodyTooLarge,
    /// The cluster has no endpoint that can be used.
    NoEndpoint,
    /// A circuit breaker is open.
    Overflow,
    /// No connection to the endpoint.
    Connect,
    /// No connection to the endpoint in time.
    ConnectTimedOut,
    /// The upstream broke off before it answered.
    Reset,
    /// The upstream's answer breaks the rules of HTTP.
    BadResponse,
    /// The whole exchange took too long.
    TimedOut,
    /// Not a byte moved for too long; 408 when it was the request that did not come to its end.
    Silent(StatusCode),
    /// One attempt took too long, and no other was left.
    AttemptTimedOut,
    /// The client broke off while its request was being read.
    ClientGone,
    /// The client does not speak what the targets do.
    ClientProtocol,
    /// The endpoint is gone from its cluster, and the time to finish is over.
    Drained,
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    Client,
    Upstream,
    Us,
}

/// What is derived from a [`Failure`].
pub(crate) struct Told {
    /// Status of the answer.
    pub(crate) status: StatusCode,
    /// Envoy's response flag.
    pub(crate) flag: &'static str,
    /// Envoy's response code details.
    pub(crate) details: &'static str,
    /// Body of the answer.
    pub(crate) body: &'static str,
    /// Who is to blame.
    pub(crate) blame: Blame,
}

impl Failure {
    pub(crate) fn told(self) -> Told {
        use Blame::{Client, Upstream, Us};
        let (status, flag, details, body, blame) = match self {
            Self::Request(status, details) => (status, "DPE", details, "", Client),
            Self::AddressDenied | Self::Denied => (
                StatusCode::FORBIDDEN,
                "UAEX",
                "rbac_access_denied_matched_policy[none]",
                "RBAC: access denied",
                Client,
            ),
            Self::Certificate(details) => (StatusCode::FORBIDDEN, "UAEX", details, "", Client),
            Self::Token(why) => (token_status(why), "UAEX", "jwt_authn_access_denied", why.text(), Client),
            Self::Unanswered(status) => (status, "UAEX", "ext_authz_error", "", Us),
            Self::NoRoute => (StatusCode::NOT_FOUND, "NR", "route_not_found", "", Client),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "NR", "misdirected_request", "", Client),
            Self::Refused(status) => (status, "UH", "host_refuses_traffic", "", Us),
            Self::UpgradeRefused => (StatusCode::FORBIDDEN, "NR", "upgrade_failed", "", Client),
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "", "request_payload_too_large", "Payload Too Large", Client)
            }
            Self::NoEndpoint => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UH",
                "no_healthy_upstream",
                "no healthy upstream",
                Upstream,
            ),
            Self::Overflow => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UO",
                "upstream_reset_before_response_started{overflow}",
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                Us,
            ),
            Self::Connect | Self::ConnectTimedOut => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UF",
                "upstream_reset_before_response_started{connection_failure}",
                "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
                Upstream,
            ),
            Self::Reset => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UC",
                "upstream_reset_before_response_started{connection_termination}",
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                Upstream,
            ),
            Self::BadResponse => (
                StatusCode::BAD_GATEWAY,
                "UPE",
                "upstream_reset_before_response_started{protocol_error}",
                "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
                Upstream,
            ),
            Self::TimedOut => {
                (StatusCode::GATEWAY_TIMEOUT, "UT", "response_timeout", "upstream request timeout", Upstream)
            }
            Self::Silent(status) => (status, "SI", "stream_idle_timeout", "stream timeout", Upstream),
            Self::AttemptTimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "UT",
                "upstream_per_try_timeout",
                "upstream request timeout",
                Upstream,
            ),
            Self::ClientGone => (
                StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
                "DC",
                "downstream_remote_disconnect",
                "",
                Client,
            ),
            Self::ClientProtocol => {
                (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "DPE", "client_protocol_mismatch", "", Client)
            }
            Self::Drained => (
                StatusCode::SERVICE_UNAVAILABLE,
                "UC",
                "upstream_reset_before_response_started{drained}",
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                Upstream,
            ),
        };
        Told { status, flag, details, body, blame }
    }
}

/// As Envoy has it: a good token for somebody else is not let in, any other is asked for again.
fn token_status(why: Refused) -> StatusCode {
    if why == Refused::Audience { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED }
}
