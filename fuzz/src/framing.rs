//! Where one HTTP/1 request ends and the next begins.

use plenipo_model::Desync;
use plenipo_proxy::framing::{Framing, Progress, Rest};

/// The first byte chooses the options and how the bytes are cut; the rest is what a client sends.
///
/// However the bytes are cut, the same ones pass and the same verdict ends it; and whatever hyper's parser takes for a
/// complete head was either passed as one or refused.
pub fn framing(input: &[u8]) {
    let Some((choice, stream)) = input.split_first() else { return };
    let mode = [None, Some(Desync::Monitor), Some(Desync::Defensive), Some(Desync::Strictest)]
        [usize::from(choice >> 6)];
    let new = || {
        let framing = Framing::new(2048, choice & 1 != 0);
        match mode {
            None => framing,
            Some(mode) => framing.with_request_lines().with_desync(mode),
        }
    };
    let mut whole = new();
    let Progress { passed, rest } = whole.advance(stream);
    assert!(passed <= stream.len());
    let step = usize::from(choice >> 1) % 32 + 1;
    let mut pieces = new();
    let (mut at, mut end) = (0, 0);
    let mut last = Rest::Nothing;
    while end < stream.len() {
        end = stream.len().min(end + step);
        let progress = pieces.advance(&stream[at..end]);
        at += progress.passed;
        last = progress.rest;
        if let Rest::Violation(_) | Rest::Over = last {
            break;
        }
    }
    match (rest, last) {
        (Rest::Violation(_), Rest::Violation(_)) => {}
        (whole, pieces) => {
            assert_eq!(whole, pieces);
            assert_eq!(passed, at);
        }
    }
    if passed == stream.len() && rest == Rest::Nothing {
        assert_eq!(whole.between_requests(), pieces.between_requests());
    }
}
