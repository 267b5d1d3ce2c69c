//! What is written in the cluster is what is served, and soon.

use std::time::Instant;

use anyhow::Result;
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, eventually, tls};
use serde_json::{Value, json};

use super::site::{listener, mapping, pod, slice};
use super::{Replica, Site};

/// Writes, waits for the answer, and prints how long it took from before the request to the API server.
struct Changes<'s> {
    site: &'s Site<'s>,
    replicas: [&'s Replica; 2],
}

impl Changes<'_> {
    /// After this object is there, `host` and `path` are answered with this, by each replica.
    async fn put(&self, what: &str, object: Value, host: &str, path: &str, answer: &str) -> Result<()> {
        let begun = self.site.put(object).await?;
        self.arrives(begun, what, host, path, answer).await;
        Ok(())
    }

    /// After this object is gone.
    async fn remove(&self, what: &str, object: &Value, host: &str, path: &str, answer: &str) -> Result<()> {
        let begun = self.site.remove(object.clone()).await?;
        self.arrives(begun, what, host, path, answer).await;
        Ok(())
    }

    async fn arrives(&self, begun: Instant, what: &str, host: &str, path: &str, answer: &str) {
        for replica in self.replicas {
            let took = replica.answers(begun, host, path, answer).await;
            println!("{:>6.0} ms  {what}: {answer}", took.as_secs_f64() * 1000.0);
        }
    }
}

fn kind(kind: &str, name: &str, spec: &Value) -> Value {
    let mut object =
        json!({"apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": {"name": name}});
    object["spec"] = spec.clone();
    object
}

#[tokio::test]
async fn mappings_services_and_endpoints() -> Result<()> {
    let site = Site::shared().await?;
    let (first, second) = (Replica::start(&site).await?, Replica::start(&site).await?);
    let changes = Changes { site: &site, replicas: [&first, &second] };
    let (one, two) = (pod("one").await, pod("two").await);
    site.serve("quote", &one).await?;

    let quote = mapping("quote", "/quote/", "quote");
    changes.put("Mapping created", quote.clone(), "a", "/quote/", "200 one").await?;
    changes.put("Mapping changed", mapping("quote", "/word/", "quote"), "a", "/word/", "200 one").await?;
    assert_eq!(first.answer("a", "/quote/").await, "404 ");

    let (old, new) = (slice("quote", "quote", &one, true), slice("quote", "quote", &two, true));
    changes.put("EndpointSlice changed", new, "a", "/word/", "200 two").await?;
    let second_slice = slice("quote-2", "quote", &one, true);
    changes.put("EndpointSlice created", second_slice.clone(), "a", "/word/", "200 one").await?;
    changes.remove("EndpointSlice deleted", &old, "a", "/word/", "200 one").await?;
    let unready = slice("quote-2", "quote", &one, false);
    changes.put("endpoint not ready", unready, "a", "/word/", "503 ").await?;
    changes.put("endpoint ready", second_slice, "a", "/word/", "200 one").await?;

    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "quote"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    });
    site.remove(slice("quote-2", "quote", &one, true)).await?;
    changes.remove("Service deleted", &service, "a", "/word/", "503 ").await?;
    site.put(slice("quote-2", "quote", &one, true)).await?;
    changes.put("Service created", service, "a", "/word/", "200 one").await?;
    changes.remove("Mapping deleted", &quote, "a", "/word/", "404 ").await?;
    Ok(())
}

