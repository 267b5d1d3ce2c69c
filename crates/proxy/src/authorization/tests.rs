//! Rules against a naive oracle, and what is known of whom.

use std::rc::Rc;

use http::{Method, Request};
use plenipo_model::Pattern;
use proptest::prelude::*;

use super::*;
use crate::sample;

/// A request, and where it came from.
#[derive(Debug, Clone)]
struct Case {
    method: &'static str,
    path: &'static str,
    host: &'static str,
    team: Vec<&'static str>,
    tls: bool,
}

fn case() -> impl Strategy<Value = Case> {
    (
        proptest::sample::select(vec!["GET", "POST", "PUT"]),
        proptest::sample::select(vec!["/", "/a", "/a/b", "/admin", "/admin/x"]),
        proptest::sample::select(vec!["a.test", "A.test:80", "b.a.test"]),
        proptest::collection::vec(proptest::sample::select(vec!["red", "blue", ""]), 0..3),
        any::<bool>(),
    )
        .prop_map(|(method, path, host, team, tls)| Case { method, path, host, team, tls })
}

fn text() -> impl Strategy<Value = TextMatch> {
    let texts = vec!["GET", "/a", "/admin", "a.test", "red", "red,blue", "p", "ns/a", "*"];
    let exact = proptest::sample::select(texts);
    prop_oneof![
        exact.clone().prop_map(|text| TextMatch::Exact(text.to_owned())),
        exact.clone().prop_map(|text| TextMatch::Prefix(text[..text.len().min(2)].to_owned())),
        exact.prop_map(|text| TextMatch::Suffix(text[text.len() - 1..].to_owned())),
        Just(TextMatch::Present),
        Just(TextMatch::Regex(Pattern::new("/a(dmin)?").unwrap())),
    ]
}

/// As hosts are written in rules.
fn lower(text: TextMatch) -> TextMatch {
    match text {
        TextMatch::Exact(text) => TextMatch::Exact(text.to_lowercase()),
        TextMatch::Prefix(text) => TextMatch::Prefix(text.to_lowercase()),
        TextMatch::Suffix(text) => TextMatch::Suffix(text.to_lowercase()),
        other => other,
    }
}

fn test() -> impl Strategy<Value = AccessTest> {
    let texts = || proptest::collection::vec(text(), 1..3);
    let network =
        proptest::sample::select(vec!["0.0.0.0/0", "192.0.2.0/24", "203.0.113.0/24", "127.0.0.0/8", "::/0"]);
    let networks = proptest::collection::vec(network, 1..3)
        .prop_map(|list| list.into_iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>());
    let fact = prop_oneof![
        texts().prop_map(Fact::Method),
        texts().prop_map(Fact::Path),
        texts().prop_map(|texts| Fact::Host(texts.into_iter().map(lower).collect())),
        texts().prop_map(|texts| Fact::Header(HeaderName::from_static("x-team"), texts)),
        texts().prop_map(Fact::Principal),
        texts().prop_map(Fact::ServerName),
        texts().prop_map(Fact::TokenPrincipal),
        texts().prop_map(|texts| Fact::Claim(vec!["a".to_owned()], texts)),
        networks.clone().prop_map(Fact::Peer),
        networks.prop_map(Fact::Client),
        proptest::collection::vec(80u16..9000, 1..3).prop_map(Fact::LocalPort),
        Just(Fact::Anything),
    ];
    (fact, any::<bool>()).prop_map(|(fact, not)| AccessTest { fact, not })
}

fn policies() -> impl Strategy<Value = Vec<AccessPolicy>> {
    let alternatives = proptest::collection::vec(proptest::collection::vec(test(), 0..3), 0..3);
    let rule = proptest::collection::vec(alternatives, 0..3).prop_map(|groups| AccessRule { groups });
    let policy = proptest::collection::vec(rule, 0..3)
        .prop_map(|rules| AccessPolicy { source: Source::new("policy"), rules });
    proptest::collection::vec(policy, 0..3)
}

/// The same decision, as the words of the documentation say it, with texts and lists made for each question.
struct Oracle<'a> {
    exchange: &'a Exchange,
    case: &'a Case,
    http: bool,
}

