//! HTTP as an Application or a Classic Load Balancer treats it: what targets read, field by field.

use std::time::Duration;

use ::http::{HeaderName, Request};
use plenipo_model::{
    BalancerRules, ClientAuth, ClientCertificateFields, ClientRoots, Desync, ForwardedFor, HttpLimits,
    TlsFields, TlsServer,
};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Echoed, Http, Raw, Upstream, tls};

use super::tls::{chain, roots, tls_server};
use super::*;

/// A load balancer with a clear-text and a TLS listener before one target.
struct Balancer {
    _gateway: Gateway,
    target: Upstream,
    clear: SocketAddr,
    tls: SocketAddr,
    authority: Authority,
}

/// What a listener of a load balancer serves.
pub(super) fn balanced(rules: BalancerRules, routes: Vec<Route>) -> HttpServer {
    HttpServer {
        balancer: Some(Arc::new(rules)),
        limits: HttpLimits::balancer(),
        http10: true,
        ..server(routes)
    }
}

impl Balancer {
    /// The ports are the declared ones of the clear-text and the TLS listener.
    async fn start(ports: (u16, u16), rules: BalancerRules) -> Self {
        Self::start_with(ports, rules, |_| {}).await
    }

    async fn start_with(
        ports: (u16, u16),
        rules: BalancerRules,
        change: impl FnOnce(&mut TlsServer),
    ) -> Self {
        let target = Upstream::http("target").start().await;
        let authority = Authority::new("ca");
        let (clear, tls) = (loopback(), loopback());
        let mut forward = route("/", "up");
        forward_of(&mut forward).upgrades = vec!["websocket".into()];
        let mut terminate = tls_server(&authority.server(&["lb.test"]));
        change(&mut terminate);
        let terminate = ChainTls::Terminate(Arc::new(terminate));
        let chains = [
            (clear, ports.0, super::clear(balanced(rules.clone(), vec![forward.clone()]))),
            (tls, ports.1, chain("*", terminate, balanced(rules, vec![forward]))),
        ];
        let listeners = chains
            .into_iter()
            .map(|(bind, port, chain)| Listener { declared_port: port, ..listener(bind, vec![chain]) });
        let edge = edge(listeners.collect(), vec![cluster("up", target.address())]);
        Self { _gateway: Gateway::start(edge).await, target, clear, tls, authority }
    }

    fn to(&self, scheme: &str) -> Target {
        match scheme {
            "http" => Target::clear(self.clear),
            _ => Target::tls(self.tls, "lb.test", tls::client(&self.authority, None, &[])),
        }
    }

    /// What the target read when a client sent these lines.
    async fn seen(&self, scheme: &str, head: &str) -> Echoed {
        let mut client = Raw::connect(self.to(scheme)).await.expect("connected");
        let head = format!("{}\r\n\r\n", head.trim_end().replace('\n', "\r\n"));
        client.send(head.as_bytes()).await.expect("sent");
        let answer = client.response().await.expect("answered");
        assert!(answer.contains(" 200 OK\r\n"), "{head}{answer}");
        self.target.seen().pop().expect("the target saw it")
    }
}

/// `name: value` that the target must have read, exactly; `name:` that it must not.
fn check(echoed: &Echoed, expected: &[&str], case: &str) {
    for line in expected {
        let (name, value) = line.split_once(':').expect("a field");
        let wanted: Vec<&str> = if value.is_empty() { vec![] } else { vec![value.trim()] };
        assert_eq!(echoed.header(name), wanted, "{case}: {line}\n{:?}", echoed.headers);
    }
}

