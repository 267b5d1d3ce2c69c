//! The first bytes of a connection.

use plenipo_model::ProxyTlvs;
use plenipo_proxy::proxy_protocol::{Parsed, parse, write_v1, write_v2};
use plenipo_proxy::sniff::{ClientHello, Sniff, sniff};

/// No verdict is taken back when more bytes come; what is read can be written and read again.
pub fn proxy_protocol(input: &[u8]) {
    let whole = parse(input);
    let ends = [1, 5, 11, 12, 15, 16, 28, 52, 106, 107, input.len() / 2, input.len().saturating_sub(1)];
    for end in ends.into_iter().filter(|end| *end < input.len()) {
        let part = parse(&input[..end]);
        assert!(part == Parsed::NeedMore || part == whole, "{part:?} of {end} bytes became {whole:?}");
    }
    match &whole {
        Parsed::NeedMore => assert!(input.len() < 4096, "still asks for more"),
        Parsed::NotProxy => assert!(!input.starts_with(b"PROXY ")),
        Parsed::Invalid(_) => {}
        Parsed::Header(header) => {
            assert!(header.length <= input.len());
            assert_eq!(parse(&input[..header.length]), whole, "bytes behind the header count");
            if let Some((source, destination)) = header.addresses {
                let same = source.is_ipv4() == destination.is_ipv4();
                let canonical = |address: std::net::SocketAddr| address.ip().to_canonical() == address.ip();
                let mut out = Vec::new();
                write_v1(&mut out, source, destination);
                assert!(matches!(parse(&out), Parsed::Header(_)));
                out.clear();
                let tlvs = header.tlvs.iter().find(|tlv| tlv.0 == 0xea);
                let endpoint = tlvs.map(|tlv| String::from_utf8_lossy(&tlv.1).into_owned());
                let tlvs = ProxyTlvs { endpoint, ..ProxyTlvs::network_load_balancer() };
                write_v2(&mut out, header.addresses, &tlvs);
                let Parsed::Header(again) = parse(&out) else { panic!("{out:?} cannot be read") };
                if same && canonical(source) && canonical(destination) {
                    assert_eq!(again.addresses, header.addresses);
                }
            }
        }
    }
}

/// No verdict is taken back when more bytes come; what the TLS stack takes for a ClientHello is one, with the same name
/// and protocols.
pub fn client_hello(input: &[u8]) {
    let whole = sniff(input);
    for end in [1, 2, 5, 6, 9, 10, 50, input.len() / 2, input.len().saturating_sub(1)] {
        if end < input.len() {
            let part = sniff(&input[..end]);
            assert!(part == Sniff::NeedMore || part == whole, "{part:?} of {end} bytes became {whole:?}");
        }
    }
    if whole == Sniff::NeedMore {
        assert!(input.len() < 64 * 1024, "still asks for more");
    }
    if let Some(theirs) = by_tls_stack(input) {
        match whole {
            Sniff::Tls(ours) => assert_eq!(ours, theirs),
            other => panic!("{other:?}, but the TLS stack reads {theirs:?}"),
        }
    }
}

fn by_tls_stack(mut input: &[u8]) -> Option<ClientHello> {
    let mut acceptor = rustls::server::Acceptor::default();
    while !input.is_empty() {
        // Reads a few KiB at a time.
        if acceptor.read_tls(&mut input).ok()? == 0 {
            return None;
        }
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            return Some(ClientHello {
                server_name: hello.server_name().map(str::to_ascii_lowercase),
                alpn: hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
            });
        }
    }
    None
}
