//! Annotations that have no effect: known ones with the reason, and those that nobody knows.

use super::annotations::Annotations;
use super::{PREFIX, field};

/// How much is known of an annotation without effect.
enum Verdict {
    /// What it changes is not there at all, or needs nobody's word: nothing is lost.
    Needless(&'static str),
    /// Something is lost.
    Lost(&'static str, &'static str),
}

/// By the beginning of their names.
const KNOWN: [(&str, Verdict); 27] = [
    (
        "limit-",
        Verdict::Lost("clients are not limited", "limit them in front of the gateway, or in the service"),
    ),
    (
        "global-rate-limit",
        Verdict::Lost("clients are not limited", "limit them in front of the gateway, or in the service"),
    ),
    (
        "custom-http-errors",
        Verdict::Lost("error answers of Services pass as they are", "let the service answer as it should"),
    ),
    ("disable-proxy-intercept-errors", Verdict::Needless("error answers of Services pass as they are")),
    (
        "mirror-",
        Verdict::Lost(
            "requests are not copied",
            "write a Mapping with shadow, or a VirtualService with mirror",
        ),
    ),
    (
        "proxy-cookie-",
        Verdict::Lost("cookies of Services pass as they are", "let the service set them as they should be"),
    ),
    (
        "proxy-redirect-",
        Verdict::Lost(
            "redirects of Services pass as they are",
            "let the service send clients to the right place",
        ),
    ),
    ("upstream-hash-by-subset", Verdict::Lost("requests are hashed over all endpoints", "remove it")),
    (
        "ssl-ciphers",
        Verdict::Lost("the TLS stack's own suites are spoken, all with forward secrecy", "remove it"),
    ),
    ("ssl-prefer-server-ciphers", Verdict::Needless("clients choose among suites that are all good")),
    ("service-upstream", Verdict::Lost("endpoints are reached directly", "remove it")),
    ("enable-access-log", Verdict::Lost("the access log is one for all", "remove it")),
    ("enable-rewrite-log", Verdict::Needless("explain says what becomes of a request")),
    ("enable-opentelemetry", Verdict::Lost("no spans are sent", "remove it")),
    ("opentelemetry-", Verdict::Lost("no spans are sent", "remove it")),
    ("enable-opentracing", Verdict::Lost("no spans are sent", "remove it")),
    ("opentracing-", Verdict::Lost("no spans are sent", "remove it")),
    ("proxy-buffer", Verdict::Needless("bodies are streamed")),
    ("proxy-busy-buffers-size", Verdict::Needless("bodies are streamed")),
    ("proxy-request-buffering", Verdict::Needless("bodies are streamed")),
    ("proxy-max-temp-file-size", Verdict::Needless("bodies are streamed")),
    ("client-body-buffer-size", Verdict::Needless("bodies are streamed")),
    ("proxy-http-version", Verdict::Needless("HTTP/1.1 or HTTP/2 is spoken, as backend-protocol says")),
    ("connection-proxy-header", Verdict::Needless("connections are kept open as the protocol has it")),
    ("preserve-trailing-slash", Verdict::Needless("paths keep their slashes")),
    ("http2-push-preload", Verdict::Needless("nobody pushes any longer")),
    ("use-port-in-redirects", Verdict::Lost("redirects to https name no port", "remove it")),
];

pub(super) fn report(annotations: &mut Annotations<'_, '_>) {
    for name in annotations.unknown() {
        let known = KNOWN.iter().find(|(beginning, _)| name.starts_with(beginning));
        match known.map(|(_, verdict)| verdict) {
            Some(Verdict::Lost(loss, fix)) => annotations.unapplied(name, (*loss).to_owned(), fix),
            Some(Verdict::Needless(reason)) => annotations.findings.note(
                annotations.object,
                "not-needed",
                &field(&[PREFIX, name].concat()),
                (*reason).to_owned(),
                "remove it, or leave it",
            ),
            None => annotations.findings.warn(
                annotations.object,
                "unknown-annotation",
                &field(&[PREFIX, name].concat()),
                format!("'{name}' is not an annotation that is understood, it has no effect"),
                "check the spelling, or remove it",
            ),
        }
    }
}
