//! Listeners: where connections arrive, and what is made of them there.

mod balancer;
mod chains;
mod stack;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
use plenipo_model::{ProxyProtocol, SecurityModel, Source};
use plenipo_resources::Object;
use plenipo_resources::ambassador::Listener;

use super::hosts::{HostEntry, Labels, fit, fit_loosely, labels_of};
use super::module::network;
use super::ours::{Of, Ours, source_of};
use super::tcp::TcpGroup;
use crate::findings::{Findings, Flaw};
use crate::options::Options;

use balancer::ToldBy;
pub(crate) use chains::{Serving, listener};
pub(crate) use stack::Stack;

/// As many proxies in front as the Module can name (`xff_num_trusted_hops`).
const MOST_PROXIES: u32 = 255;

/// A Listener, read.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// None: nobody wrote a Listener for a TCPMapping's port.
    pub(crate) object: Option<&'a Object>,
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) bind: SocketAddr,
    pub(crate) stack: Stack,
    pub(crate) proxy_protocol: ProxyProtocol,
    pub(crate) security: SecurityModel,
    pub(crate) stats_prefix: String,
    pub(crate) l7_depth: Option<u32>,
    pub(crate) max_streams: Option<u32>,
    /// Who tells of client certificates; none: clients show them to us.
    pub(crate) told_by: Option<ToldBy>,
    /// Whose PROXY headers are followed by another one.
    pub(crate) inner_proxy_from: Vec<IpNet>,
    binding: Binding<'a>,
}

/// Which Hosts a Listener takes.
#[derive(Debug)]
struct Binding<'a> {
    namespace: Option<String>,
    labels: Option<Labels<'a>>,
}

impl Terms<'_> {
    /// Does the Listener take this Host?
    pub(crate) fn takes(&self, host: &HostEntry<'_>, options: &Options) -> bool {
        let namespace = self.binding.namespace.as_deref();
        let labels = host.labels();
        namespace.is_none_or(|namespace| namespace == host.namespace(options))
            && self.binding.labels.is_none_or(|wanted| {
                if options.disable_strict_label_selectors {
                    fit_loosely(wanted, labels)
                } else {
                    fit(wanted, labels)
                }
            })
    }
}

/// All Listeners, and one for every TCPMapping's address that has none; by address.
pub(crate) fn read<'a>(
    ours: &Ours<'a>,
    tcp: &[TcpGroup<'a>],
    options: &Options,
    findings: &mut Findings,
) -> Vec<Terms<'a>> {
    let mut listeners: BTreeMap<SocketAddr, Terms<'a>> = BTreeMap::new();
    for listener in &ours.listeners {
        match read_one(*listener, options, findings) {
            Err(flaw) => findings.fatal(listener.object, &flaw),
            Ok(terms) => match listeners.get(&terms.bind) {
                Some(first) => {
                    let message = format!("{} has {} already", first.source, terms.bind);
                    let flaw = Flaw::new("duplicate-listener", "spec.port", message, "use another port");
                    findings.fatal(listener.object, &flaw);
                }
                None => drop(listeners.insert(terms.bind, terms)),
            },
        }
    }
    if let (true, Some(host)) = (ours.listeners.is_empty(), ours.hosts.first()) {
        let message = "there is no Listener, so that nothing is served".to_owned();
        let fix = "create a Listener with port, protocol: HTTPS and securityModel: XFP";
        findings.warn(host.object, "no-listener", "", message, fix);
    }
    for group in tcp {
        listeners.entry(group.bind).or_insert_with(|| for_tcp(group));
    }
    listeners.into_values().collect()
}

fn read_one<'a>(
    listener: Of<'a, Listener>,
    options: &Options,
    findings: &mut Findings,
) -> Result<Terms<'a>, Flaw> {
    let spec = listener.spec;
    let object = listener.object;
    let port =
        spec.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).ok_or_else(|| {
            Flaw::new("bad-port", "spec.port", "a Listener needs a port", "write a number from 1 to 65535")
        })?;
    let address = match spec.bind_address.as_deref().filter(|text| !text.is_empty()) {
        None => options.bind_address,
        Some(text) => text.parse::<IpAddr>().map_err(|_| {
            let message = format!("'{text}' is not an address");
            Flaw::new("bad-address", "spec.bind_address", message, "write an IP address")
        })?,
    };
    let stack = Stack::read(listener, findings)?;
    Ok(Terms {
        object: Some(object),
        name: format!("{}/{}", object.id.namespace, object.id.name),
        source: source_of(object),
        bind: SocketAddr::new(address, port),
        stack,
        proxy_protocol: proxy_protocol(listener, stack, findings),
        security: security(spec)?,
        stats_prefix: spec
            .stats_prefix
            .clone()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| stack.stats_prefix(port)),
        l7_depth: whole(spec.l7_depth, "spec.l7Depth", 0..=MOST_PROXIES, object, findings),
        max_streams: whole(
            spec.http2_max_concurrent_streams,
            "spec.http2MaxConcurrentStreams",
            1..=u32::MAX,
            object,
            findings,
        ),
        told_by: ToldBy::read(object)?,
        inner_proxy_from: balancer::inner_proxy_from(object)?,
        binding: binding(listener, findings)?,
    })
}

