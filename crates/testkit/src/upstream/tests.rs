use http::Request;

use crate::certs::Authority;
use crate::client::{Http, Raw, Target};
use crate::upstream::{Answer, Scripted, Step, Upstream};
use crate::{eventually, proxy_header, tls};

type Outcome = anyhow::Result<()>;

#[tokio::test]
async fn echoes_a_request_over_both_versions() -> Outcome {
    let upstream = Upstream::http("quote").start().await;
    for client in [Http::one(upstream.address()), Http::two(upstream.address())] {
        let request = Request::post("http://shop.example/a?b=c").header("x-one", "1").header("x-one", "2");
        let response = client.send_with(request, "hello").await?;
        let echoed = response.echoed()?;
        assert_eq!((echoed.backend.as_str(), echoed.method.as_str()), ("quote", "POST"));
        assert_eq!((echoed.path.as_str(), echoed.host.as_str()), ("/a?b=c", "shop.example"));
        assert_eq!(echoed.header("x-one"), ["1", "2"]);
        assert_eq!((echoed.body.length, echoed.body.start.as_str()), (5, "hello"));
        assert_eq!(echoed.version, format!("{:?}", response.version));
    }
    assert_eq!((upstream.accepted(), upstream.seen().len()), (2, 2));
    eventually("both connections closed", || async { upstream.open() == 0 }).await;
    Ok(())
}

#[tokio::test]
async fn request_headers_steer_the_answer() -> Outcome {
    let upstream = Upstream::http("quote").start().await;
    let mut connection = Http::one(upstream.address()).connect().await?;
    let request = Request::get("/")
        .header("x-echo-status", "418")
        .header("x-echo-header", "set-cookie=a=b")
        .header("x-echo-header", "set-cookie=c=d")
        .header("te", "trailers")
        .header("x-echo-trailers", "x-checksum=42")
        .header("x-echo-close", "1");
    let response = connection.send(request.body(String::new())?).await?;
    assert_eq!(response.status, 418);
    let cookies = response.headers.get_all("set-cookie").iter().collect::<Vec<_>>();
    assert_eq!(cookies, ["a=b", "c=d"]);
    assert_eq!(response.trailers["x-checksum"], "42");
    eventually("the connection closed", || async { connection.is_closed() }).await;
    let request = Request::get("/").header("x-echo-body-bytes", "100000");
    assert_eq!(Http::two(upstream.address()).send(request).await?.body.len(), 100_000);
    let reset = Http::one(upstream.address()).send(Request::get("/").header("x-echo-reset", "1")).await;
    assert!(reset.is_err());
    Ok(())
}