#[tokio::test]
async fn hosts_authorisation_and_ingresses() -> Result<()> {
    let site = Site::shared().await?;
    let (first, second) = (Replica::start(&site).await?, Replica::start(&site).await?);
    let changes = Changes { site: &site, replicas: [&first, &second] };
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    changes.put("Mapping created", mapping("quote", "/", "quote"), "a", "/", "200 one").await?;

    let host = |action: &str| {
        let insecure = json!({"insecure": {"action": action}});
        kind("Host", "shop", &json!({"hostname": "shop.example.com", "requestPolicy": insecure}))
    };
    let shop = "shop.example.com";
    changes.put("Host created", host("Redirect"), shop, "/", "301 ").await?;
    changes.put("Host changed", host("Reject"), shop, "/", "404 ").await?;
    changes.remove("Host deleted", &host("Reject"), shop, "/", "200 one").await?;

    let refused = |failure_mode_allow: bool| {
        let spec = json!({
            "auth_service": "http://nobody", "proto": "http", "failure_mode_allow": failure_mode_allow,
        });
        kind("AuthService", "auth", &spec)
    };
    changes.put("AuthService created", refused(false), "a", "/", "403 ").await?;
    changes.put("AuthService changed", refused(true), "a", "/", "200 one").await?;
    changes.put("AuthService changed back", refused(false), "a", "/", "403 ").await?;
    changes.remove("AuthService deleted", &refused(false), "a", "/", "200 one").await?;

    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "old", "annotations": {
                "kubernetes.io/ingress.class": "ambassador",
                "getambassador.io/ambassador-id": site.namespace,
            },
        },
        "spec": {"rules": [{"host": "old.example.com", "http": {"paths": [
            {"path": "/old", "pathType": "Exact",
             "backend": {"service": {"name": "nobody", "port": {"number": 80}}}},
        ]}}]},
    });
    changes.put("Ingress created", ingress.clone(), "old.example.com", "/old", "503 ").await?;
    changes.remove("Ingress deleted", &ingress, "old.example.com", "/old", "200 one").await?;
    Ok(())
}

