//! What goes away while traffic flows: the API server, the network to it, a certificate, a replica.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Cluster, Http, eventually, tls};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::site::{listener, mapping, pod, slice};
use super::{Replica, Site};
use crate::load::Traffic;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apiserver_that_dies_costs_no_request() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let replicas = [Replica::start(&site).await?, Replica::start(&site).await?];
    let (one, two) = (pod("one").await, pod("two").await);
    site.serve("quote", &one).await?;
    let begun = site.put(mapping("quote", "/quote/", "quote")).await?;
    for replica in &replicas {
        replica.answers(begun, "a", "/quote/", "200 one").await;
    }
    let traffic =
        replicas.each_ref().map(|replica| Traffic::start(replica.address(8080), "/quote/", 2, false));
    for round in 0..2 {
        cluster.kill_apiserver();
        for replica in &replicas {
            served(replica, &traffic, "without an API server").await;
            assert_eq!(replica.ask("/ready").await?.status, 200, "{}", replica.process.output());
        }
        cluster.restart_apiserver().await;
        // Changes arrive again: of objects and of endpoints.
        let upstream = if round == 0 { &two } else { &one };
        let begun = site.put(slice("quote", "quote", upstream, true)).await?;
        for replica in &replicas {
            let took = replica.answers(begun, "a", "/quote/", &format!("200 {}", upstream.name())).await;
            println!("{:>6.0} ms  after the API server is back", took.as_secs_f64() * 1000.0);
        }
        let begun = site.put(mapping("more", &format!("/more-{round}/"), "quote")).await?;
        for replica in &replicas {
            let path = format!("/more-{round}/");
            replica.answers(begun, "a", &path, &format!("200 {}", upstream.name())).await;
        }
    }
    ended(traffic).await
}

/// A replica started without an API server waits, says why, and serves once there is one.
#[tokio::test]
async fn a_start_without_an_apiserver_waits_for_it() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    cluster.kill_apiserver();
    let replica = Replica::launch(&site.namespace, cluster.kubeconfig(), &[8080], &[])?;
    let why = eventually("an answer", || async { replica.ask("/ready?verbose").await }).await;
    assert_eq!(why.status, 503);
    assert_eq!(replica.ask("/ambassador/v0/check_alive").await?.status, 200);
    cluster.restart_apiserver().await;
    let begun = Instant::now();
    replica.ready().await;
    assert!(replica.answer("a", "/quote/").await.starts_with("200"), "ready means that all is there");
    println!("{:>6.0} ms  from the API server's start to readiness", begun.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

/// What was changed while nobody could watch, and cannot be watched later either since the past is gone: 410, list anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_that_is_gone_is_not_needed() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let network = cluster.network();
    let replica = Replica::start_with(&site, &network.kubeconfig(), &[8080], &[]).await?;
    let (one, two) = (pod("one").await, pod("two").await);
    site.serve("quote", &one).await?;
    site.put(mapping("gone", "/gone/", "quote")).await?;
    let begun = site.put(mapping("quote", "/quote/", "quote")).await?;
    replica.answers(begun, "a", "/quote/", "200 one").await;
    let traffic = [Traffic::start(replica.address(8080), "/quote/", 2, false)];

    network.cut();
    site.put(slice("quote", "quote", &two, true)).await?;
    site.put(mapping("new", "/new/", "quote")).await?;
    site.remove(mapping("gone", "/gone/", "quote")).await?;
    cluster.kill_apiserver();
    cluster.compact().await;
    cluster.restart_apiserver().await;
    served(&replica, &traffic, "while it is disconnected").await;
    assert_eq!(replica.answer("a", "/gone/").await, "200 one", "the last state");
    network.restore();
    let begun = Instant::now();
    for (path, answer) in [("/quote/", "200 two"), ("/new/", "200 two"), ("/gone/", "404 ")] {
        let took = replica.answers(begun, "a", path, answer).await;
        println!("{:>6.0} ms  after the network is back: {path} {answer}", took.as_secs_f64() * 1000.0);
    }
    ended(traffic).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_rotated_under_load_refuses_nobody() -> Result<()> {
    const NAME: &str = "shop.example.com";
    let site = Site::shared().await?;
    let authority = Authority::new("root");
    let secret = || {
        let issued = authority.server(&[NAME]);
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop"}, "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": issued.cert_pem(), "tls.key": issued.key_pem()},
        });
        (issued, object)
    };
    site.put(secret().1).await?;
    site.put(listener("https", 8443)).await?;
    site.put(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": "shop"},
        "spec": {"hostname": NAME, "tlsSecret": {"name": "shop"}},
    }))
    .await?;
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    let replica = Replica::start_with(&site, site.cluster.kubeconfig(), &[8080, 8443], &[]).await?;
    let address = replica.address(8443);
    let client = Http::one(Target::tls(address, NAME, tls::client(&authority, None, &["http/1.1"])));
    eventually("TLS", || async { client.get("/quote/").await.is_ok_and(|answer| answer.status == 200) })
        .await;

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("/quote/").await.with_context(|| format!("after {count}"))?;
                    ensure!(answer.status == 200, "{}", answer.status);
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    for _ in 0..10 {
        let (issued, object) = secret();
        let begun = site.put(object).await?;
        eventually("the new certificate", || async {
            shown(address, NAME, &authority).await.as_ref() == issued.chain().first()
        })
        .await;
        println!("{:>6.0} ms  Secret rotated", begun.elapsed().as_secs_f64() * 1000.0);
    }
    stop.store(true, Ordering::Relaxed);
    let mut handshakes = 0;
    for client in clients {
        handshakes += client.await??;
    }
    println!("{handshakes} handshakes, none refused");
    Ok(())
}

