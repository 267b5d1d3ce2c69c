//! What one translation leaves for the next.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use plenipo_model::{Cluster, Edge, HostPattern, Listener, Serve};
use plenipo_resources::{Object, ObjectId, Set, View};
use rustc_hash::FxHashSet;

use super::auth_service::{self, Authorisation};
use super::hosts::{self, Association, HostEntry};
use super::listener::{self, Serving};
use super::mapping::{self, Patterns, Policies, Reading};
use super::mappings::{Mappings, RouteLists};
use super::module::Settings;
use super::ours::Ours;
use super::tls::Contexts;
use super::upstream::{Clusters, Upstreams, World};
use super::{elsewhere, tcp, unused_contexts};
use crate::changes::Changes;
use crate::directory::Directory;
use crate::findings::Findings;
use crate::ledger::Ledger;
use crate::memory::Reader;
use crate::options::Options;
use crate::secrets::{SecretName, Secrets};

/// What one translation of this dialect leaves for the next, so that a change costs what it touches.
///
/// What is kept, and when it is made anew:
/// - What a Mapping says ([`Reading`]) depends on its object, on [`Options`], on the Modules, TLSContexts and resolvers
///   (the *basis*) and on the Secrets that reading it looked at. Objects are the same when they are the same `Arc`.
/// - Where it stands among others, and so the routes, depends on that, on the names and selectors of the Hosts and on
///   how requests are authorised (the *frame*'s terms). A group with the same members keeps its route, to the very
///   `Arc`; a Host with the same routes keeps its list.
/// - A cluster depends on the first Mapping that wants it and on the Service, EndpointSlices and Endpoints of that name:
///   endpoints come and go without a Mapping being read.
/// - Certificates depend on their Secrets. Files are read every time.
/// - Everything else (Listeners, Hosts, Modules, TCPMappings) is translated every time: there are few.
///
/// What is found in what is kept goes into the ledger with it, and out again with it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    options: Option<Options>,
    /// Objects of the kinds that are translated every time.
    frame: Arc<[Arc<Object>]>,
    basis: Vec<Arc<Object>>,
    terms: Terms,
    patterns: Patterns,
    mappings: Mappings,
    routes: RouteLists,
}

/// What decides which Hosts take a Mapping, and what for.
#[derive(PartialEq, Eq, Debug, Default)]
struct Terms {
    hosts: Vec<(HostPattern, Option<BTreeMap<String, String>>)>,
    authorisation: Authorisation,
}

/// Everything that is read every time.
struct Frame<'f, 'a> {
    set: &'a Set,
    options: &'a Options,
    directory: Directory<'a>,
    ours: &'f Ours<'a>,
    world: World<'f, 'a>,
    hosts: &'f [HostEntry<'a>],
    upstreams: &'f Upstreams<'a>,
    authorisation: Authorisation,
    /// The cluster that is asked about requests.
    authoriser: Option<Arc<Cluster>>,
}

/// Where findings go: of what is translated every time, and of what is kept.
struct Found<'f> {
    findings: &'f mut Findings,
    ledger: &'f mut Ledger,
}

impl Memory {
    /// What the objects ask for. `places` are the Services whose endpoints may not be where they were.
    pub(crate) fn translate(
        &mut self,
        changes: &Changes,
        places: &HashSet<String>,
        reader: Reader<'_>,
        ledger: &mut Ledger,
    ) -> Edge {
        let Reader { set, options, directory, material, findings } = reader;
        if changes.all().any(|object| is_of_frame(object)) {
            self.frame = set.objects().iter().filter(|object| is_of_frame(object)).cloned().collect();
        }
        let objects = Arc::clone(&self.frame);
        let ours = Ours::select(&objects, options, findings);
        let settings = Settings::read(&ours, options, findings);
        let contexts = Contexts::new(&ours);
        let mut secrets = Secrets::new(set, options, std::mem::take(material));
        let hosts = hosts::read(&ours, &contexts, &settings, options, &mut secrets, findings);
        let world = World { settings: &settings, contexts: &contexts };
        let upstreams = Upstreams::new(&ours, options);
        let mut reader = auth_service::Reader {
            world,
            options,
            upstreams: &upstreams,
            directory,
            secrets: &mut secrets,
            findings: &mut *findings,
        };
        let (authorisation, authoriser) = reader.read(&ours);
        let frame = Frame {
            set,
            options,
            directory,
            ours: &ours,
            world,
            hosts: &hosts,
            upstreams: &upstreams,
            authorisation,
            authoriser,
        };
        let mut found = Found { findings, ledger };
        let edge = self.edge(&frame, changes, places, &mut secrets, &mut found);
        unused_contexts(&ours, &contexts, findings);
        *material = secrets.into_material();
        edge
    }

