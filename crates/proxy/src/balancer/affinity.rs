//! Where a client's requests went before, and how it is told to come back there.

use std::net::SocketAddr;

use plenipo_model::{BalancerAnswers, Cluster, Forward, StickyEndpoint, StickyTargets};

use super::cookies;
use crate::fields::Fields;
use crate::request;

/// What seals a choice among targets; clusters have names of their own.
const TARGETS: &str = "\0targets";

/// The target of a weighted forward that a client was sent to before.
pub(crate) fn target(rule: &Forward, headers: &Fields) -> Option<usize> {
    let StickyTargets { cookie, companion, .. } = rule.sticky.as_ref()?;
    let cluster = choice(cookie, companion.as_deref(), TARGETS, headers)?;
    rule.targets.iter().position(|target| *target.cluster == *cluster)
}

/// The endpoint of a cluster that a client was sent to before.
pub(crate) fn endpoint(cluster: &Cluster, headers: &Fields) -> Option<SocketAddr> {
    let StickyEndpoint { cookie, companion, app_cookie, .. } = cluster.sticky.as_ref()?;
    if let Some(name) = app_cookie {
        request::cookie(headers, name)?;
    }
    choice(cookie, companion.as_deref(), &cluster.name, headers)?.parse().ok()
}

fn choice(cookie: &str, companion: Option<&str>, scope: &str, headers: &Fields) -> Option<String> {
    let names = [Some(cookie), companion].into_iter().flatten();
    names.filter_map(|name| request::cookie(headers, name)).find_map(|value| cookies::open(value, scope))
}

/// Tells a client the way back: to the target, and to the endpoint that answered. `before` is the endpoint that its
/// request named.
pub(crate) fn remember(
    style: BalancerAnswers,
    rule: &Forward,
    cluster: &Cluster,
    before: Option<SocketAddr>,
    answered: SocketAddr,
    response: &mut Fields,
) {
    if let Some(StickyTargets { cookie, companion, duration }) = &rule.sticky
        && let Some(value) = cookies::seal(&cluster.name, TARGETS, Some(*duration))
    {
        cookies::set(style, cookie, companion.as_deref(), &value, Some(*duration), response);
    }
    let Some(sticky) = &cluster.sticky else { return };
    let kept = before == Some(answered);
    let tell = match (&sticky.app_cookie, style) {
        (Some(name), _) => kept || cookies::is_set(response, name),
        // The Application Load Balancer's time begins anew with every response, the Classic one's with the choice.
        (None, BalancerAnswers::Application) => true,
        (None, BalancerAnswers::Classic) => !kept,
    };
    if tell && let Some(value) = cookies::seal(&answered.to_string(), &cluster.name, sticky.duration) {
        let (cookie, companion) = (&sticky.cookie, sticky.companion.as_deref());
        cookies::set(style, cookie, companion, &value, sticky.duration, response);
    }
}