fn security(spec: &Listener) -> Result<SecurityModel, Flaw> {
    match spec.security_model.as_deref() {
        Some("XFP") => Ok(SecurityModel::Forwarded),
        Some("SECURE") => Ok(SecurityModel::Secure),
        Some("INSECURE") => Ok(SecurityModel::Insecure),
        other => {
            let message = match other {
                Some(text) => format!("'{text}' is not a security model"),
                None => "a Listener needs a security model".to_owned(),
            };
            Err(Flaw::new(
                "bad-security-model",
                "spec.securityModel",
                message,
                "write XFP, SECURE or INSECURE",
            ))
        }
    }
}

fn whole(
    value: Option<i64>,
    field: &str,
    range: RangeInclusive<u32>,
    object: &Object,
    findings: &mut Findings,
) -> Option<u32> {
    let value = value?;
    let number = u32::try_from(value).ok().filter(|number| range.contains(number));
    if number.is_none() {
        let fix = "write a whole number";
        let (least, most) = (range.start(), range.end());
        let is_less = value < i64::from(*least);
        let message =
            if is_less { format!("{value} is below {least}") } else { format!("{value} is above {most}") };
        findings.error(object, "bad-number", field, message, fix);
    }
    number
}

/// Whose PROXY headers are believed. Networks that cannot be read believe nobody more.
fn proxy_protocol(listener: Of<'_, Listener>, stack: Stack, findings: &mut Findings) -> ProxyProtocol {
    let from = &listener.spec.proxy_protocol_from;
    if from.is_empty() {
        return if stack.proxy { ProxyProtocol::Required } else { ProxyProtocol::Off };
    }
    let mut networks: Vec<IpNet> = Vec::new();
    for text in from {
        match network(text) {
            Some(network) => networks.push(network),
            None => {
                let message = format!("'{text}' is not a network, PROXY headers from there are not taken");
                let field = "spec.proxyProtocolFrom";
                findings.error(
                    listener.object,
                    "bad-network",
                    field,
                    message,
                    "write networks, as in 10.0.0.0/8",
                );
            }
        }
    }
    ProxyProtocol::AcceptedFrom(networks)
}

fn binding<'a>(listener: Of<'a, Listener>, findings: &mut Findings) -> Result<Binding<'a>, Flaw> {
    let missing = || {
        let message = "nothing says which Hosts the Listener takes";
        Flaw::new(
            "missing-host-binding",
            "spec.hostBinding",
            message,
            "write hostBinding: {namespace: {from: ALL}}",
        )
    };
    let written = listener.spec.host_binding.as_ref().ok_or_else(missing)?;
    if written.namespace.is_none() && written.selector.is_none() {
        return Err(missing());
    }
    let own = || Some(listener.object.id.namespace.to_string());
    let namespace = match written.namespace.as_ref().map(|namespace| namespace.from.as_deref()) {
        None => own(),
        Some(Some(from)) if from.eq_ignore_ascii_case("ALL") => None,
        Some(Some(from)) if from.eq_ignore_ascii_case("SELF") => own(),
        Some(Some(from)) if from.eq_ignore_ascii_case("SELECTOR") => {
            let message = "SELECTOR is not supported by anybody, SELF is used".to_owned();
            let field = "spec.hostBinding.namespace.from";
            findings.error(listener.object, "not-supported", field, message, "write SELF or ALL");
            own()
        }
        Some(other) => {
            let message = format!("'{}' is neither SELF nor ALL", other.unwrap_or_default());
            return Err(Flaw::new(
                "bad-host-binding",
                "spec.hostBinding.namespace.from",
                message,
                "write SELF or ALL",
            ));
        }
    };
    let labels = match &written.selector {
        None => None,
        Some(selector) => Some(
            labels_of(selector, "spec.hostBinding.selector", listener.object, findings).ok_or_else(|| {
                let message = "the selector has no matchLabels";
                Flaw::new("bad-host-binding", "spec.hostBinding.selector", message, "write matchLabels")
            })?,
        ),
    };
    Ok(Binding { namespace, labels })
}

/// The Listener that a TCPMapping without one gets.
fn for_tcp<'a>(group: &TcpGroup<'a>) -> Terms<'a> {
    let stack = Stack { proxy: false, tls: group.host.is_some(), http: false };
    Terms {
        object: None,
        name: format!("tcp-{}", group.bind),
        source: group.route.source.clone(),
        bind: group.bind,
        stack,
        proxy_protocol: ProxyProtocol::Off,
        security: SecurityModel::Secure,
        stats_prefix: stack.stats_prefix(group.bind.port()),
        l7_depth: None,
        max_streams: None,
        told_by: None,
        inner_proxy_from: Vec::new(),
        binding: Binding { namespace: None, labels: None },
    }
}
