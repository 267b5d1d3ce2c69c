//! After which outcomes an attempt is followed by another.

use http::{HeaderName, StatusCode};
use plenipo_model::{RetryOn, RetryPolicy};

use crate::failure::Failure;
use crate::fields::Fields;
use crate::headers::grpc_status;

/// An answer of a rate limit.
const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

/// What an attempt came to.
pub(super) enum Seen<'a> {
    /// The head of a response.
    Answer(StatusCode, &'a Fields),
    /// No response.
    Failure(Failure),
    /// The upstream refused the stream before it worked on it.
    RefusedStream,
}

/// Does any of the policy's conditions hold?
pub(super) fn holds(policy: &RetryPolicy, seen: &Seen<'_>) -> bool {
    use Failure::{AttemptTimedOut, BadResponse, Connect, ConnectTimedOut, Reset};
    let (status, headers) = match seen {
        Seen::Answer(status, headers) => (status.as_u16(), Some(*headers)),
        Seen::Failure(_) | Seen::RefusedStream => (0, None),
    };
    let no_answer = matches!(
        seen,
        Seen::RefusedStream
            | Seen::Failure(AttemptTimedOut | BadResponse | Connect | ConnectTimedOut | Reset)
    );
    let grpc =
        |wanted: u16| grpc_status(headers.and_then(|headers| headers.get("grpc-status"))) == Some(wanted);
    policy.on.iter().any(|on| match on {
        RetryOn::FiveXx => no_answer || status >= 500,
        RetryOn::GatewayError => no_answer || matches!(status, 502..=504),
        RetryOn::ConnectFailure => matches!(seen, Seen::Failure(Connect | ConnectTimedOut)),
        RetryOn::Retriable4xx => status == 409,
        RetryOn::RefusedStream => matches!(seen, Seen::RefusedStream),
        RetryOn::RetriableStatusCodes => headers.is_some() && policy.statuses.contains(&status),
        RetryOn::Reset => no_answer,
        RetryOn::EnvoyRateLimited => headers.is_some_and(|headers| headers.contains_key(RATE_LIMITED)),
        RetryOn::Cancelled => grpc(1),
        RetryOn::DeadlineExceeded => grpc(4),
        RetryOn::ResourceExhausted => grpc(8),
        RetryOn::Internal => grpc(13),
        RetryOn::Unavailable => grpc(14),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ALL: [RetryOn; 13] = [
        RetryOn::FiveXx,
        RetryOn::GatewayError,
        RetryOn::ConnectFailure,
        RetryOn::Retriable4xx,
        RetryOn::RefusedStream,
        RetryOn::RetriableStatusCodes,
        RetryOn::Reset,
        RetryOn::EnvoyRateLimited,
        RetryOn::Cancelled,
        RetryOn::DeadlineExceeded,
        RetryOn::ResourceExhausted,
        RetryOn::Internal,
        RetryOn::Unavailable,
    ];

    /// The conditions that hold, of all there are, with 418 as the status to retry.
    fn holding(seen: &Seen<'_>) -> Vec<RetryOn> {
        let policy = |on| RetryPolicy { statuses: vec![418], ..RetryPolicy::new(on, 1) };
        ALL.into_iter().filter(|on| holds(&policy(*on), seen)).collect()
    }

    #[test]
    fn each_condition_holds_after_its_outcomes() {
        use RetryOn::{
            Cancelled, ConnectFailure, DeadlineExceeded, EnvoyRateLimited, FiveXx, GatewayError, Internal,
            RefusedStream, Reset, ResourceExhausted, Retriable4xx, RetriableStatusCodes, Unavailable,
        };
        type Answered = (u16, &'static [(&'static str, &'static str)], &'static [RetryOn]);
        let answers: [Answered; 13] = [
            (200, &[], &[]),
            (404, &[], &[]),
            (409, &[], &[Retriable4xx]),
            (418, &[], &[RetriableStatusCodes]),
            (429, &[("x-envoy-ratelimited", "true")], &[EnvoyRateLimited]),
            (500, &[], &[FiveXx]),
            (503, &[], &[FiveXx, GatewayError]),
            (200, &[("grpc-status", "0")], &[]),
            (200, &[("grpc-status", "1")], &[Cancelled]),
            (200, &[("grpc-status", "4")], &[DeadlineExceeded]),
            (200, &[("grpc-status", "8")], &[ResourceExhausted]),
            (200, &[("grpc-status", "13")], &[Internal]),
            (200, &[("grpc-status", "14")], &[Unavailable]),
        ];
        for (status, fields, expected) in answers {
            let mut headers = Fields::new();
            for (name, value) in fields {
                let name = HeaderName::from_static(name);
                headers.insert(name, HeaderValue::from_static(value));
            }
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(holding(&Seen::Answer(status, &headers)), expected, "{status} {fields:?}");
        }
        let silence: &[RetryOn] = &[FiveXx, GatewayError, Reset];
        let connect: &[RetryOn] = &[FiveXx, GatewayError, ConnectFailure, Reset];
        for (failure, expected) in [
            (Failure::Connect, connect),
            (Failure::ConnectTimedOut, connect),
            (Failure::Reset, silence),
            (Failure::AttemptTimedOut, silence),
            (Failure::BadResponse, silence),
            (Failure::Overflow, &[]),
            (Failure::NoEndpoint, &[]),
            (Failure::ClientGone, &[]),
            (Failure::BodyTooLarge, &[]),
            (Failure::TimedOut, &[]),
        ] {
            assert_eq!(holding(&Seen::Failure(failure)), expected, "{failure:?}");
        }
        assert_eq!(holding(&Seen::RefusedStream), [FiveXx, GatewayError, RefusedStream, Reset]);
    }

    #[test]
    fn of_several_conditions_one_suffices_and_no_status_is_not_one() {
        let on = vec![RetryOn::ConnectFailure, RetryOn::RefusedStream, RetryOn::Unavailable];
        let policy = RetryPolicy { on, ..RetryPolicy::new(RetryOn::RetriableStatusCodes, 2) };
        assert!(holds(&policy, &Seen::RefusedStream));
        assert!(!holds(&policy, &Seen::Failure(Failure::Reset)));
        let codes = RetryPolicy { statuses: vec![0], ..RetryPolicy::new(RetryOn::RetriableStatusCodes, 2) };
        assert!(!holds(&codes, &Seen::Failure(Failure::Reset)), "0 is no status");
    }
}
