//! What VirtualServices do with requests.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use plenipo_model::{
    Action, Forward, Fraction, HostRewrite, Mirror, PathRewrite, Pattern, Payload, PortFrom, Redirect,
    RedirectPath, Respond, RetryPolicy, Source, Target,
};
use plenipo_resources::istio::{
    Destination, DirectResponse, HttpDestination, HttpRedirect, HttpRoute, Percent, Rewrite,
};

use super::delegate::Rule;
use super::destinations::{Carries, Reached};
use super::policy;
use super::world::{Asked, World};
use crate::findings::Flaw;

/// Weights are shares of a sum that fits.
const MOST_WEIGHT: u64 = u32::MAX as u64;
/// Bytes of an answer that is made here.
const MOST_BODY: usize = 1 << 20;

/// `redirect`.
pub(super) fn redirect(written: &HttpRedirect, rule: &Rule<'_>) -> Result<Action, Flaw> {
    let field = |name: &str| format!("{}.redirect.{name}", rule.field);
    let code = written.redirect_code.filter(|code| *code != 0).unwrap_or(301);
    let status = [301, 302, 303, 307, 308].contains(&code).then(|| u16::try_from(code).ok()).flatten();
    let status = status.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| {
        let message = format!("{code} is not a redirect");
        Flaw::new("bad-redirect", field("redirectCode"), message, "write 301, 302, 303, 307 or 308")
    })?;
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    let mut redirect = Redirect::new(status);
    redirect.host = text(&written.authority);
    redirect.scheme = text(&written.scheme);
    if let Some(scheme) = redirect.scheme.as_deref().filter(|scheme| !["http", "https"].contains(scheme)) {
        let message = format!("'{scheme}' is neither http nor https");
        return Err(Flaw::new("bad-redirect", field("scheme"), message, "write http or https"));
    }
    let prefix = text(&written.prefix_rewrite).or_else(|| text(&written.uri_prefix));
    redirect.path = match (text(&written.uri), prefix) {
        (Some(_), Some(_)) => {
            let message = "uri and prefixRewrite cannot both be";
            return Err(Flaw::new("bad-redirect", field("prefixRewrite"), message, "keep one of the two"));
        }
        (Some(uri), None) => RedirectPath::To(uri),
        (None, Some(prefix)) => RedirectPath::Matched(prefix),
        (None, None) => RedirectPath::Keep,
    };
    match (written.port.filter(|port| *port != 0), written.derive_port.as_deref()) {
        (Some(port), None) => {
            redirect.port = Some(u16::try_from(port).map_err(|_| {
                let message = format!("{port} is not a port");
                Flaw::new("bad-port", field("port"), message, "write a number from 1 to 65535")
            })?);
        }
        (None, None) => {}
        (None, Some("FROM_PROTOCOL_DEFAULT")) => redirect.port_from = PortFrom::Scheme,
        (None, Some("FROM_REQUEST_PORT")) => redirect.port_from = PortFrom::Request,
        (_, Some(_)) => {
            let message = "it is FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT, and no port beside it";
            return Err(Flaw::new("bad-redirect", field("derivePort"), message, "keep one of the two"));
        }
    }
    Ok(Action::Redirect(Box::new(redirect)))
}

/// `directResponse`.
pub(super) fn respond(written: &DirectResponse, field: &str) -> Result<Action, Flaw> {
    let status = written.status.and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (200..600).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(|| {
        let message = "an answer needs a status";
        Flaw::new("bad-status", format!("{field}.directResponse.status"), message, "write 200 to 599")
    })?;
    let body = written.body.clone().unwrap_or_default();
    let body: Payload = match (body.string, body.bytes) {
        (Some(text), _) => text.into(),
        (None, Some(bytes)) => {
            let decoded = STANDARD.decode(bytes.trim()).map_err(|error| {
                let field = format!("{field}.directResponse.body.bytes");
                Flaw::new("bad-body", field, format!("it is no base64: {error}"), "write string instead")
            })?;
            decoded.into()
        }
        (None, None) => Payload::default(),
    };
    if body.bytes().len() > MOST_BODY {
        let message = format!("the body has {} bytes, which is more than 1 MiB", body.bytes().len());
        let field = format!("{field}.directResponse.body");
        return Err(Flaw::new("bad-body", field, message, "let a service answer with it"));
    }
    let content_type = (!body.bytes().is_empty()).then(|| "text/plain".to_owned());
    Ok(Action::Respond(Respond { status, content_type, body }))
}

