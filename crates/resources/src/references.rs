//! Which Secrets and ConfigMaps an object may need. A source that reads from a cluster fetches those and no others.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ambassador::{Host, TlsConfig, TlsContext};
use crate::istio::{DestinationRule, Gateway};
use crate::networking::Ingress;
use crate::object::{Object, ObjectId, View};

/// What stands before the names of ingress-nginx' annotations.
const NGINX: &str = "nginx.ingress.kubernetes.io/";

/// Annotations of ingress-nginx that name a ConfigMap.
const MAPS: [&str; 2] = ["custom-headers", "auth-proxy-set-headers"];

/// The Secrets and ConfigMaps that an object may need, those that are not there among them: where a name can be meant in
/// several ways, all of them, for what is meant depends on other objects. `gateways` are the namespaces that the gateway
/// is in (its own, that of Istio's gateways): some names are looked up there.
pub fn references(object: &Object, gateways: &[String]) -> BTreeSet<ObjectId> {
    let mut found = Found { own: &object.id.namespace, gateways, ids: BTreeSet::new() };
    match &object.view {
        View::Host(host) => found.of_host(host),
        View::TlsContext(context) => found.of_context(context),
        View::Module(module) => found.of_module(&object.id.name, &module.config),
        View::Gateway(gateway) => found.of_gateway(gateway),
        View::DestinationRule(rule) => found.of_rule(rule),
        View::Ingress(ingress) => found.of_ingress(object, ingress),
        _ => {}
    }
    found.ids
}

struct Found<'a> {
    /// The namespace of the object.
    own: &'a str,
    gateways: &'a [String],
    ids: BTreeSet<ObjectId>,
}

impl Found<'_> {
    fn secret(&mut self, namespace: &str, name: &str) {
        if !name.is_empty() && !namespace.is_empty() {
            self.ids.insert(ObjectId::new("Secret", namespace, name));
        }
    }

    /// As getambassador.io writes it: the last dot splits name and namespace, unless dots are just dots.
    fn dotted(&mut self, text: &str) {
        self.secret(self.own, text);
        if let Some((name, namespace)) = text.rsplit_once('.') {
            self.secret(namespace, name);
        }
    }

    fn of_host(&mut self, host: &Host) {
        if let Some(name) = host.tls_secret.as_ref().and_then(|secret| secret.name.as_deref()) {
            let namespace = host.tls_secret.as_ref().and_then(|secret| secret.namespace.as_deref());
            match namespace.filter(|namespace| !namespace.is_empty()) {
                Some(namespace) => self.secret(namespace, name),
                None => self.dotted(name),
            }
        }
        host.tls.iter().for_each(|tls| self.of_tls(tls));
        let mtls = host.authentication.as_ref().and_then(|authentication| authentication.mtls.as_ref());
        match mtls.and_then(|mtls| mtls.ca_secret.as_ref()) {
            Some(Value::String(name)) => self.dotted(name),
            Some(Value::Object(reference)) => {
                let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
                match text("namespace") {
                    "" => self.dotted(text("name")),
                    namespace => self.secret(namespace, text("name")),
                }
            }
            _ => {}
        }
    }

    fn of_context(&mut self, context: &TlsContext) {
        context.secret.iter().for_each(|name| self.dotted(name));
        self.of_tls(&context.tls);
    }

    fn of_tls(&mut self, tls: &TlsConfig) {
        [&tls.ca_secret, &tls.crl_secret].into_iter().flatten().for_each(|name| self.dotted(name));
    }

    /// A Module's `config` is free-form: whatever is called a secret in it is taken for one.
    fn of_module(&mut self, name: &str, config: &Value) {
        if name == "tls" || config.get("tls").is_some() {
            // What the old TLS settings mean where they name nothing.
            self.secret(self.own, "ambassador-certs");
            self.secret(self.own, "ambassador-cacert");
        }
        self.called_secret(config);
    }

    fn called_secret(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value {
                        Value::String(name) if key.to_ascii_lowercase().ends_with("secret") => {
                            self.dotted(name);
                        }
                        inner => self.called_secret(inner),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.called_secret(item)),
            _ => {}
        }
    }

    /// `name`, `kubernetes://[namespace/]name`: in the gateway's namespace, or beside the object; roots may be apart.
    fn credential(&mut self, text: &str) {
        let name = match text.split_once("://") {
            None => text,
            Some(("kubernetes", name)) => name,
            Some(_) => return,
        };
        let (named, name) = match name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, name),
        };
        let places: Vec<&str> = match named {
            Some(namespace) => vec![namespace],
            None => self.gateways.iter().map(String::as_str).chain([self.own]).collect(),
        };
        for namespace in places {
            self.secret(namespace, name);
            self.secret(namespace, &format!("{name}-cacert"));
        }
    }

    fn of_gateway(&mut self, gateway: &Gateway) {
        for tls in gateway.servers.iter().filter_map(|server| server.tls.as_ref()) {
            let one = tls.credential_name.iter().chain(&tls.ca_cert_credential_name);
            one.chain(&tls.credential_names).for_each(|name| self.credential(name));
        }
    }

    fn of_rule(&mut self, rule: &DestinationRule) {
        let of_subsets = rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
        for policy in rule.traffic_policy.iter().chain(of_subsets) {
            let of_ports = policy.port_level_settings.iter().filter_map(|port| port.tls.as_ref());
            for tls in policy.tls.iter().chain(of_ports) {
                tls.credential_name.iter().for_each(|name| self.credential(name));
            }
        }
    }

    fn of_ingress(&mut self, object: &Object, ingress: &Ingress) {
        for name in ingress.tls.iter().filter_map(|tls| tls.secret_name.as_deref()) {
            self.secret(self.own, name);
            // Where Istio looks for its Ingresses' Secrets.
            self.gateways.iter().for_each(|namespace| self.secret(namespace, name));
        }
        for (key, text) in &object.meta.annotations {
            let Some(key) = key.strip_prefix(NGINX) else { continue };
            let (namespace, name) = text.trim().split_once('/').unwrap_or((self.own, text.trim()));
            if key.ends_with("-secret") {
                self.secret(namespace, name);
            } else if MAPS.contains(&key) && !name.is_empty() {
                self.ids.insert(ObjectId::new("ConfigMap", namespace, name));
            }
        }
    }
}

#[cfg(test)]
mod tests;
