//! Proxies in front of the gateway, as the classes of Ingresses tell of them.

use std::net::IpAddr;

use ipnet::IpNet;
use plenipo_model::{Forwarding, ProxyProtocol};
use plenipo_resources::Object;

use super::Entry;
use super::class::Flavour;
use super::controller::Controller;
use crate::findings::Findings;

/// An annotation of an IngressClass.
struct Annotation<T> {
    name: &'static str,
    read: fn(&str) -> Result<T, String>,
    /// Nobody in front is believed.
    nobody: T,
    fix: &'static str,
}

/// So many proxies in front append to `X-Forwarded-For`, and are believed.
const TRUSTED: Annotation<u32> = Annotation {
    name: "plenipo.io/trusted-proxies",
    read: hops,
    nobody: 0,
    fix: "write how many proxies append to X-Forwarded-For, as in \"1\"",
};
/// Connections begin with a PROXY header.
const HEADER: Annotation<ProxyProtocol> = Annotation {
    name: "plenipo.io/proxy-protocol",
    read: proxy_protocol,
    nobody: ProxyProtocol::Off,
    fix: "write \"true\", or the networks of the load balancers, as in 10.0.0.0/8",
};

/// What stands between clients and the gateway.
#[derive(Debug)]
pub(super) struct InFront {
    pub(super) forwarding: Forwarding,
    pub(super) proxy_protocol: ProxyProtocol,
}

impl InFront {
    /// What the classes of these Ingresses say, else the ConfigMap of ingress-nginx. What cannot be read believes nobody.
    pub(super) fn read(entries: &[Entry<'_>], controller: &Controller<'_>, findings: &mut Findings) -> Self {
        let mut classes: Vec<(&Object, Flavour)> =
            entries.iter().filter_map(|entry| Some((entry.class?, entry.flavour))).collect();
        classes.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        classes.dedup_by(|(a, _), (b, _)| a.id == b.id);
        let (classes, others): (Vec<_>, Vec<_>) = classes
            .into_iter()
            .partition(|(_, flavour)| matches!(flavour, Flavour::Plenipo | Flavour::Nginx));
        let classes: Vec<&Object> = classes.into_iter().map(|(class, _)| class).collect();
        others.iter().for_each(|(class, _)| unapplied(class, findings));
        let hops = said(TRUSTED, &classes, findings);
        let forwarding = hops.map(|trusted_hops| Forwarding { use_remote_address: true, trusted_hops });
        let header = said(HEADER, &classes, findings);
        Self {
            forwarding: forwarding.unwrap_or_else(|| controller.forwarding()),
            proxy_protocol: header.unwrap_or_else(|| controller.proxy_protocol()),
        }
    }
}

/// Classes of Istio and Emissary have settings of their own.
fn unapplied(class: &Object, findings: &mut Findings) {
    for name in [TRUSTED.name, HEADER.name] {
        if class.meta.annotations.contains_key(name) {
            let message = "it has no effect on Ingresses of this controller".to_owned();
            let fix =
                "write it where the controller has its settings: the mesh, or a Listener and the Module";
            findings.warn(class, "not-applied", &format!("metadata.annotations.{name}"), message, fix);
        }
    }
}

/// What the classes of one address say by an annotation: the first that says something has it, as the address is one.
fn said<T: PartialEq>(annotation: Annotation<T>, classes: &[&Object], findings: &mut Findings) -> Option<T> {
    let Annotation { name, read, nobody, fix } = annotation;
    let field = format!("metadata.annotations.{name}");
    let mut said: Option<(&Object, Option<T>)> = None;
    for class in classes {
        let Some(text) = class.meta.annotations.get(name) else { continue };
        let value = read(text.trim());
        if let Err(message) = &value {
            findings.error(
                class,
                "bad-annotation",
                &field,
                format!("{message}: nobody in front is believed"),
                fix,
            );
        }
        let value = value.ok();
        match &said {
            None => said = Some((class, value)),
            Some((first, held)) if *held != value => {
                let message = format!("{} shares the address and says otherwise: that holds", first.id);
                findings.warn(class, "conflict", &field, message, "let both say the same");
            }
            Some(_) => {}
        }
    }
    said.map(|(_, value)| value.unwrap_or(nobody))
}

fn hops(text: &str) -> Result<u32, String> {
    // More than a few is no number of proxies, but a way to believe what clients write.
    let hops = text.parse().ok().filter(|hops| *hops <= 16);
    hops.ok_or_else(|| format!("'{text}' is not a number of proxies"))
}

fn proxy_protocol(text: &str) -> Result<ProxyProtocol, String> {
    match text {
        "true" => return Ok(ProxyProtocol::Required),
        "false" => return Ok(ProxyProtocol::Off),
        _ => {}
    }
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let network = |word: &str| {
        let network = word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(|network| network.trunc()).ok_or_else(|| format!("'{word}' is not a network"))
    };
    let networks: Vec<IpNet> = words.map(network).collect::<Result<_, _>>()?;
    match () {
        () if networks.is_empty() => Err("no network is named".to_owned()),
        () if networks.iter().any(|network| network.prefix_len() == 0) => Ok(ProxyProtocol::Required),
        () => Ok(ProxyProtocol::AcceptedFrom(networks)),
    }
}