    fn edge<'a>(
        &mut self,
        frame: &Frame<'_, 'a>,
        changes: &Changes,
        places: &HashSet<String>,
        secrets: &mut Secrets<'a>,
        found: &mut Found<'_>,
    ) -> Edge {
        let Frame { options, directory, world, hosts, .. } = *frame;
        let Found { findings, ledger } = found;
        let another = self.follow_options(options);
        let fresh = self.follow_basis() || another;
        let read = self.read(frame, changes, fresh, secrets, ledger);
        let everywhere = self.follow_terms(frame) || fresh;
        if everywhere || !read.is_empty() {
            let mut association = Association::new(hosts, options.disable_strict_label_selectors);
            let which = (fresh || !everywhere).then_some(&*read);
            self.mappings.place(which, &mut association, ledger);
        }
        let Mappings { groups, clusters, .. } = &mut self.mappings;
        let changed = groups.settle(world.settings, &frame.authorisation, ledger);
        clusters.settle(&directory, places, options, another, ledger);
        let mut tcp = tcp::Reader {
            world,
            options,
            hosts,
            upstreams: frame.upstreams,
            clusters,
            own: BTreeMap::new(),
            directory,
            secrets,
            findings,
        };
        let relays = tcp.read(frame.ours);
        let own = tcp.own;
        let routes = self.routes.follow(groups, &changed, hosts, world.settings, everywhere);
        let terms = listener::read(frame.ours, &relays, options, findings);
        let serving = Serving { hosts, routes, tcp: &relays, settings: world.settings, options };
        let listeners: Vec<Listener> =
            terms.iter().filter_map(|terms| listener::listener(terms, &serving, findings)).collect();
        let served = served(&listeners, serving.routes);
        self.routes.name(served, groups, &changed, everywhere, clusters);
        let mut clusters = all_clusters(&listeners, clusters, &own);
        clusters
            .extend(frame.authoriser.iter().map(|cluster| (Arc::clone(&cluster.name), Arc::clone(cluster))));
        Edge { listeners, clusters }
    }

    /// Whether the options are others than the last time.
    fn follow_options(&mut self, options: &Options) -> bool {
        if self.options.as_ref() == Some(options) {
            return false;
        }
        self.options = Some(options.clone());
        true
    }

    /// Whether the objects that all Mappings depend on are others than the last time.
    fn follow_basis(&mut self) -> bool {
        let basis: Vec<_> = self.frame.iter().filter(|object| is_of_basis(object)).cloned().collect();
        let same = basis.len() == self.basis.len()
            && basis.iter().zip(&self.basis).all(|(now, before)| Arc::ptr_eq(now, before));
        self.basis = basis;
        !same
    }

    /// Whether Mappings may belong elsewhere than the last time.
    fn follow_terms(&mut self, frame: &Frame<'_, '_>) -> bool {
        let known = &self.terms;
        let same_host = |(host, known): (&HostEntry<'_>, &(HostPattern, Option<BTreeMap<_, _>>))| {
            host.pattern == known.0 && host.selector == known.1.as_ref()
        };
        if known.authorisation == frame.authorisation
            && known.hosts.len() == frame.hosts.len()
            && frame.hosts.iter().zip(&known.hosts).all(same_host)
        {
            return false;
        }
        let hosts = frame.hosts.iter().map(|host| (host.pattern.clone(), host.selector.cloned()));
        self.terms = Terms { hosts: hosts.collect(), authorisation: frame.authorisation.clone() };
        true
    }

    /// Reads the Mappings that may not say what they said; with `fresh`, all. They have no place yet.
    fn read<'a>(
        &mut self,
        frame: &Frame<'_, 'a>,
        changes: &Changes,
        fresh: bool,
        secrets: &mut Secrets<'a>,
        ledger: &mut Ledger,
    ) -> Vec<ObjectId> {
        for object in &changes.gone {
            self.mappings.remove(&object.id, &mut self.patterns, ledger);
        }
        let mut reader = mapping::Reader {
            world: frame.world,
            options: frame.options,
            upstreams: frame.upstreams,
            secrets,
            patterns: &mut self.patterns,
            plain: Arc::new(Policies::plain(frame.world.settings)),
            shared: mapping::Shared::default(),
            findings: Findings::default(),
        };
        let mut readings: Vec<Reading> = if fresh {
            frame.set.objects().iter().filter_map(|object| reader.read(object)).collect()
        } else {
            let changed: Vec<_> = changes.all().filter_map(|object| secret(object)).collect();
            let others = (!changed.is_empty()).then(|| self.mappings.that_asked_for(&changed));
            changes
                .new
                .iter()
                .chain(others.into_iter().flatten())
                .filter_map(|object| reader.read(object))
                .collect()
        };
        // Loaded in this order, nearly all stand at the end of the lists that they belong to.
        readings.sort_by(|a, b| a.order.cmp(&b.order));
        let ids = readings.iter().map(|reading| reading.object.id.clone()).collect();
        for reading in readings {
            self.mappings.insert(reading, &mut self.patterns, ledger);
        }
        ids
    }
}

