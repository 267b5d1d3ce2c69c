//! An Istio gateway before a pod that takes mutual TLS only. The pod is a second real gateway, with an identity of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use plenipo_testkit::certs::Leaf;
use plenipo_testkit::{Authority, Echoed, Http, Istiod, Upstream, eventually};
use tempfile::TempDir;

use crate::edge::{ARN, Acm, Front, example};
use crate::gateway::{Gateway, directory, output};

const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/gateway";
const POD: &str = "spiffe://cluster.local/ns/web/sa/shop";
/// Where the pod's sidecar listens.
const INBOUND: u16 = 15006;

/// The gateway's side: one proxy in front, and a namespace that takes mutual TLS only.
const OUTSIDE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig:
      gatewayTopology: {numTrustedProxies: 1}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: web}
spec:
  hosts: [shop.example.com]
  gateways: [istio-system/web]
  http:
    - route: [{destination: {host: shop}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: web}
spec: {mtls: {mode: STRICT}}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: web}
spec:
  template:
    metadata: {labels: {app: shop, sidecar.istio.io/inject: "true"}}
    spec: {serviceAccountName: shop}
"#;

/// The pod's side: what its sidecar does with what comes in.
const INSIDE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig:
      gatewayTopology: {numTrustedProxies: 2}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: inbound, namespace: istio-system}
spec:
  servers:
    - {port: {number: 15006, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: ISTIO_MUTUAL}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [inbound]
  http:
    - route: [{destination: {host: app.web.svc.cluster.local, port: {number: 80}}}]
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: web}
spec: {ports: [{name: http, port: 80}]}
"#;

/// Writes an identity as Istio's agent does.
fn write_identity(directory: &Path, authority: &Authority, id: &str) -> Result<()> {
    let issued = authority.issue(&Leaf::server(&[]).client_too().uri(id));
    let files = [
        ("cert-chain.pem", issued.cert_pem()),
        ("key.pem", issued.key_pem().to_owned()),
        ("root-cert.pem", authority.pem()),
    ];
    for (name, text) in files {
        let new = directory.join(format!("{name}.new"));
        fs::write(&new, text)?;
        fs::rename(&new, directory.join(name))?;
    }
    Ok(())
}

/// A service, and its sidecar in front.
struct Pod {
    sidecar: Gateway,
    _service: Upstream,
    _identity: TempDir,
}

impl Pod {
    async fn start(authority: &Authority, id: &str) -> Result<Self> {
        let service = Upstream::http("shop").start().await;
        let identity = tempfile::tempdir()?;
        write_identity(identity.path(), authority, id)?;
        let origin = format!("files:{}", identity.path().display());
        let resolve = format!("app.web:80={}", service.address());
        let arguments = ["--mesh-identity", &origin, "--resolve", &resolve];
        let sidecar = Gateway::start(INSIDE, &[INBOUND], &arguments).await?;
        Ok(Self { sidecar, _service: service, _identity: identity })
    }

    /// The gateway before it.
    async fn behind(&self, yaml: &str, identity: &[&str]) -> Result<Gateway> {
        let resolve = format!("shop.web:80={}", self.sidecar.address(INBOUND));
        Gateway::start(yaml, &[8080], &[&["--resolve", &resolve], identity].concat()).await
    }
}

/// A request, and what the service behind the sidecar saw of it.
async fn ask(gateway: &Gateway) -> Result<Echoed> {
    let address = gateway.address(8080);
    let request = http::Request::get("http://shop.example.com/a")
        .header("x-forwarded-for", "198.51.100.1, 203.0.113.7");
    let response = Http::one(address).send(request).await?;
    ensure!(response.status == 200, "{}: {}", response.status, response.text());
    response.echoed()
}

fn header(echoed: &Echoed, name: &str) -> String {
    echoed.header(name).join(", ")
}

/// `Hash=…` of the certificate that the sidecar saw.
fn seen_certificate(echoed: &Echoed) -> String {
    let told = header(echoed, "x-forwarded-client-cert");
    told.split(';').find(|part| part.contains("Hash=")).unwrap_or_default().to_owned()
}

/// Asks until `done`, and every request must be answered.
async fn ask_until(gateway: &Gateway, done: impl Fn(&Echoed) -> bool) -> Result<()> {
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if done(&ask(gateway).await?) {
                return Ok(());
            }
        }
    })
    .await
    .context("it never came")?
}