impl Oracle<'_> {
    fn texts(&self, fact: &Fact) -> Vec<String> {
        let connection = &self.exchange.connection;
        match fact {
            Fact::Method(_) => vec![self.case.method.to_owned()],
            Fact::Path(_) => vec![self.case.path.to_owned()],
            Fact::Host(_) => vec![self.case.host.to_lowercase()],
            Fact::Header(..) if self.case.team.is_empty() => vec![],
            Fact::Header(..) => vec![self.case.team.join(",")],
            Fact::Principal(_) => {
                let uris =
                    connection.tls.iter().filter_map(|tls| tls.client.as_ref()).flat_map(|one| &one.uris);
                uris.filter_map(|uri| uri.strip_prefix("spiffe://")).map(str::to_owned).collect()
            }
            Fact::ServerName(_) => connection.tls.iter().filter_map(|tls| tls.server_name.clone()).collect(),
            _ => vec![],
        }
    }

    fn fits(one: &TextMatch, text: &str) -> bool {
        match one {
            TextMatch::Exact(own) => own == text,
            TextMatch::Prefix(own) => text.starts_with(own.as_str()),
            TextMatch::Suffix(own) => text.ends_with(own.as_str()),
            TextMatch::Present => !text.is_empty(),
            TextMatch::Regex(_) => text == "/a" || text == "/admin",
        }
    }

    fn passes(&self, test: &AccessTest) -> bool {
        let connection = &self.exchange.connection;
        let of_request = matches!(
            test.fact,
            Fact::Method(_)
                | Fact::Path(_)
                | Fact::Host(_)
                | Fact::Header(..)
                | Fact::TokenPrincipal(_)
                | Fact::Claim(..)
        );
        if of_request && !self.http {
            return false;
        }
        let is = match &test.fact {
            Fact::Anything => true,
            Fact::Peer(list) => list.iter().any(|net| net.contains(&connection.peer.ip())),
            Fact::Client(list) => {
                let address = if self.http { self.exchange.client } else { connection.peer.ip() };
                list.iter().any(|net| net.contains(&address))
            }
            Fact::LocalPort(ports) => {
                ports.iter().any(|port| *port == connection.declared_port || *port == connection.local.port())
            }
            Fact::Method(list)
            | Fact::Path(list)
            | Fact::Host(list)
            | Fact::Header(_, list)
            | Fact::Principal(list)
            | Fact::ServerName(list)
            | Fact::TokenPrincipal(list)
            | Fact::Claim(_, list) => {
                self.texts(&test.fact).iter().any(|text| list.iter().any(|one| Self::fits(one, text)))
            }
            Fact::Local(_) => unreachable!("no test asks for it"),
        };
        is != test.not
    }

    fn taken(&self, policies: &[AccessPolicy]) -> bool {
        let rules = policies.iter().flat_map(|policy| &policy.rules);
        rules.into_iter().any(|rule| {
            rule.groups
                .iter()
                .all(|group| group.iter().any(|tests| tests.iter().all(|test| self.passes(test))))
        })
    }
}

fn exchange(case: &Case) -> Exchange {
    let connection = if case.tls { sample::certified_connection() } else { sample::connection() };
    Exchange { client: "203.0.113.9".parse().unwrap(), ..Exchange::begin(&Rc::new(connection)) }
}

fn parts(case: &Case) -> RequestHead {
    let mut request =
        Request::builder().method(Method::from_bytes(case.method.as_bytes()).unwrap()).uri(case.path);
    request = request.header("host", case.host);
    for team in &case.team {
        request = request.header("x-team", *team);
    }
    crate::message::Request::from(request.body(()).unwrap()).head
}

proptest! {
    #[test]
    fn decided_as_the_words_say(
        case in case(),
        deny in policies(),
        allow in proptest::option::of(policies()),
        http in any::<bool>(),
    ) {
        let (exchange, parts) = (exchange(&case), parts(&case));
        let subject = match http {
            true => Subject::request(&exchange, &parts, None),
            false => Subject::connection(&exchange.connection),
        };
        let oracle = Oracle { exchange: &exchange, case: &case, http };
        let expected = !oracle.taken(&deny) && allow.as_ref().is_none_or(|allow| oracle.taken(allow));
        let rules = Authorization { deny, allow, ..Authorization::default() };
        prop_assert_eq!(subject.judged(&rules) == Verdict::Allowed, expected);
    }
}

#[test]
fn a_certificate_that_nobody_checked_is_nobodys() {
    let case = Case { method: "GET", path: "/", host: "a.test", team: vec![], tls: true };
    let mut exchange = exchange(&case);
    let parts = parts(&case);
    let rules = Authorization {
        allow: Some(vec![AccessPolicy {
            source: Source::new("policy"),
            rules: vec![AccessRule::all(vec![Fact::Principal(vec![TextMatch::Present]).into()])],
        }]),
        ..Authorization::default()
    };
    assert_eq!(Subject::request(&exchange, &parts, None).judged(&rules), Verdict::Allowed);
    let mut connection = sample::certified_connection();
    connection.tls.as_mut().unwrap().client_verified = false;
    exchange.connection = Rc::new(connection);
    assert_eq!(Subject::request(&exchange, &parts, None).judged(&rules), Verdict::Denied(None));
    assert_eq!(Subject::connection(&exchange.connection).judged(&rules), Verdict::Denied(None));
}

#[test]
fn a_host_with_the_root_written_out_is_the_same_host() {
    let rules = Authorization {
        deny: vec![AccessPolicy {
            source: Source::new("policy"),
            rules: vec![AccessRule::all(vec![
                Fact::Host(vec![TextMatch::parse("a.test"), TextMatch::parse("b.test:*")]).into(),
            ])],
        }],
        ..Authorization::default()
    };
    for host in ["a.test", "a.test.", "A.Test.", "b.test.:81"] {
        let case = Case { method: "GET", path: "/", host, team: vec![], tls: false };
        let (exchange, parts) = (exchange(&case), parts(&case));
        assert_ne!(Subject::request(&exchange, &parts, None).judged(&rules), Verdict::Allowed, "{host}");
    }
}
