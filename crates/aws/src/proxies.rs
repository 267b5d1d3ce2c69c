//! How many proxies say before the gateway whom they had the request from. The checks and the audit must count alike.

use plenipo_resources::Set;

use crate::Stack;
use crate::stack::Listener;

/// A Service or Ingress with this annotation has so many further proxies before its load balancer (a CDN, say) that append
/// to `X-Forwarded-For`.
pub const PROXIES_IN_FRONT: &str = "plenipo.io/proxies-in-front";

/// The proxies on the way through this listener that append to `X-Forwarded-For`.
pub(crate) fn before(set: &Set, stack: &Stack, listener: &Listener) -> u32 {
    let objects = stack.members.iter().filter_map(|id| set.get(&id.kind, &id.namespace, &id.name));
    let further = objects
        .filter_map(|object| object.meta.annotations.get(PROXIES_IN_FRONT)?.trim().parse::<u32>().ok());
    // A network load balancer in front of this one passes bytes on, and adds nothing.
    further.max().unwrap_or(0).saturating_add(u32::from(listener.protocol.is_http()))
}
