use super::*;

fn wild(texts: &[&str]) -> Values {
    Values::Wildcards(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn host(found: &RouteMatch, host: &str) -> bool {
    found.host.as_ref().is_some_and(|rule| rule.matches(host))
}

#[test]
fn hosts_have_no_case_and_stars_cross_dots() {
    let found = matches(&[Condition::Host(wild(&["*.Example.com", "a?.org"]))]).expect("valid");
    assert!(host(&found, "a.b.example.com"));
    assert!(!host(&found, "example.com"));
    assert!(!host(&found, "wwwxexample.com"), "a dot is a dot");
    assert!(host(&found, "ab.org"));
    assert!(!host(&found, "a.org"));
}

#[test]
fn paths_are_exact_about_case() {
    let path = |texts: &[&str]| matches(&[Condition::Path(wild(texts))]).expect("valid").path;
    assert_eq!(path(&["/*"]), PathMatch::Prefix("/".to_owned()));
    assert_eq!(path(&["/a"]), PathMatch::Exact("/a".to_owned()));
    let both = path(&["/a", "/a/*"]);
    assert!(both.matches("/a") && both.matches("/a/b") && !both.matches("/ab") && !both.matches("/A"));
    assert!(path(&["/img/*/pics?"]).matches("/img/x/y/pics1"));
    assert!(anything().path.matches("*"));
}

#[test]
fn regexes_are_found_anywhere() {
    let found = Condition::Path(Values::Regexes(vec!["^/v[12]/".to_owned()]));
    let found = matches(&[found]).expect("valid").path;
    assert!(found.matches("/v1/a") && !found.matches("/v3/a"));
}

#[test]
fn queries() {
    let pairs = |pairs: &[(Option<&str>, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| (key.map(str::to_owned), (*value).to_owned())).collect();
        matches(&[Condition::Query(pairs)]).expect("valid").parameters.remove(0)
    };
    let found = pairs(&[(Some("version"), "v1"), (None, "*exam?le*")]);
    assert!(found.matches("Version=V1") && found.matches("x=an example"));
    assert!(!found.matches("version=v2"));
    let literal = pairs(&[(None, r"a\*\?\\b")]);
    assert!(literal.matches(r"k=a*?\b") && !literal.matches("k=axyzb"));
}

#[test]
fn methods_headers_and_peers() {
    let found = matches(&[
        Condition::Method(vec!["GET".to_owned(), "HEAD".to_owned()]),
        Condition::Header { name: "User-Agent".to_owned(), values: wild(&["*chrome*"]) },
        Condition::SourceIp(vec!["10.0.0.0/8".to_owned(), "2001:db8::1".to_owned()]),
    ])
    .expect("valid");
    let method = found.method.expect("a method");
    assert!(method.matches("GET") && !method.matches("get"));
    assert!(found.headers[0].value.matches("A Chrome B"));
    assert_eq!(found.peers.len(), 2);
}

#[test]
fn what_cannot_be_met_is_refused() {
    let bad = [
        vec![Condition::Path(wild(&[]))],
        vec![Condition::Host(wild(&["a"])), Condition::Host(wild(&["b"]))],
        vec![Condition::SourceIp(vec!["here".to_owned()])],
        vec![Condition::SourceIp(vec![])],
        vec![Condition::Path(Values::Regexes(vec!["(".to_owned()]))],
        vec![Condition::Header { name: "a b".to_owned(), values: wild(&["x"]) }],
    ];
    for conditions in bad {
        assert!(matches(&conditions).is_err(), "{conditions:?}");
    }
}
