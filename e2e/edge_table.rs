//! One table over all ways in which a load balancer stands in front of the gateway: who redirects clear text, whose
//! certificate is shown, and what the service is told about client and scheme.

use anyhow::{Context, Result, ensure};
use plenipo_testkit::{Authority, Echoed, Upstream};

use crate::edge::{ARN, Acm, Curled, Front, example};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The service gets it, with this `x-forwarded-proto` and this client.
    Served(&'static str, &'static str),
    /// A redirect here.
    Redirected(&'static str),
    /// No load balancer listens there.
    NotThere,
}

/// One deployment.
struct Row {
    example: &'static str,
    path: &'static str,
    /// To port 80.
    clear: Outcome,
    /// To port 443.
    tls: Outcome,
    /// Whose certificate is shown on 443: the load balancer's or the gateway's.
    shown_by: &'static str,
    /// The gateway's own ports.
    ports: &'static [u16],
}

/// The client's address, and what is seen of it where nothing tells it.
const CLIENT: &str = "127.0.0.5";
const NOBODY: &str = "127.0.0.1";

use Outcome::{NotThere, Redirected, Served};

const TABLE: [Row; 7] = [
    Row {
        example: "nlb-proxy-protocol",
        path: "/backend/",
        clear: Redirected("https://quote.example.com/backend/"),
        tls: Served("https", CLIENT),
        shown_by: "gateway",
        ports: &[8080, 8443],
    },
    Row {
        example: "aws-classic-proxy-protocol",
        path: "/backend/",
        clear: Redirected("https://quote.example.com/backend/"),
        tls: Served("https", CLIENT),
        shown_by: "gateway",
        ports: &[8080, 8443],
    },
    // On layer 4 the gateway learns neither scheme nor client.
    Row {
        example: "l4-lb-tls",
        path: "/backend/",
        clear: Served("http", NOBODY),
        tls: Served("http", NOBODY),
        shown_by: "load balancer",
        ports: &[8080],
    },
    Row {
        example: "l7-lb-tls",
        path: "/backend/",
        clear: Redirected("https://quote.example.com/backend/"),
        tls: Served("https", CLIENT),
        shown_by: "load balancer",
        ports: &[8080],
    },
    // The load balancer's own redirect names the port.
    Row {
        example: "aws-alb-nodeport",
        path: "/backend/",
        clear: Redirected("https://quote.example.com:443/backend/"),
        tls: Served("https", CLIENT),
        shown_by: "load balancer",
        ports: &[8080],
    },
    Row {
        example: "aws-nlb-tls-ip",
        path: "/backend/",
        clear: NotThere,
        tls: Served("http", CLIENT),
        shown_by: "load balancer",
        ports: &[8080],
    },
    Row {
        example: "aws-alb-mtls",
        path: "/secure/",
        clear: NotThere,
        tls: Served("https", CLIENT),
        shown_by: "load balancer",
        ports: &[8443, 8444, 8445],
    },
];

fn holds(curled: &Curled, outcome: Outcome) -> Result<()> {
    match outcome {
        NotThere => ensure!(curled.status == 0, "{curled:?}"),
        Redirected(location) => {
            ensure!((curled.status, curled.location.as_str()) == (301, location), "{curled:?}");
        }
        Served(proto, client) => {
            ensure!(curled.status == 200, "{curled:?}");
            let echoed: Echoed = serde_json::from_str(&curled.body)?;
            ensure!(echoed.header("x-forwarded-proto") == [proto], "{echoed:?}");
            let told = echoed.header("x-forwarded-for").join(", ");
            let first = told.split(',').next().unwrap_or_default().trim();
            ensure!(first == client, "{told} is not {client}");
            ensure!(echoed.header("host").is_empty() || echoed.host == "quote.example.com", "{echoed:?}");
        }
    }
    Ok(())
}

async fn check(row: &Row) -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let authority = Authority::new("everybody");
    let names = ["quote.example.com"];
    let (balancer, gateway) = (Authority::new("load balancer"), Authority::new("gateway"));
    let acm = Acm::new(ARN, &balancer.server(&names))?;
    let secrets = [
        gateway.server(&names).secret_yaml("example-tls", "default"),
        authority.secret_yaml("client-ca", "default", None),
    ];
    let yaml = format!("{}\n---\n{}", example(row.example)?, secrets.join("\n---\n"));
    let mut ports = vec![80, 443];
    ports.extend(row.ports);
    let roots = tempfile::tempdir()?;
    std::fs::write(roots.path().join("ca.pem"), authority.pem())?;
    let trust = format!("clients={}", roots.path().join("ca.pem").display());
    let resolve = format!("quote.default:80={}", upstream.address());
    let [flag, value] = &acm.arguments;
    let arguments = ["--resolve", &resolve, flag, value, "--trust-store", &trust];
    let front = Front::with_gateway(&yaml, &ports, &arguments).await?;

    let shown_by = if row.shown_by == "gateway" { &gateway } else { &balancer };
    let url = |scheme: &str| format!("{scheme}://quote.example.com{}", row.path);
    let tell = || front.process.output();
    holds(&front.curl(shown_by, &url("http"), &[])?, row.clear)
        .with_context(|| format!("clear text\n{}", tell()))?;
    holds(&front.curl(shown_by, &url("https"), &[])?, row.tls).with_context(|| format!("TLS\n{}", tell()))?;
    let shown = front.handshake(443, "quote.example.com", &[])?;
    let issuer = shown.lines().find(|line| line.starts_with("issuer=")).unwrap_or_default();
    ensure!(
        issuer.contains(&format!("CN = {},", row.shown_by)),
        "the certificate is not the {}'s: {issuer}",
        row.shown_by
    );
    Ok(())
}

macro_rules! rows {
    ($($test:ident = $index:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn $test() -> Result<()> {
                let row = &TABLE[$index];
                check(row).await.with_context(|| row.example)
            }
        )*

        #[test]
        fn every_row_is_checked() {
            assert_eq!([$($index),*].len(), TABLE.len());
        }
    };
}

rows! {
    nlb_with_proxy_v2 = 0,
    classic_with_proxy_v1 = 1,
    classic_layer_4_with_tls = 2,
    classic_layer_7_with_tls = 3,
    alb_by_node_port = 4,
    nlb_with_tls = 5,
    alb_to_an_https_gateway = 6,
}
