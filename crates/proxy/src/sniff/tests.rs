use std::sync::Arc;

use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// What a real client sends.
fn real(server_name: &str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = server_name.to_owned().try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut out = Vec::new();
    client.write_tls(&mut out).expect("a ClientHello");
    out
}

fn vector(length_bytes: usize, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    [&length[length.len() - length_bytes..], body].concat()
}

/// A ClientHello message with these extensions, in records of `record` bytes each.
fn built(extensions: &[(u16, Vec<u8>)], record: usize) -> Vec<u8> {
    let extensions: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), vector(2, body)].concat())
        .collect();
    let body = [
        &[3, 3],
        [7; 32].as_slice(),
        &vector(1, &[1; 32]),
        &vector(2, &[0x13, 1]),
        &vector(1, &[0]),
        &vector(2, &extensions),
    ]
    .concat();
    records(&[&[CLIENT_HELLO], vector(3, &body).as_slice()].concat(), record)
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[HANDSHAKE, 3, 1], vector(2, part).as_slice()].concat()).collect()
}

fn name_list(names: &[(u8, &str)]) -> Vec<u8> {
    let entries: Vec<u8> = names
        .iter()
        .flat_map(|(kind, name)| [&[*kind], vector(2, name.as_bytes()).as_slice()].concat())
        .collect();
    vector(2, &entries)
}

fn hello(input: &[u8]) -> ClientHello {
    match sniff(input) {
        Sniff::Tls(hello) => hello,
        other => panic!("{other:?}"),
    }
}

fn invalid(input: &[u8]) -> bool {
    matches!(sniff(input), Sniff::Invalid(_))
}

#[test]
fn a_real_client() {
    let input = real("Shop.Example.com", &["h2", "http/1.1"]);
    let expected = ClientHello {
        server_name: Some("shop.example.com".into()),
        alpn: vec![b"h2".into(), b"http/1.1".into()],
    };
    for end in 0..input.len() {
        assert_eq!(sniff(&input[..end]), Sniff::NeedMore);
    }
    assert_eq!(sniff(&input), Sniff::Tls(expected.clone()));
    assert_eq!(sniff(&[&input, b"more".as_slice()].concat()), Sniff::Tls(expected));
    assert_eq!(hello(&real("127.0.0.1", &[])), ClientHello::default());
}

#[test]
fn records_of_any_size() {
    let extensions = [(SERVER_NAME, name_list(&[(0, "a.example")])), (ALPN, vector(2, &vector(1, b"h2")))];
    let whole = hello(&built(&extensions, 1 << 14));
    assert_eq!(whole, ClientHello { server_name: Some("a.example".into()), alpn: vec![b"h2".into()] });
    for size in 1..20 {
        let input = built(&extensions, size);
        for end in 0..input.len() {
            assert_eq!(sniff(&input[..end]), Sniff::NeedMore, "records of {size}, {end} bytes");
        }
        assert_eq!(hello(&input), whole);
    }
}

#[test]
fn names() {
    let of = |names: &[(u8, &str)]| sniff(&built(&[(SERVER_NAME, name_list(names))], 100));
    let named = |name: &str| Sniff::Tls(ClientHello { server_name: Some(name.into()), alpn: vec![] });
    let unnamed = Sniff::Tls(ClientHello::default());
    assert_eq!(of(&[(0, "A_b.c-d")]), named("a_b.c-d"));
    assert_eq!(of(&[(0, "a.b"), (9, "other")]), named("a.b"));
    assert_eq!(of(&[(9, "other"), (0, "a.b")]), unnamed);
    assert_eq!(of(&[(9, "other")]), unnamed);
    assert_eq!(of(&[(0, "192.0.2.1")]), unnamed);
    assert_eq!(of(&[(0, "2001:db8::1")]), unnamed);
    for names in [&[][..], &[(0, "")], &[(0, "a b")], &[(0, "ä.de")], &[(0, "a\0b")], &[(0, "a"), (0, "b")]]
    {
        assert!(matches!(of(names), Sniff::Invalid(_)), "{names:?}");
    }
    assert!(invalid(&built(&vec![(SERVER_NAME, name_list(&[(0, "a")])); 2], 100)));
    assert!(invalid(&built(&vec![(ALPN, vector(2, b"")); 2], 100)));
    assert!(invalid(&built(&[(ALPN, vector(2, &[0]))], 100)));
    assert!(invalid(&built(&[(ALPN, [vector(2, b""), vec![0]].concat())], 100)));
}

#[test]
fn clear_text() {
    for input in
        [b"GET / HTTP/1.1\r\n".as_slice(), b"PRI * HTTP/2.0", b"\x80\x2e\x01", b"\x15\x03\x01", b"\0"]
    {
        assert_eq!(sniff(input), Sniff::ClearText);
    }
    assert_eq!(sniff(b""), Sniff::NeedMore);
    assert_eq!(sniff(&[HANDSHAKE]), Sniff::NeedMore);
}

#[test]
fn garbage() {
    let good = built(&[], 1000);
    let with = |place: usize, byte: u8| {
        let mut bad = good.clone();
        bad[place] = byte;
        bad
    };
    assert!(invalid(&with(1, 2)), "SSL 2");
    assert!(invalid(&with(3, 0x50)), "a record of more than 16 KiB");
    assert!(invalid(&[HANDSHAKE, 3, 1, 0, 0]), "an empty record");
    assert!(invalid(&with(5, 2)), "a ServerHello");
    assert!(invalid(&with(6, 2)), "a message of 128 KiB");
    assert!(invalid(&with(5 + 4 + 34, 33)), "a session id of 33 bytes");
    assert!(invalid(&with(5 + 4 + 34 + 33 + 1, 3)), "half a cipher suite");
    let message = &good[5..];
    let mut other = records(&message[..10], 100);
    other.extend_from_slice(&[0x15, 3, 1, 0, 2, 1, 0]);
    assert!(invalid(&other), "an alert in between");
    let endless = [&[HANDSHAKE, 3, 1, 0x40, 0, CLIENT_HELLO, 0, 0xff, 0xff], [0; 70_000].as_slice()].concat();
    assert!(invalid(&endless[..MAX.min(endless.len())]) || invalid(&endless));
}

proptest! {
    #[test]
    fn anything_may_come(input in prop::collection::vec(any::<u8>(), 0..300)) {
        sniff(&input);
        sniff(&[&[HANDSHAKE, 3, 1, 0, 200, CLIENT_HELLO, 0, 0, 190], input.as_slice()].concat());
    }

    #[test]
    fn one_flipped_byte(place: prop::sample::Index, byte: u8) {
        let mut input = built(&[(SERVER_NAME, name_list(&[(0, "a.b")])), (ALPN, vector(2, &vector(1, b"h2")))], 60);
        let place = place.index(input.len());
        input[place] = byte;
        sniff(&input);
    }
}
