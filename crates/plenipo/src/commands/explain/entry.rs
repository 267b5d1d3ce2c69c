//! Where a request comes in: which listener, and which of its chains.

use plenipo_model::{Accepts, Chain, Edge, Listener};
use plenipo_resources::core::IntOrString;
use plenipo_resources::{Set, View};

use super::Request;

/// Where a request comes in.
pub(super) struct Entry<'a> {
    /// The listener.
    pub(super) listener: &'a Listener,
    /// Why this one.
    pub(super) how: String,
    /// Whether the gateway sees TLS; not if whatever is in front of it ended it.
    pub(super) tls: bool,
    /// The chain; none when the connection is closed.
    pub(super) chain: Option<&'a Chain>,
}

/// Finds the listener: by its port, by a Service that leads to it, else the first that can serve the request.
pub(super) fn find<'a>(request: &Request, edge: &'a Edge, set: &Set) -> Option<Entry<'a>> {
    let at = |port: u16| {
        let has = |listener: &&Listener| listener.declared_port == port || listener.bind.port() == port;
        edge.listeners.iter().find(has)
    };
    let (listener, how) = if let Some(listener) = at(request.port) {
        (listener, format!("it listens on port {}", request.port))
    } else if let Some((service, target)) = through_service(set, request.port)
        && let Some(listener) = at(target)
    {
        (listener, format!("{service} leads from port {} to {target}", request.port))
    } else {
        let able = |listener: &&Listener| chain(listener, request.tls, request.server_name()).is_some();
        let listener = edge.listeners.iter().find(able).or(edge.listeners.first())?;
        (listener, format!("nothing leads to port {}; this is the first that could serve it", request.port))
    };
    let ends_here = request.tls && chain(listener, true, request.server_name()).is_some();
    let any_tls = listener.chains.iter().any(|chain| !matches!(chain.accepts, Accepts::ClearText));
    // https on a listener that knows no TLS: it was ended in front of the gateway. On one that does, but not for this
    // name, the handshake is refused.
    let tls = request.tls && (ends_here || any_tls);
    Some(Entry { listener, how, tls, chain: chain(listener, tls, request.server_name()) })
}

/// The first Service of type LoadBalancer with this port, and the port it leads to.
fn through_service(set: &Set, port: u16) -> Option<(String, u16)> {
    set.of_kind("Service").iter().find_map(|object| {
        let View::Service(service) = &object.view else { return None };
        if service.type_.as_deref() != Some("LoadBalancer") {
            return None;
        }
        let found = service.ports.iter().find(|own| own.port == i64::from(port))?;
        let target = match &found.target_port {
            Some(IntOrString::Int(target)) => u16::try_from(*target).ok()?,
            Some(IntOrString::String(_)) => return None,
            None => port,
        };
        Some((object.id.to_string(), target))
    })
}

/// The chain that takes a connection: of the TLS ones that with the most specific name.
fn chain<'a>(listener: &'a Listener, tls: bool, name: &str) -> Option<&'a Chain> {
    let anything = listener.chains.iter().find(|chain| matches!(chain.accepts, Accepts::Anything));
    if !tls {
        let clear = listener.chains.iter().find(|chain| matches!(chain.accepts, Accepts::ClearText));
        return clear.or(anything);
    }
    let by_name = listener.chains.iter().filter_map(|chain| match &chain.accepts {
        Accepts::Tls(names) => {
            let best = names.iter().map(|own| own.without_port()).filter(|own| own.matches(name)).min()?;
            Some((best, chain))
        }
        Accepts::ClearText | Accepts::Anything => None,
    });
    by_name.min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, chain)| chain).or(anything)
}
