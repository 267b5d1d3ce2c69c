//! HTTP routes.

use std::collections::BTreeMap;

use plenipo_model::{HostPattern, Serve};
use plenipo_resources::istio::{HttpMatch, StringMatch};

use super::super::delegate::Rule;
use super::super::virtual_service::Service;
use super::Scene;
use super::matches::{covers, splits_segment, takes_all};
use crate::findings::Findings;

/// Of more matches for one host than this nobody compares each with each.
const COMPARED: usize = 600;

/// One match of a rule; a rule without matches is one line.
#[derive(Clone, Copy)]
struct Line<'s> {
    rule: &'s Rule<'s>,
    place: Option<usize>,
    matched: Option<&'s HttpMatch>,
}

impl Line<'_> {
    fn field(&self) -> String {
        match self.place {
            Some(place) => format!("{}.match[{place}]", self.rule.field),
            None => self.rule.field.clone(),
        }
    }
}

fn lines<'s>(service: &'s Service<'s>) -> impl Iterator<Item = Line<'s>> {
    service.http.iter().flat_map(|rule| {
        let matches = rule.route.r#match.iter().enumerate();
        let none = rule.route.r#match.is_empty().then_some(Line { rule, place: None, matched: None });
        none.into_iter().chain(matches.map(move |(place, one)| Line {
            rule,
            place: Some(place),
            matched: Some(one),
        }))
    })
}

/// Routes behind others that take everything they would: of one VirtualService, and of several for one host.
pub(super) fn unreachable(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for service in scene.services {
        let lines: Vec<Line<'_>> = lines(service).collect();
        if lines.len() <= COMPARED {
            within(&lines, findings);
        }
    }
    let mut by_host: BTreeMap<&HostPattern, Vec<&Service<'_>>> = BTreeMap::new();
    for service in scene.services {
        for (_, host) in &service.hosts {
            by_host.entry(host).or_default().push(service);
        }
    }
    for (host, services) in by_host.iter().filter(|(_, services)| services.len() > 1) {
        across(host, services, findings);
    }
}

