//! AuthService: who is asked about every request, unless its Mapping says `bypass_auth`.
//!
//! One that cannot be honoured refuses all that needs it (500), as Emissary does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use plenipo_model::{
    CheckHeader, CheckPath, CheckedBody, Cluster, ExternalAuthorization, ExternalProtocol, GrpcCheck,
    HttpCheck, NameMatch, Template,
};
use plenipo_resources::ambassador::AuthService;

use super::ours::{Of, Ours};
use super::policy::{self, Millis, millis};
use super::upstream::{Upstreams, Wanted, World};
use crate::directory::Directory;
use crate::findings::{Findings, Flaw, source_of};
use crate::options::Options;
use crate::secrets::Secrets;

const TIMEOUT: Duration = Duration::from_secs(5);
/// What `allow_request_body` means.
const BODY: usize = 4096;
/// Fields that every question has.
const ASKED: [&str; 8] = [
    "authorization",
    "cookie",
    "from",
    "proxy-authorization",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];
/// Fields of every answer that go on.
const ANSWERED: [&str; 5] =
    ["authorization", "location", "proxy-authenticate", "set-cookie", "www-authenticate"];

/// What stands before routes that do not bypass it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Authorisation {
    #[default]
    NotAsked,
    /// It was asked for and cannot be had.
    Missing,
    By(Arc<ExternalAuthorization>),
}

/// What is needed to read them.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) world: World<'r, 'a>,
    pub(crate) options: &'a Options,
    pub(crate) upstreams: &'r Upstreams<'a>,
    pub(crate) directory: Directory<'a>,
    pub(crate) secrets: &'r mut Secrets<'a>,
    pub(crate) findings: &'r mut Findings,
}

impl<'a> Reader<'_, 'a> {
    /// What the AuthServices say, and the cluster that is asked.
    pub(crate) fn read(&mut self, ours: &Ours<'a>) -> (Authorisation, Option<Arc<Cluster>>) {
        let missing = (Authorisation::Missing, None);
        let service = match ours.auth_services.as_slice() {
            [] if self.findings.unreadable("AuthService") => return missing,
            [] => return (Authorisation::NotAsked, None),
            [one] => *one,
            several => {
                for service in several {
                    let message =
                        "there are several AuthServices: every route without bypass_auth answers 500";
                    let fix = "leave one, whose service has the endpoints of them all";
                    self.findings.refuse(service.object, "auth-service-twice", "", message.to_owned(), fix);
                }
                return missing;
            }
        };
        if self.findings.unreadable("AuthService") {
            return missing;
        }
        match self.service(service) {
            Ok((asked, cluster)) => {
                self.findings.accept(service.object);
                (Authorisation::By(Arc::new(asked)), Some(Arc::new(cluster)))
            }
            Err(flaw) => {
                let message = format!("{}: every route without bypass_auth answers 500", flaw.message);
                self.findings.refuse(service.object, flaw.code, &flaw.field, message, flaw.fix);
                missing
            }
        }
    }

    fn service(&mut self, service: Of<'a, AuthService>) -> Result<(ExternalAuthorization, Cluster), Flaw> {
        let spec = service.spec;
        let grpc = is_grpc(spec)?;
        let breakers = spec.circuit_breakers.as_ref().filter(|breakers| !breakers.is_null());
        let limits =
            breakers.map(|breakers| policy::limits(breakers, "spec.circuit_breakers")).transpose()?;
        let settings = self.world.settings;
        let address = spec.auth_service.as_deref().unwrap_or_default();
        let wanted = Wanted {
            object: service.object,
            service: address,
            resolver: None,
            tls: spec.tls.as_deref(),
            http2: grpc,
            connect_timeout_ms: None,
            idle_timeout_ms: None,
            max_lifetime_ms: None,
            dns_type: None,
            respect_dns_ttl: false,
            family: settings.family(None, None),
            limits: limits.or(settings.limits),
            own_balance: None,
            keepalive: settings.keepalive,
            health_checks: Vec::new(),
            tag: Some("auth"),
            stats_name: spec.stats_name.as_deref(),
            send_proxy: None,
        };
        let plan = self.upstreams.plan(&wanted, &self.world, self.secrets, self.findings)?;
        let cluster = plan.cluster(service.object, &self.directory, self.options, self.findings);
        let protocol = match grpc {
            true => ExternalProtocol::Grpc(GrpcCheck {
                authority: format!("{}:{}", plan.address.host, plan.port),
            }),
            false => ExternalProtocol::Http(Box::new(http_check(spec)?)),
        };
        let mut asked =
            ExternalAuthorization::new(source_of(service.object), Arc::clone(&cluster.name), protocol);
        asked.timeout = timeout(spec)?;
        asked.fail_open = spec.failure_mode_allow == Some(true);
        asked.status_on_error = status_on_error(spec)?;
        asked.body = body(spec)?;
        asked.reroute = true;
        Ok((asked, cluster))
    }
}