#[tokio::test]
async fn answers_as_planned_and_then_echoes_again() -> Outcome {
    let upstream = Upstream::http("quote").start().await;
    upstream.plan([Answer::Status(503), Answer::Reset]);
    let client = Http::one(upstream.address());
    assert_eq!(client.get("/").await?.status, 503);
    assert!(client.get("/").await.is_err());
    assert_eq!(client.get("/").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn shows_how_tls_was_spoken() -> Outcome {
    let authority = Authority::new("servers");
    let certificate = authority.intermediate("below").server(&["*.example.com", "127.0.0.1"]);
    let alice = authority.client("alice");
    let server = tls::mutual_server(&certificate, &authority, &["h2", "http/1.1"]);
    let upstream = Upstream::http("secret").tls(server).start().await;
    let config = tls::client(&authority, Some(&alice), &["h2"]);
    let target = Target::tls(upstream.address(), "shop.example.com", config);
    let seen = Http::two(target).get("/").await?.echoed()?.tls.expect("it was TLS");
    assert_eq!((seen.sni.as_deref(), seen.alpn.as_deref()), (Some("shop.example.com"), Some("h2")));
    assert_eq!(seen.client_subject.as_deref(), Some("CN=alice, O=plenipo tests"));
    let anonymous =
        Target::tls(upstream.address(), "shop.example.com", tls::client(&authority, None, &["http/1.1"]));
    assert!(Http::one(anonymous).get("/").await.is_err());
    let wrong_name =
        Target::tls(upstream.address(), "example.net", tls::client(&authority, Some(&alice), &[]));
    assert!(Http::one(wrong_name).get("/").await.is_err());
    Ok(())
}

#[tokio::test]
async fn echoes_websocket_messages() -> Outcome {
    let upstream = Upstream::http("chat").start().await;
    let mut socket = Http::one(upstream.address()).websocket(Request::get("/ws")).await?;
    socket.send("hello").await?;
    assert_eq!(socket.receive().await?, "hello");
    assert_eq!(upstream.open(), 1);
    socket.close().await?;
    eventually("the socket closed", || async { upstream.open() == 0 }).await;
    assert_eq!(upstream.seen()[0].path, "/ws");
    Ok(())
}

#[tokio::test]
async fn echoes_grpc_messages_as_they_come() -> Outcome {
    let upstream = Upstream::http("rpc").start().await;
    let mut connection = Http::two(upstream.address()).connect().await?;
    let repeated = Request::builder().uri("/echo.Echo/Say").header("x-echo-repeat", "2");
    let (answers, status) = connection.call(repeated, &["a", "b"]).await?;
    assert_eq!((answers.concat().as_str(), status.code), ("aabb", 0));
    let mut call = connection.open_call(Request::builder().uri("/echo.Echo/Talk")).await?;
    for word in ["one", "two"] {
        call.send(word.as_bytes()).await?;
        assert_eq!(call.receive().await?.as_deref(), Some(word.as_bytes()));
    }
    call.finish();
    assert_eq!((call.receive().await?, call.status().code), (None, 0));
    let failing = Request::builder().uri("/echo.Echo/Say").header("x-echo-grpc-status", "7");
    assert_eq!(connection.call(failing, &["a"]).await?.1.code, 7);
    Ok(())
}

#[tokio::test]
async fn keeps_proxy_headers_and_echoes_tcp() -> Outcome {
    let upstream = Upstream::tcp("db").proxy_header().start().await;
    let (client, server) = ("192.0.2.7:4711".parse()?, "198.51.100.1:443".parse()?);
    let headers = [
        proxy_header::v1(client, server),
        proxy_header::v2(client, server, &[(0xea, b"x")]),
        proxy_header::v2_local(),
    ];
    for header in &headers {
        let mut raw = Raw::connect(Target::clear(upstream.address()).proxy_header(header.clone())).await?;
        raw.send_bytewise("ping").await?;
        assert_eq!(raw.exactly(4).await?, b"ping");
        raw.finish().await?;
        assert!(raw.closes().await);
    }
    assert_eq!(upstream.proxy_headers(), headers);
    Ok(())
}

#[tokio::test]
async fn plays_its_script() -> Outcome {
    let script = [
        Step::ReadUntil("\r\n\r\n"),
        Step::text("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        Step::Read(3),
        Step::text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
        Step::Reset,
    ];
    let upstream = Scripted::start(script).await;
    let mut raw = Raw::connect(upstream.address()).await?;
    raw.send("GET / HTTP/1.1\r\n\r\nrest").await?;
    assert!(raw.response().await?.ends_with("ok"));
    assert!(raw.response().await.is_err());
    assert_eq!(upstream.received(), [b"GET / HTTP/1.1\r\n\r\nrest"]);
    Ok(())
}

#[tokio::test]
async fn comes_back_where_it_was() -> Outcome {
    let upstream = Upstream::http("a").start().await;
    let address = upstream.address();
    Http::one(address).get("/").await?;
    drop(upstream);
    let _again = Upstream::http("b").bind(address).start().await;
    assert_eq!(Http::one(address).get("/").await?.echoed()?.backend, "b");
    Ok(())
}
