use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal"))
        .collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn header(input: &[u8]) -> Header {
    match parse(input) {
        Parsed::Header(header) => header,
        other => panic!("{other:?} for {input:?}"),
    }
}

fn written(addresses: Option<(SocketAddr, SocketAddr)>, tlvs: &ProxyTlvs) -> Vec<u8> {
    let mut out = Vec::new();
    write_v2(&mut out, addresses, tlvs);
    out
}

fn invalid(input: &[u8]) -> bool {
    matches!(parse(input), Parsed::Invalid(_))
}

/// Every shorter piece must ask for more; then the whole must give the same as with bytes behind it.
fn assert_splits(input: &[u8]) {
    for end in 0..input.len() {
        assert_eq!(parse(&input[..end]), Parsed::NeedMore, "the first {end} bytes");
    }
    let mut longer = input.to_vec();
    longer.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert_eq!(parse(&longer), parse(input));
    assert_eq!(header(input).length, input.len());
}

/// An NLB with PrivateLink: checksum, VPC endpoint, padding.
fn aws_proxy() -> Vec<u8> {
    let mut vector = bytes(
        "0d0a0d0a000d0a515549540a 21110054 ac1f0771ac1f0a1f c8f20050 030004e8d6892d ea001701
         767063652d30386432626631356661633530303163 39 040024",
    );
    vector.resize(100, 0);
    vector
}

/// An NLB's health check: LOCAL, family TCP4, and no addresses.
fn aws_local() -> Vec<u8> {
    let mut vector = bytes("0d0a0d0a000d0a515549540a 20110054 030004bce5951f 04004a");
    vector.resize(100 - 10, 0);
    vector.resize(100, 0);
    vector
}

#[test]
fn aws_vectors() {
    let parsed = header(&aws_proxy());
    assert_eq!(parsed.addresses, Some((at("172.31.7.113:51442"), at("172.31.10.31:80"))));
    let endpoint = parsed.tlvs.iter().find(|(kind, _)| *kind == 0xea).expect("a VPC endpoint");
    assert_eq!(endpoint.1, b"\x01vpce-08d2bf15fac5001c9");
    assert_splits(&aws_proxy());

    let parsed = header(&aws_local());
    assert_eq!((parsed.addresses, parsed.tlvs.len()), (None, 2));
    assert_splits(&aws_local());
}

#[test]
fn writes_the_aws_vectors_byte_for_byte() {
    let addresses = Some((at("172.31.7.113:51442"), at("172.31.10.31:80")));
    let aws =
        ProxyTlvs { endpoint: Some("vpce-08d2bf15fac5001c9".into()), ..ProxyTlvs::network_load_balancer() };
    assert_eq!(written(addresses, &aws), aws_proxy());
    assert_eq!(written(None, &aws), aws_local(), "a health check came through no endpoint");
    assert_eq!(written(None, &ProxyTlvs::network_load_balancer()), aws_local());
    let without = written(addresses, &ProxyTlvs::network_load_balancer());
    assert_eq!((without.len(), &without[35..38]), (100, [TLV_NOOP, 0, 62].as_slice()));
}

#[test]
fn a_wrong_checksum_is_refused() {
    for (vector, place) in [(aws_proxy(), 20), (aws_proxy(), 99), (aws_local(), 22)] {
        let mut vector = vector;
        vector[place] ^= 1;
        assert!(invalid(&vector), "byte {place}");
    }
    // Of the wrong length, and twice.
    let with = |length: u8| {
        let mut out = written(Some((at("1.2.3.4:5"), at("1.2.3.4:6"))), &ProxyTlvs::default());
        out[15] += 3 + length;
        out.extend([TLV_CRC32C, 0, length]);
        out.resize(out.len() + usize::from(length), 0);
        out
    };
    assert!(invalid(&with(3)));
    assert!(invalid(&with(4)));
}

