//! DestinationRules: which hold for a service, and what of them holds for a port and a subset.

use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::istio::{
    ClientTls, ConnectionPool, DestinationRule, LoadBalancer, OutlierDetection, ProxyProtocol, RetryBudget,
    Subset, TrafficPolicy, Tunnel,
};
use plenipo_resources::{Object, Set, View};

use super::mesh::Mesh;
use crate::findings::Findings;
use crate::options::Options;

/// All rules that our namespace sees, by namespace, the oldest first.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    mesh: &'a Mesh,
    by_namespace: BTreeMap<&'a str, Vec<Rule<'a>>>,
}

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Rule<'a> {
    pub(super) object: &'a Object,
    pub(super) spec: &'a DestinationRule,
    /// In full.
    host: String,
    /// Is it seen in its own namespace alone?
    is_private: bool,
    /// Does it select our own pods? Then it goes before those that select nobody.
    selects: bool,
}

/// A part of a rule, and where it stands.
#[derive(Debug)]
pub(super) struct Part<'a, T> {
    pub(super) object: &'a Object,
    pub(super) field: String,
    pub(super) spec: &'a T,
}

impl<T> Part<'_, T> {
    /// A field of it.
    pub(super) fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.field)
    }
}

/// What holds for a port of a subset.
#[derive(Debug, Default)]
pub(super) struct Policy<'a> {
    pub(super) load_balancer: Option<Part<'a, LoadBalancer>>,
    pub(super) pool: Option<Part<'a, ConnectionPool>>,
    pub(super) outlier: Option<Part<'a, OutlierDetection>>,
    pub(super) tls: Option<Part<'a, ClientTls>>,
    pub(super) tunnel: Option<Part<'a, Tunnel>>,
    pub(super) proxy_protocol: Option<Part<'a, ProxyProtocol>>,
    pub(super) retry_budget: Option<Part<'a, RetryBudget>>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(set: &'a Set, options: &Options, mesh: &'a Mesh, findings: &mut Findings) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<Rule<'a>>> = BTreeMap::new();
        for object in set.of_kind("DestinationRule") {
            let View::DestinationRule(spec) = &object.view else { continue };
            if let Some(rule) = read(object, spec, options, mesh, findings) {
                by_namespace.entry(&object.id.namespace).or_default().push(rule);
            }
        }
        for list in by_namespace.values_mut() {
            list.sort_by_key(|rule| (!rule.selects, super::chronological(rule.object)));
            beaten(list, findings);
        }
        Self { mesh, by_namespace }
    }

    /// The rules that hold for a service, the one that goes first at the front: those of our own namespace (if it is not
    /// the root namespace), else those of the service's, else those of the root namespace. Within a namespace the host that
    /// is written most exactly.
    pub(super) fn of(&self, host: &str, namespace: &str) -> Vec<&Rule<'a>> {
        let own = self.mesh.namespace.as_str();
        let root = self.mesh.root_namespace.as_str();
        // A rule for everybody in the root namespace is not meant for our own use alone, even where we run there.
        let first = self.among(own, host, own == root);
        let mut found = first;
        for place in [namespace, root] {
            if found.is_empty() {
                found = self.among(place, host, false);
            }
        }
        found
    }

    fn among(&self, namespace: &str, host: &str, private_only: bool) -> Vec<&Rule<'a>> {
        let list = self.by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        let seen = |rule: &&Rule<'a>| !private_only || rule.is_private;
        let specificity = |rule: &Rule<'a>| -> Option<usize> {
            if rule.host == host {
                return Some(usize::MAX);
            }
            let suffix = rule.host.strip_prefix('*')?;
            host.ends_with(suffix).then_some(suffix.len())
        };
        let best = list.iter().filter(seen).filter_map(specificity).max();
        list.iter().filter(seen).filter(|rule| best.is_some() && specificity(rule) == best).collect()
    }
}

/// The subset of that name; of two in several rules the first.
pub(super) fn subset<'a>(rules: &[&Rule<'a>], name: &str) -> Option<Part<'a, Subset>> {
    rules.iter().find_map(|rule| {
        let place = rule.spec.subsets.iter().position(|subset| subset.name == name)?;
        let field = format!("spec.subsets[{place}]");
        Some(Part { object: rule.object, field, spec: &rule.spec.subsets[place] })
    })
}

