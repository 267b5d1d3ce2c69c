//! Where the client's address comes from: what the load balancers write, and whether the gateway reads it so.

use plenipo_model::{Listener, ProxyProtocol};

use super::ClientAddress;
use super::doors::Door;
use crate::Stack;
use crate::stack::{Kind, Listener as BalancerListener, TargetGroup, TargetProtocol, TargetType};

/// Who stands between the client and a listener of the gateway.
pub(super) struct Front<'a> {
    /// The load balancer whose targets are the gateway.
    pub(super) stack: &'a Stack,
    pub(super) listener: &'a BalancerListener,
    pub(super) group: &'a TargetGroup,
}

impl Front<'_> {
    /// Does it pass bytes on without reading them?
    pub(super) fn is_opaque(&self) -> bool {
        let protocol = self.listener.protocol;
        !protocol.ends_tls() && !protocol.is_http()
    }

    /// Load balancers on the way that understand requests and append to `X-Forwarded-For`.
    pub(super) fn http_hops(&self) -> u32 {
        u32::from(self.listener.protocol.is_http())
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
    let hops =
        door.http.map(|(server, _)| (server.forwarding.use_remote_address, server.forwarding.trusted_hops));
    if front.listener.protocol.is_http() {
        let wanted = front.http_hops();
        let mode = front.stack.load_balancer.attributes.get("routing.http.xff_header_processing.mode");
        return match (hops, mode.map(String::as_str)) {
            (_, Some(mode @ ("preserve" | "remove"))) => {
                lost(format!("nowhere: the load balancer is told to {mode} X-Forwarded-For"))
            }
            (Some((remote, trusted)), _) if trusted + u32::from(!remote) == wanted => believed(&format!(
                "X-Forwarded-For, {wanted} from its right end, written by the load balancer"
            )),
            (Some((remote, trusted)), _) => lost(format!(
                "X-Forwarded-For, {} from its right end where {wanted} is the client: the wrong address is taken",
                trusted + u32::from(!remote)
            )),
            (None, _) => lost("nowhere: bytes are relayed, and X-Forwarded-For is not read".to_owned()),
        };
    }
    if hops.is_some_and(|(remote, trusted)| trusted > 0 || !remote) {
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
        (false, ProxyProtocol::Required) => {
            lost("nowhere: the gateway waits for a PROXY header that nobody writes".to_owned())
        }
        (false, ProxyProtocol::AcceptedFrom(_) | ProxyProtocol::Off) if preserved(front) => {
            believed("the connection: the load balancer preserves it")
        }
        (false, _) => lost("lost: the gateway sees the load balancer's own address".to_owned()),
    }
}

fn direct(listener: &Listener, door: &Door<'_>) -> ClientAddress {
    let forged = door.http.is_some_and(|(server, _)| {
        !server.forwarding.use_remote_address || server.forwarding.trusted_hops > 0
    });
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

/// Does the load balancer keep the client's address on its connections to these targets?
fn preserved(front: &Front<'_>) -> bool {
    if front.stack.load_balancer.kind != Kind::Network {
        return false;
    }
    match front.group.attributes.get("preserve_client_ip.enabled").map(String::as_str) {
        Some(value) => value == "true",
        None => match (front.group.target_type, front.group.protocol) {
            (TargetType::Instance | TargetType::Alb, _) => true,
            (TargetType::Ip, TargetProtocol::Tcp | TargetProtocol::Tls) => false,
            (TargetType::Ip, _) => true,
        },
    }
}
