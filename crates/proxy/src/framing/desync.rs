//! Heads that two readers could read differently, by the tiers of AWS's HTTP Desync Guardian: the very classifier that the
//! Application and Classic Load Balancers use.
//!
//! What passes by these tiers must still be a message that the codec behind us and every hop after it read alike. What is
//! not (spaces in a target, names that are no tokens, HTTP/0.9, control characters) is refused in every mode, where AWS's
//! monitor mode lets it through.

use http_desync_guardian::RequestSafetyTier as Tier;
use http_desync_guardian::request_analyzer::HttpRequestData;
use plenipo_model::Desync;

/// What is done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It passes.
    Passes,
    /// It passes, and nothing after it does: both connections end.
    PassesLast,
    /// 400, and the connection ends.
    Refused,
}

/// Judges a complete head, with the empty line that ends it.
pub(super) fn judge(mode: Desync, head: &[u8]) -> Judgement {
    let tier = HttpRequestData::analyze_raw_request(head).tier;
    match (mode, tier) {
        (Desync::Monitor, _)
        | (Desync::Strictest, Tier::Compliant)
        | (Desync::Defensive, Tier::Compliant | Tier::Acceptable) => Judgement::Passes,
        (Desync::Defensive, Tier::Ambiguous) => Judgement::PassesLast,
        (Desync::Defensive, Tier::Severe) | (Desync::Strictest, _) => Judgement::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_and_modes() {
        use Judgement::{Passes, PassesLast, Refused};
        for (head, defensive, strictest) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Passes, Passes),
            ("GET / HTTP/1.1\nHost: a\n\n", Passes, Refused),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Passes, Refused),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", PassesLast, Refused),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", PassesLast, Refused),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Refused, Refused),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunkedx\r\n\r\n", Refused, Refused),
        ] {
            let by = |mode| judge(mode, head.as_bytes());
            let judged = (by(Desync::Defensive), by(Desync::Strictest));
            assert_eq!(judged, (defensive, strictest), "{head:?}");
            assert_eq!(by(Desync::Monitor), Passes);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_head_is_too_odd(lines in proptest::collection::vec("[ -~\t\r\n\u{0}-\u{ff}]{0,12}", 0..8)) {
            let head = [lines.concat().as_bytes(), b"\r\n\r\n"].concat();
            judge(Desync::Defensive, &head);
        }
    }
}
