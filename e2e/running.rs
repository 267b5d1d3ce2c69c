//! `plenipo run`: start, change, reload, drain, stop.

use anyhow::{Context, Result};
use plenipo_testkit::{Answer, Authority, Http, Process, Raw, Upstream, eventually, free_port, tls};
use std::time::Duration;

use crate::gateway::{CLEAR_TEXT, Gateway, directory, mapping, plenipo};

fn resolve(name: &str, upstream: &Upstream) -> String {
    format!("{name}.default:80={}", upstream.address())
}

fn yaml(service: &str) -> String {
    format!("{CLEAR_TEXT}{}", mapping("quote", "/quote/", service))
}

async fn status(gateway: &Gateway, path: &str) -> Option<u16> {
    let address = gateway.address(8080);
    Http::one(address)
        .get(&format!("http://{address}{path}"))
        .await
        .ok()
        .map(|response| response.status.as_u16())
}

#[tokio::test]
async fn it_serves_and_tells() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let mut gateway =
        Gateway::start(&yaml("quote"), &[8080], &["--resolve", &resolve("quote", &upstream)]).await?;
    let address = gateway.address(8080);
    let response = Http::one(address).get(&format!("http://{address}/quote/a")).await?;
    assert_eq!((response.status.as_u16(), response.echoed()?.path.as_str()), (200, "/a"));
    assert_eq!(gateway.admin("/ambassador/v0/check_ready").await?.text(), "Ambassador is ready and waiting");
    assert_eq!(gateway.admin("/ambassador/v0/check_alive").await?.text(), "Ambassador is alive and well");
    let metrics = gateway.admin("/metrics").await?.text();
    assert!(metrics.contains("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"quote"), "{metrics}");
    assert!(metrics.contains("http_route=\"/quote/\""), "{metrics}");
    for page in ["/edge", "/report", "/routes", "/clusters", "/ambassador/v0/diag/?json=true"] {
        let page = gateway.admin(page).await?;
        assert_eq!(page.status, 200);
        serde_json::from_slice::<serde_json::Value>(page.text().as_bytes())?;
    }
    gateway.process.signal("TERM")?;
    assert!(gateway.process.wait().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_change_serves_and_a_mistake_costs_only_itself() -> Result<()> {
    let [one, two] = [Upstream::http("one").start().await, Upstream::http("two").start().await];
    let arguments = ["--resolve", &resolve("one", &one), "--resolve", &resolve("two", &two)];
    let gateway = Gateway::start(&yaml("one"), &[8080], &arguments).await?;
    assert_eq!(status(&gateway, "/quote/").await, Some(200));
    gateway.write(&format!("{}{}", yaml("one"), mapping("second", "/second/", "two")))?;
    eventually("the new Mapping", || async { status(&gateway, "/second/").await == Some(200) }).await;
    gateway.write(&format!("{}{}\n---\nkind: [\n", yaml("two"), mapping("second", "/second/", "two")))?;
    eventually("the change beside the mistake", || async {
        two.seen().iter().any(|seen| seen.path == "/") && status(&gateway, "/quote/").await.is_some()
    })
    .await;
    eventually("the first Mapping's new service", || async {
        let before = two.seen().len();
        status(&gateway, "/quote/").await == Some(200) && two.seen().len() > before
    })
    .await;
    assert_eq!(status(&gateway, "/second/").await, Some(200));
    Ok(())
}

#[tokio::test]
async fn nothing_to_serve_is_not_ready_and_says_why() -> Result<()> {
    let gateway = Gateway::launch("# nothing\n", &[8080], &[])?;
    let why = eventually("an answer", || async { gateway.admin("/ready?verbose").await }).await;
    assert_eq!(why.status, 503);
    assert!(why.text().contains("no Listener"), "{}", why.text());
    assert_eq!(gateway.admin("/ambassador/v0/check_alive").await?.status, 200);
    gateway.write(&yaml("quote"))?;
    eventually("readiness", || async {
        gateway.admin("/ready").await.is_ok_and(|ready| ready.status == 200)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() -> Result<()> {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = taken.local_addr()?.port();
    let directory = directory(&yaml("quote"))?;
    let run = |admin: String, mapped: u16| {
        let mut command = plenipo();
        command.arg("run").arg("--config").arg(directory.path()).args([
            "--bind",
            "127.0.0.1",
            "--admin",
            &admin,
        ]);
        command.args(["--port-map", &format!("8080={mapped}"), "--log", "off"]).output()
    };
    for ended in
        [run(format!("127.0.0.1:{}", free_port()), port)?, run(format!("127.0.0.1:{port}"), free_port())?]
    {
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("another process"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_running_request_is_finished_before_the_end() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let mut gateway =
        Gateway::start(&yaml("quote"), &[8080], &["--resolve", &resolve("quote", &upstream)]).await?;
    upstream.plan([Answer::After(Duration::from_secs(2))]);
    let address = gateway.address(8080);
    let running =
        tokio::spawn(async move { Http::one(address).get(&format!("http://{address}/quote/")).await });
    eventually("the request upstream", || async { !upstream.seen().is_empty() }).await;
    gateway.process.signal("TERM")?;
    eventually("not ready", || async {
        gateway.admin("/ready").await.is_ok_and(|ready| ready.status == 503)
    })
    .await;
    assert_eq!(running.await??.status, 200);
    assert!(gateway.process.wait().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_second_signal_does_not_wait() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let mut gateway =
        Gateway::start(&yaml("quote"), &[8080], &["--resolve", &resolve("quote", &upstream)]).await?;
    upstream.plan([Answer::Silence]);
    let mut client = Raw::connect(gateway.address(8080)).await?;
    client.send("GET /quote/ HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    eventually("the request upstream", || async { !upstream.seen().is_empty() }).await;
    gateway.process.signal("TERM")?;
    gateway.process.line_with("draining").await;
    assert!(gateway.process.ended()?.is_none(), "it waits for the request");
    gateway.process.signal("INT")?;
    assert!(gateway.process.wait().await?.success());
    Ok(())
}

#[tokio::test]
async fn sighup_reads_again_and_the_log_level_can_be_changed() -> Result<()> {
    let gateway = Gateway::start(&yaml("quote"), &[8080], &[]).await?;
    let address = gateway.admin_address();
    let change = http::Request::builder().method("PUT").uri(format!("http://{address}/log-level"));
    assert_eq!(Http::one(address).send_with(change, "debug").await?.status, 200);
    gateway.process.line_with("log filter changed").await;
    gateway.process.signal("HUP")?;
    gateway.process.line_with("SIGHUP").await;
    gateway.process.line_with("nothing changes what is served").await;
    assert_eq!(gateway.admin("/ready").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn json_log_lines_are_json() -> Result<()> {
    let gateway = Gateway::start(&yaml("quote"), &[8080], &["--log-format", "json"]).await?;
    let line = gateway.process.line_with("serving").await;
    let line: serde_json::Value = serde_json::from_str(&line).context(line)?;
    assert_eq!(line["level"], "INFO");
    Ok(())
}

#[tokio::test]
async fn variables_of_emissary_work() -> Result<()> {
    let directory = directory(&yaml("quote"))?;
    let [admin, port] = [free_port(), free_port()];
    let mut command = plenipo();
    command.args(["run", "--port-map", &format!("8080={port}")]);
    command.env("AMBASSADOR_CONFIG_DIR", directory.path());
    command.env("AMBASSADOR_ENVOY_BIND_ADDRESS", "127.0.0.1");
    command.env("AMBASSADOR_HEALTHCHECK_BIND_ADDRESS", "127.0.0.1");
    command.env("AMBASSADOR_HEALTHCHECK_BIND_PORT", admin.to_string());
    command.env("AMBASSADOR_JSON_LOGGING", "true");
    let process = Process::start(&mut command)?;
    let line = process.line_with("serving").await;
    assert!(line.starts_with('{'), "{line}");
    let url = format!("http://127.0.0.1:{admin}/ready");
    let address: std::net::SocketAddr = ([127, 0, 0, 1], admin).into();
    eventually("readiness", || async {
        Http::one(address).get(&url).await.is_ok_and(|ready| ready.status == 200)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn changes_drop_nothing() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let resolve = resolve("quote", &upstream);
    let gateway = Gateway::start(&yaml("quote"), &[8080], &["--resolve", &resolve]).await?;
    let address = gateway.address(8080);
    let url = format!("http://{address}/quote/");
    let changes = async {
        for number in 0..20 {
            gateway.write(&format!(
                "{}{}",
                yaml("quote"),
                mapping("other", &format!("/other-{number}/"), "quote")
            ))?;
            let path = format!("/other-{number}/");
            eventually("the change", || async { status(&gateway, &path).await == Some(200) }).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    let (done, mut ended) = tokio::sync::oneshot::channel::<()>();
    let client = async {
        let mut kept = Http::one(address).connect().await?;
        let mut count = 0;
        while ended.try_recv().is_err() {
            assert_eq!(Http::one(address).get(&url).await?.status, 200, "a new connection");
            assert_eq!(kept.get(&url).await?.status, 200, "the kept connection");
            count += 1;
        }
        Ok::<_, anyhow::Error>(count)
    };
    let (changed, count) = tokio::join!(
        async {
            let changed = changes.await;
            let _ = done.send(());
            changed
        },
        client
    );
    changed?;
    assert!(count? > 20);
    Ok(())
}

#[tokio::test]
async fn listeners_come_and_go() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let resolve = resolve("quote", &upstream);
    let gateway = Gateway::start(&yaml("quote"), &[8080, 8081], &["--resolve", &resolve]).await?;
    let second = gateway.address(8081);
    let url = format!("http://{second}/quote/");
    assert!(Http::one(second).get(&url).await.is_err(), "nobody listens there yet");
    let more = yaml("quote")
        + "---"
        + &CLEAR_TEXT
            .split("---")
            .next()
            .unwrap_or_default()
            .replace("8080", "8081")
            .replace("name: http,", "name: second,");
    gateway.write(&more)?;
    eventually("the second listener", || async {
        Http::one(second).get(&url).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    gateway.write(&yaml("quote"))?;
    eventually("the second listener's end", || async { Http::one(second).get(&url).await.is_err() }).await;
    assert_eq!(status(&gateway, "/quote/").await, Some(200));
    Ok(())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() -> Result<()> {
    let authority = Authority::new("e2e");
    let name = "www.example.com";
    let host = "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: https, namespace: default}\nspec:\n  \
         port: 8443\n  protocol: HTTPS\n  securityModel: XFP\n  hostBinding: {namespace: {from: ALL}}\n---\n\
         apiVersion: getambassador.io/v3alpha1\nkind: Host\nmetadata: {name: www, namespace: default}\n\
         spec: {hostname: www.example.com, tlsSecret: {name: www}}\n---\n";
    let [first, second] = [authority.server(&[name]), authority.server(&[name])];
    let gateway =
        Gateway::start(&format!("{host}{}", first.secret_yaml("www", "default")), &[8443], &[]).await?;
    let address = gateway.address(8443);
    let shown = || async {
        let config = tls::client(&authority, None, &[]);
        let stream = tokio::net::TcpStream::connect(address).await.ok()?;
        let stream =
            tokio_rustls::TlsConnector::from(config).connect(name.try_into().ok()?, stream).await.ok()?;
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned())
    };
    assert_eq!(shown().await, first.chain().into_iter().next());
    gateway.write(&format!("{host}{}", second.secret_yaml("www", "default")))?;
    let renewed = second.chain().into_iter().next();
    eventually("the renewed certificate", || async { shown().await == renewed }).await;
    gateway
        .write(&format!("{host}{}", second.secret_yaml("www", "default").replace("tls.key", "tls.gone")))?;
    gateway.process.line_with("bad-tls-secret").await;
    assert_eq!(shown().await, renewed, "the last good one keeps serving");
    Ok(())
}
