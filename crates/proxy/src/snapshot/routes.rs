//! From a path to the first route that takes the request.
//!
//! The routes of a host are an ordered list, and the first that matches wins. To find it without trying them all, they
//! are indexed by what their paths begin with: a radix tree gives, for a path, the few lists of routes that can match at
//! all, each in order; these are merged by position. Regexes are one more list, decided by one pass of a regex set.

use http::{HeaderMap, Method};
use plenipo_model::{Action, HeaderMatch, PathMatch, QueryMatch, Route, RouteMatch, ValueMatch};

use super::hosts::CompiledRoute;

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
    /// Headers.
    pub headers: &'a HeaderMap,
    /// One number for all decisions by chance about this request.
    pub draw: u32,
}

/// The routes of a virtual host, indexed.
pub struct RouteTable {
    routes: Vec<CompiledRoute>,
    tree: Node,
    /// Routes whose paths are compared without case, by position.
    any_case: Vec<u32>,
    regexes: Vec<u32>,
    regex_set: regex::RegexSet,
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
    /// This header.
    Header(&'a HeaderMatch),
    /// This query parameter.
    Query(&'a QueryMatch),
    /// The draw: its share of the traffic is for other requests.
    Draw,
}

/// A node of the radix tree; its label is on the edge that leads to it.
#[derive(Default)]
struct Node {
    /// Routes that match any path that begins like this.
    prefixes: Vec<u32>,
    /// Routes that match this path and those that go on with a slash.
    segments: Vec<u32>,
    /// Routes that match this path alone.
    exact: Vec<u32>,
    /// First byte of each child's label, in the order of `children`: what a look-up scans.
    firsts: Vec<u8>,
    children: Vec<(Box<[u8]>, Self)>,
}

/// Lists of candidates, merged by position. More than eight lists (deeper nesting than anybody writes) go to `more`.
struct Candidates<'a> {
    lists: [&'a [u32]; 8],
    used: usize,
    more: Vec<&'a [u32]>,
}

impl RouteTable {
    /// Indexes routes; their order is their precedence.
    pub fn new(routes: Vec<CompiledRoute>) -> Self {
        let mut tree = Node::default();
        let (mut any_case, mut regexes, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        for (position, route) in (0u32..).zip(&routes) {
            match &route.model.matches.path {
                PathMatch::Prefix(text) => tree.at(text.as_bytes()).prefixes.push(position),
                PathMatch::Segments(text) => {
                    let text = text.strip_suffix('/').unwrap_or(text);
                    tree.at(text.as_bytes()).segments.push(position);
                }
                PathMatch::Exact(text) => tree.at(text.as_bytes()).exact.push(position),
                PathMatch::ExactIgnoreCase(_) | PathMatch::PrefixIgnoreCase(_) => any_case.push(position),
                PathMatch::Regex(pattern) => {
                    regexes.push(position);
                    patterns.push(format!("^(?:{pattern})$"));
                }
            }
        }
        // Every pattern compiled alone; together they can only exceed the size limit, which is lifted in proportion.
        let limit = plenipo_model::Pattern::MAX_COMPILED_BYTES * (patterns.len() + 1);
        let regex_set = regex::RegexSetBuilder::new(patterns)
            .size_limit(limit)
            .build()
            .unwrap_or_else(|_| regex::RegexSet::empty());
        Self { routes, tree, any_case, regexes, regex_set }
    }

    /// The first route that takes the request.
    pub fn pick(&self, asked: &Asked<'_>) -> Option<Picked<'_>> {
        let mut candidates = Candidates { lists: [&[]; 8], used: 0, more: Vec::new() };
        self.tree.collect(asked.path.as_bytes(), &mut candidates);
        candidates.add(&self.any_case);
        let matched;
        if !self.regexes.is_empty() {
            matched = self.matching_regexes(asked.path);
            candidates.add(&matched);
        }
        while let Some(position) = candidates.next() {
            let position = position as usize;
            let route = &self.routes[position];
            if let Ok(target) = route.accepts(asked) {
                return Some(Picked { position, route, target });
            }
        }
        None
    }

    fn matching_regexes(&self, path: &str) -> Vec<u32> {
        if self.regex_set.is_empty() {
            return self.regexes.clone();
        }
        self.regex_set.matches(path).iter().map(|index| self.regexes[index]).collect()
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
    let RouteMatch { path, host, method, headers, query, fraction } = &route.matches;
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
    if let Some(header) = headers.iter().find(|header| header_matches(header, asked.headers) == header.invert)
    {
        return Err(Mismatch::Header(header));
    }
    if let Some(parameter) = query.iter().find(|parameter| !query_matches(parameter, asked.query)) {
        return Err(Mismatch::Query(parameter));
    }
    if let Some(fraction) = fraction
        && asked.draw % 1_000_000 >= fraction.0
    {
        return Err(Mismatch::Draw);
    }
    match &route.action {
        Action::Forward(forward) => {
            if let [only] = forward.targets.as_slice()
                && only.weight >= forward.total
            {
                return Ok(0);
            }
            // Bits that the fraction above did not use, so that the two decisions are independent.
            let draw = (asked.draw / 4096) % forward.total.max(1);
            let mut sum = 0;
            let drawn = forward.targets.iter().position(|target| {
                sum += target.weight;
                draw < sum
            });
            drawn.ok_or(Mismatch::Draw)
        }
        Action::Redirect(_) | Action::Respond(_) => Ok(0),
    }
}

fn host_matches(host: &ValueMatch, asked: &Asked<'_>) -> bool {
    host.matches(asked.host) || asked.port.is_some_and(|port| host.matches(&format!("{}:{port}", asked.host)))
}

fn header_matches(header: &HeaderMatch, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(&header.name).iter();
    let Some(first) = values.next() else { return false };
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

fn query_matches(parameter: &QueryMatch, query: Option<&str>) -> bool {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let mut values = pairs.filter_map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name == parameter.name).then_some(value),
        None => (pair == parameter.name).then_some(""),
    });
    values.next().is_some_and(|value| parameter.value.matches(value))
}

impl Node {
    /// The node for exactly this text, made if it is not there.
    fn at(&mut self, text: &[u8]) -> &mut Self {
        if text.is_empty() {
            return self;
        }
        let Some(index) = self.firsts.iter().position(|first| *first == text[0]) else {
            self.firsts.push(text[0]);
            self.children.push((text.into(), Self::default()));
            let last = self.children.len() - 1;
            return &mut self.children[last].1;
        };
        let (label, _) = &self.children[index];
        let common = label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < label.len() {
            // The edge is split: a new node takes its place, with the old one below it.
            let (label, below) = std::mem::take(&mut self.children[index]);
            let middle = Self {
                firsts: vec![label[common]],
                children: vec![(label[common..].into(), below)],
                ..Self::default()
            };
            self.children[index] = (label[..common].into(), middle);
        }
        self.children[index].1.at(&text[common..])
    }

    /// Adds the lists of every node on the way along `path`.
    fn collect<'a>(&'a self, path: &[u8], candidates: &mut Candidates<'a>) {
        let (mut node, mut rest) = (self, path);
        loop {
            candidates.add(&node.prefixes);
            if rest.is_empty() {
                candidates.add(&node.exact);
            }
            if matches!(rest.first(), None | Some(b'/')) {
                candidates.add(&node.segments);
            }
            let Some(first) = rest.first() else { return };
            let Some(index) = node.firsts.iter().position(|byte| byte == first) else { return };
            let (label, child) = &node.children[index];
            let Some(after) = rest.strip_prefix(&**label) else { return };
            (node, rest) = (child, after);
        }
    }
}

impl<'a> Candidates<'a> {
    fn add(&mut self, list: &'a [u32]) {
        if list.is_empty() {
            return;
        }
        match self.lists.get_mut(self.used) {
            Some(slot) => {
                *slot = list;
                self.used += 1;
            }
            None => self.more.push(list),
        }
    }

    /// The smallest position not given yet.
    fn next(&mut self) -> Option<u32> {
        let lists = self.lists[..self.used].iter_mut().chain(&mut self.more);
        let smallest = lists.filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
        let (first, rest) = smallest.split_first()?;
        *smallest = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests;