#[tokio::test]
async fn an_application_load_balancer_tells_its_targets() {
    let balancer = Balancer::start((80, 443), BalancerRules::application()).await;
    let get = "GET /a//b/../%61?x=%zz HTTP/1.1\n";
    for (scheme, sent, expected) in [
        (
            "http",
            "Host: Example.COM",
            &[
                "host: Example.COM",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-proto: http",
                "x-forwarded-port: 80",
            ] as &[_],
        ),
        ("https", "Host: a.test", &["host: a.test", "x-forwarded-proto: https", "x-forwarded-port: 443"]),
        // What clients say about the way they came is replaced, what they say about where from is added to.
        (
            "http",
            "Host: a.test\nX-Forwarded-Proto: https\nX-Forwarded-Port: 443",
            &["x-forwarded-proto: http", "x-forwarded-port: 80"],
        ),
        (
            "http",
            "Host: a.test\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-For: 5.6.7.8, unknown",
            &["x-forwarded-for: 1.2.3.4, 5.6.7.8, unknown, 127.0.0.1"],
        ),
        // On its scheme's port the Host loses a port.
        ("http", "Host: a.test:8080", &["host: a.test"]),
        ("https", "Host: a.test:443", &["host: a.test"]),
        ("http", "Host: [::1]:80", &["host: [::1]"]),
        // Nothing of a gateway's own is added, and nothing that clients send is taken for it.
        (
            "http",
            "Host: a.test\nX-Request-Id: own\nX-Envoy-Max-Retries: 3\nX-Forwarded-Host: b.test\nForwarded: for=x\nX-Forwarded-Client-Cert: Hash=1\nx_y: 1",
            &[
                "x-request-id: own",
                "x-envoy-max-retries: 3",
                "x-forwarded-host: b.test",
                "forwarded: for=x",
                "x-forwarded-client-cert: Hash=1",
                "x_y: 1",
                "x-envoy-external-address:",
                "x-envoy-expected-rq-timeout-ms:",
            ],
        ),
        (
            "http",
            "Host: a.test",
            &["x-request-id:", "x-envoy-external-address:", "x-forwarded-host:", "via:"],
        ),
        // Hop-by-hop fields end; what the balancer answers for cannot be nominated away.
        (
            "http",
            "Host: a.test\nConnection: keep-alive, x-mine, x-forwarded-for, x-amzn-trace-id\nX-Mine: 1\nKeep-Alive: 5",
            &["connection:", "keep-alive:", "x-mine:", "x-forwarded-for: 127.0.0.1"],
        ),
        // Whose certificate it is only the balancer says.
        (
            "https",
            "Host: a.test\nX-Amzn-Mtls-Clientcert: x\nX-Amzn-Mtls-Clientcert-Subject: CN=admin\nX-Amzn-Mtls-Clientcert-Leaf: x",
            &["x-amzn-mtls-clientcert:", "x-amzn-mtls-clientcert-subject:", "x-amzn-mtls-clientcert-leaf:"],
        ),
    ] {
        let echoed = balancer.seen(scheme, &format!("{get}{sent}")).await;
        check(&echoed, expected, &format!("{scheme} {sent}"));
        assert_eq!(echoed.path, "/a//b/../%61?x=%zz", "as it came");
        assert_eq!(echoed.version, "HTTP/1.1");
    }
}

#[tokio::test]
async fn hosts_get_the_port_of_other_listeners() {
    let balancer = Balancer::start((8080, 8443), BalancerRules::application()).await;
    for (scheme, request, host) in [
        ("http", "GET / HTTP/1.1\nHost: a.test", "a.test:8080"),
        ("https", "GET / HTTP/1.1\nHost: a.test", "a.test:8443"),
        ("http", "GET / HTTP/1.1\nHost: a.test:8080", "a.test:8080"),
        ("http", "GET http://b.test/ HTTP/1.1\nHost: a.test", "b.test:8080"),
        ("http", "GET http://b.test:81/ HTTP/1.1\nHost: a.test", "b.test:81"),
        ("http", "GET / HTTP/1.0", "127.0.0.1:8080"),
    ] {
        let echoed = balancer.seen(scheme, request).await;
        assert_eq!(echoed.host, host, "{scheme} {request}");
        check(
            &echoed,
            &[if scheme == "http" { "x-forwarded-port: 8080" } else { "x-forwarded-port: 8443" }],
            request,
        );
    }
}

#[tokio::test]
async fn a_preserved_host_stays_as_it_is() {
    let rules = BalancerRules { preserve_host: true, ..BalancerRules::application() };
    let balancer = Balancer::start((80, 8443), rules).await;
    for (scheme, lines, hosts) in [
        ("http", "Host: a.test:80", vec!["a.test:80"]),
        ("https", "Host: a.test", vec!["a.test"]),
        ("http", "Host: a.test\nHost: b.test", vec!["a.test", "b.test"]),
    ] {
        let echoed = balancer.seen(scheme, &format!("GET / HTTP/1.1\n{lines}")).await;
        assert_eq!(echoed.header("host"), hosts, "{lines}");
    }
}

#[tokio::test]
async fn forwarded_for_has_three_modes_and_a_port() {
    use ForwardedFor::{Append, Preserve, Remove};
    for (mode, client_port, sent, expected) in [
        (Append, true, "1.2.3.4", "1.2.3.4, 127.0.0.1:"),
        (Preserve, true, "1.2.3.4", "1.2.3.4"),
        (Preserve, false, "", ""),
        (Remove, true, "1.2.3.4", ""),
        (Remove, false, "", ""),
    ] {
        let rules = BalancerRules { forwarded_for: mode, client_port, ..BalancerRules::application() };
        let balancer = Balancer::start((80, 443), rules).await;
        let field = if sent.is_empty() { String::new() } else { format!("X-Forwarded-For: {sent}") };
        let echoed = balancer.seen("http", &format!("GET / HTTP/1.1\nHost: a.test\n{field}")).await;
        let found = echoed.header("x-forwarded-for").join("|");
        let port = found.strip_prefix(expected).expect("begins as expected").parse::<u16>();
        assert_eq!(port.is_ok(), mode == Append, "{mode:?}: {found}");
        check(&echoed, &["x-forwarded-proto: http", "x-forwarded-port: 80"], "whatever the mode");
    }
}

