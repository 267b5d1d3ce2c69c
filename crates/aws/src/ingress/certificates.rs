//! Which certificates an Ingress' HTTPS listeners show.

use std::collections::BTreeSet;

use super::fault::Result;
use super::group::Member;
use crate::account::{Account, Certificate};

/// Certificates that are named, by the class or by the annotation.
pub(super) fn explicit(member: &Member<'_>) -> Vec<String> {
    match member.class() {
        Some(class) if !class.certificate_arn.is_empty() => class.certificate_arn.clone(),
        _ => member.notes().list("certificate-arn").unwrap_or_default(),
    }
}

/// Certificates of the account for the hosts of an Ingress: every one that matches. `tls.secretName` is never read.
pub(super) fn discovered(member: &Member<'_>, account: &Account) -> Result<Vec<String>> {
    let rules = member.ingress.rules.iter().filter_map(|rule| rule.host.as_ref());
    let tls = member.ingress.tls.iter().flat_map(|tls| &tls.hosts);
    let hosts: BTreeSet<&String> = rules.filter(|host| !host.is_empty()).chain(tls).collect();
    let mut found = BTreeSet::new();
    for host in hosts {
        let matching: Vec<&Certificate> = account
            .certificates
            .iter()
            .filter(|certificate| certificate.names.iter().any(|name| covers(name, host)))
            .collect();
        if matching.is_empty() {
            if account.complete {
                let message = format!("no certificate found for host: {host}");
                return Err(member.fault("certificate-arn", message));
            }
            found.insert(format!("{DISCOVERED}{host}"));
        }
        found.extend(matching.into_iter().map(|certificate| certificate.arn.clone()));
    }
    Ok(found.into_iter().collect())
}

/// What stands for the ARN of a certificate that discovery will find for the host behind it.
pub const DISCOVERED: &str = "discovered:";

/// Is a certificate's name for this host? `*.` stands for exactly one label.
pub(super) fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent == rest),
        None => name == host,
    }
}