#[tokio::test]
async fn the_pod_knows_the_gateway_and_the_client() -> Result<()> {
    let authority = Authority::new("mesh");
    let pod = Pod::start(&authority, POD).await?;
    let identity = tempfile::tempdir()?;
    write_identity(identity.path(), &authority, GATEWAY)?;
    let origin = format!("files:{}", identity.path().display());
    let gateway = pod.behind(OUTSIDE, &["--mesh-identity", &origin]).await?;
    let echoed = ask(&gateway).await?;
    let told = header(&echoed, "x-forwarded-client-cert");
    assert!(told.contains(&format!("URI={GATEWAY}")), "{told}");
    // The gateway appends whom it saw, and so does the sidecar; one proxy, and behind it two, are believed.
    let told = header(&echoed, "x-forwarded-for");
    let addresses: Vec<&str> = told.split(',').map(str::trim).collect();
    assert_eq!(addresses, ["198.51.100.1", "203.0.113.7", "127.0.0.1", "127.0.0.1"]);
    assert_eq!(header(&echoed, "x-envoy-external-address"), "203.0.113.7");
    Ok(())
}

#[tokio::test]
async fn files_are_rotated_and_no_request_fails() -> Result<()> {
    let authority = Authority::new("mesh");
    let pod = Pod::start(&authority, POD).await?;
    let identity = tempfile::tempdir()?;
    write_identity(identity.path(), &authority, GATEWAY)?;
    let origin = format!("files:{}", identity.path().display());
    let gateway = pod.behind(OUTSIDE, &["--mesh-identity", &origin]).await?;
    let first = seen_certificate(&ask(&gateway).await?);
    assert!(first.contains("Hash="), "{first}");
    write_identity(identity.path(), &authority, GATEWAY)?;
    ask_until(&gateway, |echoed| seen_certificate(echoed) != first).await
}

#[tokio::test]
async fn istiod_signs_and_signs_again() -> Result<()> {
    let istiod = Istiod::start(Authority::new("mesh"), Duration::from_secs(6).try_into()?).await?;
    istiod.know("token-of-the-gateway", GATEWAY);
    let pod = Pod::start(istiod.authority(), POD).await?;
    let files = tempfile::tempdir()?;
    let [roots, token] = ["root-cert.pem", "token"].map(|name| files.path().join(name));
    fs::write(&roots, istiod.authority().pem())?;
    fs::write(&token, "token-of-the-gateway")?;
    let url = istiod.url();
    let [roots, token] = [&roots, &token].map(|path| path.to_string_lossy().into_owned());
    let arguments =
        ["--mesh-identity", "istiod", "--mesh-ca", &url, "--mesh-ca-roots", &roots, "--mesh-token", &token];
    let gateway = pod.behind(OUTSIDE, &arguments).await?;
    eventually("the identity", || async { ask(&gateway).await.is_ok() }).await;
    let first = seen_certificate(&ask(&gateway).await?);
    ask_until(&gateway, |echoed| seen_certificate(echoed) != first).await?;
    assert!(istiod.signed().len() >= 2, "{:?}", istiod.signed());
    Ok(())
}

#[tokio::test]
async fn an_identity_from_a_secret_is_replaced() -> Result<()> {
    let authority = Authority::new("mesh");
    let pod = Pod::start(&authority, POD).await?;
    let yaml = || {
        let issued = authority.issue(&Leaf::server(&[]).client_too().uri(GATEWAY));
        let secret = issued.secret_yaml_with_ca("gateway-identity", "istio-system", &authority);
        format!("{OUTSIDE}---\n{secret}")
    };
    let identity = ["--mesh-identity", "secret:istio-system/gateway-identity"];
    let gateway = pod.behind(&yaml(), &identity).await?;
    let first = seen_certificate(&ask(&gateway).await?);
    gateway.write(&yaml())?;
    ask_until(&gateway, |echoed| seen_certificate(echoed) != first).await
}

#[tokio::test]
async fn nobody_else_is_taken_for_the_pod() -> Result<()> {
    let authority = Authority::new("mesh");
    let pod = Pod::start(&authority, "spiffe://cluster.local/ns/web/sa/other").await?;
    let identity = tempfile::tempdir()?;
    write_identity(identity.path(), &authority, GATEWAY)?;
    let origin = format!("files:{}", identity.path().display());
    let gateway = pod.behind(OUTSIDE, &["--mesh-identity", &origin]).await?;
    let address = gateway.address(8080);
    let response = Http::one(address).get("http://shop.example.com/").await?;
    assert_eq!(response.status, 503);
    Ok(())
}