#[tokio::test]
async fn traces_begin_here_or_go_on() {
    let balancer = Balancer::start((80, 443), BalancerRules::application()).await;
    let head = "GET / HTTP/1.1\nHost: a.test\n";
    let begun = balancer.seen("http", head).await;
    let root = begun.header("x-amzn-trace-id")[0].to_owned();
    assert_eq!((&root[..7], root.len()), ("Root=1-", 7 + 8 + 1 + 24), "{root}");
    let next = balancer.seen("http", &format!("{head}X-Amzn-Trace-Id: {root};app=x")).await;
    let trace = next.header("x-amzn-trace-id")[0].to_owned();
    let (own, rest) = trace.split_once(';').expect("two fields");
    assert!(own.starts_with("Self=1-"), "{trace}");
    assert_eq!(rest, format!("{root};app=x"));
    let rules = BalancerRules { trace_id: false, ..BalancerRules::application() };
    let without = Balancer::start((80, 443), rules).await.seen("http", head).await;
    check(&without, &["x-amzn-trace-id:"], "switched off");
}

#[tokio::test]
async fn invalid_names_are_dropped_where_asked() {
    let rules = BalancerRules { drop_invalid_fields: true, ..BalancerRules::application() };
    let balancer = Balancer::start((80, 443), rules).await;
    let head = "GET / HTTP/1.1\nHost: a.test\nx_y: 1\nx.z: 1\nX-Ok-1: 1\nx~: 1";
    check(&balancer.seen("http", head).await, &["x_y:", "x.z:", "x~:", "x-ok-1: 1"], head);
}

