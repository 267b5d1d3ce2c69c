//! What an Ingress asks for besides its rules.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use plenipo_model::{
    ClientAuth, Cors, Guard, HashKey, HeaderEdit, HeaderEdits, HostPattern, Redirect, RetryOn, RetryPolicy,
    Template, ValueMatch,
};

use super::backend::Upstream;
use super::class::Flavour;

/// What an Ingress asks for besides its rules; what it does not say has the default of its flavour.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// Protection was asked for that cannot be had: every request is answered 503.
    pub(super) closed: bool,
    /// Paths that look like expressions are some.
    pub(super) regex: bool,
    /// The whole new path, with `\1` for groups of the path's expression.
    pub(super) rewrite: Option<String>,
    pub(super) https: Https,
    pub(super) upstream: Upstream,
    /// No byte for so long ends an exchange.
    pub(super) idle_timeout: Option<Duration>,
    /// The head of the response must be there in this time.
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) hash: Option<HashKey>,
    pub(super) body_bytes: Option<u64>,
    /// `Host` towards the Service.
    pub(super) host: Option<String>,
    pub(super) request_headers: HeaderEdits,
    pub(super) response_headers: HeaderEdits,
    pub(super) cors: Option<Arc<Cors>>,
    pub(super) guard: Option<Arc<Guard>>,
    /// Nothing goes to the Services, clients are sent elsewhere.
    pub(super) redirect: Option<Redirect>,
    /// Where `/` sends.
    pub(super) app_root: Option<String>,
    pub(super) aliases: Vec<HostPattern>,
    /// `www.a.example` sends to `a.example`, or the other way round.
    pub(super) www: bool,
    pub(super) canary: Option<Canary>,
    /// What clients of its hosts must show; the error says why it cannot be made sure.
    pub(super) client_auth: Option<Result<ClientAuth, String>>,
    /// TLS is relayed as it is.
    pub(super) passthrough: bool,
    /// Browsers are told to come by TLS only (RFC 6797).
    pub(super) strict_transport: bool,
}

/// Who is sent from `http` to `https`, with 308.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Https {
    /// Nobody.
    Open,
    /// Everybody, if the host has a certificate.
    WithTls,
    /// Everybody.
    Always,
}

/// Which part of the requests a canary takes, of those for a path that another Ingress has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Canary {
    /// A header, and which value means the canary; none: `always` does, and `never` means the main one.
    pub(super) header: Option<(HeaderName, Option<ValueMatch>)>,
    /// A cookie: `always` and `never`.
    pub(super) cookie: Option<String>,
    /// Of `total`.
    pub(super) weight: u32,
    pub(super) total: u32,
}

impl Policy {
    /// What an Ingress of this flavour asks for that says nothing.
    pub(super) fn of(flavour: Flavour) -> Self {
        let plain = Self {
            closed: false,
            regex: false,
            rewrite: None,
            https: Https::Open,
            upstream: Upstream::default(),
            idle_timeout: Some(Duration::from_secs(300)),
            timeout: None,
            retry: None,
            hash: None,
            body_bytes: None,
            host: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            cors: None,
            guard: None,
            redirect: None,
            app_root: None,
            aliases: Vec::new(),
            www: false,
            canary: None,
            client_auth: None,
            passthrough: false,
            strict_transport: false,
        };
        match flavour {
            Flavour::Emissary => {
                Self { rewrite: Some("/".to_owned()), timeout: Some(Duration::from_secs(3)), ..plain }
            }
            // Istio's defaults for every route.
            Flavour::Istio => {
                let on = vec![
                    RetryOn::ConnectFailure,
                    RetryOn::RefusedStream,
                    RetryOn::Unavailable,
                    RetryOn::Cancelled,
                ];
                Self {
                    retry: Some(RetryPolicy { on, ..RetryPolicy::new(RetryOn::ConnectFailure, 2) }),
                    ..plain
                }
            }
            Flavour::Plenipo | Flavour::Nginx => Self {
                https: Https::WithTls,
                idle_timeout: Some(Duration::from_secs(60)),
                retry: Some(RetryPolicy::new(RetryOn::ConnectFailure, 2)),
                request_headers: told(),
                body_bytes: (flavour == Flavour::Nginx).then_some(1 << 20),
                strict_transport: flavour == Flavour::Nginx,
                ..plain
            },
        }
    }
}

/// Fields by which ingress-nginx tells Services about the client. Those of the same name that clients send are replaced.
fn told() -> HeaderEdits {
    let field = |name: &'static str, value: &str| HeaderEdit {
        name: HeaderName::from_static(name),
        value: Template::parse(value).expect("it is one of those below"),
        append: false,
    };
    HeaderEdits {
        // What the proxy adds of its own accord, and ingress-nginx does not; and what it drops.
        remove: ["x-envoy-external-address", "x_real_ip"].map(HeaderName::from_static).to_vec(),
        add: vec![
            field("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
            field("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
            field("x-forwarded-host", "%REQ(:authority)%"),
            field("x-forwarded-scheme", "%REQ(:scheme)%"),
            field("x-scheme", "%REQ(:scheme)%"),
        ],
    }
}
