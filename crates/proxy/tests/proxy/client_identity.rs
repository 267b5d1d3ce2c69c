//! A gateway behind a load balancer that ends the clients' TLS: who the client is, and who may say so.

use ::http::Request;
use plenipo_model::{
    AccessLogFormat, BalancerRules, Certificate, ClientAuth, ClientCertDetails, ClientCertHeader,
    ClientCertificateFields, ClientRoots, ForwardedIdentity, RevocationList, RootStore, Template, TlsServer,
    TlsVersion,
};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Issued, Leaf, Upstream, tls};

use super::records::{lines, logged_to};
use super::*;

/// The gateway's side: known clients only (or those that say nothing, too), told by these peers.
fn gateway_server(identity: ForwardedIdentity) -> HttpServer {
    let mut http = server(vec![route("/", "up")]);
    let details = ClientCertDetails { subject: true, uri: true, ..Default::default() };
    http.client_cert = ClientCertHeader::SanitizeSet(details);
    http.hosts[0].client_identity = Some(Arc::new(identity));
    http
}

fn identity(
    fields: ClientCertificateFields,
    roots: Option<ClientRoots>,
    required: bool,
) -> ForwardedIdentity {
    ForwardedIdentity { from: vec!["127.0.0.0/8".parse().expect("valid")], fields, roots, required }
}

fn roots(authority: &Authority, revocation: Option<&str>) -> ClientRoots {
    let roots = RootStore::from_pem(authority.pem().as_bytes()).expect("valid");
    let list = revocation.map(|pem| Arc::new(RevocationList::from_pem(pem.as_bytes()).expect("valid")));
    ClientRoots::new(Arc::new(roots), list)
}

/// A load balancer's listener in front of the gateway at `behind`.
fn balancer(bind: SocketAddr, servers: &Authority, auth: ClientAuth, rules: BalancerRules) -> Listener {
    let issued = servers.server(&["a.test"]);
    let certificate = Certificate::from_pem(issued.cert_pem().as_bytes(), issued.key_pem().as_bytes());
    let terminate = TlsServer {
        source: source(),
        certificates: vec![Arc::new(certificate.expect("valid"))],
        client_auth: auth,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: vec![],
        alpn: vec!["h2".into(), "http/1.1".into()],
    };
    let mut http = server(vec![route("/", "gateway")]);
    http.balancer = Some(Arc::new(rules));
    let chain = Chain {
        source: source(),
        accepts: Accepts::Tls(vec![HostPattern::Any]),
        tls: ChainTls::Terminate(Arc::new(terminate)),
        serve: Serve::Http(Arc::new(http)),
    };
    listener(bind, vec![chain])
}

/// A request through the load balancer: the status, and what the upstream was told of the client.
async fn through(bind: SocketAddr, servers: &Authority, shown: Option<&Issued>) -> (u16, Option<String>) {
    let client = Http::one(Target::tls(bind, "a.test", tls::client(servers, shown, &[])));
    // What the client itself says counts for nothing.
    let request = Request::get("/")
        .header("x-amzn-mtls-clientcert", "spoofed")
        .header("x-amzn-mtls-clientcert-subject", "CN=spoofed")
        .header("x-forwarded-client-cert", "Hash=spoofed");
    let response = client.send(request).await.expect("answered");
    let told = response
        .echoed()
        .ok()
        .and_then(|echoed| echoed.header("x-forwarded-client-cert").first().map(|field| (*field).to_owned()));
    (response.status.as_u16(), told)
}

