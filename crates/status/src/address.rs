//! Where clients find the gateway: what Ingresses say of it, and external-dns makes records of.

use plenipo_resources::{ObjectId, View};

use crate::content::Address;
use crate::outcome::Outcome;

/// What Ingresses say of where the gateway is, when it is not what the outcome says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Publication {
    /// Namespace and name of the Service whose addresses are published.
    pub service: Option<(String, String)>,
    /// Addresses (IP addresses or host names) to publish instead of any Service's.
    pub addresses: Vec<String>,
}

impl Publication {
    /// What an Ingress of ours shall say, sorted. None when no address is known, and then nothing is said: whoever has made
    /// DNS records of what is there would take them away.
    pub(crate) fn addresses(&self, ingress: &ObjectId, outcome: &Outcome) -> Option<Vec<Address>> {
        let texts = match &self.service {
            _ if !self.addresses.is_empty() => &self.addresses,
            Some((namespace, name)) => match &outcome.set.get("Service", namespace, name)?.view {
                View::Service(service) => &service.status_addresses,
                _ => return None,
            },
            None => outcome.addresses.get(ingress)?,
        };
        let mut addresses: Vec<Address> = texts.iter().map(|text| Address::new(text)).collect();
        addresses.sort();
        addresses.dedup();
        (!addresses.is_empty()).then_some(addresses)
    }

    /// May an Ingress say something else than before?
    pub(crate) fn moved(&self, now: &Outcome, before: &Outcome) -> bool {
        let service = |outcome: &Outcome| {
            let (namespace, name) = self.service.as_ref()?;
            outcome.set.get("Service", namespace, name).cloned()
        };
        now.addresses != before.addresses || service(now) != service(before)
    }
}
