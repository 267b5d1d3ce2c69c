//! The files that objects name.

use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::ambassador::{ErrorResponseOverride, TlsConfig};
use plenipo_resources::istio::DestinationRule;
use plenipo_resources::{Object, ObjectId, Set, View};
use serde::Deserialize;

use crate::changes::Changes;

/// The files that objects of a set name (`cert_chain_file`, `text_format_source`, …), for the caller to read into
/// [`Options::files`](crate::Options::files). It looks only at what is different from the set it was told of last.
#[derive(Debug, Default)]
pub struct ReferencedFiles {
    set: Set,
    named: BTreeMap<ObjectId, BTreeSet<String>>,
}

impl ReferencedFiles {
    /// The files that objects of this set name.
    pub fn of(&mut self, set: &Set) -> BTreeSet<String> {
        let changes = Changes::between(&self.set, set);
        self.set = set.clone();
        for object in &changes.gone {
            self.named.remove(&object.id);
        }
        for object in &changes.new {
            let files = files(object);
            if !files.is_empty() {
                self.named.insert(object.id.clone(), files);
            }
        }
        self.named.values().flatten().cloned().collect()
    }
}

fn files(object: &Object) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    match &object.view {
        View::TlsContext(context) => tls_files(&context.tls, &mut files),
        View::Host(host) => host.tls.iter().for_each(|tls| tls_files(tls, &mut files)),
        View::Mapping(mapping) => {
            response_files(mapping.error_response_overrides.as_deref().unwrap_or_default(), &mut files);
        }
        View::Module(module) => {
            let written = module.config.get("error_response_overrides");
            let written = written.and_then(|value| Vec::<ErrorResponseOverride>::deserialize(value).ok());
            response_files(&written.unwrap_or_default(), &mut files);
        }
        View::Gateway(gateway) => {
            for tls in gateway.servers.iter().filter_map(|server| server.tls.as_ref()) {
                let single = [&tls.server_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl];
                files.extend(single.into_iter().flatten().cloned());
                let several = tls.tls_certificates.iter();
                let several =
                    several.flat_map(|one| [&one.server_certificate, &one.private_key, &one.ca_certificates]);
                files.extend(several.flatten().cloned());
            }
        }
        View::DestinationRule(rule) => rule_files(rule, &mut files),
        _ => {}
    }
    files
}

fn rule_files(rule: &DestinationRule, files: &mut BTreeSet<String>) {
    let of_subsets = rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
    for policy in rule.traffic_policy.iter().chain(of_subsets) {
        let of_ports = policy.port_level_settings.iter().filter_map(|port| port.tls.as_ref());
        for tls in policy.tls.iter().chain(of_ports) {
            let named = [&tls.client_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl];
            // `system` is no file.
            files.extend(named.into_iter().flatten().filter(|path| *path != "system").cloned());
        }
    }
}

fn tls_files(tls: &TlsConfig, files: &mut BTreeSet<String>) {
    let named = [&tls.cert_chain_file, &tls.private_key_file, &tls.cacert_chain_file, &tls.crl_file];
    files.extend(named.into_iter().flatten().cloned());
}

fn response_files(overrides: &[ErrorResponseOverride], files: &mut BTreeSet<String>) {
    let sources = overrides.iter().filter_map(|one| one.body.text_format_source.as_ref()?.filename.clone());
    files.extend(sources);
}