fn is_of_frame(object: &Object) -> bool {
    matches!(
        object.view,
        View::Listener(_)
            | View::Host(_)
            | View::TcpMapping(_)
            | View::TlsContext(_)
            | View::Module(_)
            | View::Resolver(_)
            | View::AuthService(_)
            | View::Inactive
    ) || elsewhere::is_told(object)
}

fn is_of_basis(object: &Object) -> bool {
    matches!(object.view, View::Module(_) | View::TlsContext(_) | View::Resolver(_))
}

fn secret(object: &Object) -> Option<SecretName> {
    let (namespace, name) = (object.id.namespace.to_string(), object.id.name.to_string());
    matches!(object.view, View::Secret(_)).then_some(SecretName::Secret { namespace, name })
}

/// Which of these lists of routes a Listener serves.
fn served(listeners: &[Listener], routes: &[Arc<[Arc<plenipo_model::Route>]>]) -> Vec<bool> {
    let chains = listeners.iter().flat_map(|listener| &listener.chains);
    let servers = chains.filter_map(|chain| match &chain.serve {
        Serve::Http(server) => Some(server),
        Serve::Tcp(_) | Serve::Udp(_) => None,
    });
    let lists = servers.flat_map(|server| &server.hosts).map(|host| Arc::as_ptr(&host.routes));
    let lists: FxHashSet<_> = lists.collect();
    routes.iter().map(|list| lists.contains(&Arc::as_ptr(list))).collect()
}

/// The clusters that something served names.
fn all_clusters(
    listeners: &[Listener],
    clusters: &Clusters,
    own: &BTreeMap<Arc<str>, Arc<Cluster>>,
) -> BTreeMap<Arc<str>, Arc<Cluster>> {
    let mut all = clusters.served().clone();
    for chain in listeners.iter().flat_map(|listener| &listener.chains) {
        let targets = match &chain.serve {
            Serve::Http(_) => continue,
            Serve::Tcp(route) => &route.targets,
            Serve::Udp(route) => &route.targets,
        };
        for target in targets {
            if let Some(cluster) = clusters.cluster(&target.cluster).or_else(|| own.get(&target.cluster)) {
                all.insert(Arc::clone(&cluster.name), Arc::clone(cluster));
            }
        }
    }
    all
}
