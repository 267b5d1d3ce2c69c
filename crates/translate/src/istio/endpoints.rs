//! Where the endpoints of a service are, and who is behind them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use plenipo_model::{Dns, DnsFamily, DnsKind};
use plenipo_resources::istio::WorkloadEntry;
use plenipo_resources::{Set, View};

use super::options::Locality;
use super::registry::{Declared, Entry, Port, Service};
use super::workloads::{Account, Workload, Workloads};
use crate::directory::{Directory, Lookup};
use crate::findings::Findings;
use crate::options::Options;

/// The label of a WorkloadEntry whose workload speaks mutual TLS.
const TLS_MODE: &str = "security.istio.io/tlsMode";

/// An endpoint, and who is behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    pub(super) address: SocketAddr,
    pub(super) weight: u32,
    pub(super) priority: u32,
    /// It is spoken to in clear text, whatever is spoken to the others.
    pub(super) clear_text: bool,
    pub(super) workload: Workload,
}

/// The endpoints of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// These.
    Spots(Vec<Spot>),
    /// Given by hand, or found by asking for the name: nobody knows who is there.
    Given(SocketAddr),
    Dns(Dns),
}

/// What endpoints are read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct World<'w, 'a> {
    pub(super) set: &'a Set,
    pub(super) options: &'a Options,
    pub(super) directory: Directory<'a>,
    pub(super) workloads: &'w Workloads<'a>,
}

impl World<'_, '_> {
    pub(super) fn find(&self, service: &Service<'_>, port: &Port, findings: &mut Findings) -> Found {
        match &service.origin {
            Declared::Kubernetes { name, .. } => self.in_kubernetes(service, name, port),
            Declared::Entries(entries) => self.declared(service, entries, port, findings),
        }
    }

    fn in_kubernetes(&self, service: &Service<'_>, name: &str, port: &Port) -> Found {
        let Declared::Kubernetes { service: written, .. } = &service.origin else {
            return Found::Spots(Vec::new());
        };
        let spec = written.map(|(_, spec)| spec);
        let namespace = service.namespace.as_str();
        let place = Some((name, namespace));
        let found = self.directory.located(namespace, name, port.number, DnsFamily::V4);
        let nothing = BTreeMap::new();
        let selected = spec.and_then(|spec| spec.selector.as_ref()).unwrap_or(&nothing);
        let spots: Vec<Spot> = match found {
            Lookup::Found(found) => found
                .into_iter()
                .map(|located| {
                    let ip = located.address.ip();
                    let workload = self.workloads.behind(namespace, selected, ip, located.endpoint);
                    Spot { address: located.address, weight: 1, priority: 0, clear_text: false, workload }
                })
                .collect(),
            Lookup::NoService | Lookup::NoPort => Vec::new(),
        };
        if !spots.is_empty() {
            return Found::Spots(spots);
        }
        if let Some(address) = self.options.resolved(&service.host, place, port.number) {
            return Found::Given(address);
        }
        let external = spec.and_then(|spec| spec.external_name.clone()).filter(|name| !name.is_empty());
        match external {
            Some(name) => Found::Dns(dns(name, port.number, DnsKind::Strict)),
            None if self.options.force_directory_endpoints => {
                Found::Dns(dns(service.host.clone(), port.number, DnsKind::Strict))
            }
            None => Found::Spots(spots),
        }
    }

