//! Sessions of TLS: towards upstreams taken up again by the same, and by nobody else; of clients on any data thread.

use std::sync::Mutex;
use std::time::Duration;

use plenipo_model::{Certificate, Roots, TlsClient, TlsVersion, Verify};
use plenipo_testkit::{Authority, Http, Issued, tls};
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tls::{chain, client, roots, tls_server};
use super::*;

/// What an upstream knows of a connection: was its session taken up again, which name was sent, whose certificate was shown?
type Met = (bool, Option<String>, Option<Vec<u8>>);

/// An upstream that answers one request on each connection.
struct OneEach {
    address: SocketAddr,
    met: Arc<Mutex<Vec<Met>>>,
}

impl OneEach {
    async fn start(config: Arc<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let met = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&met);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("accepted");
                let Ok(mut stream) = TlsAcceptor::from(Arc::clone(&config)).accept(socket).await else {
                    continue;
                };
                let session = stream.get_ref().1;
                let shown = session.peer_certificates().map(|chain| chain[0].to_vec());
                let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
                let name = session.server_name().map(str::to_owned);
                noted.lock().expect("sound").push((resumed, name, shown));
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read == request.len()) {}
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                stream.write_all(answer.as_bytes()).await.expect("answered");
                stream.shutdown().await.expect("ended");
            }
        });
        Self { address, met }
    }

    /// What is known of the connections since it was asked last.
    fn met(&self) -> Vec<Met> {
        std::mem::take(&mut *self.met.lock().expect("sound"))
    }

    fn resumed(&self) -> Vec<bool> {
        self.met().into_iter().map(|(resumed, ..)| resumed).collect()
    }
}

fn own(issued: &Issued) -> Option<Arc<Certificate>> {
    let own = Certificate::from_pem(issued.cert_pem().as_bytes(), issued.key_pem().as_bytes());
    Some(Arc::new(own.expect("valid")))
}

fn trusting(authority: &Authority) -> Verify {
    Verify::Chain { roots: Roots::Given(roots(authority)), names: vec!["up.test".to_owned()] }
}

fn with_tls(name: &str, upstream: &OneEach, tls: &TlsClient) -> Cluster {
    Cluster { tls: Some(Arc::new(tls.clone())), ..cluster(name, upstream.address) }
}

/// Requests on connections of their own, so that the data threads share them.
async fn ask(bind: SocketAddr, path: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(Http::one(bind).get(path).await.expect("answered").status.as_u16(), 200, "{path}");
    }
}

#[tokio::test]
async fn all_but_the_first_connection_take_up_a_session_also_after_a_change() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let ours = clients.client("gateway");
    let server = tls::mutual_server(&authority.server(&["up.test"]), &clients, &[]);
    for (max_version, certificate) in [(TlsVersion::V1_3, own(&ours)), (TlsVersion::V1_2, own(&ours))] {
        let upstream = OneEach::start(Arc::clone(&server)).await;
        let bind = loopback();
        let tls =
            TlsClient { max_version, certificate, ..client(trusting(&authority), Some("up.test"), false) };
        let edge_of = |cluster| {
            edge(vec![listener(bind, vec![clear(super::server(vec![route("/", "up")]))])], vec![cluster])
        };
        let mut gateway = Gateway::start(edge_of(with_tls("up", &upstream, &tls))).await;
        ask(bind, "/", 8).await;
        let met = upstream.met();
        let resumed: Vec<_> = met.iter().map(|(resumed, ..)| *resumed).collect();
        assert_eq!(resumed, [&[false][..], &[true; 7]].concat(), "{max_version:?}");
        let shown = ours.chain()[0].to_vec();
        assert!(met.iter().all(|(_, _, client)| client.as_ref() == Some(&shown)), "it knows us all the same");

        let changed = Cluster { connect_timeout: Duration::from_secs(7), ..with_tls("up", &upstream, &tls) };
        gateway.publish(edge_of(changed)).await;
        ask(bind, "/", 2).await;
        assert_eq!(upstream.resumed(), [true; 2], "{max_version:?}: nothing of its TLS changed");
    }
}

