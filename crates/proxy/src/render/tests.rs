use super::*;
use crate::sample::{certified_connection, connection, exchange, headers};

fn rendered(template: &str, facts: &Facts<'_>) -> String {
    let mut out = Vec::new();
    render(&Template::parse(template).expect("a template"), facts, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn what_envoy_prints() {
    let mut exchange = exchange(connection());
    exchange.kept_request = headers(&[("x-a", "1"), ("x-a", "2"), ("x-empty", "")]);
    exchange.kept_response = headers(&[("content-type", "text/plain")]);
    exchange.kept_trailers = headers(&[("grpc-message", "fine")]);
    exchange.details = "no healthy upstream";
    exchange.upstream_failure = Some("TLS error: bad certificate".to_owned());
    let facts = Facts { duration: Some(Duration::from_micros(12_900)), ..Facts::of(&exchange) };
    for (template, expected) in [
        ("%START_TIME%", "2026-01-02T03:04:05.678Z"),
        ("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%", "GET /old?q=1 HTTP/1.1"),
        ("%REQ(:AUTHORITY)%|%REQ(host)%|%REQ(:scheme)%", "Shop.example.com:8080|Shop.example.com:8080|http"),
        ("%REQ(X-A)%|%REQ(X-B)%|%REQ(X-B?X-A)%|[%REQ(X-EMPTY?X-A)%]", "1|-|1|[]"),
        ("%REQ(X-REQUEST-ID)%", "0af7651916cd43dd8448eb211c80319c"),
        ("%REQ(:AUTHORITY):4%|%REQ(:AUTHORITY):99%|%REQ(X-B):0%", "Shop|Shop.example.com:8080|-"),
        ("%RESP(Content-Type)% %RESP(:status)% %RESP(x)%", "text/plain 200 -"),
        ("%TRAILER(grpc-message)%", "fine"),
        ("%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%", "200 no_healthy_upstream -"),
        ("%BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "12 345 12"),
        ("%REQUEST_DURATION% %RESPONSE_DURATION%", "3 10"),
        (
            "%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS%",
            "10.1.2.3:80 cluster_shop 10.1.0.1:33333",
        ),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "TLS_error:_bad_certificate"),
        (
            "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
            "203.0.113.7:51000 203.0.113.7",
        ),
        (
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
            "10.0.0.9:4000 10.0.0.9",
        ),
        (
            "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%",
            "192.0.2.1:8443 192.0.2.1 8443",
        ),
        ("%DOWNSTREAM_TLS_VERSION%%DOWNSTREAM_PEER_SUBJECT%%REQUESTED_SERVER_NAME%", "---"),
        ("%DOWNSTREAM_PEER_VERIFIED%", "NONE"),
        ("%ROUTE_NAME% %CONNECTION_ID% %GRPC_STATUS%", "shop 42 -"),
        ("%DYNAMIC_METADATA(a:b)% %ENVIRONMENT(PLENIPO_NO_SUCH_VARIABLE)% 100%%", "- - 100%"),
    ] {
        assert_eq!(rendered(template, &facts), expected, "{template}");
    }
    assert_eq!(rendered("%DURATION%", &Facts::of(&exchange)), "-");
    exchange.sent_path = Some("/new".parse().expect("a path"));
    exchange.kept_request = headers(&[("x-envoy-original-path", "/old?q=1")]);
    let facts = Facts::of(&exchange);
    assert_eq!(rendered("%REQ(:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", &facts), "/new /old?q=1");
    assert_ne!(rendered("%HOSTNAME%", &facts), "");
}

#[test]
fn tls_and_client_certificate() {
    let exchange = exchange(certified_connection());
    let tls = exchange.connection.tls.as_ref().expect("TLS");
    let client = tls.client.as_ref().expect("a certificate");
    let facts = Facts::of(&exchange);
    for (template, expected) in [
        ("%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
        ("%REQUESTED_SERVER_NAME%", "shop.example.com"),
        ("%DOWNSTREAM_PEER_SUBJECT%|%DOWNSTREAM_PEER_ISSUER%", &format!("{0}|{0}", client.subject)),
        ("%DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_FINGERPRINT_256%", &format!("0abc {}", client.sha256)),
        ("%DOWNSTREAM_PEER_URI_SAN%", "spiffe://example.com/client"),
        ("%DOWNSTREAM_PEER_DNS_SAN%", "a.example.com,b.example.com"),
        ("%DOWNSTREAM_PEER_VERIFIED%", "SUCCESS"),
        ("%DOWNSTREAM_PEER_CERT%", &url_encoded_pem(&tls.client_chain[..1])),
    ] {
        assert_eq!(rendered(template, &facts), expected, "{template}");
    }
}

#[test]
fn a_forwarded_address_has_no_port() {
    let mut exchange = exchange(connection());
    exchange.client = "2001:db8::1".parse().expect("an address");
    assert_eq!(rendered("%DOWNSTREAM_REMOTE_ADDRESS%", &Facts::of(&exchange)), "[2001:db8::1]:0");
}

#[test]
fn grpc_statuses() {
    let mut exchange = exchange(connection());
    for (status, expected) in [(0, "OK 0"), (14, "Unavailable 14"), (16, "Unauthenticated 16"), (99, "99 99")]
    {
        exchange.grpc_status = Some(status);
        assert_eq!(rendered("%GRPC_STATUS% %GRPC_STATUS_NUMBER%", &Facts::of(&exchange)), expected);
    }
}

#[test]
fn a_relayed_connection_has_no_request() {
    let mut exchange = exchange(connection());
    exchange.original_path.clear();
    exchange.status = 0;
    let template = "%REQ(:METHOD)%%REQ(:PATH)%%REQ(:AUTHORITY)%%REQ(x-request-id)%%PROTOCOL% %RESPONSE_CODE%";
    assert_eq!(rendered(template, &Facts::of(&exchange)), "----- 0");
}

#[test]
fn header_values_leave_out_what_is_missing() {
    let exchange = exchange(connection());
    let facts = Facts::of(&exchange);
    let value = |template: &str| {
        let value = render_header(&Template::parse(template).expect("a template"), &facts)?;
        Some(value.to_str().expect("visible").to_owned())
    };
    assert_eq!(value("%REQ(x-none)%"), None);
    assert_eq!(value(""), None);
    assert_eq!(value("a-%REQ(x-none)%"), Some("a-".to_owned()));
    assert_eq!(value("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), Some("203.0.113.7".to_owned()));
    assert_eq!(value("%START_TIME(%n)%"), None, "no line ends in headers");
}

#[test]
fn cutting_spares_characters() {
    assert_eq!(cut("aä".as_bytes(), Some(2)), b"a");
    assert_eq!(cut("aä".as_bytes(), Some(3)), "aä".as_bytes());
    assert_eq!(cut(&[0x80, 0x80, 0x80], Some(2)), b"");
}

#[test]
fn start_times() {
    let started = exchange(connection()).started;
    for (format, expected) in [
        ("%Y/%m/%dT%H:%M:%S%z", "2026/01/02T03:04:05+0000"),
        ("%s %3s %s.%3f %f %1f %9f", "1767323045 1767323045678 1767323045.678 678901234 6 678901234"),
        ("%E3S %E*S %E6f", "05.678 05.678901234 678901"),
        ("%a %A %b %B %e %j %y %C %u %w", "Fri Friday Jan January  2 002 26 20 5 5"),
        ("%I %p %F %T %R %D %Z%%", "03 AM 2026-01-02 03:04:05 03:04 01/02/26 UTC%"),
        ("%c", "Fri Jan  2 03:04:05 2026"),
        ("%q % %", "%q % %"),
        ("plain", "plain"),
    ] {
        assert_eq!(start_time::format(started, Some(format)), expected, "{format}");
    }
    let noon = std::time::UNIX_EPOCH + Duration::from_secs(12 * 3600);
    assert_eq!(start_time::format(noon, Some("%I %p %E*S")), "12 PM 00");
    let before = std::time::UNIX_EPOCH - Duration::from_millis(1);
    assert_eq!(start_time::format(before, Some("%F %3s")), "1969-12-31 -1");
}
