//! Numbers by chance, for one thread: weights, request ids. Not for secrets.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use http::HeaderValue;

/// A small generator (splitmix64), seeded by the standard library's random hasher keys.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new() -> Self {
        Self(Cell::new(RandomState::new().build_hasher().finish()))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random UUID (RFC 9562 §5.4), as the value of a header field.
    pub(crate) fn uuid(&self) -> HeaderValue {
        let number = (u128::from(self.next()) << 64) | u128::from(self.next());
        let number = (number & !(0xF << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let [a, b, c, d] = [96, 64, 32, 0].map(|shift| digits((number >> shift) as u32));
        let mut text = [b'-'; 36];
        text[..8].copy_from_slice(&a);
        text[9..13].copy_from_slice(&b[..4]);
        text[14..18].copy_from_slice(&b[4..]);
        text[19..23].copy_from_slice(&c[..4]);
        text[24..28].copy_from_slice(&c[4..]);
        text[28..].copy_from_slice(&d);
        // It is copied into logs and other fields: so made that a copy asks for no memory.
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).expect("a UUID is visible ASCII")
    }
}

/// The hexadecimal digits of a number, all eight worked out at once: each half byte gets a byte of its own, then what lies
/// between `9` and `a` is added to those above nine.
fn digits(number: u32) -> [u8; 8] {
    let spread = u64::from(number);
    let spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF;
    let spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF;
    let spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    let above_nine = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + above_nine * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_hexadecimal() {
        for number in [0, 1, 0x0123_4567, 0x89AB_CDEF, 0xFFFF_FFFF, 0x9A9A_0F0F] {
            assert_eq!(std::str::from_utf8(&digits(number)), Ok(&*format!("{number:08x}")));
        }
    }

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let random = Random::new();
        let uuid = || random.uuid().to_str().expect("ASCII").to_owned();
        let (one, two) = (uuid(), uuid());
        assert_ne!(one, two);
        assert_eq!(one.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>(), [8, 13, 18, 23]);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert!("89ab".contains(&one[19..20]), "{one}");
    }
}
