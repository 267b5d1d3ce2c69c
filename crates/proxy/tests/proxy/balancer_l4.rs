//! What a Network Load Balancer does, run by this data plane: PROXY headers, resets, fail open, deregistration, TLS.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plenipo_model::{
    Certificate, ClientAuth, ClientRoots, FailOpen, HealthCheck, HealthProbe, ProxyTlvs, RevocationList,
    RootStore, SendProxyProtocol, TcpRoute, TcpTarget, TlsClient, TlsServer, TlsVersion,
};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Issued, Leaf, Raw, Upstream, eventually, proxy_header, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection through PrivateLink, from AWS's own test of its `proprot` tool.
const PROXY: &str = "0d0a0d0a000d0a515549540a21110054ac1f0771ac1f0a1fc8f20050030004e8d6892dea0017\
                     01767063652d3038643262663135666163353030316339040024";
/// As captured from a Network Load Balancer: a health check.
const LOCAL: &str = "0d0a0d0a000d0a515549540a20110054030004bce5951f04004a";

/// Hexadecimal, then zeros up to the 100 bytes that such a header has.
fn vector(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    let mut bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
    bytes.resize(100, 0);
    bytes
}

fn relay_to(cluster: &str, change: impl FnOnce(&mut TcpRoute)) -> Serve {
    let targets = vec![TcpTarget { source: source(), weight: 1, cluster: cluster.into() }];
    let mut route = TcpRoute::new("relay", source(), targets);
    change(&mut route);
    Serve::Tcp(Arc::new(route))
}

fn relay(bind: SocketAddr, change: impl FnOnce(&mut TcpRoute)) -> Listener {
    let (accepts, serve) = (Accepts::Anything, relay_to("up", change));
    listener(bind, vec![Chain { source: source(), accepts, tls: ChainTls::Untouched, serve }])
}

fn check(probe: HealthProbe) -> HealthCheck {
    let (timeout, interval) = (Duration::from_secs(1), Duration::from_millis(20));
    HealthCheck { healthy_after: 1, unhealthy_after: 1, ..HealthCheck::new(timeout, interval, probe) }
}

/// An echo that also answers health checks, as it is told.
struct Target4 {
    address: SocketAddr,
    well: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Target4 {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let well = Arc::new(AtomicBool::new(true));
        let health = Arc::clone(&well);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let health = Arc::clone(&health);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        let answer: &[u8] =
                            match (buffer.starts_with(b"GET /health "), health.load(Ordering::SeqCst)) {
                                (true, true) => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                                (true, false) => b"HTTP/1.1 503 Sick\r\ncontent-length: 0\r\n\r\n",
                                (false, _) => &buffer[..length],
                            };
                        if stream.write_all(answer).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, well, task }
    }

    fn feels(&self, well: bool) {
        self.well.store(well, Ordering::SeqCst);
    }
}

impl Drop for Target4 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn targets(all: &[&Target4]) -> Cluster {
    let probe = HealthProbe::Http {
        path: "/health".into(),
        host: None,
        headers: Default::default(),
        statuses: vec![(200, 399)],
    };
    Cluster {
        health_checks: vec![check(probe)],
        fail_open: FailOpen::WhenNone,
        ..Cluster::new("up", source(), Endpoints::addresses(all.iter().map(|target| target.address)))
    }
}

async fn echoes(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

/// How a connection ends: by RST, or by FIN.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 16])).await;
    match read.expect("it ends") {
        Ok(0) => false,
        Ok(_) => panic!("something came"),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            true
        }
    }
}

async fn healthy(gateway: &Gateway) -> Vec<bool> {
    let numbers = gateway.proxy.handle().measure().await;
    let endpoints = numbers.endpoints["up"].clone().expect("known");
    endpoints.iter().map(|endpoint| endpoint.healthy).collect()
}

