//! The getambassador.io dialect: Listeners, Hosts, Mappings and what belongs to them.

mod directory;
mod group;
mod hosts;
mod listener;
mod mapping;
mod module;
mod ours;
mod policy;
mod service;
mod tcp;
mod tls;
mod upstream;

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use plenipo_model::{Action, Edge, Listener, Route, Serve};
use plenipo_resources::ambassador::{ErrorResponseOverride, TlsConfig};
use plenipo_resources::{Set, View};
use serde::Deserialize;

use self::directory::Directory;
use self::group::{Group, Routes, own_route};
use self::hosts::{Association, HostEntry};
use self::listener::Serving;
use self::mapping::{Policies, Rank};
use self::module::Settings;
use self::ours::Ours;
use self::tls::{Contexts, Secrets};
use self::upstream::{Upstreams, World};
use crate::findings::Findings;
use crate::options::Options;

pub(crate) use self::mapping::Patterns;

/// What the getambassador.io objects of `set` ask for.
pub(crate) fn translate(
    set: &Set,
    options: &Options,
    patterns: &mut Patterns,
    findings: &mut Findings,
) -> Edge {
    patterns.begin();
    let ours = Ours::select(set, options, findings);
    let settings = Settings::read(&ours, options, findings);
    let contexts = Contexts::new(&ours);
    let mut secrets = Secrets::new(set, options);
    let hosts = hosts::read(&ours, &contexts, &settings, options, &mut secrets, findings);
    let mut upstreams = Upstreams::new(&ours, Directory::new(set), options);
    let world = World { settings: &settings, contexts: &contexts };
    let unauthorised = missing_authorisation(&ours, findings);

    let mut association = Association::new(&hosts, options.disable_strict_label_selectors);
    let mut rules = Vec::with_capacity(ours.mappings.len());
    let plain = Rc::new(Policies::plain(&settings));
    let (up, keys) = (&mut upstreams, &mut secrets);
    let mut reader =
        mapping::Reader { world, options, upstreams: up, secrets: keys, patterns, findings, plain };
    for mapping in &ours.mappings {
        let Some(rule) = reader.read(*mapping) else { continue };
        let taken = association.hosts(rule.matching.host.as_ref(), &mapping.object.meta.labels);
        if taken.is_empty() {
            no_host(&rule, reader.findings);
            continue;
        }
        rules.push((rule, taken));
    }
    let groups = group::group(&rules, findings);
    let routes = routes(&groups, &hosts, &settings, unauthorised, findings);
    let tcp = tcp::Reader {
        world,
        options,
        hosts: &hosts,
        upstreams: &mut upstreams,
        secrets: &mut secrets,
        findings,
    }
    .read(&ours);
    let terms = listener::read(&ours, &tcp, options, findings);
    let serving = Serving { hosts: &hosts, routes: &routes, tcp: &tcp, settings: &settings, options };
    let listeners: Vec<Listener> =
        terms.iter().filter_map(|terms| listener::listener(terms, &serving, findings)).collect();
    unused_contexts(&ours, &contexts, findings);
    upstreams.retain(&used_clusters(&listeners));
    Edge { listeners, clusters: upstreams.into_clusters() }
}

