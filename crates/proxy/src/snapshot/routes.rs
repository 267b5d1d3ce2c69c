//! From a path to the first route that takes the request.
//!
//! The routes of a host are an ordered list, and the first that matches wins. To find it without trying them all, they
//! are indexed by what their paths begin with: a radix tree gives, for a path, the few lists of routes that can match at
//! all, each in order; these are merged by position. Regexes are one more list, decided by one pass of a regex set.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, Method};
use plenipo_model::{
    Action, ClaimMatch, Forward, HeaderMatch, Pattern, QueryMatch, Route, RouteMatch, ValueMatch,
};

mod index;

use super::hosts::CompiledRoute;
use super::kept;
use super::upstreams::{Retired, Upstreams};
use crate::fields::Fields;
use index::Index;

/// What of a request decides its route.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Host in lower case, without port.
    pub host: &'a str,
    /// Port of the host, when it names one.
    pub port: Option<u16>,
    /// Canonical path, without query.
    pub path: &'a str,
    /// Query, without the `?`.
    pub query: Option<&'a str>,
    /// Method.
    pub method: &'a Method,
    /// Host as it was written, with its port.
    pub authority: &'a str,
    /// Scheme, as it is believed; none when the believed peer says nothing.
    pub scheme: Option<&'static str>,
    /// Headers.
    pub headers: &'a Fields,
    /// Who asks; unknown to routes for certain peers.
    pub peer: Option<IpAddr>,
    /// What its verified token says; none = it is nobody's.
    pub claims: Option<&'a plenipo_jwt::Claims>,
    /// One number for all decisions by chance about this request.
    pub draw: u32,
}

/// The routes of a virtual host, indexed.
pub struct RouteTable {
    /// As the model has them.
    list: Arc<[Arc<Route>]>,
    routes: Vec<CompiledRoute>,
    index: Arc<Index>,
    /// Request headers that are read when a request that took one of the routes is over.
    pub(super) kept_request: Vec<HeaderName>,
}

/// A route that takes a request.
#[derive(Clone, Copy)]
pub struct Picked<'a> {
    /// Its position in the table.
    pub position: usize,
    /// The route.
    pub route: &'a CompiledRoute,
    /// Which of its targets was drawn; 0 for routes that do not forward.
    pub target: usize,
}