    fn declared(
        &self,
        service: &Service<'_>,
        entries: &[Entry<'_>],
        port: &Port,
        findings: &mut Findings,
    ) -> Found {
        if let Some(address) = self.options.resolved(&service.host, None, port.number) {
            return Found::Given(address);
        }
        let mut spots = Vec::new();
        let mut names = Vec::new();
        let mut kind = None;
        for entry in entries {
            let resolution = entry.spec.resolution.as_deref().unwrap_or("NONE");
            match resolution {
                "DNS" => kind = kind.or(Some(DnsKind::Strict)),
                "DNS_ROUND_ROBIN" => kind = kind.or(Some(DnsKind::Logical)),
                "NONE" | "STATIC" => {}
                other => {
                    let message =
                        format!("endpoints are not found by '{other}', it has only those that are written");
                    let fix = "write DNS or STATIC";
                    findings.error(entry.object, "not-supported", "spec.resolution", message, fix);
                }
            }
            for (field, endpoint) in self.workload_entries(entry) {
                let number = target(endpoint, port);
                let Some(number) = number else { continue };
                if let Ok(ip) = endpoint.address.parse::<IpAddr>() {
                    spots.push(spot(entry, endpoint, SocketAddr::new(ip, number)));
                } else if kind.is_some() && !endpoint.address.contains("://") && !endpoint.address.is_empty()
                {
                    names.push((endpoint.address.to_ascii_lowercase(), number));
                } else {
                    let message = format!("'{}' is not an address, it is not used", endpoint.address);
                    let fix = "write an address, or resolution: DNS";
                    findings.error(entry.object, "bad-address", &field, message, fix);
                }
            }
            spots.extend(self.selected_pods(entry, port));
        }
        spots.sort_by_key(|spot| spot.address);
        spots.dedup_by_key(|spot| spot.address);
        if let (true, Some(kind)) = (spots.is_empty() || !names.is_empty(), kind) {
            names.extend(spots.iter().map(|spot| (spot.address.ip().to_string(), spot.address.port())));
            return self.by_name(service, entries, port, names, kind, findings);
        }
        if spots.is_empty() {
            for entry in entries {
                let message = format!("it has no endpoints, requests for {} are answered 503", service.host);
                let fix = "write endpoints, or resolution: DNS";
                findings.warn(entry.object, "no-endpoints", "spec.endpoints", message, fix);
            }
        }
        Found::Spots(spots)
    }

    /// The names that are asked for: those of endpoints (and their addresses), else that of the service.
    fn by_name(
        &self,
        service: &Service<'_>,
        entries: &[Entry<'_>],
        port: &Port,
        names: Vec<(String, u16)>,
        kind: DnsKind,
        findings: &mut Findings,
    ) -> Found {
        let mut names = names.into_iter();
        let own = (service.host.clone(), port.target.unwrap_or(port.number));
        let (name, number) = names.next().unwrap_or(own);
        if name.starts_with('*') {
            if let Some(entry) = entries.first() {
                let message = format!("{name} is not the name of a host, requests are answered 503");
                let fix = "write endpoints, or the name of a host";
                findings.error(entry.object, "wildcard-without-endpoints", "spec.hosts", message, fix);
            }
            return Found::Spots(Vec::new());
        }
        if let Some(address) = self.options.resolved(&name, None, number) {
            return Found::Given(address);
        }
        // A logical name is one place at a time.
        let others = if kind == DnsKind::Strict { names.collect() } else { Vec::new() };
        Found::Dns(Dns { others, ..dns(name, number, kind) })
    }

    /// Those written in the entry, else the WorkloadEntries it selects.
    fn workload_entries<'e>(&'e self, entry: &Entry<'e>) -> Vec<(String, &'e WorkloadEntry)> {
        let written = entry.spec.endpoints.iter().enumerate();
        let written: Vec<_> =
            written.map(|(place, one)| (format!("spec.endpoints[{place}].address"), one)).collect();
        let Some(selector) = entry.spec.workload_selector.as_ref().filter(|_| written.is_empty()) else {
            return written;
        };
        let near = self.set.of_kind("WorkloadEntry").iter();
        near.filter(|object| object.id.namespace == entry.object.id.namespace)
            .filter_map(|object| match &object.view {
                View::WorkloadEntry(spec) => {
                    let label = |key: &String| spec.labels.get(key).or_else(|| object.meta.labels.get(key));
                    let takes = selector.labels.iter().all(|(key, value)| label(key) == Some(value));
                    takes.then(|| ("spec.workloadSelector".to_owned(), &**spec))
                }
                _ => None,
            })
            .collect()
    }

    fn selected_pods(&self, entry: &Entry<'_>, port: &Port) -> Vec<Spot> {
        let selector = entry.spec.workload_selector.as_ref().filter(|_| entry.spec.endpoints.is_empty());
        let Some(selector) = selector else { return Vec::new() };
        let number = port.target.unwrap_or(port.number);
        let pods = self.workloads.selected(&entry.object.id.namespace, &selector.labels);
        let spot = |(ip, workload): (IpAddr, Workload)| Spot {
            address: SocketAddr::new(ip, number),
            weight: 1,
            priority: 0,
            clear_text: false,
            workload,
        };
        pods.into_iter().map(spot).collect()
    }
}

fn dns(name: String, port: u16, kind: DnsKind) -> Dns {
    Dns { name, port, kind, family: DnsFamily::V4, respect_ttl: true, others: Vec::new() }
}

/// The port of an endpoint: what it says under the name of the service's port, else that port's own target.
fn target(endpoint: &WorkloadEntry, port: &Port) -> Option<u16> {
    let own = endpoint.ports.get(&port.name).and_then(|number| u16::try_from(*number).ok());
    own.or(port.target).or(Some(port.number)).filter(|number| *number > 0)
}

fn spot(entry: &Entry<'_>, endpoint: &WorkloadEntry, address: SocketAddr) -> Spot {
    let account = endpoint.service_account.clone().filter(|name| !name.is_empty());
    let namespace = entry.object.id.namespace.to_string();
    Spot {
        address,
        weight: endpoint.weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1).max(1),
        priority: 0,
        clear_text: false,
        workload: Workload {
            labels: endpoint.labels.clone(),
            is_known: true,
            sidecar: Some(endpoint.labels.get(TLS_MODE).is_some_and(|mode| mode == "istio")),
            account: account.map(|name| Account { namespace, name }),
            locality: endpoint.locality.as_deref().map(Locality::parse).unwrap_or_default(),
        },
    }
}