#[tokio::test]
async fn headers_are_written_as_aws_does_for_connections_and_health_checks() {
    let upstream = Upstream::tcp("up").proxy_header().start().await;
    let bind = loopback();
    let mut up = cluster("up", upstream.address());
    up.send_proxy = Some(SendProxyProtocol::V2(ProxyTlvs {
        endpoint: Some("vpce-08d2bf15fac5001c9".into()),
        ..ProxyTlvs::network_load_balancer()
    }));
    up.health_checks = vec![check(HealthProbe::Tcp)];
    let _gateway = Gateway::start(edge(vec![relay(bind, |_| {})], vec![up])).await;
    eventually("a health check", async || !upstream.proxy_headers().is_empty()).await;
    assert_eq!(upstream.proxy_headers()[0], vector(LOCAL));
    // What the client itself sends stays where it is.
    let own = proxy_header::v1("192.0.2.1:1".parse().expect("valid"), "192.0.2.2:2".parse().expect("valid"));
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send(&own).await.expect("sent");
    assert_eq!(raw.exactly(own.len()).await.expect("echoed"), own);
    let header = upstream.proxy_headers().into_iter().find(|header| header[12] == 0x21).expect("one");
    assert_eq!((header.len(), &header[..16]), (100, &vector(PROXY)[..16]));
    assert_eq!(&header[28..31], [3, 0, 4], "the checksum comes first");
    assert_eq!(&header[35..], &vector(PROXY)[35..]);
}

#[tokio::test]
async fn what_aws_sends_is_understood() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut front = listener(bind, vec![clear(server(vec![route("/", "up")]))]);
    front.proxy_protocol = ProxyProtocol::Required;
    front.inner_proxy_from = vec!["172.31.7.0/24".parse().expect("valid")];
    let _gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
    let seen = async |headers: Vec<u8>| {
        let response = Http::one(Target::clear(bind).proxy_header(headers)).get("/").await.ok()?;
        Some(response.echoed().ok()?.header("x-forwarded-for")[0].to_owned())
    };
    assert_eq!(seen(vector(LOCAL)).await.as_deref(), Some("127.0.0.1"));
    let at = |text: &str| -> SocketAddr { text.parse().expect("valid") };
    let inner = proxy_header::v2(at("203.0.113.7:1"), at("203.0.113.8:2"), &[]);
    // The client of the first header is one that sends another.
    assert_eq!(seen([vector(PROXY), inner.clone()].concat()).await.as_deref(), Some("203.0.113.7"));
    assert_eq!(seen(vector(PROXY)).await, None, "without it, nothing is known");
    // Others have none, and cannot send one.
    let stranger = proxy_header::v2(at("198.51.100.1:1"), at("203.0.113.8:2"), &[]);
    assert_eq!(seen(stranger.clone()).await.as_deref(), Some("198.51.100.1"));
    assert_eq!(seen([stranger, inner].concat()).await, None);
}

#[tokio::test]
async fn idle_connections_and_those_without_a_target_are_reset() {
    let target = Target4::start().await;
    for reset in [true, false] {
        let (bind, nobody, gone) = (loopback(), loopback(), loopback());
        let idle = relay(bind, |route| {
            (route.idle_timeout, route.reset) = (Some(Duration::from_secs(1)), reset);
        });
        let mut empty = relay(nobody, |route| route.reset = reset);
        empty.chains[0].serve = relay_to("empty", |route| route.reset = reset);
        let mut refusing = relay(gone, |_| {});
        refusing.chains[0].serve = relay_to("refusing", |route| route.reset = reset);
        let clusters = vec![
            targets(&[&target]),
            Cluster::new("empty", source(), Endpoints::addresses([])),
            cluster("refusing", crate::refusing()),
        ];
        let _gateway = Gateway::start(edge(vec![idle, empty, refusing], clusters)).await;
        let mut stream = TcpStream::connect(bind).await.expect("connected");
        echoes(&mut stream).await.expect("echoed");
        assert_eq!(is_reset(&mut stream).await, reset);
        for bind in [nobody, gone] {
            let ended_by_reset = match TcpStream::connect(bind).await {
                Ok(mut stream) => is_reset(&mut stream).await,
                // So soon that even connecting has heard of it.
                Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
            };
            assert_eq!(ended_by_reset, reset);
        }
    }
}

#[tokio::test]
async fn a_target_that_resets_resets_its_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let bind = loopback();
    let up = cluster("up", listener.local_addr().expect("bound"));
    let _gateway = Gateway::start(edge(vec![relay(bind, |route| route.reset = true)], vec![up])).await;
    let mut stream = TcpStream::connect(bind).await.expect("connected");
    let (target, _) = listener.accept().await.expect("a connection");
    target.set_zero_linger().expect("set");
    drop(target);
    assert!(is_reset(&mut stream).await);
}