/// One replica after the other is replaced, as a Deployment does it with `maxUnavailable: 0`; clients go where the last probe
/// was answered well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_loses_no_request() -> Result<()> {
    let site = Site::shared().await?;
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    let start = || Replica::start_with(&site, site.cluster.kubeconfig(), &[8080], &["--min-drain", "1s"]);
    let mut running = vec![start().await?, start().await?];
    let mut answered = 0;
    for _ in 0..2 {
        let surge = start().await?;
        eventually("the new replica's answer", || async { surge.answer("a", "/quote/").await == "200 one" })
            .await;
        let mut old = running.remove(0);
        let leaving = Traffic::start(old.address(8080), "/quote/", 4, true);
        let staying = Traffic::start(surge.address(8080), "/quote/", 4, false);
        eventually("traffic", || async { leaving.answered.load(Ordering::Relaxed) > 50 }).await;
        old.process.signal("TERM")?;
        // The probe fails and the endpoint is taken away; what is sent there until then is answered.
        eventually("not ready", || async { old.ask("/ready").await.is_ok_and(|ready| ready.status == 503) })
            .await;
        answered += leaving.end().await?;
        assert!(old.process.wait().await?.success());
        answered += staying.end().await?;
        running.push(surge);
    }
    println!("{answered} requests, none lost");
    Ok(())
}

/// Traffic goes on: some hundred requests are answered from now.
async fn served(replica: &Replica, traffic: &[Traffic], when: &str) {
    let count = || traffic.iter().map(|traffic| traffic.answered.load(Ordering::Relaxed)).sum::<usize>();
    let before = count();
    eventually(when, || async { count() > before + 300 }).await;
    assert!(replica.answer("a", "/quote/").await.starts_with("200"), "{when}");
}

async fn ended<const N: usize>(traffic: [Traffic; N]) -> Result<()> {
    let mut answered = 0;
    for traffic in traffic {
        answered += traffic.end().await?;
    }
    println!("{answered} requests, none lost");
    Ok(())
}

/// The certificate that is shown for this name.
async fn shown(
    address: SocketAddr,
    name: &'static str,
    authority: &Authority,
) -> Option<CertificateDer<'static>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let connector = TlsConnector::from(tls::client(authority, None, &[]));
    let stream = connector.connect(name.try_into().ok()?, stream).await.ok()?;
    stream.get_ref().1.peer_certificates()?.first().cloned()
}
