//! The gateway under test, what is behind it, and its configuration, which never rests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Scripted, Step, Upstream, eventually, tls};

use super::figures::Figures;
use crate::gateway::{CLEAR_TEXT, Gateway, mapping};

/// The name of the gateway's certificate.
const NAME: &str = "soak.example.com";

/// Routes whose requests are made to fail.
const FAILING: &[&str] = &["/down/", "/reset/", "/broken/", "/silent/"];

/// Of routes that do not fail, however busy the machine is.
const PATIENT: &str = "  timeout_ms: 60000\n  connect_timeout_ms: 30000\n";

/// All of it.
pub(super) struct Site {
    gateway: Gateway,
    authority: Authority,
    /// The gateway's certificate.
    secret: String,
    web: Upstream,
    relayed: Upstream,
    /// Answers with what is no HTTP.
    broken: Scripted,
    /// Never answers.
    silent: Scripted,
    changes: AtomicUsize,
}

impl Site {
    pub(super) async fn start() -> Result<Self> {
        let authority = Authority::new("soak");
        let (web, relayed) = (Upstream::http("web").start().await, Upstream::tcp("relayed").start().await);
        let broken = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n").await;
        let silent = Scripted::start([Step::ReadToEnd]).await;
        let resolve = |service: &str, address: SocketAddr| format!("{service}={address}");
        let resolved = [
            resolve("web.default:80", web.address()),
            resolve("relayed.default:9000", relayed.address()),
            resolve("broken.default:80", broken.address()),
            resolve("silent.default:80", silent.address()),
            // The port of the discard service: nobody listens there.
            resolve("down.default:80", ([127, 0, 0, 1], 9).into()),
        ];
        let arguments: Vec<_> = resolved.iter().flat_map(|one| ["--resolve", one]).collect();
        let secret = authority.server(&[NAME]).secret_yaml("soak", "default");
        let gateway = Gateway::start(&yaml(&secret, 0), &[8080, 8443, 6000], &arguments).await?;
        Ok(Self { gateway, authority, secret, web, relayed, broken, silent, changes: AtomicUsize::new(0) })
    }

    /// Has everything made that is made once.
    pub(super) async fn warm(&self) -> Result<()> {
        let get = async |path: &str| plenipo_testkit::Http::one(self.clear()).get(path).await;
        eventually("all routes", async || {
            let echoed = get("/one/").await.is_ok_and(|answer| answer.status == 200);
            echoed && get("/two/").await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        Ok(())
    }

    pub(super) fn clear(&self) -> SocketAddr {
        self.gateway.address(8080)
    }

    pub(super) fn encrypted(&self) -> SocketAddr {
        self.gateway.address(8443)
    }

    pub(super) fn relay(&self) -> SocketAddr {
        self.gateway.address(6000)
    }

    /// The gateway by TLS, for this protocol.
    pub(super) fn tls(&self, alpn: &[&str]) -> Target {
        Target::tls(self.encrypted(), NAME, tls::client(&self.authority, None, alpn))
    }

    /// Another configuration, in which nothing is other that has traffic.
    pub(super) fn change(&self) -> Result<()> {
        let number = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        // What they have seen is of no use, and much.
        self.web.forget();
        self.gateway.write(&yaml(&self.secret, number))
    }

    pub(super) fn reloads(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    /// The gateway's figures.
    pub(super) async fn figures(&self) -> Result<Figures> {
        Ok(Figures::of(&self.gateway.admin("/metrics").await?.text()))
    }

    /// Nothing failed but what was made to, upstreams have no connection left, and the gateway complains of nothing.
    pub(super) fn check(&self, figures: &Figures) -> Result<()> {
        let failed: Vec<_> =
            figures.failed.iter().filter(|(route, _)| !FAILING.contains(&route.as_str())).collect();
        ensure!(failed.is_empty(), "failed without being made to: {failed:?}");
        ensure!((self.web.open(), self.relayed.open()) == (0, 0), "connections to upstreams are left");
        let said = self.gateway.process.output();
        let complaints: Vec<_> =
            said.lines().filter(|line| line.contains("panicked") || line.contains(" ERROR ")).collect();
        ensure!(complaints.is_empty(), "the gateway says:\n{}", complaints.join("\n"));
        ensure!(!self.broken.received().is_empty() && !self.silent.received().is_empty(), "nobody failed");
        Ok(())
    }
}

/// The configuration in its version of this number: the same routes, and one that is another each time.
fn yaml(secret: &str, number: usize) -> String {
    let listener = "---\napiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: https, namespace: default}\n\
         spec:\n  port: 8443\n  protocol: HTTPS\n  securityModel: XFP\n  hostBinding: {namespace: {from: ALL}}\n";
    let module = "---\napiVersion: getambassador.io/v3alpha1\nkind: Module\nmetadata: {name: ambassador, namespace: default}\n\
         spec: {config: {envoy_log_path: /dev/null, cluster_idle_timeout_ms: 2000}}\n";
    let host = format!(
        "---\napiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {{name: soak, namespace: default}}\n\
         spec:\n  hostname: {NAME}\n  tlsSecret: {{name: soak}}\n  tls: {{alpn_protocols: \"h2,http/1.1\"}}\n  \
         requestPolicy: {{insecure: {{action: Route}}}}\n"
    );
    let relay = "---\napiVersion: getambassador.io/v3alpha1\nkind: TCPMapping\nmetadata: {name: relay, namespace: default}\n\
         spec:\n  port: 6000\n  service: relayed:9000\n";
    [
        CLEAR_TEXT,
        listener,
        module,
        &host,
        "---\n",
        secret,
        relay,
        &mapping("one", "/one/", "web"),
        PATIENT,
        &mapping("two", "/two/", "web"),
        PATIENT,
        "  grpc: true\n",
        &mapping("calls", "/demo.Echo/", "web"),
        PATIENT,
        "  rewrite: \"\"\n  grpc: true\n",
        &mapping("socket", "/socket/", "web"),
        "  allow_upgrade: [websocket]\n",
        &mapping("down", "/down/", "down"),
        &mapping("reset", "/reset/", "web"),
        &mapping("broken", "/broken/", "broken"),
        &mapping("silent", "/silent/", "silent"),
        "  timeout_ms: 100\n",
        &mapping("changing", &format!("/changing-{number}/"), "web"),
    ]
    .concat()
}
