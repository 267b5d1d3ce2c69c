//! How an HTTP load balancer treats messages, where that differs from what a gateway does.
//!
//! The defaults are those of the two kinds that speak HTTP: the Application Load Balancer and the Classic one
//! ("HTTP headers and Application Load Balancers" and "HTTP headers and Classic Load Balancers" in AWS's guides).

use std::time::Duration;

use http::HeaderName;
use serde::Serialize;

use crate::policy::as_text;

/// How an HTTP load balancer treats messages. `X-Forwarded-Proto` and `-Port` always come from the listener (its declared
/// port), paths pass as they came, nothing that Envoy or its like would say is added or removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BalancerRules {
    /// What becomes of `X-Forwarded-For`.
    pub forwarded_for: ForwardedFor,
    /// Write the client's port too, when appending: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    pub client_port: bool,
    /// More addresses than this in `X-Forwarded-For` are answered 463; none = any number.
    pub max_forwarded: Option<u32>,
    /// Write `X-Amzn-Trace-Id`, or our part of it.
    pub trace_id: bool,
    /// Pass `Host` as it came (rules look at the first one); else its port is made the listener's: left out on 80 and
    /// 443, written on others, and the host of an absolute target goes before it.
    pub preserve_host: bool,
    /// Leave out fields whose names are not of `[-A-Za-z0-9]+`.
    pub drop_invalid_fields: bool,
    /// Tell targets version and cipher suite of the client's TLS.
    pub tls_fields: Option<TlsFields>,
    /// Tell targets the client's certificate. What clients send by these names (and by the default ones) is always left
    /// out.
    pub client_certificate: ClientCertificateFields,
    /// What is done with messages that two readers could read differently.
    pub desync: Desync,
    /// Whose statuses and bodies the answers made here have.
    pub answers: BalancerAnswers,
}

/// What becomes of `X-Forwarded-For`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedFor {
    /// The peer's address is added at its end.
    Append,
    /// It passes as it came.
    Preserve,
    /// It is left out.
    Remove,
}

/// Names of the fields that tell about the client's TLS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TlsFields {
    /// Version, as OpenSSL names it: `TLSv1.3`.
    #[serde(serialize_with = "as_text")]
    pub version: HeaderName,
    /// Cipher suite, as OpenSSL names it.
    #[serde(serialize_with = "as_text")]
    pub cipher: HeaderName,
}

/// Fields by which a load balancer tells about a client's certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificateFields {
    /// None.
    #[default]
    None,
    /// The whole chain as it was shown, not verified: PEM, leaf first, URL-encoded but for `+`, `=` and `/`.
    Passthrough {
        /// Name of the field; by default [`ClientCertificateFields::PASSTHROUGH`].
        #[serde(serialize_with = "as_text")]
        name: HeaderName,
    },
    /// What a verified certificate says.
    Verified {
        /// Serial number, hexadecimal.
        #[serde(serialize_with = "as_text")]
        serial: HeaderName,
        /// Issuer, as RFC 2253 writes names.
        #[serde(serialize_with = "as_text")]
        issuer: HeaderName,
        /// Subject, as RFC 2253 writes names.
        #[serde(serialize_with = "as_text")]
        subject: HeaderName,
        /// `NotBefore=…;NotAfter=…`, ISO 8601 in UTC.
        #[serde(serialize_with = "as_text")]
        validity: HeaderName,
        /// The certificate itself, in the form of [`ClientCertificateFields::Passthrough`].
        #[serde(serialize_with = "as_text")]
        leaf: HeaderName,
    },
}

/// What is done with messages that two readers could read differently; the tiers are those of AWS's HTTP Desync Guardian.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Desync {
    /// Everything that can be carried without ambiguity passes.
    Monitor,
    /// Severe ones are answered 400; after ambiguous ones both connections are closed.
    Defensive,
    /// Only what complies with RFC 9112 passes.
    Strictest,
}

/// Whose statuses and bodies the answers made here have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerAnswers {
    /// The Application Load Balancer's.
    Application,
    /// The Classic Load Balancer's.
    Classic,
}

/// Cookies that keep a client at one of the targets of a weighted forward.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StickyTargets {
    /// Name of the cookie; `AWSALBTG`.
    pub cookie: String,
    /// The same once more, for requests from other sites (`SameSite=None; Secure`); `AWSALBTGCORS`.
    pub companion: Option<String>,
    /// How long the choice holds.
    #[serde(with = "crate::duration")]
    pub duration: Duration,
}

/// Cookies that keep a client at one endpoint. A cookie that names none of them, or an unhealthy one, counts as none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StickyEndpoint {
    /// Name of the cookie: `AWSALB`, `AWSALBAPP-0`, `AWSELB`.
    pub cookie: String,
    /// The same once more, for requests from other sites (`SameSite=None; Secure`): `AWSALBCORS`.
    pub companion: Option<String>,
    /// How long the choice holds, counted anew with every response; none = as long as the client keeps the cookie.
    #[serde(with = "crate::duration::optional")]
    pub duration: Option<Duration>,
    /// The choice is remembered only when the application sets this cookie, and forgotten when a request comes without
    /// it.
    pub app_cookie: Option<String>,
}

/// What a client must speak for a forward to take its request; others are answered 464. Each is what the targets speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientProtocol {
    /// Anything but gRPC.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC: HTTP/2 and POST.
    Grpc,
}

impl BalancerRules {
    /// An Application Load Balancer with no attribute changed.
    pub fn application() -> Self {
        Self {
            forwarded_for: ForwardedFor::Append,
            client_port: false,
            max_forwarded: Some(30),
            trace_id: true,
            preserve_host: false,
            drop_invalid_fields: false,
            tls_fields: None,
            client_certificate: ClientCertificateFields::None,
            desync: Desync::Defensive,
            answers: BalancerAnswers::Application,
        }
    }

    /// A Classic Load Balancer with no attribute changed. It does not touch `Host` and writes no trace id.
    pub fn classic() -> Self {
        Self {
            max_forwarded: None,
            trace_id: false,
            preserve_host: true,
            answers: BalancerAnswers::Classic,
            ..Self::application()
        }
    }
}

impl Default for TlsFields {
    fn default() -> Self {
        Self {
            version: HeaderName::from_static("x-amzn-tls-version"),
            cipher: HeaderName::from_static("x-amzn-tls-cipher-suite"),
        }
    }
}

impl ClientCertificateFields {
    /// What all default names begin with.
    pub const PREFIX: &str = "x-amzn-mtls-clientcert";
    /// Default name of the field with the whole chain.
    pub const PASSTHROUGH: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert");

    /// The whole chain, by the default name.
    pub fn passthrough() -> Self {
        Self::Passthrough { name: Self::PASSTHROUGH }
    }

    /// What a verified certificate says, by the default names.
    pub fn verified() -> Self {
        Self::Verified {
            serial: HeaderName::from_static("x-amzn-mtls-clientcert-serial-number"),
            issuer: HeaderName::from_static("x-amzn-mtls-clientcert-issuer"),
            subject: HeaderName::from_static("x-amzn-mtls-clientcert-subject"),
            validity: HeaderName::from_static("x-amzn-mtls-clientcert-validity"),
            leaf: HeaderName::from_static("x-amzn-mtls-clientcert-leaf"),
        }
    }

    /// The names in use.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let names = match self {
            Self::None => [None; 5],
            Self::Passthrough { name } => [Some(name), None, None, None, None],
            Self::Verified { serial, issuer, subject, validity, leaf } => {
                [Some(serial), Some(issuer), Some(subject), Some(validity), Some(leaf)]
            }
        };
        names.into_iter().flatten()
    }
}
