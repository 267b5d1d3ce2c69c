//! Where a group listens: what each member asks for, and what comes of it together.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::agree::go_list;
use super::fault::{GroupError, Result, json_reason};
use super::group::Member;
use super::{certificates, mutual};
use crate::account::Account;
use crate::stack::{ListenerProtocol, MutualAuthentication};

/// What is said of one port.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Port {
    pub(super) protocol: ListenerProtocol,
    pub(super) cidrs_v4: BTreeSet<String>,
    pub(super) cidrs_v6: BTreeSet<String>,
    pub(super) prefix_lists: BTreeSet<String>,
    pub(super) ssl_policy: Option<String>,
    pub(super) certificates: Vec<String>,
    pub(super) mutual: Option<MutualAuthentication>,
}

/// The ports one Ingress asks for.
pub(super) fn of_member(member: &Member<'_>, account: &Account) -> Result<BTreeMap<u16, Port>> {
    let explicit = certificates::explicit(member);
    let ssl_policy = ssl_policy(member);
    let prefix_lists = prefix_lists(member);
    let (cidrs_v4, cidrs_v6) = inbound_cidrs(member)?;
    let mutual = mutual::by_port(member)?;
    let protocols = listen_ports(member, !explicit.is_empty())?;
    let tls = protocols.values().any(|protocol| protocol.ends_tls());
    let certificates =
        if tls && explicit.is_empty() { certificates::discovered(member, account)? } else { explicit };
    let port = |(number, protocol): (u16, ListenerProtocol)| {
        let tls = protocol.ends_tls();
        let port = Port {
            protocol,
            cidrs_v4: cidrs_v4.clone(),
            cidrs_v6: cidrs_v6.clone(),
            prefix_lists: prefix_lists.clone(),
            ssl_policy: ssl_policy.clone().filter(|_| tls),
            certificates: if tls { certificates.clone() } else { Vec::new() },
            mutual: mutual.get(&number).cloned().filter(|_| tls),
        };
        (number, port)
    };
    Ok(protocols.into_iter().map(port).collect())
}

fn ssl_policy(member: &Member<'_>) -> Option<String> {
    let class = member.class().and_then(|class| class.ssl_policy.clone()).filter(|policy| !policy.is_empty());
    class.or_else(|| member.notes().text("ssl-policy").map(str::to_owned))
}

fn prefix_lists(member: &Member<'_>) -> BTreeSet<String> {
    let lists = match member.class() {
        Some(class) if !class.prefix_lists.is_empty() => class.prefix_lists.clone(),
        _ => member.notes().list("security-group-prefix-lists").unwrap_or_default(),
    };
    lists.into_iter().collect()
}

type Cidrs = BTreeSet<String>;

fn inbound_cidrs(member: &Member<'_>) -> Result<(Cidrs, Cidrs)> {
    let class = member.class().map(|class| &class.inbound_cidrs).filter(|cidrs| !cidrs.is_empty());
    let (cidrs, from_class) = match class {
        Some(cidrs) => (cidrs.clone(), true),
        None => (member.notes().list("inbound-cidrs").unwrap_or_default(), false),
    };
    if let Some(wrong) = cidrs.iter().find(|cidr| cidr.parse::<IpNet>().is_err()) {
        return Err(match from_class {
            true => member.class_fault(
                "spec.inboundCIDRs",
                format!(
                    "invalid CIDR in IngressClassParams InboundCIDR {wrong}: invalid CIDR address: {wrong}"
                ),
            ),
            false => {
                let key = member.key();
                let message = format!(
                    "invalid inbound-cidrs settings on Ingress: {key}: invalid CIDR address: {wrong}"
                );
                member.fault("inbound-cidrs", message)
            }
        });
    }
    let (v6, v4) = cidrs.into_iter().partition(|cidr| cidr.contains(':'));
    Ok((v4, v6))
}

/// `listen-ports`; without it HTTPS on 443 where a certificate is named, else HTTP on 80.
fn listen_ports(member: &Member<'_>, prefer_tls: bool) -> Result<BTreeMap<u16, ListenerProtocol>> {
    const SUFFIX: &str = "listen-ports";
    let Some(raw) = member.notes().text(SUFFIX) else {
        return Ok(BTreeMap::from([match prefer_tls {
            true => (443, ListenerProtocol::Https),
            false => (80, ListenerProtocol::Http),
        }]));
    };
    let fault = |message: String| member.fault(SUFFIX, message);
    let entries: Vec<BTreeMap<String, i64>> = serde_json::from_str(raw).map_err(|error| {
        let reason = json_reason(&error);
        fault(format!("failed to parse listen-ports configuration: `{raw}`: {reason}"))
    })?;
    if entries.is_empty() {
        return Err(fault(format!("empty listen-ports configuration: `{raw}`")));
    }
    let mut ports = BTreeMap::new();
    for (protocol, port) in entries.into_iter().flatten() {
        let number = u16::try_from(port).ok().filter(|port| *port != 0);
        let number = number.ok_or_else(|| fault(format!("listen port must be within [1, 65535]: {port}")))?;
        let protocol = match protocol.as_str() {
            "HTTP" => ListenerProtocol::Http,
            "HTTPS" => ListenerProtocol::Https,
            other => return Err(fault(format!("listen protocol must be within [HTTP, HTTPS]: {other}"))),
        };
        ports.insert(number, protocol);
    }
    Ok(ports)
}