/// Why a route does not take a request: the first part of it that does not match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mismatch<'a> {
    /// Its path.
    Path,
    /// Its host.
    Host,
    /// Its method.
    Method,
    /// Its host as it was written.
    Authority,
    /// Its scheme.
    Scheme,
    /// This header.
    Header(&'a HeaderMatch),
    /// This query parameter.
    Query(&'a QueryMatch),
    /// No query parameter matches this.
    Parameter(&'a Pattern),
    /// Its peer.
    Peer,
    /// This claim of its token.
    Claim(&'a ClaimMatch),
    /// The draw: its share of the traffic is for other requests.
    Draw,
}

impl RouteTable {
    /// Compiles a list of routes, whose order is their precedence. Whatever is the same in the table `before` is taken from
    /// there.
    pub(super) fn following(
        list: &Arc<[Arc<Route>]>,
        upstreams: &Upstreams,
        retired: &Retired,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        let is_current = |route: &CompiledRoute| route.is_current(retired);
        let same_list = |before: &&Arc<Self>| Arc::ptr_eq(&before.list, list) || before.list == *list;
        if let Some(before) = before.filter(same_list)
            && before.routes.iter().all(is_current)
        {
            return Arc::clone(before);
        }
        let old = before.map_or(&[][..], |before| &before.routes);
        let same = |(old, new): &(&CompiledRoute, &Arc<Route>)| Arc::ptr_eq(&old.model, new);
        let head = old.iter().zip(list.iter()).take_while(same).count();
        let tail = old[head..].iter().rev().zip(list[head..].iter().rev()).take_while(same).count();
        let (old_tail, new_tail) = (old.len() - tail, list.len() - tail);
        let compiled = list.iter().enumerate().map(|(at, route)| {
            let known = if at < head { Some(at) } else { at.checked_sub(new_tail).map(|at| old_tail + at) };
            let known = known.map(|at| &old[at]).filter(|route| is_current(route));
            known.cloned().unwrap_or_else(|| CompiledRoute::new(route, upstreams))
        });
        let kept_request = kept::of_routes(list);
        let index = Index::following(list, before.map(|before| (&*before.list, &before.index)));
        Arc::new(Self { list: Arc::clone(list), routes: compiled.collect(), index, kept_request })
    }

    /// The first route that takes the request.
    pub fn pick(&self, asked: &Asked<'_>) -> Option<Picked<'_>> {
        let matched = self.index.matching_regexes(asked.path);
        let mut candidates = self.index.candidates(asked.path, &matched);
        while let Some(position) = candidates.next() {
            let position = position as usize;
            let route = &self.routes[position];
            if let Ok(target) = route.accepts(asked) {
                return Some(Picked { position, route, target });
            }
        }
        None
    }

    /// All routes, in order.
    pub fn routes(&self) -> &[CompiledRoute] {
        &self.routes
    }
}

impl CompiledRoute {
    /// Does it take the request, and with which target?
    ///
    /// # Errors
    /// The first part of it that does not match.
    pub fn accepts(&self, asked: &Asked<'_>) -> Result<usize, Mismatch<'_>> {
        accepts(&self.model, asked)
    }
}

fn accepts<'a>(route: &'a Route, asked: &Asked<'_>) -> Result<usize, Mismatch<'a>> {
    let RouteMatch { path, host, method, headers, query, parameters, peers, fraction, .. } = &route.matches;
    let RouteMatch { authority, scheme, claims, .. } = &route.matches;
    if !path.matches(asked.path) {
        return Err(Mismatch::Path);
    }
    if let Some(host) = host
        && !host_matches(host, asked)
    {
        return Err(Mismatch::Host);
    }
    if let Some(method) = method
        && !method.matches(asked.method.as_str())
    {
        return Err(Mismatch::Method);
    }
    if let Some(authority) = authority
        && !authority.matches(asked.authority)
    {
        return Err(Mismatch::Authority);
    }
    if let Some(scheme) = scheme
        && !asked.scheme.is_some_and(|asked| scheme.matches(asked))
    {
        return Err(Mismatch::Scheme);
    }
    if let Some(header) = headers.iter().find(|header| header_matches(header, asked.headers) == header.invert)
    {
        return Err(Mismatch::Header(header));
    }
    if let Some(parameter) = query.iter().find(|parameter| !query_matches(parameter, asked.query)) {
        return Err(Mismatch::Query(parameter));
    }
    if let Some(pattern) = parameters.iter().find(|pattern| !has_parameter(pattern, asked.query)) {
        return Err(Mismatch::Parameter(pattern));
    }
    if !peers.is_empty()
        && !asked.peer.is_some_and(|peer| peers.iter().any(|network| network.contains(&peer.to_canonical())))
    {
        return Err(Mismatch::Peer);
    }
    if let Some(claim) = claims.iter().find(|claim| claim_matches(claim, asked.claims) == claim.invert) {
        return Err(Mismatch::Claim(claim));
    }
    if let Some(fraction) = fraction
        && !fraction.draws(asked.draw)
    {
        return Err(Mismatch::Draw);
    }
    match &route.action {
        Action::Forward(forward) => drawn(forward, asked.draw).ok_or(Mismatch::Draw),
        Action::Redirect(_) | Action::Respond(_) => Ok(0),
    }
}

/// The target that is drawn; none when the request is not in any one's share.
fn drawn(forward: &Forward, draw: u32) -> Option<usize> {
    if let [only] = forward.targets.as_slice()
        && only.weight >= forward.total
    {
        return Some(0);
    }
    // Bits that the fraction of the match did not use, so that the two decisions are independent.
    let draw = (draw / 4096) % forward.total.max(1);
    let mut sum = 0;
    forward.targets.iter().position(|target| {
        sum += target.weight;
        draw < sum
    })
}

fn host_matches(host: &ValueMatch, asked: &Asked<'_>) -> bool {
    host.matches(asked.host) || asked.port.is_some_and(|port| host.matches(&format!("{}:{port}", asked.host)))
}

fn header_matches(header: &HeaderMatch, headers: &Fields) -> bool {
    let mut values = headers.get_all(&header.name).iter();
    let Some(first) = values.next() else { return header.missing_is_empty && header.value.matches("") };
    if header.value == ValueMatch::Present {
        return true;
    }
    let Ok(first) = first.to_str() else { return false };
    let mut rest = values.peekable();
    if rest.peek().is_none() {
        return header.value.matches(first);
    }
    let mut joined = first.to_owned();
    for value in rest {
        joined.push(',');
        joined.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    header.value.matches(&joined)
}

fn claim_matches(claim: &ClaimMatch, claims: Option<&plenipo_jwt::Claims>) -> bool {
    claims.is_some_and(|claims| claims.any(&claim.path, |text| claim.value.matches(text)))
}

fn query_matches(parameter: &QueryMatch, query: Option<&str>) -> bool {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let mut values = pairs.filter_map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name == parameter.name).then_some(value),
        None => (pair == parameter.name).then_some(""),
    });
    values.next().is_some_and(|value| parameter.value.matches(value))
}

fn has_parameter(pattern: &Pattern, query: Option<&str>) -> bool {
    query.into_iter().flat_map(|query| query.split('&')).any(|pair| match pair.contains('=') {
        true => pattern.matches(pair),
        false => pattern.matches(&format!("{pair}=")),
    })
}

#[cfg(test)]
mod tests;
