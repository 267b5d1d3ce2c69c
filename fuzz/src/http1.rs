//! Both sides of HTTP/1, beside hyper's.

use plenipo_model::Desync;
use plenipo_proxy::alike::{Reading, requests, responses};

/// What is sent is no longer: messages that matter are short, and every byte costs a round.
const LONGEST: usize = 4096;

/// The first byte chooses the side and how strict it is, the next three where the bytes are cut; the rest is what the peer sends.
///
/// Whole and in pieces, our codec and hyper's see the same messages in it, with the same ends.
pub fn http1(input: &[u8]) {
    let Some((&[choice, ref places @ ..], bytes)) = input.split_first_chunk::<4>() else { return };
    if bytes.len() > LONGEST {
        return;
    }
    let mut cuts = places.map(|place| usize::from(place) * bytes.len() / 255);
    cuts.sort_unstable();
    match choice % 6 {
        0 => responses(bytes, &cuts),
        1 => requests(Reading::ChunkedLength, bytes, &cuts),
        2 => requests(Reading::Balancer(Desync::Monitor), bytes, &cuts),
        3 => requests(Reading::Balancer(Desync::Defensive), bytes, &cuts),
        4 => requests(Reading::Balancer(Desync::Strictest), bytes, &cuts),
        _ => requests(Reading::Strict, bytes, &cuts),
    }
}