fn within(lines: &[Line<'_>], findings: &mut Findings) {
    for (at, line) in lines.iter().enumerate() {
        let before = lines[..at].iter().find(|before| covers(before.matched, line.matched));
        let Some(before) = before else { continue };
        let (object, field) = (line.rule.object, line.field());
        if before.rule.field == line.rule.field {
            let message = format!("{} takes all that it would take", before.field());
            findings.note(object, "ineffective-match", &field, message, "remove it");
            continue;
        }
        let mut message =
            format!("it is never reached: {} goes first and takes all that it would take", before.field());
        let mut fix = "put the route that takes less first";
        if splits_segment(before.matched, line.matched) {
            message.push_str(" (a prefix is one of characters: /foo takes /foobar too)");
            fix = "end the prefix with a slash, or put the route that takes less first";
        }
        findings.warn(object, "unreachable-route", &field, message, fix);
    }
}

/// Those of a host are put behind each other, the ones that take everything at the end.
fn across(host: &HostPattern, services: &[&Service<'_>], findings: &mut Findings) {
    let of = |service: &&'_ Service<'_>| -> usize { lines(service).count() };
    if services.iter().map(of).sum::<usize>() > COMPARED {
        return;
    }
    for (at, later) in services.iter().enumerate() {
        for line in lines(later) {
            let first =
                services[..at].iter().filter(|earlier| shares_gateway(earlier, later)).find_map(|earlier| {
                    let catches = |before: &Line<'_>| takes_all(before.matched) == takes_all(line.matched);
                    let before =
                        lines(earlier).filter(catches).find(|before| covers(before.matched, line.matched))?;
                    Some((earlier.object.id.clone(), before.field()))
                });
            let Some((winner, place)) = first else { continue };
            let message = format!(
                "for {host} it is never reached: {winner} is older or comes first by name, and {place} there takes all \
                 that it would take"
            );
            let fix = "let one VirtualService have the path, or give the two different matches";
            findings.warn(line.rule.object, "unreachable-route", &line.field(), message, fix);
        }
    }
}

fn shares_gateway(one: &Service<'_>, other: &Service<'_>) -> bool {
    one.gateways.iter().any(|(_, name)| other.gateways.iter().any(|(_, theirs)| theirs == name))
}

/// Paths that no request has.
pub(super) fn impossible(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for line in scene.services.iter().flat_map(lines) {
        let Some(uri) = line.matched.and_then(|matched| matched.uri.as_ref()) else { continue };
        let Some((how, text)) = never(uri) else { continue };
        let message = format!("paths begin with a slash, '{text}' does not: no request is taken by it");
        let field = format!("{}.uri.{how}", line.field());
        findings.warn(line.rule.object, "impossible-match", &field, message, "begin it with a slash");
    }
}

fn never(uri: &StringMatch) -> Option<(&'static str, &str)> {
    let wrong = |text: &&str| !text.is_empty() && !text.starts_with('/') && *text != "*";
    if let Some(text) = uri.exact.as_deref() {
        return Some(text).filter(wrong).map(|text| ("exact", text));
    }
    if let Some(text) = uri.prefix.as_deref() {
        return Some(text).filter(wrong).map(|text| ("prefix", text));
    }
    let text = uri.regex.as_deref()?;
    let mut chars = text.trim_start_matches('^').chars();
    let literal = chars.next().is_some_and(|first| first.is_ascii_alphanumeric());
    let repeated = chars.next().is_some_and(|second| "*?{".contains(second));
    (literal && !repeated && !text.contains('|')).then_some(("regex", text))
}

/// A prefix is replaced as it stands: what is left of the path goes behind it without a slash more or less.
pub(super) fn badly_joined(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for line in scene.services.iter().flat_map(lines) {
        let prefix = line.matched.and_then(|matched| matched.uri.as_ref()?.prefix.as_deref());
        let rewrite = line.rule.route.rewrite.as_ref().and_then(|rewrite| rewrite.uri.as_deref());
        let (Some(prefix), Some(rewrite)) = (prefix, rewrite) else { continue };
        let (asked, fix) = match (prefix.ends_with('/'), rewrite.ends_with('/')) {
            (false, true) => {
                (format!("{prefix}/x"), "end both with a slash, with a match for the path without one")
            }
            (true, false) => (format!("{prefix}x"), "end both with a slash, or neither"),
            _ => continue,
        };
        let gets = asked.replacen(prefix, rewrite, 1);
        let message =
            format!("the prefix {prefix} is replaced by {rewrite} as it stands: {asked} becomes {gets}");
        let field = format!("{}.rewrite.uri", line.rule.field);
        findings.warn(line.rule.object, "rewrite-joins-badly", &field, message, fix);
    }
}

/// Requests that change something, sent again after they may have done so.
pub(super) fn repeated_writes(scene: &Scene<'_, '_>, findings: &mut Findings) {
    const AGAIN: [&str; 5] = ["5xx", "gateway-error", "reset", "retriable-4xx", "http3-post-connect-failure"];
    for line in scene.services.iter().flat_map(lines) {
        let method = line.matched.and_then(|matched| matched.method.as_ref()?.exact.as_deref());
        let Some(method @ ("POST" | "PATCH")) = method else { continue };
        let Some(retries) = &line.rule.route.retries else { continue };
        let on = retries.retry_on.as_deref().unwrap_or_default();
        let word = on.split(',').map(str::trim).find(|word| AGAIN.contains(word));
        let (Some(word), true) = (word, retries.attempts.is_none_or(|attempts| attempts > 0)) else {
            continue;
        };
        let message = format!(
            "a {method} that was answered badly may have been carried out, and is sent again on {word}"
        );
        let field = format!("{}.retries.retryOn", line.rule.field);
        let fix = "retry on connect-failure and refused-stream only, which nothing has seen";
        findings.note(line.rule.object, "retries-of-writes", &field, message, fix);
    }
}

/// Claims of tokens that nobody verifies.
pub(super) fn claims_of_nobody(scene: &Scene<'_, '_>, findings: &mut Findings) {
    let chains = scene.edge.listeners.iter().flat_map(|listener| &listener.chains);
    let verified = chains.filter_map(|chain| match &chain.serve {
        Serve::Http(server) => Some(server.authentication.is_some()),
        _ => None,
    });
    if verified.into_iter().any(|verified| verified) {
        return;
    }
    for line in scene.services.iter().flat_map(lines) {
        let names = |list: &BTreeMap<String, StringMatch>| {
            list.keys().find(|name| name.starts_with("@request.auth.claims")).cloned()
        };
        let name = line.matched.and_then(|one| names(&one.headers).or_else(|| names(&one.without_headers)));
        let Some(name) = name else { continue };
        let message =
            format!("'{name}' is a claim of a token, and nothing verifies tokens here: no request has it");
        let fix = "write a RequestAuthentication for the gateway's pods, in their namespace";
        let field = format!("{}.headers", line.field());
        findings.error(line.rule.object, "claims-without-authentication", &field, message, fix);
    }
}
