//! TLS: chains by name, client certificates, verification of upstreams, failing closed.

use plenipo_model::{
    Certificate, ClientAuth, ClientCertDetails, ClientCertHeader, ClientRoots, Endpoint, RevocationList,
    RootStore, Roots, TlsClient, TlsServer, TlsVersion, Verify,
};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Issued, Leaf, Upstream, tls};

use super::*;

pub(super) fn tls_server(issued: &Issued) -> TlsServer {
    let certificate =
        Certificate::from_pem(issued.cert_pem().as_bytes(), issued.key_pem().as_bytes()).expect("valid");
    TlsServer {
        source: source(),
        certificates: vec![Arc::new(certificate)],
        client_auth: ClientAuth::None,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: vec![],
        alpn: vec!["h2".into(), "http/1.1".into()],
    }
}

pub(super) fn chain(name: &str, tls: ChainTls, server: HttpServer) -> Chain {
    Chain {
        source: source(),
        accepts: Accepts::Tls(vec![HostPattern::parse(name).expect("valid")]),
        tls,
        serve: Serve::Http(Arc::new(server)),
    }
}

fn only(name: &str, routes: Vec<Route>, names: &Arc<[HostPattern]>) -> HttpServer {
    let mut server = server(routes);
    server.hosts[0].host = HostPattern::parse(name).expect("valid");
    server.elsewhere = Arc::clone(names);
    server
}

pub(super) fn roots(authority: &Authority) -> Arc<RootStore> {
    Arc::new(RootStore::from_pem(authority.pem().as_bytes()).expect("valid"))
}

#[tokio::test]
async fn names_choose_chains_and_strangers_get_no_certificate() {
    let authority = Authority::new("ca");
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let names: Arc<[HostPattern]> =
        ["a.test", "b.test"].map(|name| HostPattern::parse(name).expect("valid")).into();
    let chains = ["a.test", "b.test"]
        .map(|name| {
            let tls = ChainTls::Terminate(Arc::new(tls_server(&authority.server(&[name]))));
            chain(name, tls, only(name, vec![route("/", "up")], &names))
        })
        .into();
    let _gateway =
        Gateway::start(edge(vec![listener(bind, chains)], vec![cluster("up", upstream.address())])).await;
    let to = |name: &str, alpn: &[&str]| Target::tls(bind, name, tls::client(&authority, None, alpn));
    for name in ["a.test", "b.test"] {
        let response = Http::two(to(name, &["h2"])).get("/").await.expect("answered");
        let echoed = response.echoed().expect("echo");
        assert_eq!(
            (echoed.host.split(':').next(), echoed.header("x-forwarded-proto")),
            (Some(name), vec!["https"])
        );
    }
    assert!(Http::one(to("c.test", &[])).get("/").await.is_err(), "no chain, no handshake");
    let misdirected = ::http::Request::get("/").header("host", "b.test");
    let response = Http::one(to("a.test", &[])).send(misdirected).await.expect("answered");
    assert_eq!(response.status.as_u16(), 421);
    let unknown = ::http::Request::get("/").header("host", "c.test");
    let response = Http::one(to("a.test", &[])).send(unknown).await.expect("answered");
    assert_eq!(response.status.as_u16(), 404);
    assert_eq!(
        Http::one(to("a.test", &["spdy/1"])).get("/").await.expect("goes on without ALPN").status,
        200
    );
}

