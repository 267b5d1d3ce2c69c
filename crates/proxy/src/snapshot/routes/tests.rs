use std::sync::Arc;

use http::Method;
use plenipo_model::{
    Action, Forward, Fraction, HeaderMatch, PathMatch, Pattern, QueryMatch, Respond, Route, Source, Target,
    ValueMatch,
};
use proptest::prelude::*;

use super::*;
use crate::fields::Fields;
use crate::snapshot::hosts::Pages;
use crate::snapshot::upstreams::{Retired, Upstreams};

fn respond() -> Action {
    Action::Respond(Respond { status: http::StatusCode::OK, content_type: None, body: "".into() })
}

fn route(path: PathMatch) -> Route {
    Route::new("r", Source::new("test"), path, respond())
}

fn table(routes: Vec<Route>) -> Arc<RouteTable> {
    let routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
    let host = plenipo_model::VirtualHost::new(Source::new("test"), plenipo_model::HostPattern::Any, routes);
    Pages::default().host(&host, &Upstreams::default(), &Retired::default(), None, None).routes
}

fn asked<'a>(path: &'a str, method: &'a Method, headers: &'a Fields) -> Asked<'a> {
    Asked {
        host: "example.com",
        port: None,
        path,
        query: None,
        method,
        authority: "example.com",
        scheme: Some("https"),
        headers,
        claims: None,
        peer: None,
        draw: 0,
    }
}

fn picks(table: &RouteTable, path: &str) -> Option<usize> {
    table.pick(&asked(path, &Method::GET, &Fields::new())).map(|picked| picked.position)
}

#[test]
fn the_first_in_order_wins_whatever_its_kind() {
    let regex = |text: &str| PathMatch::Regex(Pattern::new(text).expect("valid"));
    let table = table(vec![
        route(PathMatch::Prefix("/foo/bar".into())),
        route(regex("/foo/[a-z]+")),
        route(PathMatch::Exact("/foo/x".into())),
        route(PathMatch::Segments("/seg/".into())),
        route(PathMatch::PrefixIgnoreCase("/ANY".into())),
        route(PathMatch::Prefix("/f".into())),
    ]);
    assert_eq!(picks(&table, "/foo/barx"), Some(0));
    assert_eq!(picks(&table, "/foo/x"), Some(1));
    assert_eq!(picks(&table, "/foo/1"), Some(5));
    assert_eq!(picks(&table, "/seg"), Some(3));
    assert_eq!(picks(&table, "/seg/x"), Some(3));
    assert_eq!(picks(&table, "/segx"), None);
    assert_eq!(picks(&table, "/anything"), Some(4));
    assert_eq!(picks(&table, "/"), None);
}

#[test]
fn every_part_must_match() {
    let mut narrow = route(PathMatch::Prefix("/".into()));
    narrow.matches.method = Some(ValueMatch::Exact("POST".into()));
    narrow.matches.headers =
        vec![HeaderMatch::new(http::HeaderName::from_static("x-a"), ValueMatch::Exact("1,2".into()))];
    narrow.matches.query = vec![QueryMatch { name: "q".into(), value: ValueMatch::Exact("v".into()) }];
    let table = table(vec![narrow]);
    let mut headers = Fields::new();
    headers.append("x-a", "1".parse().expect("valid"));
    headers.append("x-a", "2".parse().expect("valid"));
    let right = Asked { query: Some("a=b&q=v&q=w"), ..asked("/", &Method::POST, &headers) };
    assert!(table.pick(&right).is_some());
    let none = Fields::new();
    for wrong in [
        Asked { method: &Method::GET, ..right },
        Asked { headers: &none, ..right },
        Asked { query: Some("q=w&q=v"), ..right },
        Asked { query: None, ..right },
    ] {
        assert!(table.pick(&wrong).is_none());
    }
}

#[test]
fn weights_share_one_draw_and_the_rest_falls_through() {
    let source = Source::new("test");
    let target = |weight| Target { weight, ..Target::all(source.clone(), "c".into()) };
    let forward = Forward { targets: vec![target(30), target(50)], total: 100, ..Forward::to(target(1)) };
    let canary =
        Route::new("r", source.clone(), PathMatch::Prefix("/".into()), Action::Forward(Box::new(forward)));
    let table = table(vec![canary, route(PathMatch::Prefix("/".into()))]);
    let mut counts = [0; 3];
    for draw in 0..100 {
        let headers = Fields::new();
        let asked = Asked { draw: draw * 4096, ..asked("/", &Method::GET, &headers) };
        let picked = table.pick(&asked).expect("something takes it");
        counts[if picked.position == 1 { 2 } else { picked.target }] += 1;
    }
    assert_eq!(counts, [30, 50, 20]);
}

#[test]
fn a_missing_cluster_is_an_empty_one() {
    assert!(Upstreams::default().named(&"gone".into(), &Source::new("test")).endpoints().is_some());
}

fn paths() -> impl Strategy<Value = PathMatch> {
    let text = "(/[ab]{0,2}){1,3}/?";
    prop_oneof![
        text.prop_map(PathMatch::Prefix),
        text.prop_map(PathMatch::Exact),
        text.prop_map(PathMatch::Segments),
        text.prop_map(PathMatch::PrefixIgnoreCase),
        text.prop_map(PathMatch::ExactIgnoreCase),
        text.prop_map(|text| PathMatch::Regex(Pattern::new(&format!("{text}.*")).expect("valid"))),
    ]
}

proptest! {
    /// The index finds what trying every route in order finds.
    #[test]
    fn the_index_agrees_with_the_naive_search(
        paths in prop::collection::vec((paths(), prop::option::of(0..1_000_000u32)), 0..20),
        path in "(/[abA]{0,2}){1,4}",
        draw in any::<u32>(),
    ) {
        let routes: Vec<_> = paths
            .into_iter()
            .map(|(path, fraction)| {
                let mut route = route(path);
                route.matches.fraction = fraction.map(Fraction);
                route
            })
            .collect();
        let headers = Fields::new();
        let asked = Asked { draw, ..asked(&path, &Method::GET, &headers) };
        let naive = routes.iter().position(|route| accepts(route, &asked).is_ok());
        prop_assert_eq!(table(routes).pick(&asked).map(|picked| picked.position), naive);
    }
}
