//! Blocks of the RFC's own examples, of the `h2` crate's client, and of those who mean no good.

use std::fmt::Write as _;

use http::{HeaderName, StatusCode};
use proptest::prelude::*;

use super::table::STATIC;
use super::{Compression, Decoder, Field, encode};

fn shown(field: &Field) -> String {
    match field {
        Field::Method(method) => format!(":method: {method}"),
        Field::Scheme(scheme) => format!(":scheme: {scheme}"),
        Field::Authority(authority) => format!(":authority: {authority}"),
        Field::Path(path) => format!(":path: {path}"),
        Field::Header(name, value) => format!("{name}: {}", value.to_str().expect("text")),
        Field::Malformed(name) => format!("malformed {name:?}"),
    }
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Compression> {
    let mut fields = Vec::new();
    decoder.decode(block, |field, _| fields.push(shown(field)))?;
    Ok(fields)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// RFC 7541, appendices C.3 and C.4: three requests one after the other, as they are and by the code of appendix B.
#[test]
fn the_examples_of_the_rfc() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new();
        let mut told = String::new();
        for block in blocks {
            let fields = read(&mut decoder, &bytes(block)).expect("a block");
            writeln!(told, "{}", fields.join(", ")).expect("written");
        }
        assert_eq!(
            told,
            ":method: GET, :scheme: http, :path: /, :authority: www.example.com\n\
             :method: GET, :scheme: http, :path: /, :authority: www.example.com, cache-control: no-cache\n\
             :method: GET, :scheme: https, :path: /index.html, :authority: www.example.com, custom-key: custom-value\n"
        );
    }
}

#[test]
fn every_name_that_is_written_by_a_number_is_that_of_the_number() {
    let names = STATIC.iter().map(|(name, _)| *name).filter(|name| !name.starts_with(':'));
    for name in names {
        let name = HeaderName::from_static(name);
        let mut block = Vec::new();
        encode(None, [(&name, &b"v"[..])].into_iter(), &mut block);
        assert_eq!(read(&mut Decoder::new(), &block).expect("a block"), [format!("{name}: v")]);
    }
    let numbers: Vec<_> = [200u16, 204, 206, 304, 400, 404, 500, 201, 599]
        .into_iter()
        .map(|status| {
            let mut block = Vec::new();
            encode(Some(StatusCode::from_u16(status).expect("valid")), std::iter::empty(), &mut block);
            block
        })
        .collect();
    let statuses = numbers.iter().map(|block| match block[..] {
        [number @ 0x80..=0xFF] => STATIC[usize::from(number & 0x7F) - 1].1.to_owned(),
        [0x08, 3, ref digits @ ..] => String::from_utf8_lossy(digits).into_owned(),
        _ => panic!("{block:?}"),
    });
    assert_eq!(statuses.collect::<Vec<_>>(), ["200", "204", "206", "304", "400", "404", "500", "201", "599"]);
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let refused = [
        ("no field has number 0", vec![0x80]),
        ("nobody sent a field 62", vec![0x80 | 62]),
        ("nor one far beyond", vec![0xFF, 0xFF, 0x7F]),
        ("nor a name", vec![0x7F, 0x10, 1, b'v']),
        ("a number that does not end", vec![0xFF, 0xFF]),
        ("a number beyond all bounds", vec![0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),
        ("a number longer than it is", vec![0xFF, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
        ("a name that does not end", vec![0x40, 5, b'a']),
        ("a value that does not end", vec![0x40, 1, b'a', 5, b'v']),
        ("no value", vec![0x40, 1, b'a']),
        ("a code that is cut", vec![0x40, 1, b'a', 0x81, 0b1111_1110]),
        ("padding of more than seven bits", vec![0x40, 1, b'a', 0x82, 0xFF, 0xFF]),
        ("the end of strings within one", vec![0x40, 1, b'a', 0x84, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("a table larger than allowed", vec![0x3F, 0xE2, 0x1F]),
        ("a table that changes within a block", vec![0x82, 0x20]),
    ];
    for (why, block) in refused {
        assert_eq!(read(&mut Decoder::new(), &block), Err(Compression), "{why}");
    }
}

#[test]
fn the_table_forgets_what_it_has_no_room_for() {
    let mut decoder = Decoder::new();
    // Two fields of 34 bytes; the table then shrinks to one.
    let block = [0x40, 1, b'a', 1, b'1', 0x40, 1, b'b', 1, b'2', 0x80 | 62, 0x80 | 63];
    assert_eq!(read(&mut decoder, &block).expect("a block"), ["a: 1", "b: 2", "b: 2", "a: 1"]);
    assert_eq!(read(&mut decoder, &[0x3F, 34 - 31, 0x80 | 62]).expect("a block"), ["b: 2"]);
    assert_eq!(read(&mut decoder, &[0x80 | 63]), Err(Compression));
    // A larger one empties it.
    let large = [&[0x40, 1, b'c', 2][..], b"33"].concat();
    assert_eq!(read(&mut decoder, &large).expect("a block"), ["c: 33"]);
    assert_eq!(read(&mut decoder, &[0x80 | 62]), Err(Compression));
    assert_eq!(read(&mut decoder, &[0x20, 0x3F, 0xE1, 0x1F]).expect("as large as it may be"), [""; 0]);
}

#[test]
fn what_no_request_may_have_is_told() {
    let mut decoder = Decoder::new();
    for name in ["X-Upper", "", "a b", ":status", ":protocol", ":other", "a:"] {
        let block = [&[0x40, name.len() as u8][..], name.as_bytes(), &[1, b'v']].concat();
        let fields = read(&mut decoder, &block).expect("it can be read");
        assert_eq!(fields, ["malformed Malformed"], "{name}");
        // And is as wrong when it is referred to.
        assert_eq!(read(&mut decoder, &[0x80 | 62]).expect("it can be read"), fields);
    }
    for (number, value) in [(2, "G T"), (4, "x"), (4, "/a b"), (4, "/#x"), (6, ""), (1, "a b"), (19, "a\nb")]
    {
        let block = [&[0x40 | number, value.len() as u8][..], value.as_bytes()].concat();
        let fields = read(&mut decoder, &block).expect("it can be read");
        assert!(fields[0].starts_with("malformed"), "{value}: {fields:?}");
    }
}

proptest! {
    /// Whatever comes, it is read or refused, and the table stays as small as it is to be.
    #[test]
    fn any_bytes_are_read_or_refused(blocks in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..200), 0..8,
    )) {
        let mut decoder = Decoder::new();
        for block in blocks {
            let mut size = 0;
            let _ = decoder.decode(&block, |_, each| size += each);
            prop_assert!(decoder.table_size() <= 4096);
        }
    }

    /// What is written is read again.
    #[test]
    fn what_is_written_is_read(fields in proptest::collection::vec(
        ("[a-z][a-z0-9-]{0,150}", "[!-~]{0,300}"), 0..20,
    )) {
        let names: Vec<_> =
            fields.iter().map(|(name, _)| HeaderName::from_bytes(name.as_bytes()).expect("a name")).collect();
        let mut block = Vec::new();
        encode(None, names.iter().zip(fields.iter().map(|(_, value)| value.as_bytes())), &mut block);
        let told: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        prop_assert_eq!(read(&mut Decoder::new(), &block).expect("a block"), told);
    }
}