#[tokio::test]
async fn a_chain_whose_tls_is_broken_serves_nothing() {
    let authority = Authority::new("ca");
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let broken = chain("a.test", ChainTls::Broken("no certificate".into()), server(vec![route("/", "up")]));
    let _gateway =
        Gateway::start(edge(vec![listener(bind, vec![broken])], vec![cluster("up", upstream.address())]))
            .await;
    let client = Http::one(Target::tls(bind, "a.test", tls::client(&authority, None, &[])));
    assert!(client.get("/").await.is_err());
    assert!(Http::one(bind).get("/").await.is_err(), "nor in clear text");
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn client_certificates_are_asked_for_and_checked() {
    let authority = Authority::new("ca");
    let clients = Authority::new("clients");
    let (good, revoked, foreign) =
        (clients.client("good"), clients.client("revoked"), authority.client("foreign"));
    let list = RevocationList::from_pem(clients.revocation_list(&[&revoked]).as_bytes()).expect("valid");
    let rules = || ClientRoots::new(roots(&clients), Some(Arc::new(list.clone())));
    for (auth, without) in [(ClientAuth::Optional(rules()), true), (ClientAuth::Required(rules()), false)] {
        let upstream = Upstream::http("up").start().await;
        let bind = loopback();
        let terminate = TlsServer { client_auth: auth, ..tls_server(&authority.server(&["a.test"])) };
        let mut http = server(vec![route("/", "up")]);
        http.client_cert = plenipo_model::ClientCertHeader::SanitizeSet(plenipo_model::ClientCertDetails {
            subject: true,
            ..Default::default()
        });
        let chains = vec![chain("a.test", ChainTls::Terminate(Arc::new(terminate)), http)];
        let _gateway =
            Gateway::start(edge(vec![listener(bind, chains)], vec![cluster("up", upstream.address())])).await;
        let get = async |certificate: Option<&Issued>| {
            let config = tls::client(&authority, certificate, &[]);
            Http::one(Target::tls(bind, "a.test", config)).get("/").await
        };
        let response = get(Some(&good)).await.expect("a valid certificate is let in");
        let echoed = response.echoed().expect("echo");
        assert!(echoed.header("x-forwarded-client-cert")[0].contains("CN=good\""), "{echoed:?}");
        assert!(get(Some(&revoked)).await.is_err());
        assert!(get(Some(&foreign)).await.is_err());
        assert_eq!(get(None).await.is_ok(), without);
    }
}

#[tokio::test]
async fn upstreams_are_told_of_client_certificates_in_five_modes() {
    const SENT: &str = "x-forwarded-client-cert";
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let leaf = Leaf::client("good").uri("spiffe://test/client");
    let good = clients.issue(&leaf);
    let ours = authority.issue(&Leaf::server(&["a.test"]).uri("spiffe://test/gateway"));
    let details = ClientCertDetails { subject: true, uri: true, ..Default::default() };
    // What is sent on with a client certificate, and without one.
    for (mode, with, without) in [
        (ClientCertHeader::Sanitize, None, None),
        (ClientCertHeader::ForwardOnly, Some("Hash=1"), None),
        (ClientCertHeader::AppendForward(details), Some("Hash=1,By=spiffe://test/gateway;Hash="), None),
        (ClientCertHeader::SanitizeSet(details), Some("By=spiffe://test/gateway;Hash="), None),
        (ClientCertHeader::AlwaysForwardOnly, Some("Hash=1"), Some("Hash=1")),
    ] {
        let upstream = Upstream::http("up").start().await;
        let bind = loopback();
        let client_auth = ClientAuth::Optional(ClientRoots::new(roots(&clients), None));
        let terminate = TlsServer { client_auth, ..tls_server(&ours) };
        let mut http = server(vec![route("/", "up")]);
        http.client_cert = mode.clone();
        let chains = vec![chain("a.test", ChainTls::Terminate(Arc::new(terminate)), http)];
        let _gateway =
            Gateway::start(edge(vec![listener(bind, chains)], vec![cluster("up", upstream.address())])).await;
        for (certificate, expected) in [(Some(&good), with), (None, without)] {
            let target = Target::tls(bind, "a.test", tls::client(&authority, certificate, &[]));
            let request = ::http::Request::get("/").header(SENT, "Hash=1");
            let echoed = Http::one(target).send(request).await.expect("answered").echoed().expect("echo");
            let sent = echoed.header(SENT);
            match expected {
                None => assert!(sent.is_empty(), "{mode:?}: {sent:?}"),
                Some("Hash=1") => assert_eq!(sent, ["Hash=1"], "{mode:?}"),
                Some(begin) => {
                    let rest = sent[0].strip_prefix(begin).unwrap_or_else(|| panic!("{mode:?}: {sent:?}"));
                    assert_eq!(
                        &rest[64..],
                        ";Subject=\"O=plenipo tests,CN=good\";URI=spiffe://test/client",
                        "{mode:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn upstreams_are_verified_as_asked() {
    let authority = Authority::new("ca");
    let clients = Authority::new("clients");
    let gateway_certificate = clients.client("gateway");
    let certificate = Certificate::from_pem(
        gateway_certificate.cert_pem().as_bytes(),
        gateway_certificate.key_pem().as_bytes(),
    )
    .map(Arc::new)
    .expect("valid");
    let upstream = Upstream::http("up")
        .tls(tls::mutual_server(&authority.server(&["up.test"]), &clients, &["http/1.1"]))
        .start()
        .await;
    let chain_of = |authority: &Authority, names: &[&str]| Verify::Chain {
        roots: Roots::Given(roots(authority)),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    for (verify, expected) in [
        (Verify::Nothing, 200),
        (chain_of(&authority, &[]), 200),
        (chain_of(&authority, &["up.test"]), 200),
        (chain_of(&authority, &["other.test"]), 503),
        (chain_of(&clients, &[]), 503),
    ] {
        let bind = loopback();
        let mut cluster = cluster("up", upstream.address());
        let shown = format!("{verify:?}");
        cluster.tls = Some(Arc::new(TlsClient {
            certificate: Some(Arc::clone(&certificate)),
            ..client(verify, Some("sni.test"), false)
        }));
        let http = server(vec![route("/", "up")]);
        let _gateway = Gateway::start(edge(vec![listener(bind, vec![clear(http)])], vec![cluster])).await;
        let response = Http::one(bind).get("/").await.expect("answered");
        assert_eq!(response.status.as_u16(), expected, "{shown}");
        if expected == 200 {
            let tls = response.echoed().expect("echo").tls.expect("over TLS");
            assert_eq!(tls.sni.as_deref(), Some("sni.test"));
            assert!(tls.client_subject.is_some_and(|subject| subject.contains("gateway")));
        }
    }
}

pub(crate) fn client(verify: Verify, server_name: Option<&str>, name_by_host: bool) -> TlsClient {
    let server_name = server_name.map(str::to_owned);
    TlsClient { server_name, name_by_host, verify, ..TlsClient::unverified(source()) }
}

/// The host of each request is the name sent and the name checked, and connections are not lent to requests for others.
#[tokio::test]
async fn an_upstream_is_named_by_the_host_of_the_request() {
    let authority = Authority::new("ca");
    let upstream =
        Upstream::http("up").tls(tls::server(&authority.server(&["a.test", "b.test"]), &[])).start().await;
    let verify = Verify::Chain { roots: Roots::Given(roots(&authority)), names: vec![] };
    let bind = loopback();
    let mut cluster = cluster("up", upstream.address());
    cluster.tls = Some(Arc::new(client(verify, Some("b.test"), true)));
    let http = server(vec![route("/", "up")]);
    let _gateway = Gateway::start(edge(vec![listener(bind, vec![clear(http)])], vec![cluster])).await;
    for (host, expected, name) in [
        ("a.test", 200, "a.test"),
        ("b.test:8080", 200, "b.test"),
        ("a.test", 200, "a.test"),
        ("c.test", 503, ""),
    ] {
        let request = ::http::Request::get("/").header("host", host);
        let response = Http::one(bind).send(request).await.expect("answered");
        assert_eq!(response.status.as_u16(), expected, "{host}");
        if expected == 200 {
            let tls = response.echoed().expect("echo").tls.expect("over TLS");
            assert_eq!(tls.sni.as_deref(), Some(name), "{host}");
        }
    }
}

/// Of the endpoints of a cluster with TLS those that are said to speak clear text are spoken to so.
#[tokio::test]
async fn endpoints_outside_of_the_mesh_are_spoken_to_in_clear_text() {
    let authority = Authority::new("ca");
    let inside =
        Upstream::http("inside").tls(tls::server(&authority.server(&["up.test"]), &[])).start().await;
    let outside = Upstream::http("outside").start().await;
    let bind = loopback();
    let mut cluster = cluster("up", inside.address());
    let endpoints = [(&inside, false), (&outside, true)];
    let endpoints =
        endpoints.map(|(upstream, clear_text)| Endpoint { clear_text, ..Endpoint::at(upstream.address()) });
    cluster.endpoints = Endpoints::Static(endpoints.into());
    let verify = Verify::Chain { roots: Roots::Given(roots(&authority)), names: vec!["up.test".to_owned()] };
    cluster.tls = Some(Arc::new(client(verify, Some("up.test"), false)));
    let http = server(vec![route("/", "up")]);
    let _gateway = Gateway::start(edge(vec![listener(bind, vec![clear(http)])], vec![cluster])).await;
    let mut encrypted = Vec::new();
    for _ in 0..4 {
        let response = Http::one(bind).get("/").await.expect("answered");
        assert_eq!(response.status.as_u16(), 200);
        encrypted.push(response.echoed().expect("echo").tls.is_some());
    }
    assert!(encrypted.contains(&true) && encrypted.contains(&false), "{encrypted:?}");
}
