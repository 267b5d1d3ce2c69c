//! `auth-url`: an external service that is asked about every request; and kinds of authentication that are not here.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, Uri};
use plenipo_model::{
    CheckHeader, CheckPath, Cluster, Endpoints, ExternalAuthorization, ExternalProtocol, Guard, HttpCheck,
    NameMatch, SignIn, Source, Template, TlsClient,
};
use plenipo_resources::View;
use plenipo_resources::core::IntOrString;

use super::super::World;
use super::super::backend::{Clusters, Upstream, Wanted, by_name};
use super::super::policy::Policy;
use super::annotations::Annotations;
use super::{certificates, variables};

const URL: &str = "auth-url";

pub(super) fn read(
    annotations: &mut Annotations<'_, '_>,
    policy: &mut Policy,
    source: &Source,
    world: World<'_>,
    clusters: &mut Clusters<'_>,
) {
    if let Some(kind) = annotations.text("auth-type") {
        let message = format!("authentication of type '{kind}' is not available");
        let fix = "let a service ask for the password, and name it in auth-url";
        annotations.close("auth-type", &message, fix);
    }
    for name in ["auth-secret", "auth-secret-type", "auth-realm", "satisfy"] {
        annotations.text(name);
    }
    if annotations.flag("enable-modsecurity") == Some(true)
        || annotations.flag("enable-owasp-core-rules") == Some(true)
    {
        annotations.close(
            "enable-modsecurity",
            "there is no web application firewall here",
            "put one in front, or behind",
        );
    }
    let Some(check) = check(annotations, world) else { return };
    let Some((cluster, mut check)) = located(annotations, clusters, source, check) else { return };
    check.added.push(added("x-original-url", "%REQ(:scheme)%://%REQ(:authority)%%REQ(:path)%"));
    check.added.push(added("x-original-method", "%REQ(:method)%"));
    check.added.push(added("x-real-ip", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"));
    check.added.push(added("x-forwarded-for", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"));
    check.added.push(added("x-sent-from", "nginx-ingress-controller"));
    // The service is told of the client's certificate as Services are: not by the client.
    check.added.extend(certificates::FIELDS.map(|(name, value)| added(name, value)));
    let external = ExternalAuthorization {
        source: source.clone(),
        cluster,
        protocol: ExternalProtocol::Http(Box::new(check)),
        timeout: Duration::from_secs(60),
        fail_open: false,
        status_on_error: StatusCode::INTERNAL_SERVER_ERROR,
        body: None,
        reroute: false,
    };
    let guard = policy.guard.as_deref().cloned().unwrap_or_default();
    policy.guard = Some(Arc::new(Guard { external: Some(Arc::new(external)), ..guard }));
}

fn added(name: &'static str, value: &str) -> CheckHeader {
    CheckHeader {
        name: HeaderName::from_static(name),
        value: Template::parse(value).expect("it is one of those above"),
    }
}

/// A question, and the URL that it is for.
struct Asked<'a> {
    url: &'a str,
    check: HttpCheck,
}

fn check<'a>(annotations: &mut Annotations<'_, 'a>, world: World<'_>) -> Option<Asked<'a>> {
    let url = annotations.text(URL);
    let method = annotations.text("auth-method");
    let names = |list: Option<Vec<&str>>| -> Vec<NameMatch> {
        list.unwrap_or_default().into_iter().map(|name| NameMatch::Exact(name.to_ascii_lowercase())).collect()
    };
    let upstream_headers = names(annotations.list("auth-response-headers"));
    let sign_in = sign_in(annotations);
    let redirect = annotations.text("auth-request-redirect").map(variables::template);
    let mut added_headers = set_headers(annotations, world);
    added_headers.extend(snippet(annotations));
    needless(annotations);
    let url = url?;
    let method = method.map(|text| Method::from_bytes(text.as_bytes()));
    let method = match method {
        None => Some(Method::GET),
        Some(Ok(method)) => Some(method),
        Some(Err(_)) => {
            annotations.close("auth-method", "it is not a method", "write GET or POST");
            None
        }
    };
    match redirect.unwrap_or_else(|| Template::parse("%REQ(:path)%").map_err(|error| error.to_string())) {
        Ok(value) => added_headers
            .push(CheckHeader { name: HeaderName::from_static("x-auth-request-redirect"), value }),
        Err(reason) => annotations.bad(
            "auth-request-redirect",
            reason,
            "write a URL, with $scheme, $host and $request_uri at most",
        ),
    }
    let check = HttpCheck {
        path: CheckPath::Prefix(String::new()),
        method,
        host: None,
        request_headers: vec![NameMatch::Any],
        added: added_headers,
        any_success: true,
        strict_refusals: true,
        upstream_headers,
        replaces_all: true,
        client_headers_on_success: vec![NameMatch::Exact("set-cookie".to_owned())],
        client_headers_on_refusal: Some(vec![
            NameMatch::Exact("www-authenticate".to_owned()),
            NameMatch::Exact("set-cookie".to_owned()),
        ]),
        sign_in,
    };
    Some(Asked { url, check })
}

/// What changes nothing here.
fn needless(annotations: &mut Annotations<'_, '_>) {
    let names =
        ["auth-keepalive", "auth-keepalive-requests", "auth-keepalive-share-vars", "auth-keepalive-timeout"];
    for name in names {
        annotations.text(name);
    }
    for name in ["auth-cache-key", "auth-cache-duration"] {
        if annotations.text(name).is_some() {
            annotations.unapplied(name, "every request is asked about anew".to_owned(), "remove it");
        }
    }
    if annotations.flag("auth-always-set-cookie") == Some(true) {
        let message = "cookies of the service are set when it says yes, and with its refusals".to_owned();
        annotations.unapplied("auth-always-set-cookie", message, "remove it");
    }
}

/// `auth-signin`, with a parameter that says where the client wanted to go; one that is written with variables says just
/// that.
fn sign_in(annotations: &mut Annotations<'_, '_>) -> Option<SignIn> {
    let parameter = annotations.text("auth-signin-redirect-param").unwrap_or("rd");
    let url = annotations.text("auth-signin")?;
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let is_return = |one: &&str| one.split_once('=').is_some_and(|(name, _)| name == parameter);
    let fixed = query.split('&').find(is_return).is_some_and(|one| !one.contains('$'));
    let rest: Vec<&str> =
        query.split('&').filter(|one| !one.is_empty() && (fixed || !is_return(one))).collect();
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    match variables::template(&url) {
        Ok(url) => Some(SignIn { url, return_parameter: (!fixed).then(|| parameter.to_owned()) }),
        Err(reason) => {
            let fix = "write a URL, with $scheme, $host and $request_uri at most";
            annotations.bad("auth-signin", reason, fix);
            None
        }
    }
}

/// `auth-proxy-set-headers`: a ConfigMap whose entries are fields of the question.
fn set_headers(annotations: &mut Annotations<'_, '_>, world: World<'_>) -> Vec<CheckHeader> {
    const NAME: &str = "auth-proxy-set-headers";
    let Some(text) = annotations.text(NAME) else { return Vec::new() };
    let own = &*annotations.object.id.namespace;
    let (namespace, name) = text.split_once('/').unwrap_or((own, text));
    let map = world.set.get("ConfigMap", namespace, name).filter(|_| namespace == own);
    let Some(View::ConfigMap(map)) = map.map(|object| &object.view) else {
        annotations.close(
            NAME,
            &format!("there is no ConfigMap {name} in {own}"),
            "create it beside the Ingress",
        );
        return Vec::new();
    };
    let field = |(name, value): (&String, &String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some(CheckHeader { name, value: variables::template(value).ok()? })
    };
    let fields: Vec<CheckHeader> = map.data.iter().filter_map(field).collect();
    if fields.len() < map.data.len() {
        annotations.close(NAME, "an entry of the ConfigMap is not a header field", "repair it");
    }
    fields
}

/// `auth-snippet`: of nginx's directives, `proxy_set_header` is understood. Others may be what makes the question safe.
fn snippet(annotations: &mut Annotations<'_, '_>) -> Vec<CheckHeader> {
    const NAME: &str = "auth-snippet";
    let Some(text) = annotations.text(NAME) else { return Vec::new() };
    let mut fields = Vec::new();
    for directive in text.split(';').map(str::trim).filter(|directive| !directive.is_empty()) {
        let mut words = directive.splitn(3, char::is_whitespace);
        let (verb, name, value) = (words.next(), words.next(), words.next());
        let field = match (verb, name, value) {
            (Some("proxy_set_header"), Some(name), Some(value)) => {
                let name = HeaderName::from_bytes(name.as_bytes()).ok();
                name.zip(variables::template(value.trim().trim_matches('"')).ok())
            }
            _ => None,
        };
        match field {
            Some((name, value)) => fields.push(CheckHeader { name, value }),
            None => {
                let message = format!("'{directive}' is not understood");
                annotations.close(
                    NAME,
                    &message,
                    "write proxy_set_header directives, or let the service do it",
                );
            }
        }
    }
    fields
}

/// Where a question goes: a Service of the cluster by its DNS name, or any other host.
fn located(
    annotations: &mut Annotations<'_, '_>,
    clusters: &mut Clusters<'_>,
    source: &Source,
    asked: Asked<'_>,
) -> Option<(Arc<str>, HttpCheck)> {
    const FIX: &str = "write a URL, as in http://auth.default.svc.cluster.local/check";
    let Asked { url, mut check } = asked;
    let (start, rest) = split(url);
    let uri = start.parse::<Uri>().ok().filter(|_| !start.contains('$'));
    let Some((uri, host)) = uri.as_ref().and_then(|uri| Some((uri, uri.host()?))) else {
        annotations.close(URL, &format!("'{url}' is not a URL of a host that is known beforehand"), FIX);
        return None;
    };
    let encrypted = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    let path = if rest.is_empty() { "/" } else { rest };
    match variables::template(path) {
        Ok(template) => check.path = CheckPath::Exact(template),
        Err(reason) => {
            annotations.close(URL, &reason, FIX);
            return None;
        }
    }
    check.host = uri.authority().map(ToString::to_string);
    let tls = encrypted.then(|| {
        let server_name = Some(host.to_owned());
        Arc::new(TlsClient { server_name, ..TlsClient::unverified(source.clone()) })
    });
    if encrypted {
        let message = "the service's certificate is not checked: anybody on the way could say yes".to_owned();
        let field = super::field("nginx.ingress.kubernetes.io/auth-url");
        annotations.findings.warn(
            annotations.object,
            "upstream-not-verified",
            &field,
            message,
            "ask it within the cluster",
        );
    }
    let cluster = cluster(annotations, clusters, source, Place { host, port, tls })?;
    Some((cluster, check))
}

/// A host that is asked.
struct Place<'h> {
    host: &'h str,
    port: u16,
    tls: Option<Arc<TlsClient>>,
}