#[tokio::test]
async fn without_an_identity_it_is_found_and_answered_503() -> Result<()> {
    let authority = Authority::new("mesh");
    let pod = Pod::start(&authority, POD).await?;
    let gateway = pod.behind(OUTSIDE, &[]).await?;
    let address = gateway.address(8080);
    let response = Http::one(address).get("http://shop.example.com/").await?;
    assert_eq!(response.status, 503);
    let directory = directory(OUTSIDE)?;
    let checked = output(&["check", &directory.path().to_string_lossy()]);
    let text = String::from_utf8_lossy(&checked.stdout);
    assert!(text.contains("error[strict-without-identity] VirtualService web/shop"), "{text}");
    assert!(!checked.status.success());
    Ok(())
}

/// The example: load balancer, gateway and pod, each a real one.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn from_the_load_balancer_to_the_pod() -> Result<()> {
    let (mesh, public) = (Authority::new("mesh"), Authority::new("public"));
    let pod = Pod::start(&mesh, POD).await?;
    let shown = public.server(&["*.example.com"]);
    let acm = Acm::new(ARN, &shown)?;
    let [acm, arn] = &acm.arguments;
    let issued = mesh.issue(&Leaf::server(&[]).client_too().uri(GATEWAY));
    let identity = issued.secret_yaml_with_ca("gateway-identity", "istio-system", &mesh);
    let secret = shown.secret_yaml("example-tls", "istio-system");
    let yaml = format!("{}---\n{secret}---\n{identity}", example("aws-alb-istio")?);
    let resolve = format!("shop.web:80={}", pod.sidecar.address(INBOUND));
    let from = ["--mesh-identity", "secret:istio-system/gateway-identity", "--resolve", &resolve, acm, arn];
    let front = Front::with_gateway(&yaml, &[443, 8443], &from).await?;
    let forged = ["-H", "X-Forwarded-For: 203.0.113.7"];
    let ask = || front.curl(&public, "https://shop.example.com/a", &forged);
    eventually("the way", || async { ask().is_ok_and(|curled| curled.status == 200) }).await;
    let echoed: Echoed = serde_json::from_str(&ask()?.body)?;
    let told = header(&echoed, "x-forwarded-client-cert");
    assert!(told.contains(&format!("URI={GATEWAY}")), "{told}");
    // The load balancer saw the client, the gateway the load balancer, the pod the gateway.
    let told = header(&echoed, "x-forwarded-for");
    let addresses: Vec<&str> = told.split(',').map(str::trim).collect();
    assert_eq!(addresses, ["203.0.113.7", "127.0.0.5", "127.0.0.1", "127.0.0.1"]);
    assert_eq!(header(&echoed, "x-envoy-external-address"), "127.0.0.5");
    assert_eq!(header(&echoed, "x-forwarded-proto"), "https");
    Ok(())
}

#[test]
fn the_audit_names_both_ends() -> Result<()> {
    let authority = Authority::new("mesh");
    let example = example("aws-alb-istio")?;
    let shown = authority.server(&["*.example.com"]).secret_yaml("example-tls", "istio-system");
    let issued = authority.issue(&Leaf::server(&[]).client_too().uri(GATEWAY));
    let identity = issued.secret_yaml_with_ca("gateway-identity", "istio-system", &authority);
    let directory = directory(&format!("{example}---\n{shown}---\n{identity}"))?;
    let path = directory.path().to_string_lossy().into_owned();
    let origin = ["--mesh-identity", "secret:istio-system/gateway-identity"];
    let encrypted = output(&[&["audit", &path, "--require", "encrypted"], &origin[..]].concat());
    let text = String::from_utf8_lossy(&encrypted.stdout);
    assert!(encrypted.status.success(), "{text}");
    assert!(text.contains("0 of them with a hop in clear text"), "{text}");
    let hop = format!("{POD}; the gateway shows its own, {GATEWAY}");
    assert!(text.contains(&hop), "{text}");
    let without = output(&["audit", &path]);
    let text = String::from_utf8_lossy(&without.stdout);
    // Nothing is sent without it, so nothing is sent in clear text.
    assert!(text.contains("0 of them with a hop in clear text"), "{text}");
    Ok(())
}