#[tokio::test]
async fn who_differs_in_certificate_name_or_trust_begins_a_session_of_its_own() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let (one, other) = (clients.client("one"), clients.client("other"));
    let upstream = OneEach::start(tls::mutual_server(&authority.server(&["up.test"]), &clients, &[])).await;
    let first = TlsClient { certificate: own(&one), ..client(trusting(&authority), Some("up.test"), false) };
    let variants = [
        ("first", first.clone(), "up.test", &one),
        ("other-certificate", TlsClient { certificate: own(&other), ..first.clone() }, "up.test", &other),
        (
            "other-name",
            TlsClient { server_name: Some("else.test".into()), ..first.clone() },
            "else.test",
            &one,
        ),
        ("other-trust", TlsClient { verify: Verify::Nothing, ..first.clone() }, "up.test", &one),
    ];
    let bind = loopback();
    let routes = variants.iter().map(|(name, ..)| route(&format!("/{name}"), name)).collect();
    let clusters = variants.iter().map(|(name, tls, ..)| with_tls(name, &upstream, tls)).collect();
    let mut gateway =
        Gateway::start(edge(vec![listener(bind, vec![clear(super::server(routes))])], clusters)).await;
    for (name, _, sent, certificate) in &variants {
        ask(bind, &format!("/{name}"), 2).await;
        let expected = |resumed| (resumed, Some((*sent).to_owned()), Some(certificate.chain()[0].to_vec()));
        assert!(upstream.met() == [expected(false), expected(true)], "{name}");
    }

    // The same cluster, asked to trust somebody else: what it has from before opens nothing.
    let distrusting = TlsClient { verify: trusting(&clients), ..first };
    let routes = vec![route("/first", "first")];
    let clusters = vec![with_tls("first", &upstream, &distrusting)];
    gateway.publish(edge(vec![listener(bind, vec![clear(super::server(routes))])], clusters)).await;
    assert_eq!(Http::one(bind).get("/first").await.expect("answered").status.as_u16(), 503);
    assert!(upstream.met().is_empty());
}

/// A request on a connection of its own: was a session taken up, and how many tickets came?
async fn visit(bind: SocketAddr, config: &Arc<rustls::ClientConfig>) -> (bool, u32) {
    let socket = TcpStream::connect(bind).await.expect("connected");
    let name = ServerName::try_from("a.test").expect("a name");
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await.expect("a handshake");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let session = stream.get_ref().1;
    (session.handshake_kind() == Some(HandshakeKind::Resumed), session.tls13_tickets_received())
}

#[tokio::test]
async fn clients_take_up_their_sessions_on_any_data_thread_until_the_certificate_changes() {
    let authority = Authority::new("ca");
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let edge_of = |issued: &Issued, paths: &[&str]| {
        let routes = paths.iter().map(|path| route(path, "up")).collect();
        let tls = plenipo_model::ChainTls::Terminate(Arc::new(tls_server(issued)));
        edge(
            vec![listener(bind, vec![chain("a.test", tls, server(routes))])],
            vec![cluster("up", upstream.address())],
        )
    };
    let first = authority.server(&["a.test"]);
    let mut gateway = Gateway::start(edge_of(&first, &["/"])).await;
    let client = plenipo_testkit::tls::client(&authority, None, &[]);
    assert_eq!(visit(bind, &client).await, (false, 1));
    for _ in 0..8 {
        assert_eq!(visit(bind, &client).await, (true, 1), "one ticket a handshake, good for both threads");
    }
    gateway.publish(edge_of(&first, &["/", "/more"])).await;
    assert_eq!(visit(bind, &client).await, (true, 1), "routes are not what a session is about");
    gateway.publish(edge_of(&authority.server(&["a.test"]), &["/"])).await;
    assert_eq!(visit(bind, &client).await, (false, 1), "another certificate, other keys of tickets");
}