#[tokio::test]
async fn a_passed_through_certificate_is_verified_behind_the_balancer() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let good = clients.issue(&Leaf::client("good").uri("spiffe://a.test/good"));
    let (revoked, foreign) = (clients.client("revoked"), Authority::new("nobody").client("foreign"));
    let expired = clients.issue(&Leaf::client("expired").expired());
    let list = clients.revocation_list(&[&revoked]);
    let directory = tempfile::tempdir().expect("a directory");
    for required in [true, false] {
        let path = directory.path().join(format!("log-{required}"));
        let upstream = Upstream::http("up").start().await;
        let (front, behind) = (loopback(), loopback());
        let rules =
            identity(ClientCertificateFields::passthrough(), Some(roots(&clients, Some(&list))), required);
        let mut http = gateway_server(rules);
        let line = "%RESPONSE_CODE% %RESPONSE_FLAGS% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN%\n";
        http.access_log = logged_to(&path, AccessLogFormat::Text(Template::parse(line).expect("valid")));
        let alb = BalancerRules {
            client_certificate: ClientCertificateFields::passthrough(),
            ..BalancerRules::application()
        };
        let _gateway = Gateway::start(edge(
            vec![balancer(front, &servers, ClientAuth::Unverified, alb), listener(behind, vec![clear(http)])],
            vec![cluster("gateway", behind), cluster("up", upstream.address())],
        ))
        .await;
        let get = async |shown: Option<&Issued>| through(front, &servers, shown).await;
        for _ in 0..2 {
            let (status, told) = get(Some(&good)).await;
            let told = told.expect("the upstream is told");
            assert_eq!(status, 200);
            assert!(
                told.starts_with("Hash=")
                    && told.contains("Subject=\"O=plenipo tests,CN=good\";URI=spiffe://a.test/good")
            );
        }
        let passed = upstream.seen()[0].header("x-amzn-mtls-clientcert")[0].to_owned();
        assert!(passed.starts_with("-----BEGIN%20CERTIFICATE-----%0A"), "it is passed on: {passed}");
        assert!(upstream.seen()[0].header("x-amzn-mtls-clientcert-subject").is_empty());
        for bad in [&revoked, &foreign, &expired] {
            assert_eq!(get(Some(bad)).await, (403, None));
        }
        assert_eq!(get(None).await, (if required { 403 } else { 200 }, None));
        let lines = lines(&path, 6).await;
        let count = |wanted: &str| lines.iter().filter(|line| *line == wanted).count();
        let known = count("200 - O=plenipo tests,CN=good spiffe://a.test/good");
        assert_eq!((known, count("403 UAEX - -")), (2, if required { 4 } else { 3 }), "{lines:?}");
    }
}

#[tokio::test]
async fn what_a_verifying_balancer_found_is_taken_as_told() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let good = clients.client("good");
    let upstream = Upstream::http("up").start().await;
    let (front, behind) = (loopback(), loopback());
    let http = gateway_server(identity(ClientCertificateFields::verified(), None, true));
    let alb = BalancerRules {
        client_certificate: ClientCertificateFields::verified(),
        ..BalancerRules::application()
    };
    let auth = ClientAuth::Required(roots(&clients, None));
    let _gateway = Gateway::start(edge(
        vec![balancer(front, &servers, auth, alb), listener(behind, vec![clear(http)])],
        vec![cluster("gateway", behind), cluster("up", upstream.address())],
    ))
    .await;
    let (status, told) = through(front, &servers, Some(&good)).await;
    assert_eq!(status, 200);
    assert!(told.expect("told").contains("Subject=\"O=plenipo tests,CN=good\""));
    assert_eq!(upstream.seen()[0].header("x-amzn-mtls-clientcert-subject"), ["O=plenipo tests,CN=good"]);
    // Past the load balancer, from a peer that is believed: as somebody who can reach the gateway from there could.
    let direct = Http::one(behind).get("/").await.expect("answered");
    assert_eq!(direct.status, 403, "nobody is known");
}

#[tokio::test]
async fn others_are_not_believed() {
    let clients = Authority::new("clients");
    // Whoever checks it needs the certificate between.
    let good = clients.intermediate("middle").client("good");
    let pem: String = good.cert_pem().replace(' ', "%20").replace('\n', "%0A");
    let upstream = Upstream::http("up").start().await;
    for (from, required, expected) in [
        ("192.0.2.0/24", true, (403, None)),
        ("192.0.2.0/24", false, (200, Some(false))),
        ("127.0.0.1/32", true, (200, Some(true))),
    ] {
        let bind = loopback();
        let mut rules =
            identity(ClientCertificateFields::passthrough(), Some(roots(&clients, None)), required);
        rules.from = vec![from.parse().expect("valid")];
        let http = gateway_server(rules);
        let _gateway = Gateway::start(edge(
            vec![listener(bind, vec![clear(http)])],
            vec![cluster("up", upstream.address())],
        ))
        .await;
        let request = Request::get("/")
            .header("x-amzn-mtls-clientcert", &pem)
            .header("x-amzn-mtls-clientcert-subject", "CN=good");
        let response = Http::one(bind).send(request).await.expect("answered");
        let told = response.echoed().ok().map(|echoed| {
            let fields = |name| echoed.header(name).len();
            assert_eq!(fields("x-amzn-mtls-clientcert"), fields("x-forwarded-client-cert"));
            fields("x-forwarded-client-cert") == 1
        });
        assert_eq!((response.status.as_u16(), told), expected, "{from}, required: {required}");
    }
}
