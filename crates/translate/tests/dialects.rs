//! What must hold when several dialects are mixed.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use plenipo_model::{Accepts, Action, Chain, Edge, HostPattern, Serve, VirtualHost};
use plenipo_resources::{Object, Set, SetBuilder};
use plenipo_translate::{Options, translate};
use proptest::prelude::*;

/// The inputs of all golden cases, of all dialects.
static CASES: LazyLock<Vec<(String, String)>> = LazyLock::new(fixture::cases);

/// Two inputs of different cases as one: objects, and the options of both.
fn mixed(one: &str, other: &str) -> (Vec<Arc<Object>>, Options) {
    let mut builder = SetBuilder::default();
    let mut objects = fixture::objects(one, &mut builder);
    let known: BTreeSet<_> = objects.iter().map(|object| object.id.clone()).collect();
    let more = fixture::objects(other, &mut builder);
    objects.extend(more.into_iter().filter(|object| !known.contains(&object.id)));
    let comments = |text: &str| {
        text.lines().filter(|line| line.starts_with("# option: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let options = [comments(one), comments(other)].concat().join("\n");
    (objects, fixture::options(&options))
}

fn set(objects: &[Arc<Object>]) -> Set {
    let mut builder = SetBuilder::default();
    objects.iter().for_each(|object| builder.add(Arc::clone(object)));
    builder.build()
}

fn chains(edge: &Edge) -> impl Iterator<Item = &Chain> {
    edge.listeners.iter().flat_map(|listener| &listener.chains)
}

fn hosts(chain: &Chain) -> &[VirtualHost] {
    match &chain.serve {
        Serve::Http(server) => &server.hosts,
        Serve::Tcp(_) | Serve::Udp(_) => &[],
    }
}

/// Which names have a chain at an address.
fn names(edge: &Edge) -> Vec<String> {
    let claims =
        edge.listeners.iter().flat_map(|listener| listener.chains.iter().map(move |chain| (listener, chain)));
    let named = claims.flat_map(|(listener, chain)| match &chain.accepts {
        Accepts::Tls(names) => names.iter().map(|name| format!("{} {name}", listener.bind)).collect(),
        Accepts::ClearText | Accepts::Anything => vec![format!("{} in clear text", listener.bind)],
    });
    named.collect()
}

/// The edge is one that the data plane can rely on.
fn assert_sound(edge: &Edge) {
    let mut binds = BTreeSet::new();
    let mut listeners = BTreeSet::new();
    for listener in &edge.listeners {
        assert!(binds.insert((listener.bind, listener.transport)), "{} is there twice", listener.bind);
        assert!(listeners.insert(&listener.name), "two listeners are called {}", listener.name);
    }
    let names = names(edge);
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "a name has two chains: {names:?}");
    for chain in chains(edge) {
        let patterns: Vec<&HostPattern> = hosts(chain).iter().map(|host| &host.host).collect();
        assert!(patterns.is_sorted_by(|a, b| a < b), "not in order, or twice: {patterns:?}");
        for route in hosts(chain).iter().flat_map(|host| &*host.routes) {
            let Action::Forward(forward) = &route.action else { continue };
            let targets = forward.targets.iter().map(|target| &target.cluster);
            for name in targets.chain(forward.mirrors.iter().map(|mirror| &mirror.cluster)) {
                assert!(edge.clusters.contains_key(name), "{} names {name}, which is not there", route.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mixed_objects_make_a_sound_edge_in_whatever_order(
        one in 0..CASES.len(), other in 0..CASES.len(), turn in 0..40usize,
    ) {
        let (mut objects, options) = mixed(&CASES[one].1, &CASES[other].1);
        let expected = translate(&set(&objects), &options);
        assert_sound(&expected.0);
        let by = turn.min(objects.len());
        objects.rotate_left(by);
        objects.reverse();
        let found = translate(&set(&objects), &options);
        prop_assert_eq!(&expected.1, &found.1, "{} and {}", CASES[one].0, CASES[other].0);
        prop_assert!(expected.0 == found.0, "{} and {}: the edges differ", CASES[one].0, CASES[other].0);
    }
}
