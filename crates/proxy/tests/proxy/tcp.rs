//! Relays and PROXY headers.

use std::time::Duration;

use plenipo_model::{ProxyTlvs, SendProxyProtocol, TcpRoute, TcpTarget};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Raw, Upstream, eventually, proxy_header, tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};

use super::tls::tls_server;
use super::*;

fn relay(bind: SocketAddr, accepts: Accepts, idle_timeout: Option<Duration>) -> Listener {
    let targets = vec![TcpTarget { source: source(), weight: 1, cluster: "up".into() }];
    let route = TcpRoute { idle_timeout, ..TcpRoute::new("relay", source(), targets) };
    let chain =
        Chain { source: source(), accepts, tls: ChainTls::Untouched, serve: Serve::Tcp(Arc::new(route)) };
    listener(bind, vec![chain])
}

#[tokio::test]
async fn bytes_pass_and_each_side_may_end_first() {
    let upstream = Upstream::tcp("up").start().await;
    let bind = loopback();
    let _gateway = Gateway::start(edge(
        vec![relay(bind, Accepts::Anything, None)],
        vec![cluster("up", upstream.address())],
    ))
    .await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("hello").await.expect("sent");
    assert_eq!(raw.exactly(5).await.expect("echoed"), b"hello");
    raw.send(vec![b'x'; 1_000_000]).await.expect("sent");
    raw.finish().await.expect("our end is closed");
    assert_eq!(raw.to_end().await.expect("the rest").len(), 1_000_000, "half-closed, the other half goes on");
}

/// In clear text (first bytes in one segment with a PROXY header) and with TLS ended: more than any buffer holds.
#[tokio::test]
async fn bulk_passes_unchanged_and_is_counted() {
    let authority = Authority::new("ca");
    let upstream = Upstream::tcp("up").start().await;
    let (client, us) =
        ("203.0.113.7:4711".parse().expect("valid"), "198.51.100.1:443".parse().expect("valid"));
    let sent: Vec<u8> = (0..8_000_000_usize).map(|at| ((at * 31 + at / 4096) % 251) as u8).collect();
    for terminates in [false, true] {
        let bind = loopback();
        let mut front = relay(bind, Accepts::Anything, None);
        let target = if terminates {
            front.chains[0].accepts = Accepts::Tls(vec![HostPattern::parse("a.test").expect("valid")]);
            front.chains[0].tls = ChainTls::Terminate(Arc::new(tls_server(&authority.server(&["a.test"]))));
            Target::tls(bind, "a.test", tls::client(&authority, None, &[]))
        } else {
            front.proxy_protocol = ProxyProtocol::Required;
            Target::clear(bind).proxy_header(proxy_header::v1(client, us))
        };
        let gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
        let (mut reading, mut writing) = split(target.connect().await.expect("connected"));
        let send = async {
            writing.write_all(&sent).await.expect("sent");
            writing.shutdown().await.expect("our end is closed");
        };
        let mut heard = Vec::new();
        let (read, ()) = tokio::join!(reading.read_to_end(&mut heard), send);
        read.expect("it ends properly");
        assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
        let numbers = eventually("the relay has ended", || async {
            let numbers = gateway.proxy.handle().measure().await;
            (numbers.clusters["up"].received > 0).then_some(numbers)
        })
        .await;
        let (listener, cluster) = (&numbers.listeners["ingress_http"], &numbers.clusters["up"]);
        assert_eq!((cluster.sent, cluster.received), (8_000_000, 8_000_000));
        assert_eq!((listener.received, listener.sent), (8_000_000, 8_000_000));
    }
}

#[tokio::test]
async fn a_quiet_relay_ends() {
    let upstream = Upstream::tcp("up").start().await;
    let bind = loopback();
    let limit = Some(Duration::from_millis(100));
    let _gateway = Gateway::start(edge(
        vec![relay(bind, Accepts::Anything, limit)],
        vec![cluster("up", upstream.address())],
    ))
    .await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("hello").await.expect("sent");
    raw.exactly(5).await.expect("echoed");
    assert!(raw.closes().await);
}

#[tokio::test]
async fn tls_passes_by_its_name_untouched() {
    let authority = Authority::new("ca");
    let upstream = Upstream::http("up").tls(tls::server(&authority.server(&["a.test"]), &[])).start().await;
    let bind = loopback();
    let accepts = Accepts::Tls(vec![HostPattern::parse("a.test").expect("valid")]);
    let _gateway =
        Gateway::start(edge(vec![relay(bind, accepts, None)], vec![cluster("up", upstream.address())])).await;
    let to = |name: &str| Http::one(Target::tls(bind, name, tls::client(&authority, None, &[])));
    let echoed = to("a.test").get("/").await.expect("answered").echoed().expect("echo");
    assert_eq!(echoed.tls.expect("TLS to the upstream").sni.as_deref(), Some("a.test"));
    assert!(to("b.test").get("/").await.is_err());
}

#[tokio::test]
async fn proxy_headers_are_taken_from_those_allowed_and_sent_on() {
    let upstream = Upstream::http("up").proxy_header().start().await;
    let bind = loopback();
    let mut front = listener(bind, vec![clear(server(vec![route("/", "up")]))]);
    front.proxy_protocol = ProxyProtocol::Required;
    let mut up = cluster("up", upstream.address());
    up.send_proxy = Some(SendProxyProtocol::V2(ProxyTlvs::default()));
    let _gateway = Gateway::start(edge(vec![front], vec![up])).await;
    let (client, us) =
        ("203.0.113.7:4711".parse().expect("valid"), "198.51.100.1:443".parse().expect("valid"));
    for header in [proxy_header::v1(client, us), proxy_header::v2(client, us, &[(0x04, &[0; 9])])] {
        let target = Target::clear(bind).proxy_header(header);
        let echoed = Http::one(target).get("/").await.expect("answered").echoed().expect("echo");
        assert_eq!(echoed.header("x-forwarded-for"), ["203.0.113.7"]);
    }
    assert!(
        upstream.proxy_headers().iter().all(|header| header.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"))
    );
    let local = Target::clear(bind).proxy_header(proxy_header::v2_local());
    let echoed = Http::one(local).get("/").await.expect("answered").echoed().expect("echo");
    assert_eq!(echoed.header("x-forwarded-for"), ["127.0.0.1"]);
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert!(raw.closes().await, "without its header a connection is closed");
}