#[tokio::test]
async fn connections_to_a_target_that_sickens_are_reset_and_with_none_well_all_are_used() {
    let (one, two) = (Target4::start().await, Target4::start().await);
    let bind = loopback();
    let front = relay(bind, |route| (route.reset, route.end_unhealthy) = (true, true));
    let gateway = Gateway::start(edge(vec![front], vec![targets(&[&one, &two])])).await;
    // Round robin: one connection to each, whichever is first.
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(bind).await.expect("connected");
        echoes(&mut stream).await.expect("echoed");
        streams.push(stream);
    }
    one.feels(false);
    eventually("one is unhealthy", async || healthy(&gateway).await.contains(&false)).await;
    let mut ended = 0;
    for stream in &mut streams {
        if echoes(stream).await.is_err() {
            ended += 1;
        }
    }
    assert!((1..4).contains(&ended), "{ended} of 4 ended");
    two.feels(false);
    eventually("both are unhealthy", async || healthy(&gateway).await == [false, false]).await;
    let mut stream = TcpStream::connect(bind).await.expect("connected");
    echoes(&mut stream).await.expect("it fails open");
    // One that was made to a sick target lives on until that has been well again.
    one.feels(true);
    two.feels(true);
    eventually("both are healthy", async || healthy(&gateway).await == [true, true]).await;
    echoes(&mut stream).await.expect("still open");
    one.feels(false);
    two.feels(false);
    assert!(is_reset(&mut stream).await);
}

#[tokio::test]
async fn connections_outlive_the_registration_of_their_target_or_are_cut_after_a_time() {
    let (old, new) = (Target4::start().await, Target4::start().await);
    for drain in [None, Some(Duration::from_millis(100))] {
        let bind = loopback();
        let with = |target: &Target4| {
            let cluster = Cluster { drain, ..targets(&[target]) };
            edge(vec![relay(bind, |route| route.reset = true)], vec![cluster])
        };
        let mut gateway = Gateway::start(with(&old)).await;
        let mut stream = TcpStream::connect(bind).await.expect("connected");
        echoes(&mut stream).await.expect("echoed");
        gateway.publish(with(&new)).await;
        echoes(&mut stream).await.expect("deregistration ends nothing at once");
        let mut later = TcpStream::connect(bind).await.expect("connected");
        echoes(&mut later).await.expect("the new target serves");
        if drain.is_some() {
            assert!(is_reset(&mut stream).await, "the time is over");
        }
        echoes(&mut later).await.expect("nothing ends this one");
        if drain.is_none() {
            echoes(&mut stream).await.expect("nor the old one");
        }
    }
}

fn certificate(issued: &Issued) -> Arc<Certificate> {
    let certificate = Certificate::from_pem(issued.cert_pem().as_bytes(), issued.key_pem().as_bytes());
    Arc::new(certificate.expect("valid"))
}

