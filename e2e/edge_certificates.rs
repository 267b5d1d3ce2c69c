//! Certificates at application load balancers, and cookies that keep a client where it is.

use std::fs;

use anyhow::{Result, ensure};
use plenipo_testkit::{Authority, Echoed, Issued, Leaf, Upstream};
use tempfile::TempDir;

use crate::edge::{ARN, Acm, Front};

const OTHER: &str = "arn:aws:iam::481516234299:server-certificate/other";

/// An Ingress with these annotations before a Service `app`, by HTTPS.
fn https(annotations: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: alb}}
spec: {{controller: ingress.k8s.aws/alb}}
---
apiVersion: v1
kind: Service
metadata: {{name: app, namespace: default}}
spec: {{selector: {{app: app}}, ports: [{{port: 80, targetPort: 9000}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: new, namespace: default}}
spec: {{selector: {{app: new}}, ports: [{{port: 80, targetPort: 9000}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: default
  annotations:
    alb.ingress.kubernetes.io/target-type: ip
    alb.ingress.kubernetes.io/listen-ports: '[{{\"HTTPS\": 443}}]'
    alb.ingress.kubernetes.io/ssl-policy: ELBSecurityPolicy-TLS13-1-2-Res-2021-06
{annotations}spec:
  ingressClassName: alb
  rules:
    - http:
        paths:
          - {{path: /split, pathType: Exact, backend: {{service: {{name: split, port: {{name: use-annotation}}}}}}}}
          - {{path: /, pathType: Prefix, backend: {{service: {{name: app, port: {{number: 80}}}}}}}}
"
    )
}

const SPLIT: &str = "    alb.ingress.kubernetes.io/actions.split: '{\"type\":\"forward\",\"forwardConfig\":{\"targetGroups\":[\
{\"serviceName\":\"app\",\"servicePort\":80,\"weight\":50},{\"serviceName\":\"new\",\"servicePort\":80,\"weight\":50}],\
\"targetGroupStickinessConfig\":{\"enabled\":true,\"durationSeconds\":600}}}'\n";

fn certificates(arns: &str) -> String {
    format!("{SPLIT}    alb.ingress.kubernetes.io/certificate-arn: {arns}\n")
}

/// A client's files, as curl takes them.
struct Client(TempDir);

impl Client {
    fn new(issued: &Issued) -> Result<Self> {
        let files = tempfile::tempdir()?;
        fs::write(files.path().join("cert.pem"), issued.cert_pem())?;
        fs::write(files.path().join("key.pem"), issued.key_pem())?;
        Ok(Self(files))
    }

    fn arguments(&self) -> [String; 4] {
        let path = |name| self.0.path().join(name).display().to_string();
        ["--cert".to_owned(), path("cert.pem"), "--key".to_owned(), path("key.pem")]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn certificates_are_chosen_by_server_name() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let acm = [
        Acm::new(ARN, &one.server(&["one.example.com"]))?,
        Acm::new(OTHER, &two.server(&["two.example.com"]))?,
    ];
    let resolve = format!("app.default:80={}", upstream.address());
    let mut arguments = vec!["--resolve", &resolve];
    arguments.extend(acm.iter().flat_map(|acm| acm.arguments.iter().map(String::as_str)));
    let front = Front::alone(&https(&certificates(&format!("{ARN},{OTHER}"))), &[443], &arguments).await?;
    for (name, issuer) in
        [("one.example.com", "one"), ("two.example.com", "two"), ("three.example.com", "one")]
    {
        let shown = front.handshake(443, name, &[])?;
        ensure!(shown.contains(&format!("issuer=CN = {issuer},")), "{name}: {shown}");
    }
    let shown = front.handshake(443, "", &[])?;
    ensure!(shown.contains("issuer=CN = one,"), "without a name: {shown}");
    assert_eq!(front.curl(&two, "https://two.example.com/", &[])?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn verified_clients_are_named_and_revoked_ones_are_not_let_in() -> Result<()> {
    let upstream = Upstream::http("app").start().await;
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let (good, revoked) = (clients.client("good"), clients.client("revoked"));
    let expired = clients.issue(&Leaf::client("expired").expired());
    let acm = Acm::new(ARN, &servers.server(&["one.example.com"]))?;
    let files = tempfile::tempdir()?;
    let (roots, list) = (files.path().join("ca.pem"), files.path().join("crl.pem"));
    fs::write(&roots, clients.pem())?;
    fs::write(&list, clients.revocation_list(&[&revoked]))?;
    let trust = format!("clients={},{}", roots.display(), list.display());
    let resolve = format!("app.default:80={}", upstream.address());
    let [flag, value] = &acm.arguments;
    let arguments = ["--resolve", &resolve, flag, value, "--trust-store", &trust];
    let mutual = |more: &str| {
        let mode = format!(r#"[{{"port":443,"mode":"verify","trustStore":"clients"{more}}}]"#);
        https(&format!(
            "{}    alb.ingress.kubernetes.io/mutual-authentication: '{mode}'\n",
            certificates(ARN)
        ))
    };
    let forged = ["-H", "X-Amzn-Mtls-Clientcert-Subject: CN=forged"];
    let ask = |front: &Front, client: &Issued| -> Result<(u16, Vec<String>)> {
        let client = Client::new(client)?;
        let own = client.arguments();
        let arguments: Vec<&str> = own.iter().map(String::as_str).chain(forged).collect();
        let curled = front.curl(&servers, "https://one.example.com/", &arguments)?;
        let echoed = serde_json::from_str::<Echoed>(&curled.body).ok();
        let subject = echoed.map(|echoed| {
            echoed.header("x-amzn-mtls-clientcert-subject").into_iter().map(str::to_owned).collect()
        });
        Ok((curled.status, subject.unwrap_or_default()))
    };
    let strict = Front::alone(&mutual(""), &[443], &arguments).await?;
    let (status, subject) = ask(&strict, &good)?;
    assert_eq!(status, 200, "{}", strict.process.output());
    ensure!(subject.len() == 1 && subject[0].contains("CN=good"), "{subject:?}");
    for refused in [&revoked, &expired, &Authority::new("others").client("stranger")] {
        assert_eq!(ask(&strict, refused)?.0, 0);
    }
    assert_eq!(strict.curl(&servers, "https://one.example.com/", &[])?.status, 0, "without any");
    let lenient =
        Front::alone(&mutual(r#","ignoreClientCertificateExpiry":true"#), &[443], &arguments).await?;
    assert_eq!(ask(&lenient, &expired)?.0, 200, "{}", lenient.process.output());
    assert_eq!(ask(&lenient, &revoked)?.0, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_stays_with_its_target_group() -> Result<()> {
    let [app, new] = [Upstream::http("app").start().await, Upstream::http("new").start().await];
    let servers = Authority::new("servers");
    let acm = Acm::new(ARN, &servers.server(&["one.example.com"]))?;
    let [flag, value] = &acm.arguments;
    let resolve = [format!("app.default:80={}", app.address()), format!("new.default:80={}", new.address())];
    let arguments = ["--resolve", &resolve[0], "--resolve", &resolve[1], flag, value];
    let front = Front::alone(&https(&certificates(ARN)), &[443], &arguments).await?;
    let files = tempfile::tempdir()?;
    let jar = files.path().join("cookies").display().to_string();
    let backend = |arguments: &[&str]| -> Result<String> {
        let curled = front.curl(&servers, "https://one.example.com/split", arguments)?;
        Ok(serde_json::from_str::<Echoed>(&curled.body)?.backend)
    };
    let first = backend(&["-c", &jar])?;
    for _ in 0..12 {
        assert_eq!(backend(&["-b", &jar, "-c", &jar])?, first);
    }
    ensure!(fs::read_to_string(&jar)?.contains("AWSALBTGCORS"));
    let mut seen: Vec<String> = (0..40).map(|_| backend(&[])).collect::<Result<_>>()?;
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["app", "new"]);
    Ok(())
}