#[tokio::test]
async fn fields_over_several_lines_become_several() {
    let balancer = Balancer::start((80, 443), BalancerRules::application()).await;
    let head = "POST / HTTP/1.1\nHost: a.test\nX-Folded: one\n  two\n\tthree\nContent-Length: 0";
    check(&balancer.seen("http", head).await, &["x-folded: one"], head);
    let echoed = balancer.target.seen().pop().expect("seen");
    assert_eq!((echoed.header("two"), echoed.header("three")), (vec![""], vec![""]));
    let strict = BalancerRules { desync: Desync::Strictest, ..BalancerRules::application() };
    let strict = Balancer::start((80, 443), strict).await;
    let answer = Raw::exchange(strict.clear, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n").await;
    assert!(answer.expect("answered").starts_with(b"HTTP/1.1 400 "));
}

#[tokio::test]
async fn tls_is_told_by_names_of_choice() {
    let fields = TlsFields { cipher: HeaderName::from_static("x-suite"), ..TlsFields::default() };
    let rules = BalancerRules { tls_fields: Some(fields), ..BalancerRules::application() };
    let balancer = Balancer::start((80, 443), rules).await;
    let head = "GET / HTTP/1.1\nHost: a.test";
    let echoed = balancer.seen("https", head).await;
    check(&echoed, &["x-amzn-tls-version: TLSv1.3", "x-amzn-tls-cipher-suite:"], head);
    assert!(echoed.header("x-suite")[0].starts_with("TLS_AES_"), "{echoed:?}");
    check(&balancer.seen("http", head).await, &["x-amzn-tls-version:", "x-suite:"], "in clear text");
}

#[tokio::test]
async fn verified_certificates_are_told_in_five_fields() {
    let clients = Authority::new("clients");
    let alice = clients.client("alice");
    let rules = BalancerRules {
        client_certificate: ClientCertificateFields::verified(),
        ..BalancerRules::application()
    };
    let required = ClientAuth::Required(ClientRoots::new(roots(&clients), None));
    let balancer = Balancer::start_with((80, 443), rules, |tls| tls.client_auth = required).await;
    let shown = tls::client(&balancer.authority, Some(&alice), &[]);
    let request = Request::get("/").header("x-amzn-mtls-clientcert-subject", "CN=admin");
    let answer =
        Http::one(Target::tls(balancer.tls, "lb.test", shown)).send(request).await.expect("answered");
    let echoed = answer.echoed().expect("echo");
    let field = |name: &str| match &*echoed.header(&format!("x-amzn-mtls-clientcert-{name}")) {
        [only] => (*only).to_owned(),
        other => panic!("{name}: {other:?}"),
    };
    assert!(field("subject").contains("CN=alice"), "{}", field("subject"));
    assert!(field("issuer").contains("CN=clients"), "{}", field("issuer"));
    let serial = field("serial-number");
    assert!(!serial.is_empty() && serial.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')), "{serial}");
    let validity = field("validity");
    let (begin, end) = validity.split_once(';').expect("two ends");
    assert!(begin.starts_with("NotBefore=") && end.starts_with("NotAfter="), "{validity}");
    assert!(begin.ends_with('Z') && end.ends_with('Z') && begin.len() == 10 + 20, "{validity}");
    let leaf = field("leaf");
    let pem = percent_decoded(&leaf);
    assert_eq!(
        pem.trim(),
        alice.cert_pem().split_inclusive("-----END CERTIFICATE-----").next().expect("one").trim()
    );
    assert!(
        !leaf.contains("%2B") && !leaf.contains("%2F") && !leaf.contains("%3D"),
        "safe ones stay: {leaf}"
    );
    check(&echoed, &["x-amzn-mtls-clientcert:", "x-forwarded-client-cert:"], "nothing else");
}

#[tokio::test]
async fn a_passed_chain_is_told_in_one_field() {
    let clients = Authority::new("clients");
    let alice = clients.intermediate("between").client("alice");
    let rules = BalancerRules {
        client_certificate: ClientCertificateFields::passthrough(),
        ..BalancerRules::application()
    };
    let optional = ClientAuth::Optional(ClientRoots::new(roots(&clients), None));
    let balancer = Balancer::start_with((80, 443), rules, |tls| tls.client_auth = optional).await;
    let shown = tls::client(&balancer.authority, Some(&alice), &[]);
    let answer = Http::one(Target::tls(balancer.tls, "lb.test", shown)).get("/").await.expect("answered");
    let told = answer.echoed().expect("echo").header("x-amzn-mtls-clientcert").join("|");
    assert_eq!(percent_decoded(&told).trim(), alice.cert_pem().trim(), "leaf first");
    let head = "GET / HTTP/1.1\nHost: a.test\nX-Amzn-Mtls-Clientcert: forged";
    for scheme in ["http", "https"] {
        check(&balancer.seen(scheme, head).await, &["x-amzn-mtls-clientcert:"], scheme);
    }
}

fn percent_decoded(text: &str) -> String {
    text.replace("%20", " ").replace("%0A", "\n")
}

#[tokio::test]
async fn a_classic_load_balancer_tells_less() {
    let balancer = Balancer::start((80, 443), BalancerRules::classic()).await;
    let head = "GET / HTTP/1.1\nHost: a.test:80\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-Proto: ftp";
    let echoed = balancer.seen("https", head).await;
    check(
        &echoed,
        &[
            "host: a.test:80",
            "x-forwarded-for: 1.2.3.4, 127.0.0.1",
            "x-forwarded-proto: https",
            "x-forwarded-port: 443",
            "x-amzn-trace-id:",
        ],
        head,
    );
}

#[tokio::test]
async fn http2_comes_by_alpn_and_websockets_pass() {
    let balancer = Balancer::start((80, 443), BalancerRules::application()).await;
    let config = tls::client(&balancer.authority, None, &["h2"]);
    let answer = Http::two(Target::tls(balancer.tls, "lb.test", config)).get("/x").await.expect("answered");
    let echoed = answer.echoed().expect("echo");
    assert_eq!((echoed.version.as_str(), echoed.host.as_str()), ("HTTP/1.1", "lb.test"));
    check(&echoed, &["x-forwarded-proto: https", "x-forwarded-for: 127.0.0.1"], "h2");
    let preface = Raw::exchange(balancer.clear, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("answered");
    assert!(preface.starts_with(b"HTTP/1.1 505 "), "no HTTP/2 in clear text");
    for scheme in ["http", "https"] {
        let mut socket = Http::one(balancer.to(scheme)).websocket(Request::get("/")).await.expect("upgraded");
        socket.send("hello").await.expect("sent");
        assert_eq!(socket.receive().await.expect("echoed"), "hello");
    }
    let other = "GET / HTTP/1.1\nHost: a.test\nConnection: upgrade\nUpgrade: spdy/3";
    check(&balancer.seen("http", other).await, &["upgrade:", "connection:"], "another wish is not granted");
}

#[tokio::test]
async fn expectations_and_bodies_pass() {
    let balancer = Balancer::start((80, 443), BalancerRules::application()).await;
    let mut client = Raw::connect(balancer.clear).await.expect("connected");
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await.expect("sent");
    assert!(client.response().await.expect("told to go on").starts_with("HTTP/1.1 100 "));
    client.send("hello").await.expect("sent");
    assert!(client.response().await.expect("answered").starts_with("HTTP/1.1 200 "));
    let echoed = balancer.target.seen().pop().expect("seen");
    assert_eq!(echoed.body.start, "hello");
    check(&echoed, &["expect:"], "met here");
    assert!(client.stays_silent(Duration::from_millis(50)).await, "the connection is kept");
}