fn terminating(certificates: &[&Issued], alpn: &[&str]) -> TlsServer {
    TlsServer {
        source: source(),
        certificates: certificates.iter().map(|issued| certificate(issued)).collect(),
        client_auth: ClientAuth::None,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: vec![],
        alpn: alpn.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn tls_relay(bind: SocketAddr, server: TlsServer) -> Listener {
    let tls = ChainTls::Terminate(Arc::new(server));
    let (accepts, serve) = (Accepts::Tls(vec![HostPattern::Any]), relay_to("up", |_| {}));
    listener(bind, vec![Chain { source: source(), accepts, tls, serve }])
}

#[tokio::test]
async fn a_tls_listener_passes_on_clear_text_or_tls_that_nobody_verifies() {
    let authority = Authority::new("ca");
    let issued = authority.server(&["a.test"]);
    // Of nobody's authority, for another name, and expired.
    let bad = Authority::new("nobody").issue(&Leaf::server(&["other.test"]).expired());
    for over_tls in [false, true] {
        let builder = Upstream::http("up").proxy_header();
        let builder = if over_tls { builder.tls(tls::server(&bad, &[])) } else { builder };
        let upstream = builder.start().await;
        let bind = loopback();
        let mut up = cluster("up", upstream.address());
        up.send_proxy = Some(SendProxyProtocol::V2(ProxyTlvs::network_load_balancer()));
        up.tls = over_tls.then(|| Arc::new(TlsClient::unverified(source())));
        let front = tls_relay(bind, terminating(&[&issued], &[]));
        let _gateway = Gateway::start(edge(vec![front], vec![up])).await;
        let client = Http::one(Target::tls(bind, "a.test", tls::client(&authority, None, &[])));
        let echoed = client.get("/").await.expect("answered").echoed().expect("echo");
        assert_eq!(
            echoed.tls.as_ref().map(|tls| tls.sni.clone()),
            over_tls.then_some(None),
            "no server name is sent"
        );
        assert!(echoed.header("x-forwarded-for").is_empty(), "it is no HTTP proxy");
        assert_eq!(upstream.proxy_headers()[0].len(), 100);
        assert!(Http::one(bind).get("/").await.is_err(), "clear text is not taken");
    }
}

#[tokio::test]
async fn alpn_follows_the_listeners_preference_and_goes_on_without() {
    let authority = Authority::new("ca");
    let issued = authority.server(&["a.test"]);
    let upstream = Upstream::tcp("up").start().await;
    for (policy, offered, agreed) in [
        // HTTP1Only, HTTP2Only, HTTP2Optional, HTTP2Preferred, None.
        (["http/1.1", "http/1.0"].as_slice(), ["h2", "http/1.1"].as_slice(), Some("http/1.1")),
        (&["http/1.1", "http/1.0"], &["h2"], None),
        (&["h2"], &["http/1.1", "h2"], Some("h2")),
        (&["h2"], &["http/1.1"], None),
        (&["http/1.1", "http/1.0", "h2"], &["h2", "http/1.1"], Some("http/1.1")),
        (&["http/1.1", "http/1.0", "h2"], &["h2", "http/1.0"], Some("http/1.0")),
        (&["h2", "http/1.1", "http/1.0"], &["http/1.1", "h2"], Some("h2")),
        (&["h2", "http/1.1", "http/1.0"], &["spdy/3"], None),
        (&["h2", "http/1.1", "http/1.0"], &[], None),
        (&[], &["h2", "http/1.1"], None),
    ] {
        let bind = loopback();
        let front = tls_relay(bind, terminating(&[&issued], policy));
        let _gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
        let stream = TcpStream::connect(bind).await.expect("connected");
        let connector = tokio_rustls::TlsConnector::from(tls::client(&authority, None, offered));
        let name = "a.test".try_into().expect("a name");
        let stream = connector.connect(name, stream).await.expect("the handshake goes on");
        let chosen =
            stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(chosen.as_deref(), agreed, "{policy:?} and {offered:?}");
    }
}

#[tokio::test]
async fn unknown_names_and_none_get_the_default_certificate() {
    let authority = Authority::new("ca");
    let (default, other) = (authority.server(&["default.test"]), authority.server(&["*.other.test"]));
    let upstream = Upstream::tcp("up").start().await;
    let bind = loopback();
    let front = tls_relay(bind, terminating(&[&default, &other], &[]));
    let _gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
    for (name, shown) in [
        ("default.test", &default),
        ("a.other.test", &other),
        ("unknown.test", &default),
        // An address is never sent as a server name.
        ("127.0.0.1", &default),
    ] {
        let stream = TcpStream::connect(bind).await.expect("connected");
        let connector = tokio_rustls::TlsConnector::from(tls::trusting_client(&[]));
        let stream = connector.connect(name.try_into().expect("a name"), stream).await.expect("no alert");
        let leaf = &stream.get_ref().1.peer_certificates().expect("shown")[0];
        assert_eq!(*leaf, shown.chain()[0], "{name}");
    }
}

/// The certificate that clients of this listener are seen to have, for each of these; none = the handshake failed.
async fn subjects(auth: ClientAuth, servers: &Authority, shown: &[Option<&Issued>]) -> Vec<Option<String>> {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let terminate = TlsServer { client_auth: auth, ..terminating(&[&servers.server(&["a.test"])], &[]) };
    let mut http = server(vec![route("/", "up")]);
    let details = plenipo_model::ClientCertDetails { subject: true, ..Default::default() };
    http.client_cert = plenipo_model::ClientCertHeader::SanitizeSet(details);
    let chain = Chain {
        source: source(),
        accepts: Accepts::Tls(vec![HostPattern::Any]),
        tls: ChainTls::Terminate(Arc::new(terminate)),
        serve: Serve::Http(Arc::new(http)),
    };
    let front = listener(bind, vec![chain]);
    let _gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
    let mut subjects = Vec::new();
    for certificate in shown {
        let target = Target::tls(bind, "a.test", tls::client(servers, *certificate, &[]));
        let subject = Http::one(target).get("/").await.ok().map(|response| {
            let echoed = response.echoed().expect("echo");
            let field = echoed.header("x-forwarded-client-cert").first().copied().unwrap_or_default();
            field.rsplit_once("CN=").map_or("", |(_, name)| name.trim_end_matches('"')).to_owned()
        });
        subjects.push(subject);
    }
    subjects
}

#[tokio::test]
async fn client_certificates_may_pass_unverified() {
    let (servers, clients) = (Authority::new("ca"), Authority::new("clients"));
    let (good, foreign) = (clients.client("good"), Authority::new("nobody").client("foreign"));
    let expired = clients.issue(&Leaf::client("expired").expired());
    let shown = [None, Some(&good), Some(&foreign), Some(&expired)];
    let seen = subjects(ClientAuth::Unverified, &servers, &shown).await;
    assert_eq!(
        seen.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [Some(""), Some("good"), Some("foreign"), Some("expired")]
    );
}

#[tokio::test]
async fn expiry_is_forgiven_where_asked_and_nothing_else_is() {
    let (servers, clients) = (Authority::new("ca"), Authority::new("clients"));
    let expired = clients.issue(&Leaf::client("expired").expired());
    let revoked = clients.issue(&Leaf::client("revoked").expired());
    let early = clients.issue(&Leaf::client("early").not_yet_valid());
    let foreign = Authority::new("nobody").issue(&Leaf::client("foreign").expired());
    let list = RevocationList::from_pem(clients.revocation_list(&[&revoked]).as_bytes()).expect("valid");
    let roots = RootStore::from_pem(clients.pem().as_bytes()).expect("valid");
    let mut rules = ClientRoots::new(Arc::new(roots), Some(Arc::new(list)));
    let shown = [Some(&expired), Some(&revoked), Some(&early), Some(&foreign), None];
    let seen = subjects(ClientAuth::Required(rules.clone()), &servers, &shown).await;
    assert_eq!(seen, [None, None, None, None, None]);
    rules.ignore_expiry = true;
    let seen = subjects(ClientAuth::Required(rules), &servers, &shown).await;
    assert_eq!(seen, [Some("expired".to_owned()), None, None, None, None]);
}

/// Shows no certificate, and remembers how it was asked for one.
#[derive(Debug, Default)]
struct Asked(std::sync::Mutex<Option<usize>>);

impl rustls::client::ResolvesClientCert for Asked {
    fn resolve(
        &self,
        hints: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        *self.0.lock().expect("one at a time") = Some(hints.len());
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn authorities_are_named_to_clients_where_asked() {
    let (servers, clients) = (Authority::new("ca"), Authority::new("clients"));
    let roots = Arc::new(RootStore::from_pem(clients.pem().as_bytes()).expect("valid"));
    let rules =
        |advertise_names| ClientRoots { advertise_names, ..ClientRoots::new(Arc::clone(&roots), None) };
    let upstream = Upstream::tcp("up").start().await;
    for (auth, names) in [
        (ClientAuth::None, None),
        (ClientAuth::Optional(rules(true)), Some(1)),
        (ClientAuth::Optional(rules(false)), Some(0)),
        (ClientAuth::Unverified, Some(0)),
    ] {
        let bind = loopback();
        let server = TlsServer { client_auth: auth, ..terminating(&[&servers.server(&["a.test"])], &[]) };
        let front = tls_relay(bind, server);
        let _gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
        let asked = Arc::new(Asked::default());
        let mut config = (*tls::trusting_client(&[])).clone();
        config.client_auth_cert_resolver = Arc::clone(&asked) as Arc<dyn rustls::client::ResolvesClientCert>;
        let stream = TcpStream::connect(bind).await.expect("connected");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect("a.test".try_into().expect("a name"), stream).await.expect("the handshake goes on");
        assert_eq!(*asked.0.lock().expect("one at a time"), names);
    }
}
