//! Choices kept by clients: sealed, so that nobody reads where their requests go, and dated, so that they end.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use plenipo_model::BalancerAnswers;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::fields::Fields;

/// A balancer's cookie lives so long at the client, however long the choice in it holds.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The end of a choice that holds as long as its cookie.
const NO_END: u64 = u64::MAX;

/// Made with the process: after a restart, every client is sent somewhere anew.
static KEY: LazyLock<LessSafeKey> = LazyLock::new(|| {
    let mut bytes = [0; 16];
    // Without randomness the key is known, and the cookies are readable: they protect nothing but curiosity.
    let _ = rand::fill(&mut bytes);
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &bytes).expect("16 bytes are a key of AES-128"))
});

/// Seals a choice, made within `scope` and valid for so long.
pub(super) fn seal(choice: &str, scope: &str, holds: Option<Duration>) -> Option<String> {
    let end = holds.map_or(NO_END, |holds| now().saturating_add(holds.as_secs()));
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).ok()?;
    let mut sealed = end.to_be_bytes().to_vec();
    sealed.extend_from_slice(choice.as_bytes());
    let bound = Nonce::assume_unique_for_key(nonce);
    KEY.seal_in_place_append_tag(bound, Aad::from(scope.as_bytes()), &mut sealed).ok()?;
    let mut all = nonce.to_vec();
    all.extend_from_slice(&sealed);
    Some(STANDARD.encode(all))
}

/// The choice in a cookie of this scope; none when it is none of ours, or at its end.
pub(super) fn open(value: &str, scope: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(value).ok()?;
    let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = KEY.open_in_place(nonce, Aad::from(scope.as_bytes()), sealed).ok()?;
    let (end, choice) = plain.split_first_chunk()?;
    let choice = std::str::from_utf8(choice).ok()?;
    (u64::from_be_bytes(*end) > now()).then(|| choice.to_owned())
}

/// Does a response set this cookie?
pub(super) fn is_set(headers: &Fields, wanted: &str) -> bool {
    headers.get_all(header::SET_COOKIE).iter().any(|line| {
        let name = line.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == wanted.as_bytes()
    })
}

/// Writes a cookie and its companion for requests from other sites, as the balancer does.
pub(super) fn set(
    style: BalancerAnswers,
    name: &str,
    companion: Option<&str>,
    value: &str,
    holds: Option<Duration>,
    response: &mut Fields,
) {
    let attributes = match (style, holds) {
        (BalancerAnswers::Application, _) => format!("; Expires={}; Path=/", date(SystemTime::now() + KEPT)),
        (BalancerAnswers::Classic, Some(holds)) => format!(";PATH=/;MAX-AGE={}", holds.as_secs()),
        (BalancerAnswers::Classic, None) => ";PATH=/".to_owned(),
    };
    let companion = companion.map(|name| (name, "; SameSite=None; Secure"));
    for (name, more) in [(name, "")].into_iter().chain(companion) {
        if let Ok(cookie) = HeaderValue::from_str(&format!("{name}={value}{attributes}{more}")) {
            response.append(header::SET_COOKIE, cookie);
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// RFC 9110 §5.6.7.
fn date(at: SystemTime) -> String {
    let form = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    OffsetDateTime::from(at).format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_scope_until_its_end() {
        let sealed = seal("10.0.0.1:80", "targets", Some(Duration::from_secs(60))).expect("sealed");
        assert_eq!(open(&sealed, "targets").as_deref(), Some("10.0.0.1:80"));
        assert_eq!(open(&sealed, "other targets"), None);
        let ended = seal("10.0.0.1:80", "targets", Some(Duration::ZERO)).expect("sealed");
        assert_eq!(open(&ended, "targets"), None);
        let endless = seal("x", "targets", None).expect("sealed");
        assert_eq!(open(&endless, "targets").as_deref(), Some("x"));
        assert_ne!(seal("x", "targets", None), Some(endless), "opaque: never twice the same");
    }

    #[test]
    fn what_is_not_ours_does_not_open() {
        let sealed = seal("x", "targets", None).expect("sealed");
        for bad in ["", "=", "AAAA", "not base64!", &sealed[1..], &format!("AAAA{sealed}")] {
            assert_eq!(open(bad, "targets"), None, "{bad}");
        }
    }

    #[test]
    fn dates_are_those_of_http() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
