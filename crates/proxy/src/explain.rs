//! What would happen to a request, told by the functions that decide it in production.

use http::{HeaderMap, Method};

use crate::failure::Failure;
use crate::request::{self, Host};
use crate::serve::decide::{self, Decision};
use crate::snapshot::CompiledHttp;
use crate::snapshot::routes::{Asked, Mismatch};

/// A request that nobody sent.
#[derive(Debug, Clone)]
pub struct Question {
    /// Host as in the URL, with its port if it names one.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Method.
    pub method: Method,
    /// Headers.
    pub headers: HeaderMap,
    /// Scheme as it would be believed, `http` or `https`; none when a believed proxy says nothing.
    pub scheme: Option<&'static str>,
    /// The connection was made by TLS for a server name.
    pub named: bool,
    /// The number for decisions by chance.
    pub draw: u32,
}

/// What would happen.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Path after normalisation, with the query.
    pub path: String,
    /// The virtual host: its pattern and who asked for it.
    pub host: Option<(String, String)>,
    /// The outcome.
    pub outcome: Outcome,
    /// Routes tried before the one that took it, and the next few after it, with the reason they did not.
    pub lost: Vec<(String, String)>,
}

/// What would happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An error: status and Envoy's response code details.
    Error(u16, &'static str),
    /// 301 to the same URL with `https`.
    RedirectToHttps,
    /// The n-th route of the host takes it; for forwarding routes, the n-th target was drawn.
    Route {
        /// Position among the host's routes.
        position: usize,
        /// Name of the route.
        name: String,
        /// Which target.
        target: usize,
    },
}

/// How many routes that lost are told on each side of the one that won.
const TOLD: usize = 5;

/// Tells what would happen to a request behind this chain.
pub fn explain(server: &CompiledHttp, question: &Question) -> Explanation {
    let refused = |refused: request::Refused, path: &str| Explanation {
        path: path.to_owned(),
        host: None,
        outcome: Outcome::Error(refused.status.as_u16(), refused.details),
        lost: Vec::new(),
    };
    let path = match request::canonical_path(&question.path, server.model.path) {
        Ok(path) => path.into_owned(),
        Err(error) => return refused(error, &question.path),
    };
    let Host { name, port } = match request::parse_authority(&question.authority) {
        Ok(host) => host,
        Err(error) => return refused(error, &path),
    };
    let (bare, query) =
        path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
    let asked = Asked {
        host: &name,
        port,
        path: bare,
        query,
        method: &question.method,
        headers: &question.headers,
        draw: question.draw,
    };
    let outcome = match decide::decide(server, &asked, question.scheme, question.named) {
        Decision::Fail(failure) => {
            let told = Failure::told(failure);
            Outcome::Error(told.status.as_u16(), told.details)
        }
        Decision::RedirectToHttps => Outcome::RedirectToHttps,
        Decision::Route(picked) => Outcome::Route {
            position: picked.position,
            name: picked.route.model.name.to_string(),
            target: picked.target,
        },
    };
    let host = decide::host(server, &asked);
    let lost = host.map(|host| lost(host.routes.routes(), &asked, &outcome)).unwrap_or_default();
    let host = host.map(|host| (host.pattern.to_string(), host.source.to_string()));
    Explanation { path, host, outcome, lost }
}

fn lost(
    routes: &[crate::snapshot::hosts::CompiledRoute],
    asked: &Asked<'_>,
    outcome: &Outcome,
) -> Vec<(String, String)> {
    let won = match outcome {
        Outcome::Route { position, .. } => Some(*position),
        _ => None,
    };
    let near = |position: usize| won.is_none_or(|won| position + TOLD >= won && position <= won + TOLD);
    let mut told = Vec::new();
    for (position, route) in routes.iter().enumerate().filter(|(position, _)| near(*position)) {
        if told.len() >= 2 * TOLD || won == Some(position) {
            continue;
        }
        let why = match route.accepts(asked) {
            Err(mismatch) => describe(&mismatch, &route.model.matches.path),
            Ok(_) => "matches too, but comes later".to_owned(),
        };
        told.push((route.model.name.to_string(), why));
    }
    told
}

fn describe(mismatch: &Mismatch<'_>, path: &plenipo_model::PathMatch) -> String {
    match mismatch {
        Mismatch::Path => format!("the path does not match '{}'", path.text()),
        Mismatch::Host => "the host does not match".to_owned(),
        Mismatch::Method => "the method does not match".to_owned(),
        Mismatch::Header(header) => format!("header '{}' does not match", header.name),
        Mismatch::Query(parameter) => format!("query parameter '{}' does not match", parameter.name),
        Mismatch::Draw => "the draw went to another share of the traffic".to_owned(),
    }
}
