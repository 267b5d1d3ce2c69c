//! The load balancers while they run: alone and with the gateway, changed, refused, and asked for by many.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use plenipo_testkit::{Authority, Echoed, Upstream, eventually};

use crate::edge::{ARN, Acm, Front, example};

const CLASS: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: alb}
spec: {controller: ingress.k8s.aws/alb}
";

/// A Service `app` and an Ingress for it, with these annotations and rules.
fn ingress(annotations: &str, rules: &str) -> String {
    format!(
        r#"{CLASS}---
apiVersion: v1
kind: Service
metadata: {{name: app, namespace: default}}
spec:
  selector: {{app: app}}
  ports: [{{name: http, port: 80, targetPort: 9000}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: default
  annotations:
    alb.ingress.kubernetes.io/target-type: ip
{annotations}spec:
  ingressClassName: alb
  rules:
{rules}"#
    )
}

/// A rule for a path.
fn path(path: &str, service: &str, port: &str) -> String {
    format!(
        "    - http: {{paths: [{{path: {path}, pathType: ImplementationSpecific, \
         backend: {{service: {{name: {service}, port: {port}}}}}}}]}}\n"
    )
}

fn resolve(upstream: &Upstream) -> String {
    format!("app.default:80={}", upstream.address())
}

/// Paths that clients asked for: health checks are somebody else's.
fn asked(upstream: &Upstream) -> Vec<String> {
    let seen = upstream.seen().into_iter();
    let checks = |seen: &Echoed| seen.header("user-agent") == ["ELB-HealthChecker/2.0"];
    seen.filter(|seen| !checks(seen)).map(|seen| seen.path).collect()
}

fn nobody() -> Authority {
    Authority::new("nobody")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn it_follows_its_directory() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let yaml = |at: &str| ingress("", &path(at, "app", "{number: 80}"));
    let mut front = Front::alone(&yaml("/one"), &[80], &["--resolve", &resolve(&upstream)]).await?;
    let (nobody, status) = (nobody(), |front: &Front, nobody: &Authority, path: &str| {
        front.curl(nobody, &format!("http://app.example.com/{path}"), &[]).map(|curled| curled.status)
    });
    assert_eq!(status(&front, &nobody, "one")?, 200);
    assert_eq!(status(&front, &nobody, "two")?, 404);
    front.write(&yaml("/two"))?;
    eventually("the new rule", || async { status(&front, &nobody, "two").is_ok_and(|status| status == 200) })
        .await;
    assert_eq!(status(&front, &nobody, "one")?, 404);
    front.process.signal("TERM")?;
    ensure!(front.process.wait().await?.success(), "{}", front.process.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn gateway_and_load_balancers_change_together() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let redirecting = example("l7-lb-tls")?;
    let routing = redirecting.replace("action: Redirect", "action: Route");
    let layer_4 = routing
        .replace("aws-load-balancer-backend-protocol: http", "aws-load-balancer-backend-protocol: tcp");
    let layer_4 = layer_4.replace("use_remote_address: false", "use_remote_address: true");
    let layer_4 = layer_4.replace("xff_num_trusted_hops: 1", "xff_num_trusted_hops: 0");
    let resolve = format!("quote.default:80={}", upstream.address());
    let front = Front::with_gateway(&redirecting, &[80, 443, 8080], &["--resolve", &resolve]).await?;
    let ask = || front.curl(&nobody(), "http://app.example.com/backend/", &[]);
    let client = || -> Option<String> {
        let echoed: Echoed = serde_json::from_str(&ask().ok()?.body).ok()?;
        Some(echoed.header("x-forwarded-for").join(", "))
    };
    assert_eq!(ask()?.status, 301);
    front.write(&routing)?;
    eventually("the gateway's change", || async {
        client().is_some_and(|told| told.starts_with("127.0.0.5"))
    })
    .await;
    front.write(&layer_4)?;
    eventually("the load balancer's change", || async { client().is_some_and(|told| told == "127.0.0.1") })
        .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_declared_stays_in_what_targets_read() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let yaml = ingress(
        "    alb.ingress.kubernetes.io/listen-ports: '[{\"HTTP\": 80}, {\"HTTP\": 8081}]'\n",
        &path("/*", "app", "{number: 80}"),
    );
    let front = Front::alone(&yaml, &[80, 8081], &["--resolve", &resolve(&upstream)]).await?;
    let echoed = |url: &str| -> Result<Echoed> {
        let curled = front.curl(&nobody(), url, &["-H", "X-Forwarded-For: 192.0.2.7"])?;
        serde_json::from_str(&curled.body).with_context(|| format!("{curled:?}"))
    };
    let usual = echoed("http://app.example.com/")?;
    assert_eq!((usual.host.as_str(), usual.header("x-forwarded-port")), ("app.example.com", vec!["80"]));
    assert_eq!(usual.header("x-forwarded-for"), ["192.0.2.7, 127.0.0.5"]);
    assert!(usual.header("x-amzn-trace-id")[0].starts_with("Root=1-"));
    let other = echoed("http://app.example.com:8081/")?;
    assert_eq!(
        (other.host.as_str(), other.header("x-forwarded-port")),
        ("app.example.com:8081", vec!["8081"])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rules_decide_in_their_order() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let answer = |name: &str| {
        format!(
            "    alb.ingress.kubernetes.io/actions.{name}: '{{\"type\":\"fixed-response\",\"fixedResponseConfig\":\
             {{\"contentType\":\"text/plain\",\"statusCode\":\"200\",\"messageBody\":\"{name}\"}}}}'\n"
        )
    };
    let when = |name: &str, condition: &str| {
        format!("    alb.ingress.kubernetes.io/conditions.{name}: '[{condition}]'\n")
    };
    let annotations = [
        answer("by-query"),
        when(
            "by-query",
            r#"{"field":"query-string","queryStringConfig":{"values":[{"key":"v","value":"1?"}]}}"#,
        ),
        answer("by-header"),
        when(
            "by-header",
            r#"{"field":"http-header","httpHeaderConfig":{"httpHeaderName":"X-Kind","values":["*b*"]}}"#,
        ),
        answer("by-method"),
        when("by-method", r#"{"field":"http-request-method","httpRequestMethodConfig":{"values":["PUT"]}}"#),
        answer("by-address"),
        when("by-address", r#"{"field":"source-ip","sourceIpConfig":{"values":["127.0.0.9/32"]}}"#),
    ];
    let names = ["by-query", "by-header", "by-method", "by-address"];
    let mut rules: String = names.iter().map(|name| path("/*", name, "{name: use-annotation}")).collect();
    rules.push_str(&path("/img/*.png", "app", "{number: 80}"));
    let yaml = ingress(&annotations.concat(), &rules);
    let front = Front::alone(&yaml, &[80], &["--resolve", &resolve(&upstream)]).await?;
    let body = |path: &str, arguments: &[&str]| -> Result<(u16, String)> {
        let curled = front.curl(&nobody(), &format!("http://app.example.com/{path}"), arguments)?;
        Ok((curled.status, curled.body.chars().take(10).collect()))
    };
    assert_eq!(body("?V=1a", &[])?, (200, "by-query".to_owned()));
    assert_eq!(body("?v=1", &[])?.0, 404, "{}", front.process.output());
    assert_eq!(body("", &["-H", "x-kind: aBc"])?, (200, "by-header".to_owned()));
    assert_eq!(body("", &["-X", "PUT"])?, (200, "by-method".to_owned()));
    assert_eq!(body("", &["--interface", "127.0.0.9"])?, (200, "by-address".to_owned()));
    assert_eq!(body("img/a/b.png", &[])?.0, 200);
    assert_eq!(body("img/a/b.PNG", &[])?.0, 404);
    assert_eq!(asked(&upstream), ["/img/a/b.png"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_gets_past_an_authentication() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let annotations = "    alb.ingress.kubernetes.io/listen-ports: '[{\"HTTPS\": 443}]'
    alb.ingress.kubernetes.io/certificate-arn: arn:aws:acm:eu-west-1:481516234299:certificate/2b7e1516-28ae-4d2a-a6ab-f7158809cf4f
    alb.ingress.kubernetes.io/auth-type: cognito
    alb.ingress.kubernetes.io/auth-idp-cognito: '{\"userPoolARN\":\"a\",\"userPoolClientID\":\"b\",\"userPoolDomain\":\"c\"}'\n";
    let yaml = ingress(annotations, &path("/*", "app", "{number: 80}"));
    let authority = Authority::new("load balancer");
    let acm = Acm::new(ARN, &authority.server(&["app.example.com"]))?;
    let [flag, value] = &acm.arguments;
    let front = Front::alone(&yaml, &[443], &["--resolve", &resolve(&upstream), flag, value]).await?;
    let curled = front.curl(&authority, "https://app.example.com/", &[])?;
    assert_eq!(curled.status, 500, "{}", front.process.output());
    assert_eq!(asked(&upstream), [""; 0]);
    ensure!(front.process.output().contains("error[edge-authentication] Ingress default/app"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_policy_is_kept_as_far_as_it_can_be() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let annotations = format!(
        "    alb.ingress.kubernetes.io/listen-ports: '[{{\"HTTPS\": 443}}]'
    alb.ingress.kubernetes.io/certificate-arn: {ARN}
    alb.ingress.kubernetes.io/ssl-policy: ELBSecurityPolicy-TLS13-1-3-2021-06\n"
    );
    let yaml = ingress(&annotations, &path("/*", "app", "{number: 80}"));
    // Without --acm: a certificate that nobody has signed.
    let front = Front::alone(&yaml, &[443], &["--resolve", &resolve(&upstream)]).await?;
    ensure!(front.process.output().contains(&format!("self-signed, since no --acm names it: {ARN}")));
    let unbelieved = front.curl(&nobody(), "https://app.example.com/", &[])?;
    ensure!(unbelieved.status == 0 && unbelieved.complaint.contains("certificate"), "{unbelieved:?}");
    assert_eq!(front.curl(&nobody(), "https://app.example.com/", &["-k"])?.status, 200);
    ensure!(front.handshake(443, "app.example.com", &["-tls1_3"])?.contains("TLSv1.3"));
    let old = front.handshake(443, "app.example.com", &["-tls1_2"])?;
    ensure!(old.contains("alert protocol version"), "{old}");
    // Names that no certificate is for get the default one.
    ensure!(front.handshake(443, "elsewhere.org", &[])?.contains("plenipo edge, self-signed"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn load_balancers_of_one_port_have_addresses_of_their_own() -> Result<()> {
    let service = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: default\n  annotations:\n    \
             service.beta.kubernetes.io/aws-load-balancer-type: external\n    \
             service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip\nspec:\n  type: LoadBalancer\n  \
             selector: {{app: {name}}}\n  ports: [{{port: 80, targetPort: 9000}}]\n"
        )
    };
    let [one, two] = [Upstream::http("one").start().await, Upstream::http("two").start().await];
    let yaml = service("one") + &service("two");
    let arguments =
        [format!("one.default:80={}", one.address()), format!("two.default:80={}", two.address())];
    let front = Front::alone(&yaml, &[80], &["--resolve", &arguments[0], "--resolve", &arguments[1]]).await?;
    let port = front.port(80);
    let to = |host: &str| format!("app.example.com:80:{host}:{port}");
    for (host, upstream) in [("127.0.0.1", &one), ("127.0.0.2", &two)] {
        let output = std::process::Command::new("curl")
            .args(["-sS", "--connect-to", &to(host), "http://app.example.com/"])
            .output()?;
        let echoed: Echoed = serde_json::from_slice(&output.stdout)?;
        assert_eq!(echoed.backend, upstream.name());
    }
    let told = front.process.output();
    ensure!(
        told.contains(&format!("127.0.0.1:{port}")) && told.contains(&format!("127.0.0.2:{port}")),
        "{told}"
    );
    Ok(())
}

/// A Service behind a network load balancer whose target group has these attributes.
fn network(attributes: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: app
  namespace: default
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-type: external
    service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip
    service.beta.kubernetes.io/aws-load-balancer-target-group-attributes: {attributes}
spec:
  type: LoadBalancer
  selector: {{app: app}}
  ports: [{{port: 80, targetPort: 9000}}]
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn targets_see_the_client_where_that_is_asked_for() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    for (preserve, peer) in [("true", "127.0.0.5"), ("false", "127.0.0.1")] {
        let yaml = network(&format!("preserve_client_ip.enabled={preserve}"));
        let front = Front::alone(&yaml, &[80], &["--resolve", &resolve(&upstream)]).await?;
        let curled = front.curl(&nobody(), "http://app.example.com/", &[])?;
        let echoed: Echoed = serde_json::from_str(&curled.body).with_context(|| format!("{curled:?}"))?;
        assert_eq!(echoed.peer.ip().to_string(), peer, "{preserve}");
        assert!(echoed.header("x-forwarded-for").is_empty(), "nothing is read, nothing is added");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn proxy_headers_have_the_layout_of_aws() -> Result<()> {
    let upstream = Upstream::http("app").proxy_header().start().await;
    let yaml = network("proxy_protocol_v2.enabled=true");
    let front = Front::alone(&yaml, &[80], &["--resolve", &resolve(&upstream)]).await?;
    let curled = front.curl(&nobody(), "http://app.example.com/", &[])?;
    let echoed: Echoed = serde_json::from_str(&curled.body).with_context(|| format!("{curled:?}"))?;
    let header = echoed.proxy_header.context("no header")?;
    // Signature, PROXY over TCP4, 84 bytes, the client's address and the one it asked for; the checksum is first.
    assert!(header.starts_with("0d0a0d0a000d0a515549540a211100547f0000057f000001"), "{header}");
    assert_eq!((header.len(), &header[56..62]), (200, "030004"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn datagrams_go_to_their_service_and_back() -> Result<()> {
    let service = UdpSocket::bind("127.0.0.1:0")?;
    let address = service.local_addr()?;
    let yaml = "
apiVersion: v1
kind: Service
metadata:
  name: dns
  namespace: default
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-type: external
    service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip
spec:
  type: LoadBalancer
  selector: {app: dns}
  ports: [{name: dns, port: 53, protocol: UDP}]
";
    let front = Front::alone(yaml, &[53], &["--resolve", &format!("dns.default:53={address}")]).await?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    for socket in [&client, &service] {
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    }
    client.send_to(b"question", front.address(53))?;
    let mut bytes = [0; 64];
    let (length, peer) = service.recv_from(&mut bytes).with_context(|| front.process.output())?;
    assert_eq!(&bytes[..length], b"question");
    service.send_to(b"answer", peer)?;
    let length = client.recv(&mut bytes)?;
    assert_eq!(&bytes[..length], b"answer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_load_balancer_before_another_keeps_the_clients_address() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let annotations = "    alb.ingress.kubernetes.io/enable-frontend-nlb: \"true\"\n";
    let yaml = ingress(annotations, &path("/*", "app", "{number: 80}"));
    let front = Front::alone(&yaml, &[80], &["--resolve", &resolve(&upstream)]).await?;
    let nlb = format!("app.example.com:80:127.0.0.2:{}", front.port(80));
    let output = std::process::Command::new("curl")
        .args(["-sS", "--interface", "127.0.0.5", "--connect-to", &nlb, "http://app.example.com/"])
        .output()?;
    let echoed: Echoed = serde_json::from_slice(&output.stdout).with_context(|| {
        format!("{}\n{}", String::from_utf8_lossy(&output.stderr), front.process.output())
    })?;
    assert_eq!(echoed.header("x-forwarded-for"), ["127.0.0.5"]);
    Ok(())
}
