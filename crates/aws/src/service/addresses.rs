//! Addresses of the load balancer in each of its subnets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};

use super::Request;
use crate::account::Subnet;
use crate::build_error::BuildError;
use crate::stack::{AddressType, Scheme, SubnetMapping};

const ALLOCATIONS: &str = "aws-load-balancer-eip-allocations";
const PRIVATE: &str = "aws-load-balancer-private-ipv4-addresses";
const IPV6: &str = "aws-load-balancer-ipv6-addresses";
const PREFIXES: &str = "aws-load-balancer-source-nat-ipv6-prefixes";

/// Length of a prefix for source addresses.
const PREFIX_LENGTH: u8 = 80;

impl Request<'_> {
    pub(super) fn mappings(
        &self,
        scheme: Scheme,
        addresses: AddressType,
        source_nat: bool,
        subnets: &[Subnet],
    ) -> Result<Vec<SubnetMapping>, BuildError> {
        let allocations = self.allocations(scheme, subnets)?;
        let private = self.private_addresses(scheme, subnets)?;
        let ipv6 = self.ipv6_addresses(addresses, subnets)?;
        let prefixes = self.prefixes(addresses, source_nat, subnets)?;
        let mut mappings = Vec::with_capacity(subnets.len());
        for (at, subnet) in subnets.iter().enumerate() {
            let fault = |suffix, what| {
                let id = &subnet.id;
                self.fault(suffix, format!("expect one {what} address configured for subnet: {id}"))
            };
            mappings.push(SubnetMapping {
                subnet: subnet.id.clone(),
                allocation: allocations.as_ref().and_then(|ids| ids.get(at).cloned()),
                private_ipv4: self
                    .one(private.as_deref(), at, subnet)
                    .ok_or_else(|| fault(PRIVATE, "private IPv4"))?,
                ipv6: self.one(ipv6.as_deref(), at, subnet).ok_or_else(|| fault(IPV6, "IPv6"))?,
                source_nat_prefix: prefixes.as_ref().and_then(|prefixes| prefixes.get(at).cloned()),
            });
        }
        Ok(mappings)
    }

    fn allocations(&self, scheme: Scheme, subnets: &[Subnet]) -> Result<Option<Vec<String>>, BuildError> {
        let Some(ids) = self.annotations.list(ALLOCATIONS) else { return Ok(None) };
        if scheme != Scheme::InternetFacing {
            let message = "EIP allocations can only be set for internet facing load balancers";
            return Err(self.fault(ALLOCATIONS, message));
        }
        self.as_many(ALLOCATIONS, "EIP allocations", ids.len(), subnets)?;
        Ok(Some(ids))
    }

    fn private_addresses(
        &self,
        scheme: Scheme,
        subnets: &[Subnet],
    ) -> Result<Option<Vec<Ipv4Addr>>, BuildError> {
        let Some(raw) = self.annotations.list(PRIVATE) else { return Ok(None) };
        if scheme != Scheme::Internal {
            let message = "private IPv4 addresses can only be set for internal load balancers";
            return Err(self.fault(PRIVATE, message));
        }
        self.as_many(PRIVATE, "private IPv4 addresses", raw.len(), subnets)?;
        self.parsed(PRIVATE, "private IPv4", "IPv4", &raw).map(Some)
    }

    fn ipv6_addresses(
        &self,
        addresses: AddressType,
        subnets: &[Subnet],
    ) -> Result<Option<Vec<Ipv6Addr>>, BuildError> {
        let Some(raw) = self.annotations.list(IPV6) else { return Ok(None) };
        if addresses != AddressType::Dualstack {
            return Err(self.fault(IPV6, "IPv6 addresses can only be set for dualstack load balancers"));
        }
        self.as_many(IPV6, "IPv6 addresses", raw.len(), subnets)?;
        self.parsed(IPV6, "IPv6", "IPv6", &raw).map(Some)
    }

    fn prefixes(
        &self,
        addresses: AddressType,
        source_nat: bool,
        subnets: &[Subnet],
    ) -> Result<Option<Vec<String>>, BuildError> {
        let Some(prefixes) = self.annotations.list(PREFIXES) else { return Ok(None) };
        let name = "source-nat-ipv6-prefixes";
        if addresses != AddressType::Dualstack {
            return Err(self.fault(
                PREFIXES,
                format!(
                    "{name} annotation can only be set for Network Load Balancers using Dualstack IP address type."
                ),
            ));
        }
        if !source_nat {
            return Err(self.fault(
                PREFIXES,
                format!(
                    "{name} annotation is only applicable if enable-prefix-for-ipv6-source-nat annotation is set to on."
                ),
            ));
        }
        if prefixes.len() != subnets.len() {
            let (given, wanted) = (prefixes.len(), subnets.len());
            return Err(self.fault(
                PREFIXES,
                format!("Number of values in {name} ({given}) must match the number of subnets ({wanted})."),
            ));
        }
        for (prefix, subnet) in prefixes.iter().zip(subnets) {
            self.check_prefix(prefix, subnet)
                .map_err(|why| self.fault(PREFIXES, format!("Invalid value in {name}: {prefix}. {why}")))?;
        }
        Ok(Some(prefixes))
    }

    fn check_prefix(&self, prefix: &str, subnet: &Subnet) -> Result<(), String> {
        if prefix == "auto_assigned" {
            return Ok(());
        }
        let net = Ipv6Net::from_str(prefix).map_err(|_| "Value must be a valid IPv6 CIDR.".to_owned())?;
        if net.prefix_len() != PREFIX_LENGTH {
            let given = net.prefix_len();
            return Err(format!("Prefix length must be {PREFIX_LENGTH}, but {given} is specified."));
        }
        if self.account.subnets_known && !within(subnet, IpAddr::V6(net.addr())) {
            let ranges = subnet.cidrs_v6.join(" ");
            return Err(format!("Value must be within subnet CIDR range: [{ranges}]."));
        }
        Ok(())
    }

    fn as_many(&self, suffix: &str, what: &str, count: usize, subnets: &[Subnet]) -> Result<(), BuildError> {
        if count == subnets.len() {
            return Ok(());
        }
        let wanted = subnets.len();
        Err(self.fault(suffix, format!("count of {what} ({count}) and subnets ({wanted}) must match")))
    }

    fn parsed<A: TryFromAddress>(
        &self,
        suffix: &str,
        what: &str,
        family: &str,
        raw: &[String],
    ) -> Result<Vec<A>, BuildError> {
        let one = |text: &String| {
            let address: IpAddr = text.parse().map_err(|_| {
                self.fault(suffix, format!("{what} addresses must be valid IP address: {text}"))
            })?;
            A::of(address).ok_or_else(|| {
                self.fault(suffix, format!("{what} addresses must be valid {family} address: {text}"))
            })
        };
        raw.iter().map(one).collect()
    }

    /// The single address that belongs into a subnet; the outer none = there is not exactly one. Where nothing is known
    /// of the subnets, the order decides.
    fn one<A: Into<IpAddr> + Copy>(
        &self,
        addresses: Option<&[A]>,
        at: usize,
        subnet: &Subnet,
    ) -> Option<Option<String>> {
        let Some(addresses) = addresses else { return Some(None) };
        let mut addresses = addresses.iter().map(|address| Into::<IpAddr>::into(*address));
        if !self.account.subnets_known {
            return Some(addresses.nth(at).map(|address| address.to_string()));
        }
        let mut fitting = addresses.filter(|address| within(subnet, *address));
        let first = fitting.next()?.to_string();
        fitting.next().is_none().then_some(Some(first))
    }
}

fn within(subnet: &Subnet, address: IpAddr) -> bool {
    let ranges = match address {
        IpAddr::V4(_) => std::slice::from_ref(&subnet.cidr),
        IpAddr::V6(_) => subnet.cidrs_v6.as_slice(),
    };
    ranges.iter().any(|range| IpNet::from_str(range).is_ok_and(|range| range.contains(&address)))
}

/// An address of one family.
trait TryFromAddress: Sized {
    fn of(address: IpAddr) -> Option<Self>;
}

impl TryFromAddress for Ipv4Addr {
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

impl TryFromAddress for Ipv6Addr {
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        }
    }
}
