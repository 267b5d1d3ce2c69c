//! One rule of a virtual host.

use std::sync::Arc;

use serde::Serialize;

use crate::action::Action;
use crate::authorization::Guard;
use crate::fault::Fault;
use crate::http_server::ErrorResponse;
use crate::matching::{PathMatch, RouteMatch};
use crate::policy::{Cors, HeaderEdits};
use crate::source::Source;

/// One rule of a virtual host. The rules of a host are tried in order; the first whose [`RouteMatch`] accepts the
/// request (and whose [`crate::Fraction`] draws it) decides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Route {
    /// Unique name, for logs, metrics and dumps.
    pub name: Arc<str>,
    /// Who asked for it.
    pub source: Source,
    /// The path pattern as its author wrote it: the `http.route` of metrics. Never the request's path.
    pub pattern: Arc<str>,
    /// Which requests.
    pub matches: RouteMatch,
    /// What happens to them.
    pub action: Action,
    /// Never redirected or refused for want of TLS (ACME HTTP-01 challenges).
    pub clear_text_allowed: bool,
    /// Changes to the request before it goes upstream.
    pub request_headers: HeaderEdits,
    /// Changes to the response before it goes to the client.
    pub response_headers: HeaderEdits,
    /// Cross-origin rules; none = preflights go upstream like any request.
    pub cors: Option<Arc<Cors>>,
    /// Own bodies for error answers; these go before those of the server. Empty = the server's.
    pub error_responses: Vec<Arc<ErrorResponse>>,
    /// Leaves error answers as they are, the server's rules too.
    pub plain_errors: bool,
    /// Bytes of a request's body; more is 413. None = as the server says, which holds besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// What goes wrong on purpose; none = nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Arc<Fault>>,
    /// Who may ask for it, besides what the server says; none = everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Arc<Guard>>,
}

impl Route {
    /// A route for a path with nothing but its action set.
    pub fn new(name: &str, source: Source, path: PathMatch, action: Action) -> Self {
        let pattern = path.text().into();
        Self {
            name: name.into(),
            source,
            pattern,
            matches: RouteMatch::new(path),
            action,
            clear_text_allowed: false,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            cors: None,
            error_responses: Vec::new(),
            plain_errors: false,
            body_bytes: None,
            fault: None,
            guard: None,
        }
    }
}