/// What holds for a port: of the subset what it says itself, else of the first rule that says anything; what is said of
/// the port stands in place of all that.
pub(super) fn policy<'a>(rules: &[&Rule<'a>], subset: Option<&Part<'a, Subset>>, port: u16) -> Policy<'a> {
    let whole = rules.iter().find_map(|rule| {
        let spec = rule.spec.traffic_policy.as_ref()?;
        Some(Part { object: rule.object, field: "spec.trafficPolicy".to_owned(), spec })
    });
    let own = subset.and_then(|subset| {
        let spec = subset.spec.traffic_policy.as_ref()?;
        Some(Part { object: subset.object, field: subset.field("trafficPolicy"), spec })
    });
    let levels: Vec<&Part<'a, TrafficPolicy>> = own.iter().chain(&whole).collect();
    let mut policy = Policy {
        load_balancer: pick(&levels, "loadBalancer", |level| level.load_balancer.as_ref()),
        pool: pick(&levels, "connectionPool", |level| level.connection_pool.as_ref()),
        outlier: pick(&levels, "outlierDetection", |level| level.outlier_detection.as_ref()),
        tls: pick(&levels, "tls", |level| level.tls.as_ref()),
        tunnel: pick(&levels, "tunnel", |level| level.tunnel.as_ref()),
        proxy_protocol: pick(&levels, "proxyProtocol", |level| level.proxy_protocol.as_ref()),
        retry_budget: pick(&levels, "retryBudget", |level| level.retry_budget.as_ref()),
    };
    let level = levels.iter().find(|level| !level.spec.port_level_settings.is_empty());
    let on_port = level.and_then(|level| {
        let number = |port: &plenipo_resources::istio::PortTrafficPolicy| port.port.as_ref()?.number;
        let mut settings = level.spec.port_level_settings.iter();
        let place = settings.position(|settings| number(settings) == Some(i64::from(port)))?;
        Some((level, place))
    });
    if let Some((level, place)) = on_port {
        let spec = &level.spec.port_level_settings[place];
        let (object, field) = (level.object, level.field(&format!("portLevelSettings[{place}]")));
        policy.load_balancer = part(object, &field, "loadBalancer", spec.load_balancer.as_ref());
        policy.pool = part(object, &field, "connectionPool", spec.connection_pool.as_ref());
        policy.outlier = part(object, &field, "outlierDetection", spec.outlier_detection.as_ref());
        policy.tls = part(object, &field, "tls", spec.tls.as_ref());
    }
    policy
}

fn part<'a, T>(object: &'a Object, at: &str, name: &str, spec: Option<&'a T>) -> Option<Part<'a, T>> {
    Some(Part { object, field: format!("{at}.{name}"), spec: spec? })
}

fn pick<'a, T>(
    levels: &[&Part<'a, TrafficPolicy>],
    name: &str,
    of: impl Fn(&'a TrafficPolicy) -> Option<&'a T>,
) -> Option<Part<'a, T>> {
    levels.iter().find_map(|level| part(level.object, &level.field, name, of(level.spec)))
}

fn read<'a>(
    object: &'a Object,
    spec: &'a DestinationRule,
    options: &Options,
    mesh: &Mesh,
    findings: &mut Findings,
) -> Option<Rule<'a>> {
    let namespace = &*object.id.namespace;
    let labels = spec.workload_selector.as_ref().map(|selector| &selector.match_labels);
    let labels = labels.filter(|labels| !labels.is_empty());
    let own = &options.istio.labels;
    let selects = labels.is_some_and(|labels| {
        namespace == mesh.namespace && labels.iter().all(|(key, value)| own.get(key) == Some(value))
    });
    let seen = mesh.sees(&spec.export_to, &mesh.config.default_destination_rule_export_to, namespace);
    if !seen || (labels.is_some() && !selects) {
        findings.ignore(object);
        return None;
    }
    findings.accept(object);
    super::unknown_fields(object, findings);
    if spec.host.trim().is_empty() {
        let message = "it says for no host how connections are made".to_owned();
        findings.refuse(object, "no-host", "spec.host", message, "write the name of a service");
        return None;
    }
    let mut names = BTreeSet::new();
    for (place, subset) in spec.subsets.iter().enumerate() {
        let field = format!("spec.subsets[{place}].name");
        if !is_label(&subset.name) {
            let message = format!("'{}' is not the name of a subset", subset.name);
            findings.error(
                object,
                "bad-subset",
                &field,
                message,
                "use lower-case letters, digits and dashes",
            );
        } else if !names.insert(&subset.name) {
            let message = format!("there is a subset '{}' already, which is used", subset.name);
            findings.error(object, "duplicate-subset", &field, message, "give it another name");
        }
    }
    let is_private = !spec.export_to.is_empty() && spec.export_to.iter().all(|place| place == ".");
    Some(Rule { object, spec, host: mesh.full_name(&spec.host, namespace), is_private, selects })
}

/// RFC 1123: a DNS label.
fn is_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || c == '-')
}

/// Of the rules of a namespace for one host, the traffic policy of the oldest holds, and of two subsets of a name the
/// first.
fn beaten(list: &[Rule<'_>], findings: &mut Findings) {
    for (place, rule) in list.iter().enumerate() {
        let before = || list[..place].iter().filter(|other| other.host == rule.host);
        let policy = before().find(|other| other.spec.traffic_policy.is_some());
        if let (Some(winner), true) = (policy, rule.spec.traffic_policy.is_some()) {
            let message = format!(
                "the traffic policy of {} holds for {}, this one does not",
                winner.object.id, rule.host
            );
            let fix = "keep one DestinationRule with a trafficPolicy for each host";
            findings.warn(rule.object, "rule-conflict", "spec.trafficPolicy", message, fix);
        }
        for (at, subset) in rule.spec.subsets.iter().enumerate() {
            let has = |other: &&Rule<'_>| other.spec.subsets.iter().any(|one| one.name == subset.name);
            if let Some(winner) = before().find(has) {
                let message =
                    format!("{} has the subset '{}' already, which is used", winner.object.id, subset.name);
                let field = format!("spec.subsets[{at}].name");
                findings.warn(rule.object, "duplicate-subset", &field, message, "give it another name");
            }
        }
    }
}