#[tokio::test]
async fn what_holds_for_all_listeners_and_bytes() -> Result<()> {
    let site = Site::shared().await?;
    let ports = [8080, 8081, 9000];
    let kubeconfig = site.cluster.kubeconfig();
    let first = Replica::start_with(&site, kubeconfig, &ports, &[]).await?;
    let second = Replica::start_with(&site, kubeconfig, &ports, &[]).await?;
    let changes = Changes { site: &site, replicas: [&first, &second] };
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    changes.put("Mapping created", mapping("quote", "/", "quote"), "a", "/", "200 one").await?;

    for (what, server) in [("created", "quotes"), ("changed", "words")] {
        let begun =
            site.put(kind("Module", "ambassador", &json!({"config": {"server_name": server}}))).await?;
        for replica in [&first, &second] {
            eventually("the server's name", || async {
                replica.get("a", "/").await.is_ok_and(|answer| answer.header("server") == server)
            })
            .await;
            println!("{:>6.0} ms  Module {what}", begun.elapsed().as_secs_f64() * 1000.0);
        }
    }

    let at = async |port: u16| -> Option<String> {
        let address = first.address(port);
        Http::one(address).get("/").await.ok()?.echoed().ok().map(|echoed| echoed.backend)
    };
    let begun = site.put(listener("more", 8081)).await?;
    eventually("the Listener", || async { at(8081).await.is_some() }).await;
    println!("{:>6.0} ms  Listener created", begun.elapsed().as_secs_f64() * 1000.0);
    let begun = site.remove(listener("more", 8081)).await?;
    eventually("the Listener to be gone", || async { at(8081).await.is_none() }).await;
    println!("{:>6.0} ms  Listener deleted", begun.elapsed().as_secs_f64() * 1000.0);

    let bytes =
        kind("TCPMapping", "bytes", &json!({"port": 9000, "service": "quote", "resolver": "endpoint"}));
    let begun = site.put(bytes.clone()).await?;
    eventually("the TCPMapping", || async { at(9000).await.as_deref() == Some("one") }).await;
    println!("{:>6.0} ms  TCPMapping created", begun.elapsed().as_secs_f64() * 1000.0);
    let begun = site.remove(bytes).await?;
    eventually("the TCPMapping to be gone", || async { at(9000).await.is_none() }).await;
    println!("{:>6.0} ms  TCPMapping deleted", begun.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

/// A Host with TLS, its Secret and a TLSContext.
#[tokio::test]
async fn certificates_and_what_clients_must_show() -> Result<()> {
    let site = Site::shared().await?;
    let replica = Replica::start_with(&site, site.cluster.kubeconfig(), &[8080, 8443], &[]).await?;
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    site.put(mapping("quote", "/", "quote")).await?;
    site.put(listener("https", 8443)).await?;
    let name = "shop.example.com";
    let host = json!({"hostname": name, "tlsSecret": {"name": "shop"}, "requestPolicy": {"insecure": {"action": "Route"}}});
    site.put(kind("Host", "shop", &host)).await?;

    let answer = async |servers: &Authority| -> String {
        let client = tls::client(servers, None, &["http/1.1"]);
        match Http::one(Target::tls(replica.address(8443), name, client)).get("/").await {
            Ok(response) => response.status.as_u16().to_string(),
            Err(_) => "refused".to_owned(),
        }
    };
    let (first, second, clients) =
        (Authority::new("first"), Authority::new("second"), Authority::new("clients"));
    assert_eq!(answer(&first).await, "refused", "without its Secret");
    for (what, authority) in [("created", &first), ("changed", &second)] {
        let begun = site.put(secret("shop", authority)).await?;
        eventually(what, || async { answer(authority).await == "200" }).await;
        println!("{:>6.0} ms  Secret {what}", begun.elapsed().as_secs_f64() * 1000.0);
    }
    // A Secret that goes does not take what is served with it. (The Mapping after it says that it was noticed.)
    site.remove(secret("shop", &second)).await?;
    let begun = site.put(mapping("after", "/after/", "nobody")).await?;
    replica.answers(begun, name, "/after/", "503 ").await;
    assert_eq!(answer(&second).await, "200", "without its Secret again");
    let ca = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "clients"},
        "stringData": {"ca.crt": clients.pem()},
    });
    site.put(ca).await?;
    let context = kind(
        "TLSContext",
        "shop",
        &json!({"hosts": [name], "secret": "shop", "ca_secret": "clients", "cert_required": true}),
    );
    site.put(secret("shop", &second)).await?;
    let begun = site.put(context.clone()).await?;
    eventually("a certificate is asked for", || async { answer(&second).await == "refused" }).await;
    println!("{:>6.0} ms  TLSContext created", begun.elapsed().as_secs_f64() * 1000.0);
    let begun = site.remove(context).await?;
    eventually("none is asked for", || async { answer(&second).await == "200" }).await;
    println!("{:>6.0} ms  TLSContext deleted", begun.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

fn secret(name: &str, authority: &Authority) -> Value {
    let issued = authority.server(&["shop.example.com"]);
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": issued.cert_pem(), "tls.key": issued.key_pem()},
    })
}

#[tokio::test]
async fn two_gateways_with_ids_of_their_own() -> Result<()> {
    let (left, right) = (Site::shared().await?, Site::shared().await?);
    let gateways = (Replica::start(&left).await?, Replica::start(&right).await?);
    let (one, two) = (pod("one").await, pod("two").await);
    left.serve("quote", &one).await?;
    right.serve("quote", &two).await?;
    left.put(mapping("quote", "/quote/", "quote")).await?;
    let begun = right.put(mapping("quote", "/quote/", "quote")).await?;
    gateways.0.answers(begun, "a", "/quote/", "200 one").await;
    gateways.1.answers(begun, "a", "/quote/", "200 two").await;

    // One Mapping of the left's namespace that belongs to both.
    let mut both = mapping("both", "/both/", "quote");
    both["spec"]["ambassador_id"] = json!([left.namespace, right.namespace]);
    let begun = left.put(both.clone()).await?;
    gateways.0.answers(begun, "a", "/both/", "200 one").await;
    gateways.1.answers(begun, "a", "/both/", "200 one").await;
    both["spec"]["ambassador_id"] = json!([right.namespace]);
    let begun = left.put(both).await?;
    gateways.0.answers(begun, "a", "/both/", "404 ").await;
    gateways.1.answers(begun, "a", "/both/", "200 one").await;
    Ok(())
}
