//! Clusters of several edges, each under a name of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{
    Action, Authentication, Authorization, Chain, Cluster, Edge, ExternalAuthorization, Guard, HttpServer,
    KeySource, Route, Serve, TcpTarget,
};

type Clusters = BTreeMap<Arc<str>, Arc<Cluster>>;
type Renames = BTreeMap<Arc<str>, Arc<str>>;

/// Adds those of another edge. When one of them has the name of a different one, the edge is given back with another name
/// for it.
pub(super) fn add(clusters: &mut Clusters, other: &Edge) -> Option<Edge> {
    let mut renames = Renames::new();
    for (name, cluster) in &other.clusters {
        match clusters.get(name) {
            None => {
                clusters.insert(Arc::clone(name), Arc::clone(cluster));
            }
            Some(mine) if mine == cluster => {}
            Some(_) => {
                let free =
                    |name: &Arc<str>| !clusters.contains_key(name) && !other.clusters.contains_key(name);
                let new = (2..).map(|number| Arc::from(format!("{name} ({number})"))).find(free);
                let new = new.expect("there are more numbers than clusters");
                let cluster = Cluster { name: Arc::clone(&new), ..(**cluster).clone() };
                clusters.insert(Arc::clone(&new), Arc::new(cluster));
                renames.insert(Arc::clone(name), new);
            }
        }
    }
    (!renames.is_empty()).then(|| renamed(other, &renames))
}

fn renamed(edge: &Edge, renames: &Renames) -> Edge {
    let mut edge = edge.clone();
    for Chain { serve, .. } in edge.listeners.iter_mut().flat_map(|listener| &mut listener.chains) {
        match serve {
            Serve::Http(server) => http(Arc::make_mut(server), renames),
            Serve::Tcp(route) => {
                let route = Arc::make_mut(route);
                relay(&mut route.targets, renames);
                if let Some(rules) = &mut route.authorization {
                    authorization(Arc::make_mut(rules), renames);
                }
            }
            Serve::Udp(route) => relay(&mut Arc::make_mut(route).targets, renames),
        }
    }
    edge
}

fn rename(name: &mut Arc<str>, renames: &Renames) {
    if let Some(new) = renames.get(name) {
        *name = Arc::clone(new);
    }
}

fn relay(targets: &mut [TcpTarget], renames: &Renames) {
    targets.iter_mut().for_each(|target| rename(&mut target.cluster, renames));
}

fn http(server: &mut HttpServer, renames: &Renames) {
    if let Some(rules) = &mut server.authentication {
        tokens(Arc::make_mut(rules), renames);
    }
    if let Some(rules) = &mut server.authorization {
        authorization(Arc::make_mut(rules), renames);
    }
    for host in &mut server.hosts {
        host.routes = host.routes.iter().map(|route| Arc::new(self::route(route, renames))).collect();
    }
}

fn tokens(rules: &mut Authentication, renames: &Renames) {
    for rule in &mut rules.rules {
        if let KeySource::Remote(keys) = &mut Arc::make_mut(rule).keys
            && let Some(cluster) = &mut keys.cluster
        {
            rename(cluster, renames);
        }
    }
}

fn authorization(rules: &mut Authorization, renames: &Renames) {
    for rule in &mut rules.external {
        external(&mut rule.service, renames);
    }
}

fn external(service: &mut Arc<ExternalAuthorization>, renames: &Renames) {
    rename(&mut Arc::make_mut(service).cluster, renames);
}

fn route(route: &Route, renames: &Renames) -> Route {
    let mut route = route.clone();
    if let Action::Forward(forward) = &mut route.action {
        forward.targets.iter_mut().for_each(|target| rename(&mut target.cluster, renames));
        forward.mirrors.iter_mut().for_each(|mirror| rename(&mut mirror.cluster, renames));
    }
    if let Some(guard) = &mut route.guard {
        let Guard { authorization: rules, external: service, .. } = Arc::make_mut(guard);
        if let Some(rules) = rules {
            authorization(Arc::make_mut(rules), renames);
        }
        if let Some(service) = service {
            external(service, renames);
        }
    }
    route
}
