//! What would happen to a request, told by the functions that decide it in production.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use plenipo_model::{Action, Route};

use crate::failure::Failure;
use crate::fields::Fields;
use crate::request::{self, Host};
use crate::serve::decide::{self, Decision};
use crate::snapshot::CompiledHttp;
use crate::snapshot::hosts::CompiledRoute;
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
    pub headers: Fields,
    /// Scheme as it would be believed, `http` or `https`; none when a believed proxy says nothing.
    pub scheme: Option<&'static str>,
    /// The connection was made by TLS for a server name.
    pub named: bool,
    /// Who asks.
    pub peer: Option<IpAddr>,
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
    /// The routes that share such requests by chance, when one takes it: one with all of them, or several.
    pub branches: Vec<Branch>,
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
    /// Routes of the host take it: see [`Explanation::branches`].
    Route,
}

/// A route that takes requests, or some of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Position among the host's routes.
    pub position: usize,
    /// The route.
    pub route: Arc<Route>,
    /// Of such requests, up to 1.
    pub share: f64,
}

/// What a host makes of who the client is, where a load balancer in front tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldIdentity {
    /// The peer is not one that is believed; what it says is left out, and the request is refused or not.
    Unbelieved {
        /// With 403.
        refused: bool,
    },
    /// The load balancer tells of no certificate, and none is needed.
    Nobody,
    /// The subject of the certificate that it tells of.
    Subject(String),
    /// The request is answered 403, for this reason.
    Refused(&'static str),
}

/// Who the client of a request to `authority` is; none when no load balancer tells it there. `headers` as they come.
pub fn identity(
    server: &CompiledHttp,
    authority: &str,
    peer: IpAddr,
    headers: &Fields,
) -> Option<ToldIdentity> {
    let host = request::parse_authority(authority).ok()?;
    let identity = server.identity(&host).filter(|identity| identity.tells())?;
    let believed = identity.believes(peer);
    Some(match identity.judge(believed, None, headers) {
        verdict if !believed => ToldIdentity::Unbelieved { refused: verdict.is_err() },
        Ok(None) => ToldIdentity::Nobody,
        Ok(Some(identity)) => ToldIdentity::Subject(identity.client.subject.clone()),
        Err(reason) => ToldIdentity::Refused(reason),
    })
}

/// How many routes that lost are told on each side of the one that won.
const TOLD: usize = 5;

/// Tells what would happen to a request behind this chain.
pub fn explain(server: &CompiledHttp, question: &Question) -> Explanation {
    let refused = |refused: request::Refused, path: &str| Explanation {
        path: path.to_owned(),
        host: None,
        outcome: Outcome::Error(refused.status.as_u16(), refused.details),
        branches: Vec::new(),
        lost: Vec::new(),
    };
    let path = match &server.model.balancer {
        // Load balancers take paths as they come.
        Some(_) => question.path.clone(),
        None => match request::canonical_path(&question.path, server.model.path) {
            Ok(path) => path.into_owned(),
            Err(error) => return refused(error, &question.path),
        },
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
        authority: &question.authority,
        scheme: question.scheme,
        headers: &question.headers,
        peer: question.peer,
        // The first of those that share a request by chance takes this one.
        claims: None,
        draw: 0,
    };
    let outcome = match decide::decide(server, &asked, question.scheme, question.named) {
        Decision::Fail(failure) => {
            let told = Failure::told(failure);
            Outcome::Error(told.status.as_u16(), told.details)
        }
        Decision::RedirectToHttps => Outcome::RedirectToHttps,
        Decision::Route(_) => Outcome::Route,
    };
    let host = decide::host(server, &asked);
    let routes = host.map(|host| host.routes.routes()).unwrap_or_default();
    let branches = if outcome == Outcome::Route { branches(routes, &asked) } else { Vec::new() };
    let lost = lost(routes, &asked, &branches);
    let host = host.map(|host| (host.pattern.to_string(), host.source.to_string()));
    Explanation { path, host, outcome, branches, lost }
}

/// The routes that accept it but for the draw, up to the first that leaves nothing to others.
fn branches(routes: &[CompiledRoute], asked: &Asked<'_>) -> Vec<Branch> {
    let mut left = 1.0;
    let mut branches = Vec::new();
    for (position, route) in routes.iter().enumerate() {
        if !matches!(route.accepts(asked), Ok(_) | Err(Mismatch::Draw)) {
            continue;
        }
        let taken = chance(&route.model);
        if taken > 0.0 {
            branches.push(Branch { position, route: Arc::clone(&route.model), share: left * taken });
        }
        left *= 1.0 - taken;
        if left <= 0.0 {
            break;
        }
    }
    branches
}

/// How many of the requests that it matches a route takes.
fn chance(route: &Route) -> f64 {
    let fraction = route.matches.fraction.map_or(1.0, |fraction| f64::from(fraction.0) / 1e6);
    let drawn = match &route.action {
        Action::Forward(forward) if forward.total > 0 => {
            let weights: u64 = forward.targets.iter().map(|target| u64::from(target.weight)).sum();
            weights as f64 / f64::from(forward.total)
        }
        _ => 1.0,
    };
    (fraction * drawn).min(1.0)
}

fn lost(routes: &[CompiledRoute], asked: &Asked<'_>, branches: &[Branch]) -> Vec<(String, String)> {
    let won = branches.first().map(|branch| branch.position);
    let is_branch = |position: usize| branches.iter().any(|branch| branch.position == position);
    let near = |position: usize| won.is_none_or(|won| position + TOLD >= won && position <= won + TOLD);
    let mut told = Vec::new();
    for (position, route) in routes.iter().enumerate().filter(|(position, _)| near(*position)) {
        if told.len() >= 2 * TOLD || is_branch(position) {
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
        Mismatch::Authority => "the host, as it is written, does not match".to_owned(),
        Mismatch::Scheme => "the scheme does not match".to_owned(),
        Mismatch::Claim(claim) => format!("claim '{}' does not match", claim.path.join(".")),
        Mismatch::Header(header) => format!("header '{}' does not match", header.name),
        Mismatch::Query(parameter) => format!("query parameter '{}' does not match", parameter.name),
        Mismatch::Parameter(pattern) => format!("no query parameter matches '{pattern}'"),
        Mismatch::Peer => "the peer is in none of its networks".to_owned(),
        Mismatch::Draw => "the draw went to another share of the traffic".to_owned(),
    }
}
