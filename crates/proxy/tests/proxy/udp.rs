//! Relays of datagrams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plenipo_model::{Balance, Transport, UdpRoute};
use plenipo_testkit::eventually;
use tokio::net::UdpSocket;

use super::*;

/// A server that says who it is and what it heard.
struct Echo {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Echo {
    async fn start(name: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_535];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer =
                    [name.as_bytes(), b" ", from.to_string().as_bytes(), b" ", &buffer[..length]].concat();
                let _ = socket.send_to(&answer, from).await;
            }
        });
        Self { address, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Client(UdpSocket);

/// An answer: who gave it, to whom, and what was heard.
type Answer = (String, String, Vec<u8>);

impl Client {
    async fn to(gateway: SocketAddr) -> Self {
        Self::from("127.0.0.1", gateway).await
    }

    async fn from(own: &str, gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind((own, 0)).await.expect("a socket");
        socket.connect(gateway).await.expect("connected");
        Self(socket)
    }

    async fn hears(&self) -> Option<Answer> {
        let mut buffer = vec![0; 65_535];
        let heard = tokio::time::timeout(Duration::from_secs(5), self.0.recv(&mut buffer)).await.ok()?;
        let length = heard.ok()?;
        let mut words = buffer[..length].splitn(3, |byte| *byte == b' ');
        let mut text = || String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        let (name, peer) = (text(), text());
        Some((name, peer, words.next().unwrap_or_default().to_vec()))
    }

    async fn asks(&self, datagram: &[u8]) -> Answer {
        self.0.send(datagram).await.expect("sent");
        self.hears().await.expect("an answer")
    }
}

fn datagrams(bind: SocketAddr, change: impl FnOnce(&mut UdpRoute)) -> Listener {
    let targets = vec![plenipo_model::TcpTarget { source: source(), weight: 1, cluster: "up".into() }];
    let mut route = UdpRoute::new("datagrams", source(), targets);
    change(&mut route);
    let chain = Chain {
        source: source(),
        accepts: Accepts::Anything,
        tls: ChainTls::Untouched,
        serve: Serve::Udp(Arc::new(route)),
    };
    let mut listener = listener(bind, vec![chain]);
    (listener.transport, listener.stats_prefix) = (Transport::Udp, "datagrams".into());
    listener
}

fn cluster_of(echoes: &[&Echo], balance: Balance) -> Cluster {
    let endpoints = Endpoints::addresses(echoes.iter().map(|echo| echo.address));
    Cluster { balance, ..Cluster::new("up", source(), endpoints) }
}

async fn flows(gateway: &Gateway) -> u64 {
    gateway.proxy.handle().measure().await.listeners["datagrams"].connections
}

#[tokio::test]
async fn many_clients_on_many_threads_each_keep_their_flow() {
    let (one, two) = (Echo::start("one").await, Echo::start("two").await);
    let bind = loopback();
    let up = cluster_of(&[&one, &two], Balance::RoundRobin);
    let gateway = Gateway::start_with(edge(vec![datagrams(bind, |_| {})], vec![up]), 4).await;
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let mut peers = std::collections::BTreeSet::new();
    // They stay: a port that is free again might be given to the next one.
    let mut clients = Vec::new();
    for number in 0..40u8 {
        let client = Client::to(bind).await;
        let first = client.asks(&[number]).await;
        assert_eq!(first.2, [number]);
        for more in 0..5 {
            let next = client.asks(&[number, more]).await;
            assert_eq!((&next.0, &next.1, next.2), (&first.0, &first.1, vec![number, more]));
        }
        *seen.entry(first.0).or_default() += 1;
        peers.insert(first.1);
        clients.push(client);
    }
    assert_eq!(peers.len(), 40, "each flow has a socket of its own");
    assert!(seen["one"] >= 10 && seen["two"] >= 10, "{seen:?}");
    let numbers = gateway.proxy.handle().measure().await;
    let listener = &numbers.listeners["datagrams"];
    assert_eq!((listener.connections, listener.connections_total), (40, 40));
    assert_eq!(listener.received, 40 * (1 + 5 * 2));
    assert!(listener.sent > listener.received);
    assert_eq!(numbers.clusters["up"].sent, listener.received);
    assert_eq!(numbers.clusters["up"].received, listener.sent);
}

#[tokio::test]
async fn the_largest_and_the_smallest_datagrams_pass_and_bursts_keep_their_order() {
    let echo = Echo::start("e").await;
    let bind = loopback();
    let up = cluster_of(&[&echo], Balance::RoundRobin);
    let _gateway = Gateway::start(edge(vec![datagrams(bind, |_| {})], vec![up])).await;
    let client = Client::to(bind).await;
    assert_eq!(client.asks(b"").await.2, b"");
    assert_eq!(client.asks(&vec![b'x'; 60_000]).await.2.len(), 60_000);
    for number in 0..50u8 {
        client.0.send(&[number]).await.expect("sent");
    }
    for number in 0..50u8 {
        assert_eq!(client.hears().await.expect("all come back").2, [number]);
    }
}

#[tokio::test]
async fn a_source_stays_at_its_endpoint_whatever_its_port() {
    let (one, two) = (Echo::start("one").await, Echo::start("two").await);
    let bind = loopback();
    let up = cluster_of(&[&one, &two], Balance::Maglev);
    let _gateway = Gateway::start(edge(vec![datagrams(bind, |_| {})], vec![up])).await;
    let mut seen = std::collections::BTreeSet::new();
    for host in 1..=16 {
        let own = format!("127.0.3.{host}");
        let first = Client::from(&own, bind).await.asks(b"a").await.0;
        for _ in 0..5 {
            assert_eq!(Client::from(&own, bind).await.asks(b"b").await.0, first);
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2, "sources are spread");
}

#[tokio::test]
async fn idle_flows_are_forgotten_and_the_oldest_makes_room() {
    let echo = Echo::start("e").await;
    let bind = loopback();
    let up = || cluster_of(&[&echo], Balance::RoundRobin);
    let few = datagrams(bind, |route| route.max_flows = 3);
    let mut gateway = Gateway::start_with(edge(vec![few], vec![up()]), 1).await;
    let mut clients = Vec::new();
    let mut peers = Vec::new();
    for _ in 0..3 {
        clients.push(Client::to(bind).await);
        peers.push(clients.last().expect("one").asks(b"a").await.1);
    }
    clients[0].asks(b"b").await;
    let fourth = Client::to(bind).await;
    fourth.asks(b"a").await;
    eventually("the bound holds", async || flows(&gateway).await == 3).await;
    assert_eq!(clients[0].asks(b"c").await.1, peers[0], "used since, it is still there");
    assert_ne!(clients[1].asks(b"c").await.1, peers[1], "idle for longest, it was forgotten");

    let short = datagrams(bind, |route| route.idle_timeout = Duration::from_millis(100));
    gateway.publish(edge(vec![short], vec![up()])).await;
    let client = Client::to(bind).await;
    let first = client.asks(b"a").await;
    eventually("the idle ones are forgotten", async || flows(&gateway).await == 0).await;
    assert_ne!(client.asks(b"a").await.1, first.1);
}

#[tokio::test]
async fn flows_leave_endpoints_that_leave_and_live_through_other_changes() {
    let (one, two) = (Echo::start("one").await, Echo::start("two").await);
    let bind = loopback();
    let with =
        |echoes: &[&Echo]| edge(vec![datagrams(bind, |_| {})], vec![cluster_of(echoes, Balance::RoundRobin)]);
    let mut gateway = Gateway::start(with(&[&one])).await;
    let client = Client::to(bind).await;
    let first = client.asks(b"a").await;
    gateway.publish(with(&[&one, &two])).await;
    assert_eq!(client.asks(b"b").await, (first.0, first.1, b"b".to_vec()), "nothing happened to it");
    gateway.publish(with(&[&two])).await;
    eventually("its flow ends", async || flows(&gateway).await == 0).await;
    assert_eq!(client.asks(b"c").await.0, "two");
    // Another cluster altogether.
    let mut other = with(&[&one]);
    let moved =
        Arc::new(Cluster { connect_timeout: Duration::from_secs(1), ..(*other.clusters["up"]).clone() });
    other.clusters.insert("up".into(), moved);
    gateway.publish(other).await;
    assert_eq!(client.asks(b"d").await.0, "one");
    gateway.publish(with(&[])).await;
    client.0.send(b"e").await.expect("sent");
    eventually("it is counted", async || {
        gateway.proxy.handle().measure().await.listeners["datagrams"].refused.contains_key("no_endpoint")
    })
    .await;
}

#[tokio::test]
async fn one_port_serves_connections_and_datagrams() {
    let (echo, upstream) = (Echo::start("e").await, Upstream::http("web").start().await);
    let bind = loopback();
    let listeners = || {
        let web = listener(bind, vec![clear(server(vec![route("/", "web")]))]);
        (web, datagrams(bind, |_| {}))
    };
    let clusters = || vec![cluster("web", upstream.address()), cluster_of(&[&echo], Balance::RoundRobin)];
    let (web, udp) = listeners();
    let mut gateway = Gateway::start(edge(vec![web, udp], clusters())).await;
    let client = Client::to(bind).await;
    client.asks(b"a").await;
    assert_eq!(plenipo_testkit::Http::one(bind).get("/").await.expect("answered").status, 200);
    gateway.publish(edge(vec![listeners().0], clusters())).await;
    eventually("flows end with their listener", async || flows(&gateway).await == 0).await;
    assert_eq!(plenipo_testkit::Http::one(bind).get("/").await.expect("answered").status, 200);
    gateway.publish(edge(vec![listeners().1], clusters())).await;
    eventually("it is bound again", async || {
        client.0.send(b"b").await.is_ok() && client.hears().await.is_some()
    })
    .await;
}

/// A flood on one flow, by its client or by its endpoint, leaves the thread to everybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flood_keeps_nobody_from_being_served() {
    let (flooder, upstream) =
        (UdpSocket::bind("127.0.0.1:0").await.expect("a socket"), Upstream::http("web").start().await);
    let bind = loopback();
    let endpoint = flooder.local_addr().expect("bound");
    let web = listener(bind, vec![clear(server(vec![route("/", "web")]))]);
    let clusters = vec![
        cluster("web", upstream.address()),
        Cluster::new("up", source(), Endpoints::addresses([endpoint])),
    ];
    let gateway = Gateway::start_with(edge(vec![web, datagrams(bind, |_| {})], clusters), 1).await;
    let client = Client::to(bind).await;
    client.0.send(b"a").await.expect("sent");
    let (_, flow) = flooder.recv_from(&mut [0; 8]).await.expect("relayed");
    flooder.connect(flow).await.expect("connected");
    for socket in [flooder, client.0] {
        let socket = socket.into_std().expect("a socket");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let _ = socket.send(b"x");
                    }
                });
            }
            let serves = async {
                for _ in 0..20 {
                    plenipo_testkit::Http::one(bind).get("/").await.ok()?;
                }
                Some(())
            };
            let served = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current()
                    .block_on(tokio::time::timeout(Duration::from_secs(20), serves))
            });
            over.store(true, Ordering::Relaxed);
            assert_eq!(served.ok().flatten(), Some(()));
        });
    }
    drop(gateway);
}
