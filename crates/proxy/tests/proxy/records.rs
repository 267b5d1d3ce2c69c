//! What is said about requests afterwards: lines of the access log, and numbers.

use std::time::Duration;

use ::http::Request;
use plenipo_model::{AccessLog, AccessLogFormat, HeaderEdit, HostRewrite, PathRewrite, Template};
use plenipo_testkit::{Answer, Http, Raw, eventually};

use super::*;

const LINE: &str = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% \
                    %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %ROUTE_NAME%\n";

pub(super) fn logged_to(path: &std::path::Path, format: AccessLogFormat) -> Option<Arc<AccessLog>> {
    Some(Arc::new(AccessLog { path: path.display().to_string(), format }))
}

/// The lines, as soon as there are so many.
pub(super) async fn lines(path: &std::path::Path, count: usize) -> Vec<String> {
    eventually("the lines are written", || async {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count { Ok(lines) } else { Err(lines) }
    })
    .await
}

#[tokio::test]
async fn every_end_has_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let dead = crate::refusing();
    let (gateway, upstream, bind) = started(|http, _, _| {
        http.access_log = logged_to(&path, AccessLogFormat::Text(Template::parse(LINE).expect("valid")));
        http.hosts[0].host = HostPattern::parse("*.test").expect("valid");
        let mut slow = route("/slow", "up");
        forward_of(&mut slow).targets[0].timeout = Some(Duration::from_millis(100));
        http.hosts[0].routes = [route("/dead", "dead"), route("/none", "none"), slow].map(Arc::new).into();
    })
    .await;
    let mut gateway = gateway;
    let mut edge = (**gateway.snapshot.edge()).clone();
    let none = Cluster::new("none", source(), Endpoints::addresses([]));
    for cluster in [cluster("dead", dead), none] {
        edge.clusters.insert(Arc::clone(&cluster.name), Arc::new(cluster));
    }
    gateway.publish(edge).await;
    let client = Http::one(bind);
    let send = async |request: ::http::request::Builder, body: &'static str| {
        client.send_with(request, body).await.expect("answered").status.as_u16()
    };
    assert_eq!(send(Request::post("http://a.test/x?y").header("x-echo-body-bytes", "7"), "12345").await, 200);
    assert_eq!(send(Request::get("http://a.test/dead"), "").await, 503);
    assert_eq!(send(Request::get("http://a.test/none"), "").await, 503);
    upstream.plan([Answer::Silence]);
    assert_eq!(send(Request::get("http://a.test/slow"), "").await, 504);
    assert_eq!(send(Request::get("http://a.elsewhere/"), "").await, 404);
    upstream.plan([Answer::Reset]);
    assert_eq!(send(Request::post("http://a.test/reset"), "1").await, 503);
    upstream.forget();
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET /left HTTP/1.1\r\nHost: a.test\r\nx-echo-delay-ms: 60000\r\n\r\n").await.expect("sent");
    eventually("it is under way", || async { !upstream.seen().is_empty() }).await;
    drop(raw);
    let mut lines = lines(&path, 7).await;
    lines.sort();
    let mut expected = [
        "POST /x?y HTTP/1.1 200 - 5 7 up /",
        "GET /dead HTTP/1.1 503 UF 0 91 dead /dead",
        "GET /none HTTP/1.1 503 UH 0 19 none /none",
        "GET /slow HTTP/1.1 504 UT 0 24 up /slow",
        "GET / HTTP/1.1 404 NR 0 0 - -",
        "POST /reset HTTP/1.1 503 UC 1 95 up /",
        "GET /left HTTP/1.1 0 DC 0 0 up /",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_request_is_logged_as_it_was_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let line = "%REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:AUTHORITY)% %REQ(X-ADDED)%\n";
    let (_gateway, _upstream, bind) = started(|http, _, route| {
        http.access_log = logged_to(&path, AccessLogFormat::Text(Template::parse(line).expect("valid")));
        let mut changing = super::route("/from/", "up");
        let target = &mut forward_of(&mut changing).targets[0];
        target.rewrite = PathRewrite::Matched("/to/".into());
        target.host = HostRewrite::To("inner.test".into());
        let value = Template::parse("%REQ(:PATH)%").expect("valid");
        let name = ::http::HeaderName::from_static("x-added");
        changing.request_headers.add.push(HeaderEdit { name, value, append: false });
        http.hosts[0].routes = vec![Arc::new(changing)].into();
        *route = super::route("/", "up");
    })
    .await;
    let client = Http::one(bind);
    for path in ["/from/%7Ea/./b?q", "/a/../b"] {
        client.send(Request::get(format!("http://outer.test{path}"))).await.expect("answered");
    }
    client.send(Request::get("http://outer.test/%zz")).await.expect("answered");
    let mut told = lines(&path, 3).await;
    told.sort();
    assert_eq!(
        told,
        ["/%zz /%zz outer.test -", "/b /b outer.test -", "/to/~a/b?q /from/~a/b?q inner.test /from/~a/b?q"]
    );
}

#[tokio::test]
async fn a_line_may_be_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (_gateway, _upstream, bind) = started(|http, _, _| {
        let fields =
            [("status", "%RESPONSE_CODE%"), ("path", "%REQ(:PATH)%"), ("agent", "%REQ(USER-AGENT)%")];
        let fields =
            fields.map(|(name, value)| (name.to_owned(), Template::parse(value).expect("valid"))).into();
        http.access_log = logged_to(&path, AccessLogFormat::Json { fields, typed: true });
    })
    .await;
    let client = Http::two(bind);
    client.get("/x").await.expect("answered");
    client.send(Request::get("/").header("user-agent", "a \"b\"")).await.expect("answered");
    let mut told = lines(&path, 2).await;
    told.sort();
    assert_eq!(
        lines(&path, 2).await,
        [r#"{"status":200,"path":"/x","agent":null}"#, r#"{"status":200,"path":"/","agent":"a \"b\""}"#]
    );
}

#[tokio::test]
async fn bytes_statuses_and_connections_are_counted() {
    let (gateway, upstream, bind) = started(|_, _, _| {}).await;
    for client in [Http::one(bind), Http::two(bind)] {
        let request = Request::post("/").header("x-echo-body-bytes", "2000");
        client.send_with(request, vec![b'x'; 3000]).await.expect("answered");
        client.send(Request::get("/").header("x-echo-status", "404")).await.expect("answered");
    }
    upstream.plan([Answer::Reset]);
    assert_eq!(
        Http::one(bind).send_with(Request::post("/"), "x").await.expect("answered").status.as_u16(),
        503
    );
    let numbers = eventually("all connections have ended", || async {
        let numbers = gateway.proxy.handle().measure().await;
        (numbers.listeners["ingress_http"].connections == 0).then_some(numbers)
    })
    .await;
    let (listener, cluster) = (&numbers.listeners["ingress_http"], &numbers.clusters["up"]);
    assert_eq!(listener.classes, [0, 0, 2, 0, 2, 1]);
    assert_eq!((listener.connections_total, listener.requests_active), (5, 0));
    assert!(listener.received > 6000 && listener.sent > 4000, "{listener:?}");
    assert_eq!(
        cluster.statuses.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>(),
        [(0, 1), (200, 2), (404, 2)]
    );
    assert!(cluster.sent >= 6000 && cluster.received >= 4000, "{cluster:?}");
    assert_eq!(cluster.active, 0);
}