/// `route`, with everything that holds on the way there.
pub(super) fn forward(
    rule: &Rule<'_>,
    source: &Source,
    authority: Option<&str>,
    port: u16,
    world: &mut World<'_, '_>,
) -> Result<Action, Flaw> {
    let (route, field) = (&*rule.route, rule.field.as_str());
    let mut pattern = Target::all(source.clone(), Arc::from(""));
    pattern.idle_timeout = None;
    pattern.grpc_timeout = true;
    pattern.timeout = policy::timeout(route.timeout.as_deref(), &format!("{field}.timeout"))?;
    let (rewrite, host) = rewritten(route.rewrite.as_ref(), authority, field)?;
    (pattern.rewrite, pattern.host) = (rewrite, host);
    let mut reached = Vec::new();
    let mut targets = Vec::new();
    for (place, weight) in weights(&route.route, field)? {
        let (target, place) = target(rule, place, weight, &pattern, port, world)?;
        targets.push(target);
        reached.push(place);
    }
    let first = reached.iter().flatten();
    let hash = first.clone().find_map(|reached| reached.hash.clone());
    let avoid = first.clone().all(|reached| reached.retries_avoid_previous);
    let total = targets.iter().map(|target| target.weight).sum();
    Ok(Action::Forward(Box::new(Forward {
        total,
        mirrors: mirrors(rule, source, port, world)?,
        retry: retry(route, field, avoid, &targets, rule, world)?,
        hash,
        upgrades: vec!["websocket".to_owned()],
        ..Forward { targets, ..Forward::to(pattern) }
    })))
}

fn retry(
    route: &HttpRoute,
    field: &str,
    avoid: bool,
    targets: &[Target],
    rule: &Rule<'_>,
    world: &mut World<'_, '_>,
) -> Result<Option<RetryPolicy>, Flaw> {
    let Some(written) = &route.retries else {
        let Some(usual) = usual_retries(world) else { return Ok(None) };
        let avoid_previous = avoid && usual.avoid_previous;
        return Ok(Some(RetryPolicy { avoid_previous, ..usual }));
    };
    let policy = policy::retries(written, &format!("{field}.retries"))?;
    let Some(mut policy) = policy else { return Ok(None) };
    policy.avoid_previous &= avoid;
    let whole = targets.iter().find_map(|target| target.timeout);
    if let (Some(whole), Some(each)) = (whole, policy.per_try_timeout)
        && each.saturating_mul(policy.retries.saturating_add(1)) > whole
    {
        let message = "the whole timeout is over before all tries with perTryTimeout can be made".to_owned();
        let (place, fix) = (format!("{field}.timeout"), "write a longer timeout, or fewer attempts");
        world.findings.note(rule.object, "timeout-before-retries", &place, message, fix);
    }
    Ok(Some(policy))
}

/// What the mesh says, else Istio. (A policy of the mesh that cannot be read is as if it were not there.)
fn usual_retries(world: &World<'_, '_>) -> Option<RetryPolicy> {
    let of_mesh = world.mesh.config.default_http_retry_policy.as_ref();
    let of_mesh = of_mesh.and_then(|written| policy::retries(written, "defaultHttpRetryPolicy").ok());
    of_mesh.unwrap_or_else(|| Some(policy::default_retries()))
}

fn rewritten(
    written: Option<&Rewrite>,
    authority: Option<&str>,
    field: &str,
) -> Result<(PathRewrite, HostRewrite), Flaw> {
    let none = Rewrite::default();
    let written = written.unwrap_or(&none);
    let own = written.authority.as_deref().filter(|text| !text.is_empty());
    let host = match (own, authority) {
        (Some(_), Some(_)) => {
            let message = "the authority is also written by headers";
            let field = format!("{field}.rewrite.authority");
            return Err(Flaw::new("route-conflict", field, message, "keep one of the two"));
        }
        (Some(host), None) | (None, Some(host)) => HostRewrite::To(host.to_owned()),
        (None, None) => HostRewrite::Keep,
    };
    let uri = written.uri.as_ref().filter(|text| !text.is_empty());
    let path = match (uri, &written.uri_regex_rewrite) {
        (Some(_), Some(_)) => {
            let message = "uri and uriRegexRewrite cannot both be";
            let field = format!("{field}.rewrite.uri");
            return Err(Flaw::new("route-conflict", field, message, "keep one of the two"));
        }
        (Some(uri), None) => PathRewrite::Matched(uri.clone()),
        (None, Some(regex)) => {
            let pattern = Pattern::new(&regex.r#match).map_err(|error| {
                let field = format!("{field}.rewrite.uriRegexRewrite.match");
                Flaw::new("bad-regex", field, error.to_string(), "write an expression as RE2 has them")
            })?;
            PathRewrite::Regex(pattern, regex.rewrite.clone())
        }
        (None, None) => PathRewrite::Keep,
    };
    Ok((path, host))
}