#[test]
fn version_1() {
    let parsed = header(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    assert_eq!(parsed.addresses, Some((at("192.168.0.1:56324"), at("192.168.0.11:443"))));
    assert_splits(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    let parsed = header(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
    assert_eq!(parsed.addresses, Some((at("[2001:db8::1]:0"), at("[::1]:65535"))));
    let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                    ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), 107);
    assert_eq!(header(longest).addresses, None);
    assert_splits(longest);
    assert_eq!(header(b"PROXY UNKNOWN\r\n").addresses, None);
}

#[test]
fn version_1_mistakes() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UNIX /a /b 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
        "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n",
        "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n",
    ] {
        assert!(invalid(line.as_bytes()), "{line:?}");
    }
    assert!(invalid(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat()));
    assert!(invalid(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 92], b"\r\n"].concat()));
    assert!(invalid(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 \xff\r\n"));
}

#[test]
fn version_2_mistakes() {
    let written = |head: [u8; 4], rest: &[u8]| [V2_SIGNATURE.as_slice(), &head, rest].concat();
    for (head, rest, what) in [
        ([0x11, 0x11, 0, 12], vec![0; 12], "version 1"),
        ([0x31, 0x11, 0, 12], vec![0; 12], "version 3"),
        ([0x22, 0x11, 0, 12], vec![0; 12], "unknown command"),
        ([0x21, 0x41, 0, 12], vec![0; 12], "unknown family"),
        ([0x21, 0x13, 0, 12], vec![0; 12], "unknown transport"),
        ([0x21, 0x10, 0, 12], vec![0; 12], "family without transport"),
        ([0x21, 0x12, 0, 12], vec![0; 12], "datagrams"),
        ([0x21, 0x11, 0, 11], vec![0; 11], "shorter than IPv4 addresses"),
        ([0x21, 0x21, 0, 35], vec![0; 35], "shorter than IPv6 addresses"),
        ([0x21, 0x31, 0, 215], vec![0; 215], "shorter than UNIX addresses"),
        ([0x21, 0x11, 0, 13], vec![0; 13], "half a TLV"),
        ([0x21, 0x00, 0, 4], vec![4, 0, 2, 0], "TLV overrun"),
        ([0x21, 0x00, 0x0f, 0xf1], vec![0; 0xff1], "longer than 4 KiB"),
        ([0x20, 0x00, 0xff, 0xff], vec![], "LOCAL longer than 4 KiB"),
    ] {
        assert!(invalid(&written(head, &rest)), "{what}");
    }
    for (head, rest) in [
        ([0x21, 0x00, 0, 0], vec![]),
        ([0x21, 0x31, 0, 216], vec![1; 216]),
        ([0x20, 0x00, 0, 0], vec![]),
        ([0x20, 0x11, 0, 0], vec![]),
        ([0x20, 0x11, 0, 12], vec![7; 12]),
        ([0x20, 0x22, 0, 5], vec![7; 5]),
        ([0x20, 0x00, 0x0f, 0xf0], vec![7; 0xff0]),
    ] {
        let input = written(head, &rest);
        assert_eq!(header(&input), Header { length: input.len(), addresses: None, tlvs: vec![] });
        assert_splits(&input);
    }
}

#[test]
fn something_else_is_left_alone() {
    for input in ["GET / HTTP/1.1\r\n", "\x16\x03\x01", "PROXX", "PRI * HTTP/2.0", "\r\n\r\n\r", "P\r", " "] {
        assert_eq!(parse(input.as_bytes()), Parsed::NotProxy, "{input:?}");
    }
}

#[test]
fn mixed_families_become_ipv6() {
    let mut out = Vec::new();
    write_v1(&mut out, at("1.2.3.4:5"), at("[2001:db8::1]:6"));
    assert_eq!(out, b"PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 5 6\r\n");
    let out = written(Some((at("[::ffff:1.2.3.4]:5"), at("1.2.3.5:6"))), &ProxyTlvs::default());
    assert_eq!(out.len(), 28);
    assert_eq!(header(&out).addresses, Some((at("1.2.3.4:5"), at("1.2.3.5:6"))));
}

#[test]
fn what_does_not_fit_is_left_out() {
    let endpoint = Some("v".repeat(5000));
    let tlvs = ProxyTlvs { endpoint, padded_length: Some(u16::MAX), ..ProxyTlvs::default() };
    let out = written(Some((at("1.2.3.4:5"), at("1.2.3.4:6"))), &tlvs);
    assert_eq!(out.len(), V2_MAX);
    assert_eq!(header(&out).tlvs, [(TLV_NOOP, vec![0; V2_MAX - 28 - 3])]);
    // Two bytes of padding cannot be written.
    let odd = ProxyTlvs { padded_length: Some(14), ..ProxyTlvs::default() };
    assert_eq!(written(Some((at("1.2.3.4:5"), at("1.2.3.4:6"))), &odd).len(), 28);
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddr::from((ip, port)));
    // IPv4-mapped addresses are written as IPv4.
    let v6 = any::<([u8; 16], u16)>()
        .prop_map(|(ip, port)| SocketAddr::from((Ipv6Addr::from(ip).to_canonical(), port)));
    prop_oneof![v4, v6]
}

fn pair() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    (socket(), socket()).prop_filter("one family", |(a, b)| a.is_ipv4() == b.is_ipv4())
}

proptest! {
    #[test]
    fn parse_undoes_write_v1((source, destination) in pair()) {
        let mut out = Vec::new();
        write_v1(&mut out, source, destination);
        prop_assert!(out.len() <= V1_MAX);
        assert_splits(&out);
        prop_assert_eq!(header(&out).addresses, Some((source, destination)));
    }

    #[test]
    fn parse_undoes_write_v2(
        addresses in prop::option::of(pair()),
        crc32c: bool,
        endpoint in prop::option::of("[ -~]{0,200}"),
        padded_length in prop::option::of(0_u16..300),
    ) {
        let tlvs = ProxyTlvs { crc32c, endpoint, padded_length };
        let out = written(addresses, &tlvs);
        assert_splits(&out);
        let parsed = header(&out);
        prop_assert_eq!(parsed.addresses, addresses);
        let of = |kind| parsed.tlvs.iter().find(|tlv| tlv.0 == kind).map(|tlv| tlv.1.as_slice());
        if addresses.is_some() || crc32c {
            // (Of a LOCAL header only what a checksum vouches for is read.)
            prop_assert_eq!(of(TLV_CRC32C).is_some(), crc32c);
            let told = tlvs.endpoint.filter(|_| addresses.is_some()).map(|name| format!("\u{1}{name}"));
            prop_assert_eq!(of(TLV_AWS), told.as_ref().map(|told| told.as_bytes()));
        }
        if let Some(length) = padded_length {
            let length = V2_FIXED + usize::from(length);
            prop_assert!(out.len() == length || of(TLV_NOOP).is_none() || out.len() > length);
        }
    }

    #[test]
    fn more_bytes_never_take_a_verdict_back(input in prop::collection::vec(any::<u8>(), 0..64), version in 0..3) {
        let begin: &[u8] = [b"".as_slice(), b"PROXY ", &V2_SIGNATURE][version as usize];
        let input = [begin, &input].concat();
        let mut verdict = Parsed::NeedMore;
        for end in 0..=input.len() {
            let next = parse(&input[..end]);
            if verdict != Parsed::NeedMore {
                prop_assert_eq!(&verdict, &next);
            }
            verdict = next;
        }
    }
}