/// The routes of every Host, in the order in which they are tried.
fn routes(
    groups: &[Group<'_, '_>],
    hosts: &[HostEntry<'_>],
    settings: &Settings<'_>,
    unauthorised: bool,
    findings: &mut Findings,
) -> Vec<Vec<Arc<Route>>> {
    let mut own: Vec<(Rank<'_>, Arc<Route>)> = settings
        .probes
        .iter()
        .map(|probe| (Rank::own(&probe.prefix), own_route(probe.name, &probe.prefix, probe.body)))
        .collect();
    // A user's route of the same rank goes first.
    own.sort_by(|a, b| b.0.cmp(&a.0));
    let mut own = own.into_iter().peekable();
    let mut of_hosts: Vec<Vec<Arc<Route>>> = vec![Vec::new(); hosts.len()];
    let everywhere = |route: &Arc<Route>, of_hosts: &mut Vec<Vec<Arc<Route>>>| {
        of_hosts.iter_mut().for_each(|routes| routes.push(Arc::clone(route)));
    };
    for group in groups {
        while let Some((_, route)) = own.next_if(|(rank, _)| rank > group.rank) {
            everywhere(&route, &mut of_hosts);
        }
        let Some(routes) = Routes::of(group, settings, unauthorised, findings) else { continue };
        for place in group.hosts.iter() {
            of_hosts[place].push(routes.on(group, &hosts[place].pattern));
        }
    }
    own.for_each(|(_, route)| everywhere(&route, &mut of_hosts));
    of_hosts
}

/// Authorisation is not there yet: where it is asked for, nothing that needs it is served.
fn missing_authorisation(ours: &Ours<'_>, findings: &mut Findings) -> bool {
    for service in &ours.auth_services {
        let message =
            "external authorisation is not supported yet: every route without bypass_auth answers 500"
                .to_owned();
        let fix = "remove the AuthService where another part of the system authorises requests";
        findings.refuse(service.object, "auth-not-supported", "", message, fix);
    }
    !ours.auth_services.is_empty() || findings.unreadable("AuthService")
}

fn no_host(rule: &mapping::Rule<'_>, findings: &mut Findings) {
    let (field, message, fix) = match &rule.matching.host {
        Some(host) => (
            "spec.hostname",
            format!(
                "no Host takes it: none has a name that fits '{}' (and a mappingSelector that fits its labels)",
                host.text
            ),
            "create a Host for this name, or change the name or the labels",
        ),
        None => (
            "spec.hostname",
            "no Host takes it: it has no hostname, and no Host selects it by its labels".to_owned(),
            "write hostname: \"*\" for every Host, or the name of one",
        ),
    };
    findings.warn(rule.mapping.object, "no-host", field, message, fix);
}

/// Contexts for names that nobody serves (not even an object that is refused for another reason).
fn unused_contexts(ours: &Ours<'_>, contexts: &Contexts<'_>, findings: &mut Findings) {
    let hosts = ours.hosts.iter().map(|host| host.spec.hostname.as_deref().unwrap_or("*"));
    let tcp = ours.tcp_mappings.iter().filter_map(|mapping| mapping.spec.host.as_deref());
    let names: HashSet<String> = hosts.chain(tcp).map(|name| name.trim().to_ascii_lowercase()).collect();
    for (host, contexts) in contexts.hosts() {
        if names.contains(host) {
            continue;
        }
        for context in contexts {
            let message = format!("no Host or TCPMapping is for '{host}'");
            let fix = "create a Host with this hostname";
            findings.note(context.object, "tls-context-without-host", "spec.hosts", message, fix);
        }
    }
}

/// The clusters that something served names, by the address of their (shared) name.
fn used_clusters(listeners: &[Listener]) -> HashSet<usize> {
    let address = |name: &Arc<str>| Arc::as_ptr(name).addr();
    let mut used = HashSet::new();
    let mut seen: HashSet<*const Route> = HashSet::new();
    for chain in listeners.iter().flat_map(|listener| &listener.chains) {
        match &chain.serve {
            Serve::Tcp(route) => used.extend(route.targets.iter().map(|target| address(&target.cluster))),
            Serve::Http(server) => {
                for route in server.hosts.iter().flat_map(|host| &host.routes) {
                    let Action::Forward(forward) = &route.action else { continue };
                    if seen.insert(Arc::as_ptr(route)) {
                        used.extend(forward.targets.iter().map(|target| address(&target.cluster)));
                        used.extend(forward.mirror.iter().map(|mirror| address(&mirror.cluster)));
                    }
                }
            }
        }
    }
    used
}

/// The files that objects of `set` name.
pub(crate) fn referenced_files(set: &Set) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for object in set.objects() {
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
            _ => {}
        }
    }
    files
}

fn tls_files(tls: &TlsConfig, files: &mut BTreeSet<String>) {
    let named = [&tls.cert_chain_file, &tls.private_key_file, &tls.cacert_chain_file, &tls.crl_file];
    files.extend(named.into_iter().flatten().cloned());
}

fn response_files(overrides: &[ErrorResponseOverride], files: &mut BTreeSet<String>) {
    let sources = overrides.iter().filter_map(|one| one.body.text_format_source.as_ref()?.filename.clone());
    files.extend(sources);
}