/// Whether it is asked by gRPC, else by HTTP.
fn is_grpc(spec: &AuthService) -> Result<bool, Flaw> {
    let flaw = |field, message, fix| Err(Flaw::new("bad-auth-service", field, message, fix));
    match spec.proto.as_deref().filter(|text| !text.is_empty()).unwrap_or("http") {
        "http" => Ok(false),
        "grpc" if spec.protocol_version.as_deref() == Some("v3") => Ok(true),
        "grpc" => {
            let message = "only version v3 of the protocol is spoken, and the default is v2".to_owned();
            flaw("spec.protocol_version", message, "write protocol_version: v3")
        }
        other => flaw("spec.proto", format!("'{other}' is no protocol to ask by"), "write http or grpc"),
    }
}

fn timeout(spec: &AuthService) -> Result<Duration, Flaw> {
    match spec.timeout_ms.map(|value| millis(value, "spec.timeout_ms")).transpose()? {
        None | Some(Millis::Zero) => Ok(TIMEOUT),
        Some(Millis::For(time)) => Ok(time),
    }
}

fn status_on_error(spec: &AuthService) -> Result<StatusCode, Flaw> {
    let Some(code) = spec.status_on_error.as_ref().and_then(|status| status.code) else {
        return Ok(StatusCode::FORBIDDEN);
    };
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    status.filter(|status| status.as_u16() >= 400).ok_or_else(|| {
        let message = format!("{code} is no status of an error");
        Flaw::new("bad-auth-service", "spec.status_on_error.code", message, "write a number from 400 to 599")
    })
}

fn body(spec: &AuthService) -> Result<Option<CheckedBody>, Flaw> {
    let Some(written) = &spec.include_body else {
        let usual = CheckedBody { max_bytes: BODY, partial: true, raw: false };
        return Ok((spec.allow_request_body == Some(true)).then_some(usual));
    };
    let most = written.max_bytes.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    let max_bytes = most.ok_or_else(|| {
        let message = "how much of the body is to be sent is not said";
        Flaw::new("bad-auth-service", "spec.include_body.max_bytes", message, "write a number of bytes")
    })?;
    Ok(Some(CheckedBody { max_bytes, partial: written.allow_partial == Some(true), raw: false }))
}

fn http_check(spec: &AuthService) -> Result<HttpCheck, Flaw> {
    let names = |usual: &[&str], written: &[String]| {
        let written = written.iter().map(|name| NameMatch::Exact(name.to_ascii_lowercase()));
        usual.iter().map(|name| NameMatch::Exact((*name).to_owned())).chain(written).collect::<Vec<_>>()
    };
    let empty = BTreeMap::new();
    let added = spec.add_auth_headers.as_ref().unwrap_or(&empty).iter().map(|(name, value)| {
        let bad = |message: String| {
            Flaw::new(
                "bad-auth-service",
                format!("spec.add_auth_headers.{name}"),
                message,
                "write a name and a text",
            )
        };
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad(format!("'{name}' is no header field")))?;
        // Not a template to Emissary.
        let value = Template::parse(&value.replace('%', "%%")).map_err(|error| bad(error.to_string()))?;
        Ok(CheckHeader { name: header, value })
    });
    let answered = names(&ANSWERED, &spec.allowed_authorization_headers);
    Ok(HttpCheck {
        path: CheckPath::Prefix(spec.path_prefix.clone().unwrap_or_default()),
        request_headers: names(&ASKED, &spec.allowed_request_headers),
        added: added.collect::<Result<_, Flaw>>()?,
        client_headers_on_refusal: Some(answered.clone()),
        upstream_headers: answered,
        ..HttpCheck::new()
    })
}
