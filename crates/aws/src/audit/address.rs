//! Where the client's address comes from: what the load balancers write, and whether the gateway reads it so.

use plenipo_model::{Forwarding, Listener, ProxyProtocol};

use super::ClientAddress;
use super::doors::Door;
use crate::Stack;
use crate::stack::{Kind, Listener as BalancerListener, TargetGroup};

/// Who stands between the client and a listener of the gateway.
pub(super) struct Front<'a> {
    /// The load balancer whose targets are the gateway.
    pub(super) stack: &'a Stack,
    pub(super) listener: &'a BalancerListener,
    pub(super) group: &'a TargetGroup,
    /// Do nodes put their address in place of the client's?
    pub(super) masqueraded: bool,
    /// How many proxies on the way append to `X-Forwarded-For`.
    pub(super) proxies: u32,
}

impl Front<'_> {
    /// Does it pass bytes on without reading them?
    pub(super) fn is_opaque(&self) -> bool {
        let protocol = self.listener.protocol;
        !protocol.ends_tls() && !protocol.is_http()
    }

    fn preserves_client(&self) -> bool {
        self.stack.load_balancer.kind == Kind::Network && self.group.preserves_client()
    }
}

/// Where the client's address comes from, for requests that come through `front`.
pub(super) fn client_address(
    front: Option<&Front<'_>>,
    listener: &Listener,
    door: &Door<'_>,
) -> ClientAddress {
    let believed = |from: &str| ClientAddress { from: from.to_owned(), trusted: true };
    let lost = |from: String| ClientAddress { from, trusted: false };
    let Some(front) = front else { return direct(listener, door) };
    let forwarding = door.http.map(|(server, _)| server.forwarding);
    if front.proxies > 0 && (front.listener.protocol.is_http() || forwarding.is_some()) {
        let wanted = front.proxies;
        let mode = front.stack.load_balancer.attributes.get("routing.http.xff_header_processing.mode");
        return match (forwarding.map(Forwarding::place_of_client), mode.map(String::as_str)) {
            (_, Some(mode @ ("preserve" | "remove"))) => {
                lost(format!("nowhere: the load balancer is told to {mode} X-Forwarded-For"))
            }
            (Some(place), _) if place == wanted => {
                let alone = front.listener.protocol.is_http() && wanted == 1;
                let writers = if alone { "load balancer" } else { "proxies in front" };
                believed(&format!("X-Forwarded-For, {wanted} from its right end, written by the {writers}"))
            }
            (Some(place), _) => lost(format!(
                "X-Forwarded-For, {place} from its right end where {wanted} is the client: the wrong address is taken"
            )),
            (None, _) => lost("nowhere: bytes are relayed, and X-Forwarded-For is not read".to_owned()),
        };
    }
    if forwarding.is_some_and(Forwarding::believes) {
        return lost(
            "X-Forwarded-For, which no load balancer on this way writes: a client can forge it".to_owned(),
        );
    }
    match (front.group.proxy_version().is_some(), &listener.proxy_protocol) {
        (true, ProxyProtocol::Required | ProxyProtocol::AcceptedFrom(_)) => {
            believed("the PROXY header that the load balancer writes")
        }
        (true, ProxyProtocol::Off) => {
            lost("nowhere: the load balancer writes a PROXY header that the gateway does not read".to_owned())
        }
        (false, ProxyProtocol::Required) => believed("not needed"),
        (false, _) if front.masqueraded => lost(
            "lost: the gateway sees the address of a node (externalTrafficPolicy: Local keeps the client's)"
                .to_owned(),
        ),
        (false, _) if front.preserves_client() => believed("the connection: the load balancer preserves it"),
        (false, _) => lost("lost: the gateway sees the load balancer's own address".to_owned()),
    }
}

fn direct(listener: &Listener, door: &Door<'_>) -> ClientAddress {
    let forged = door.http.is_some_and(|(server, _)| server.forwarding.believes());
    match &listener.proxy_protocol {
        ProxyProtocol::Required => ClientAddress {
            from: "a PROXY header, from whoever connects".to_owned(),
            trusted: false,
        },
        _ if forged => ClientAddress {
            from: "X-Forwarded-For: right only behind as many proxies as are trusted; who connects directly can forge it"
                .to_owned(),
            trusted: false,
        },
        ProxyProtocol::AcceptedFrom(_) | ProxyProtocol::Off => {
            ClientAddress { from: "the connection".to_owned(), trusted: true }
        }
    }
}
