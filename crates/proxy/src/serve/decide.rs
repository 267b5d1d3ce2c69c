//! What happens to a request, decided without touching anything. `explain` asks the same function.

use http::StatusCode;
use plenipo_model::{InsecureAction, SecurityModel};

use crate::failure::Failure;
use crate::snapshot::CompiledHttp;
use crate::snapshot::hosts::CompiledHost;
use crate::snapshot::routes::{Asked, Picked};

/// What happens to a request.
pub(crate) enum Decision<'a> {
    /// It is answered with an error.
    Fail(Failure),
    /// It is sent to the same place with `https`.
    RedirectToHttps,
    /// A route takes it.
    Route(Picked<'a>),
}

/// Decides. `scheme` is what is believed; none when the believed peer says nothing. `named` tells that the connection was
/// made by TLS for a server name.
pub(crate) fn decide<'a>(
    server: &'a CompiledHttp,
    asked: &Asked<'_>,
    scheme: Option<&'static str>,
    named: bool,
) -> Decision<'a> {
    if let Some(refusal) = &server.model.refuse {
        return Decision::Fail(refused(refusal.status));
    }
    // A client that named a server, and now asks for what another chain serves, mistook the connection. (One that names
    // none, as an AWS load balancer does not, cannot do better.)
    if named && server.is_elsewhere(asked.host) {
        return Decision::Fail(Failure::Misdirected);
    }
    let Some(host) = server.hosts.find_authority(asked.host, asked.port) else {
        return Decision::Fail(Failure::NoRoute);
    };
    let picked = host.routes.pick(asked);
    let exempt = picked.is_some_and(|picked| picked.route.model.clear_text_allowed);
    if let Some(refusal) = &host.refuse
        && !exempt
    {
        return Decision::Fail(refused(refusal.status));
    }
    let Some(secure) = is_secure(server, scheme) else { return Decision::Fail(Failure::NoRoute) };
    match (picked, host.insecure) {
        (Some(picked), _) if secure || exempt => Decision::Route(picked),
        (Some(picked), InsecureAction::Route) => Decision::Route(picked),
        (Some(_), InsecureAction::Redirect) => Decision::RedirectToHttps,
        (None, InsecureAction::Redirect) if !secure && host.redirect_unmatched => Decision::RedirectToHttps,
        (Some(_), InsecureAction::Reject) | (None, _) => Decision::Fail(Failure::NoRoute),
    }
}

fn refused(status: u16) -> Failure {
    Failure::Refused(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE))
}

fn is_secure(server: &CompiledHttp, scheme: Option<&'static str>) -> Option<bool> {
    match server.model.security {
        SecurityModel::Secure => Some(true),
        SecurityModel::Insecure => Some(false),
        SecurityModel::Forwarded => scheme.map(|scheme| scheme == "https"),
    }
}

/// The virtual host that a name leads to, for `explain`.
pub(crate) fn host<'a>(server: &'a CompiledHttp, asked: &Asked<'_>) -> Option<&'a CompiledHost> {
    server.hosts.find_authority(asked.host, asked.port)
}
