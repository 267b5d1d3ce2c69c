//! The ConfigMap of ingress-nginx' controller: what holds for all Ingresses of its class that do not say otherwise.

use std::collections::BTreeMap;

use http::HeaderName;
use ipnet::IpNet;
use plenipo_model::{Forwarding, HeaderEdit, HeaderEdits, ProxyProtocol, Template};
use plenipo_resources::{Object, Set, View};

use crate::findings::Findings;

/// The ConfigMap, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Controller<'a> {
    written: Option<(&'a Object, &'a BTreeMap<String, String>)>,
}

/// Keys that an annotation of the same name goes before.
const INHERITED: [&str; 14] = [
    "ssl-redirect",
    "force-ssl-redirect",
    "proxy-body-size",
    "proxy-connect-timeout",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "proxy-next-upstream",
    "proxy-next-upstream-tries",
    "proxy-next-upstream-timeout",
    "whitelist-source-range",
    "denylist-source-range",
    "load-balance",
    "enable-modsecurity",
    "enable-owasp-core-rules",
];

/// Keys that are read here.
const OWN: [&str; 7] = [
    "use-forwarded-headers",
    "use-proxy-protocol",
    "proxy-real-ip-cidr",
    "hsts",
    "hsts-max-age",
    "hsts-include-subdomains",
    "hsts-preload",
];

/// Keys that keep somebody out, and that nobody carries out here.
const PROTECTING: [&str; 3] = ["block-cidrs", "block-referers", "block-user-agents"];

/// Before the name of an annotation about authentication: what holds where an Ingress says nothing of it.
const GLOBAL: &str = "global-";

impl<'a> Controller<'a> {
    /// The ConfigMap of the controller's chart, by its labels or its name; of several the first.
    pub(super) fn find(set: &'a Set) -> Self {
        let label = |object: &Object, key: &str| object.meta.labels.get(key).cloned().unwrap_or_default();
        let is_controllers = |object: &Object| {
            &*object.id.name == "ingress-nginx-controller"
                || (label(object, "app.kubernetes.io/name") == "ingress-nginx"
                    && label(object, "app.kubernetes.io/component") == "controller")
        };
        let mut found = set.of_kind("ConfigMap").iter().filter_map(|object| match &object.view {
            View::ConfigMap(map) if is_controllers(object) => Some((&**object, &map.data)),
            _ => None,
        });
        Self { written: found.next() }
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        let text = self.written?.1.get(key)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn is_on(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// What an annotation has where it is not written.
    pub(super) fn inherited(&self, annotation: &str) -> Option<&'a str> {
        if INHERITED.contains(&annotation) {
            return self.text(annotation);
        }
        annotation.starts_with("auth-").then(|| self.text(&[GLOBAL, annotation].concat())).flatten()
    }

    /// The key by which it asks for protection that cannot be had.
    pub(super) fn unprotected(&self) -> Option<&'static str> {
        PROTECTING.into_iter().find(|key| self.text(key).is_some())
    }

    /// Who is believed about the client: with `use-forwarded-headers` the proxy in front.
    pub(super) fn forwarding(&self) -> Forwarding {
        let trusted_hops = u32::from(self.is_on("use-forwarded-headers"));
        Forwarding { use_remote_address: true, trusted_hops }
    }

    /// Whether connections begin with a PROXY header, and whose.
    pub(super) fn proxy_protocol(&self) -> ProxyProtocol {
        if !self.is_on("use-proxy-protocol") {
            return ProxyProtocol::Off;
        }
        let words = self.text("proxy-real-ip-cidr").unwrap_or_default().split(',');
        let networks: Vec<IpNet> = words.filter_map(|word| word.trim().parse().ok()).collect();
        let anybody = networks.is_empty() || networks.iter().any(|network| network.prefix_len() == 0);
        if anybody { ProxyProtocol::Required } else { ProxyProtocol::AcceptedFrom(networks) }
    }

    /// What browsers are told about TLS (RFC 6797), unless they are told nothing.
    pub(super) fn strict_transport(&self) -> HeaderEdits {
        if self.text("hsts").is_some_and(|text| text.eq_ignore_ascii_case("false")) {
            return HeaderEdits::default();
        }
        let age = self.text("hsts-max-age").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let mut value = format!("max-age={}", age.unwrap_or("31536000"));
        if !self.text("hsts-include-subdomains").is_some_and(|text| text.eq_ignore_ascii_case("false")) {
            value.push_str("; includeSubDomains");
        }
        if self.is_on("hsts-preload") {
            value.push_str("; preload");
        }
        let name = HeaderName::from_static("strict-transport-security");
        let edit = HeaderEdit { name, value: Template::literal(&value), append: false };
        HeaderEdits { remove: Vec::new(), add: vec![edit] }
    }

    /// Says what of it has an effect.
    pub(super) fn report(&self, findings: &mut Findings) {
        let Some((object, data)) = self.written else { return };
        findings.accept(object);
        for key in data.keys() {
            let known = INHERITED.contains(&key.as_str())
                || OWN.contains(&key.as_str())
                || key.strip_prefix(GLOBAL).is_some_and(|rest| rest.starts_with("auth-"));
            let field = format!("data.{key}");
            if PROTECTING.contains(&key.as_str()) {
                let message =
                    "it keeps requests out, and is not carried out: all Ingresses of the class are answered 503"
                        .to_owned();
                let fix = "write denylist-source-range, or refuse them in front";
                findings.error(object, "protection-not-available", &field, message, fix);
            } else if !known {
                let message = "this setting of the controller has no effect here".to_owned();
                findings.note(object, "not-applied", &field, message, "remove it, or leave it");
            }
        }
    }
}