/// What comes of one port when all have spoken, in the members' order.
pub(super) fn merged(said: &[(&Member<'_>, &Port)], account: &Account) -> Result<Port> {
    let (first, port) = said[0];
    let protocol = port.protocol;
    if let Some((member, other)) = said.iter().find(|(_, port)| port.protocol != protocol) {
        let (a, b) = (protocol.as_str(), other.protocol.as_str());
        let message = format!("conflicting protocol, {}: {a} | {}: {b}", first.key(), member.key());
        return Err(member.fault("listen-ports", message));
    }
    let inbound = one(
        said,
        |port| {
            let said = !port.cidrs_v4.is_empty() || !port.cidrs_v6.is_empty();
            said.then(|| (port.cidrs_v4.clone(), port.cidrs_v6.clone()))
        },
        |(v4, v6)| format!("{}, {}", go_list(v4), go_list(v6)),
        ("inbound-cidrs", "conflicting inbound-cidrs"),
    )?;
    let lists = one(
        said,
        |port| Some(port.prefix_lists.clone()).filter(|lists| !lists.is_empty()),
        |lists| go_list(lists),
        ("security-group-prefix-lists", "conflicting inbound-prefix-lists"),
    )?;
    let ssl_policy =
        one(said, |port| port.ssl_policy.clone(), Clone::clone, ("ssl-policy", "conflicting sslPolicy"))?;
    let mutual = one(
        said,
        |port| port.mutual.clone(),
        |mutual| format!("{mutual:?}"),
        (mutual::SUFFIX, "conflicting mTLS Attributes"),
    )?;
    let world = || (BTreeSet::from(["0.0.0.0/0".to_owned()]), BTreeSet::from(["::/0".to_owned()]));
    // Prefix lists alone are enough: the world is let in only where nobody is named.
    let (cidrs_v4, cidrs_v6) =
        inbound.unwrap_or_else(|| if lists.is_some() { Default::default() } else { world() });
    Ok(Port {
        protocol,
        cidrs_v4,
        cidrs_v6,
        prefix_lists: lists.unwrap_or_default(),
        ssl_policy: match protocol.ends_tls() {
            true => ssl_policy.or_else(|| Some(account.default_ssl_policy.clone())),
            false => None,
        },
        certificates: shown(said),
        mutual,
    })
}

/// The value that all say which say one.
fn one<T: PartialEq>(
    said: &[(&Member<'_>, &Port)],
    read: impl Fn(&Port) -> Option<T>,
    word: impl Fn(&T) -> String,
    (suffix, conflict): (&str, &str),
) -> Result<Option<T>> {
    let mut provider: Option<(&Member<'_>, T)> = None;
    for (member, port) in said {
        let Some(value) = read(port) else { continue };
        match &provider {
            None => provider = Some((member, value)),
            Some((first, agreed)) if *agreed != value => {
                let (a, b) = (word(agreed), word(&value));
                let message = format!("{conflict}, {}: {a} | {}: {b}", first.key(), member.key());
                return Err(member.fault(suffix, message));
            }
            Some(_) => {}
        }
    }
    Ok(provider.map(|(_, value)| value))
}

/// The first certificate of the first member that has one is shown to clients that name no server; the others follow,
/// each once. (The default certificate may be among them again: that is how it can be chosen by name, too.)
fn shown(said: &[(&Member<'_>, &Port)]) -> Vec<String> {
    let mut all = said.iter().flat_map(|(_, port)| &port.certificates);
    let mut shown: Vec<String> = all.next().cloned().into_iter().collect();
    let mut seen = BTreeSet::new();
    shown.extend(all.filter(|certificate| seen.insert(*certificate)).cloned());
    shown
}

/// `ssl-redirect`: the port all plain listeners of the group redirect to.
pub(super) fn ssl_redirect(members: &[Member<'_>], ports: &BTreeMap<u16, Port>) -> Result<Option<u16>> {
    const SUFFIX: &str = "ssl-redirect";
    let mut said: Vec<(&Member<'_>, i32)> = Vec::new();
    for member in members {
        let class = member.class().and_then(|class| class.ssl_redirect_port.as_ref());
        if let Some(port) = class.map(super::port_text).filter(|port| !port.is_empty()) {
            // So does the controller: what its class says and is no number turns the redirect off for all.
            let Ok(port) = port.parse() else { return Ok(None) };
            said.push((member, port));
            continue;
        }
        let port = member
            .notes()
            .int32(SUFFIX)
            .map_err(|error| member.grammar(&error).within(&format!("ingress: {}", member.key())))?;
        said.extend(port.map(|port| (member, port)));
    }
    let Some((first, port)) = said.first().copied() else { return Ok(None) };
    if let Some((member, _)) = said.iter().find(|(_, other)| *other != port) {
        let all: BTreeSet<i32> = said.iter().map(|(_, port)| *port).collect();
        let all = go_list(all.iter().map(i32::to_string));
        return Err(member.fault(SUFFIX, format!("conflicting sslRedirect port: {all}")));
    }
    let fault = |message: String| -> GroupError { first.fault(SUFFIX, message) };
    let listener = u16::try_from(port).ok().and_then(|port| Some((port, ports.get(&port)?)));
    match listener {
        None => Err(fault(format!("listener does not exist for SSLRedirect port: {port}"))),
        Some((_, listener)) if !listener.protocol.ends_tls() => {
            Err(fault(format!("listener protocol non-SSL for SSLRedirect port: {port}")))
        }
        Some((port, _)) => Ok(Some(port)),
    }
}
