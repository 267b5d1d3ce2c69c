//! What a later object demands, and the place that it shares with an earlier one does not give.

use std::sync::Arc;

use plenipo_model::{
    ClientAuth, ClientCertHeader, Guard, HttpServer, InsecureAction, SecurityModel, TlsServer,
    UnderscorePolicy, VirtualHost,
};

/// Why connections by these settings are worth less than by those; the words go on after a name.
pub(super) fn of_tls(mine: &TlsServer, theirs: &TlsServer) -> Option<&'static str> {
    use ClientAuth::{None as Nobody, Optional, Required, Unverified};
    let checked = match (&mine.client_auth, &theirs.client_auth) {
        (_, Nobody) => true,
        (mine, theirs) if mine == theirs => true,
        (Required(mine), Optional(theirs)) => mine == theirs,
        (Required(_) | Optional(_), Unverified) => true,
        _ => false,
    };
    if !checked {
        return Some("asks for other client certificates");
    }
    (mine.min_version < theirs.min_version).then_some("takes older versions of TLS")
}

/// Why a host that was behind `theirs` would be worth less behind `mine`; the words go on after a name.
pub(super) fn of_host(mine: &HttpServer, theirs: &HttpServer, host: &VirtualHost) -> Option<&'static str> {
    let guarded = theirs.authorization.is_some() || host.routes.iter().any(|route| route.guard.is_some());
    let moved = theirs.authorization.is_some() && mine.authorization != theirs.authorization;
    let own_rules = |guard: &Arc<Guard>| guard.authorization.is_some();
    let secured = host.insecure != InsecureAction::Route;
    let rules = [
        (mine.refuse.is_some(), "refuses everything there"),
        (
            theirs.authentication.is_some() && mine.authentication != theirs.authentication,
            "does not verify the same tokens there",
        ),
        (
            moved && host.routes.iter().any(|route| route.guard.as_ref().is_some_and(own_rules)),
            "does not say there who may ask",
        ),
        (theirs.addresses.is_some() && mine.addresses != theirs.addresses, "lets in other addresses there"),
        (
            // Who believes nobody takes a proxy in front for the client, and rules may let that in.
            mine.forwarding != theirs.forwarding && (guarded || mine.forwarding.believes() && secured),
            "believes others there about clients",
        ),
        (guarded && mine.path != theirs.path, "takes paths otherwise there"),
        (
            mine.underscores == UnderscorePolicy::Allow && theirs.underscores != UnderscorePolicy::Allow,
            "lets header names with underscores in there",
        ),
        (
            trust(&mine.client_cert) > trust(&theirs.client_cert),
            "passes on there what clients say of their certificates",
        ),
    ];
    rules.into_iter().find(|(weaker, _)| *weaker).map(|(_, why)| why)
}

/// Is a request there taken for secure that would not be where the host comes from?
pub(super) fn is_laxer(mine: &HttpServer, theirs: &HttpServer) -> bool {
    mine.security == SecurityModel::Secure && theirs.security != SecurityModel::Secure
}

/// How far what clients say of their certificates is passed on.
fn trust(mode: &ClientCertHeader) -> u8 {
    match mode {
        ClientCertHeader::Sanitize | ClientCertHeader::SanitizeSet(_) => 0,
        ClientCertHeader::ForwardOnly | ClientCertHeader::AppendForward(_) => 1,
        ClientCertHeader::AlwaysForwardOnly => 2,
    }
}
