//! Answers that a load balancer makes itself: which status, and what the page looks like.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper::ext::ReasonPhrase;
use plenipo_model::BalancerAnswers;

use crate::failure::Failure;
use crate::message::ResponseHead;

/// Name of the Application Load Balancer's server.
const SERVER: HeaderValue = HeaderValue::from_static("awselb/2.0");
/// A client that went before its answer came; for the log only.
pub(crate) const CLIENT_GONE: u16 = 460;

/// The status for a failure.
pub(crate) fn status(style: BalancerAnswers, failure: Failure) -> StatusCode {
    use BalancerAnswers::{Application, Classic};
    let code = match (failure, style) {
        (Failure::Request(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, _), _) => 400,
        (Failure::ClientGone, _) => CLIENT_GONE,
        (Failure::ClientProtocol, _) => 464,
        (Failure::NoEndpoint | Failure::Overflow, _) => 503,
        // The Classic Load Balancer says so of targets that close, or that it cannot reach.
        (Failure::ConnectTimedOut, _) | (Failure::Connect | Failure::Reset, Classic) => 504,
        (Failure::Connect | Failure::Reset, Application) | (Failure::BadResponse | Failure::Drained, _) => {
            502
        }
        // A body that does not come to its end, too: the target waits for it, and we for the target.
        (Failure::Silent(_) | Failure::TimedOut | Failure::AttemptTimedOut, _) => 504,
        _ => return failure.told().status,
    };
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// Writes the page of a status into an answer that has no body of its own.
pub(crate) fn page(style: BalancerAnswers, parts: &mut ResponseHead) -> Bytes {
    let status = parts.status.as_u16();
    let page = match style {
        BalancerAnswers::Application => title(status).map(application),
        BalancerAnswers::Classic => {
            if let Some(phrase) = phrase(status) {
                parts.reason = Some(Box::new(ReasonPhrase::from_static(phrase)));
            }
            None
        }
    };
    if page.is_some() {
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    }
    page.unwrap_or_default()
}

/// What every answer made here carries, fixed responses and redirects too.
pub(crate) fn sign(style: BalancerAnswers, parts: &mut ResponseHead) {
    if style == BalancerAnswers::Application {
        parts.headers.insert(header::SERVER, SERVER);
    }
}

/// The answer to a head that does not come to its end, as bytes.
pub(crate) fn slow_head(style: BalancerAnswers) -> Bytes {
    let (words, more, body) = match style {
        BalancerAnswers::Application => {
            let fields = "Server: awselb/2.0\r\nContent-Type: text/html\r\n";
            ("Request Time-out", fields, application("408 Request Time-out"))
        }
        BalancerAnswers::Classic => ("REQUEST_TIMEOUT", "", Bytes::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 408 {words}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), &body].concat().into()
}

fn application(title: &str) -> Bytes {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    .into()
}

/// The statuses that come with a page; 460, 463, 464 and 561 come without.
fn title(status: u16) -> Option<&'static str> {
    Some(match status {
        301 => "301 Moved Permanently",
        302 => "302 Found",
        400 => "400 Bad Request",
        401 => "401 Authorization Required",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Not Allowed",
        408 => "408 Request Time-out",
        414 => "414 Request-URI Too Large",
        500 => "500 Internal Server Error",
        501 => "501 Not Implemented",
        502 => "502 Bad Gateway",
        503 => "503 Service Temporarily Unavailable",
        504 => "504 Gateway Time-out",
        505 => "505 HTTP Version Not Supported",
        _ => return None,
    })
}

/// The Classic Load Balancer's own words.
fn phrase(status: u16) -> Option<&'static [u8]> {
    Some(match status {
        400 => b"BAD_REQUEST",
        405 => b"METHOD_NOT_ALLOWED",
        408 => b"REQUEST_TIMEOUT",
        502 => b"BAD_GATEWAY",
        503 => b"Service Unavailable: Back-end server is at capacity",
        504 => b"GATEWAY_TIMEOUT",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(style: BalancerAnswers, status: u16) -> (ResponseHead, Bytes) {
        let mut parts = ResponseHead::of(StatusCode::from_u16(status).expect("a status"));
        let body = page(style, &mut parts);
        (parts, body)
    }

    #[test]
    fn pages_have_the_lengths_that_clients_have_seen() {
        for (status, length) in [(301, 134), (400, 122), (403, 118), (502, 122), (503, 162), (504, 132)] {
            assert_eq!(answer(BalancerAnswers::Application, status).1.len(), length, "{status}");
        }
        for status in [460, 463, 464] {
            assert!(answer(BalancerAnswers::Application, status).1.is_empty(), "{status}");
        }
    }

    #[test]
    fn the_classic_one_has_words_and_no_pages() {
        let (parts, body) = answer(BalancerAnswers::Classic, 504);
        assert!(body.is_empty());
        let phrase = parts.reason.as_deref().map(ReasonPhrase::as_bytes);
        assert_eq!(phrase, Some(&b"GATEWAY_TIMEOUT"[..]));
    }

    #[test]
    fn every_failure_has_a_status_that_the_balancer_knows() {
        use BalancerAnswers::{Application, Classic};
        for (failure, application, classic) in [
            (Failure::NoEndpoint, 503, 503),
            (Failure::Overflow, 503, 503),
            (Failure::Connect, 502, 504),
            (Failure::ConnectTimedOut, 504, 504),
            (Failure::Reset, 502, 504),
            (Failure::BadResponse, 502, 502),
            (Failure::Drained, 502, 502),
            (Failure::TimedOut, 504, 504),
            (Failure::Silent(StatusCode::REQUEST_TIMEOUT), 504, 504),
            (Failure::ClientGone, 460, 460),
            (Failure::ClientProtocol, 464, 464),
            (Failure::AddressDenied, 403, 403),
            (Failure::Request(StatusCode::METHOD_NOT_ALLOWED, "x"), 405, 405),
        ] {
            assert_eq!(status(Application, failure).as_u16(), application, "{failure:?}");
            assert_eq!(status(Classic, failure).as_u16(), classic, "{failure:?}");
        }
    }
}