/// The destinations that get something, by their places, with their shares. The only one gets everything.
fn weights(written: &[HttpDestination], field: &str) -> Result<Vec<(usize, u32)>, Flaw> {
    let list: Vec<Option<i64>> = written.iter().map(|one| one.weight).collect();
    shares(&list, field)
}

/// As above, for any kind of route.
pub(super) fn shares(written: &[Option<i64>], field: &str) -> Result<Vec<(usize, u32)>, Flaw> {
    if let [only] = written {
        return match only {
            Some(weight) if *weight < 0 => Err(bad_weight(field, 0, *weight)),
            _ => Ok(vec![(0, 100)]),
        };
    }
    let mut sum = 0u64;
    let mut shares = Vec::new();
    for (place, weight) in written.iter().enumerate() {
        let weight = weight.unwrap_or(0);
        let share = u32::try_from(weight).map_err(|_| bad_weight(field, place, weight))?;
        sum += u64::from(share);
        if share > 0 {
            shares.push((place, share));
        }
    }
    if sum == 0 || sum > MOST_WEIGHT {
        let message = format!("the weights sum to {sum}: nobody can be given a part of that");
        return Err(Flaw::new("bad-weight", format!("{field}.route"), message, "give one of them a weight"));
    }
    Ok(shares)
}

fn bad_weight(field: &str, place: usize, weight: i64) -> Flaw {
    let message = format!("{weight} is not a weight");
    Flaw::new("bad-weight", format!("{field}.route[{place}].weight"), message, "write 0 or more")
}

fn target(
    rule: &Rule<'_>,
    place: usize,
    weight: u32,
    pattern: &Target,
    port: u16,
    world: &mut World<'_, '_>,
) -> Result<(Target, Option<Reached>), Flaw> {
    let written = &rule.route.route[place];
    let field = format!("{}.route[{place}]", rule.field);
    let destination = written.destination.as_ref().filter(|to| !to.host.is_empty()).ok_or_else(|| {
        let message = "a destination needs a host";
        Flaw::new(
            "no-destination",
            format!("{field}.destination.host"),
            message,
            "write the name of a service",
        )
    })?;
    let headers = written.headers.clone().unwrap_or_default();
    let (request, authority) = policy::headers(&headers.request, &format!("{field}.headers.request"), true)?;
    let (response, _) = policy::headers(&headers.response, &format!("{field}.headers.response"), false)?;
    let (cluster, reached) = cluster(rule, destination, &format!("{field}.destination"), port, world)?;
    let mut target = Target { weight, cluster, ..pattern.clone() };
    if let Some(host) = authority {
        target.host = HostRewrite::To(host);
    }
    (target.request_headers, target.response_headers) = (request, response);
    Ok((target, reached))
}

fn cluster(
    rule: &Rule<'_>,
    destination: &Destination,
    field: &str,
    port: u16,
    world: &mut World<'_, '_>,
) -> Result<(Arc<str>, Option<Reached>), Flaw> {
    let asked =
        Asked { object: rule.object, field, destination, listener_port: port, carries: Carries::Http };
    world.cluster(&asked)
}

fn mirrors(
    rule: &Rule<'_>,
    source: &Source,
    port: u16,
    world: &mut World<'_, '_>,
) -> Result<Vec<Mirror>, Flaw> {
    let route = &*rule.route;
    let older =
        route.mirror_percent.map(|percent| Percent { value: f64::from(percent.clamp(0, 100) as i32) });
    let single = route.mirror.as_ref().map(|to| {
        let percentage = route.mirror_percentage.or(older);
        ("mirror".to_owned(), Some(to), percentage, "mirrorPercentage".to_owned())
    });
    let several = route.mirrors.iter().enumerate().map(|(place, mirror)| {
        let field = format!("mirrors[{place}]");
        (
            format!("{field}.destination"),
            mirror.destination.as_ref(),
            mirror.percentage,
            format!("{field}.percentage"),
        )
    });
    let mut mirrors = Vec::new();
    for (name, to, percentage, percentage_field) in single.into_iter().chain(several) {
        let field = format!("{}.{name}", rule.field);
        let part = policy::part(percentage, Fraction::ALL, &format!("{}.{percentage_field}", rule.field))?;
        if part.0 == 0 {
            continue;
        }
        let to = to.filter(|to| !to.host.is_empty()).ok_or_else(|| {
            let message = "a mirror needs the host of a destination";
            Flaw::new("no-destination", field.clone(), message, "write the name of a service")
        })?;
        let (cluster, _) = cluster(rule, to, &field, port, world)?;
        mirrors.push(Mirror { source: source.clone(), cluster, part, host_suffix: false });
    }
    Ok(mirrors)
}