/// The cluster of a host: a Service's by its DNS name, or one of its own.
fn cluster(
    annotations: &mut Annotations<'_, '_>,
    clusters: &mut Clusters<'_>,
    source: &Source,
    place: Place<'_>,
) -> Option<Arc<str>> {
    let Place { host, port, tls } = place;
    let in_cluster = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"));
    let parts = in_cluster.and_then(|host| host.split_once('.'));
    let Some((name, namespace)) = parts.filter(|(_, namespace)| !namespace.contains('.')) else {
        let name = format!("ingress/{}{host}:{port}", if tls.is_some() { "https://" } else { "" });
        let plain = Cluster::new(&name, source.clone(), endpoints(host, port, clusters));
        return Some(clusters.add(Cluster { tls, ..plain }));
    };
    if !clusters.knows(namespace, name, port) {
        let message = format!("there is no Service {namespace}/{name} to ask");
        annotations.close(URL, &message, "create the Service, or name another");
        return None;
    }
    let field = super::field("nginx.ingress.kubernetes.io/auth-url");
    let port = Some(IntOrString::Int(i64::from(port)));
    let wanted = Wanted { object: annotations.object, field, namespace, name, port };
    let upstream = Upstream { tls, ..Upstream::default() };
    match clusters.service(&wanted, &upstream, annotations.findings) {
        Ok(cluster) => Some(cluster),
        Err(flaw) => {
            annotations.close(URL, &flaw.message, flaw.fix);
            None
        }
    }
}

fn endpoints(host: &str, port: u16, clusters: &Clusters<'_>) -> Endpoints {
    match host.parse() {
        Ok(address) => Endpoints::addresses([std::net::SocketAddr::new(address, port)]),
        Err(_) => clusters.resolved_host(host, port).unwrap_or_else(|| by_name(host.to_owned(), port)),
    }
}

/// Scheme and authority, and what follows them.
fn split(url: &str) -> (&str, &str) {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find(['/', '?']).map_or(url.len(), |at| after + at);
    url.split_at(end)
}
