//! What is settled about the load balancer itself by its annotations.

use std::collections::BTreeMap;

use super::Request;
use crate::account::Subnet;
use crate::build_error::BuildError;
use crate::names;
use crate::stack::{AddressType, Scheme};

/// AWS's limit.
const LONGEST_NAME: usize = 32;

/// AWS's spelling.
pub(super) fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Internal => "internal",
        Scheme::InternetFacing => "internet-facing",
    }
}

fn scheme_named(name: &str) -> Option<Scheme> {
    match name {
        "internal" => Some(Scheme::Internal),
        "internet-facing" => Some(Scheme::InternetFacing),
        _ => None,
    }
}

impl Request<'_> {
    /// The annotation, its deprecated predecessor, what exists, the controller's default.
    pub(super) fn scheme(&self) -> Result<Scheme, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-scheme";
        if let Some(name) = self.annotations.text(SUFFIX) {
            return scheme_named(name).ok_or_else(|| self.fault(SUFFIX, format!("unknown scheme: {name}")));
        }
        if let Some(internal) = self.annotations.flag("aws-load-balancer-internal")? {
            return Ok(if internal { Scheme::Internal } else { Scheme::InternetFacing });
        }
        let name = self.existing.map_or(&self.account.default_scheme, |existing| &existing.scheme);
        scheme_named(name).ok_or_else(|| self.fault(SUFFIX, "invalid load balancer scheme"))
    }

    pub(super) fn address_type(&self) -> Result<AddressType, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-ip-address-type";
        match self.annotations.text(SUFFIX) {
            None | Some("ipv4") => Ok(AddressType::Ipv4),
            Some("dualstack") => Ok(AddressType::Dualstack),
            Some(other) => Err(self.fault(SUFFIX, format!("unknown IPAddressType: {other}"))),
        }
    }

    pub(super) fn name(&self, scheme: Scheme) -> Result<String, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-name";
        match self.annotations.text(SUFFIX) {
            Some(name) if name.len() > LONGEST_NAME => {
                Err(self.fault(SUFFIX, "load balancer name cannot be longer than 32 characters"))
            }
            Some(name) => Ok(name.to_owned()),
            None => Ok(names::namespaced(
                &self.object.id.namespace,
                &self.object.id.name,
                &[&self.account.cluster, &self.uid, scheme_name(scheme)],
            )),
        }
    }

    /// Attributes by their AWS names; the annotations made for one of them win.
    pub(super) fn attributes(&self) -> Result<BTreeMap<String, String>, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-attributes";
        const ROUTING: &str = "dns_record.client_routing_policy";
        const POLICIES: [&str; 3] =
            ["any_availability_zone", "partial_availability_zone_affinity", "availability_zone_affinity"];
        let mut attributes = self.annotations.map(SUFFIX)?.unwrap_or_default();
        if let Some(policy) = attributes.get(ROUTING).filter(|policy| !POLICIES.contains(&policy.as_str())) {
            let [any, partial, full] = POLICIES;
            return Err(self.fault(
                SUFFIX,
                format!(
                    "invalid {ROUTING} set in annotation {SUFFIX}: got '{policy}' expected one of ['{any}', \
                     '{partial}', '{full}']"
                ),
            ));
        }
        let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value);
        if self.annotations.flag("aws-load-balancer-access-log-enabled")? == Some(true) {
            set("access_logs.s3.enabled", "true".to_owned());
            if let Some(bucket) = self.annotations.text("aws-load-balancer-access-log-s3-bucket-name") {
                set("access_logs.s3.bucket", bucket.to_owned());
            }
            if let Some(prefix) = self.annotations.text("aws-load-balancer-access-log-s3-bucket-prefix") {
                set("access_logs.s3.prefix", prefix.to_owned());
            }
        }
        if let Some(on) = self.annotations.flag("aws-load-balancer-cross-zone-load-balancing-enabled")? {
            set("load_balancing.cross_zone.enabled", on.to_string());
        }
        Ok(attributes)
    }

    pub(super) fn minimum_capacity(&self) -> Result<Option<u32>, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-minimum-load-balancer-capacity";
        if !self.account.gates.capacity_reservation {
            return Ok(None);
        }
        let Some(capacity) = self.annotations.map(SUFFIX)? else { return Ok(None) };
        if let Some(key) = capacity.keys().find(|key| *key != "CapacityUnits") {
            return Err(self.fault(
                SUFFIX,
                format!("invalid key to set the capacity: {key}, Expected key: CapacityUnits"),
            ));
        }
        let Some(units) = capacity.get("CapacityUnits") else { return Ok(None) };
        let number = units.parse().map_err(|_| {
            self.fault(SUFFIX, format!("failed to parse capacity units: {units} is not a whole number"))
        });
        number.map(Some)
    }

    pub(super) fn private_link_rules(&self) -> Result<Option<bool>, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-inbound-sg-rules-on-private-link-traffic";
        match self.annotations.text(SUFFIX) {
            None => Ok(None),
            Some("on") => Ok(Some(true)),
            Some("off") => Ok(Some(false)),
            Some(other) => Err(self.fault(
                SUFFIX,
                format!(
                    "Invalid value for securityGroupsInboundRulesOnPrivateLink status: {other}, value must be one of \
                     [on, off]"
                ),
            )),
        }
    }

    /// May UDP come from IPv6? It needs prefixes for source addresses.
    pub(super) fn source_nat(&self, addresses: AddressType, subnets: &[Subnet]) -> Result<bool, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-enable-prefix-for-ipv6-source-nat";
        match self.annotations.text(SUFFIX) {
            None | Some("off") => return Ok(false),
            Some("on") => {}
            Some(other) => {
                return Err(self.fault(
                    SUFFIX,
                    format!(
                        "Invalid enable-prefix-for-ipv6-source-nat value: {other}. Valid values are ['on', 'off']."
                    ),
                ));
            }
        }
        if addresses != AddressType::Dualstack {
            return Err(self.fault(
                SUFFIX,
                "enable-prefix-for-ipv6-source-nat annotation is only applicable to Network Load Balancers using \
                 Dualstack IP address type.",
            ));
        }
        let without = |subnet: &&Subnet| self.account.subnets_known && subnet.cidrs_v6.is_empty();
        let lacking: Vec<&str> = subnets.iter().filter(without).map(|subnet| subnet.id.as_str()).collect();
        if !lacking.is_empty() {
            return Err(self.fault(
                SUFFIX,
                format!(
                    "To enable prefix for source NAT, all associated subnets must have an IPv6 CIDR. Subnets without \
                     IPv6 CIDR: [{}].",
                    lacking.join(" ")
                ),
            ));
        }
        Ok(true)
    }
}
