//! RequestAuthentication: whose tokens are valid.

use std::sync::Arc;

use http::{HeaderName, Uri};
use plenipo_jwt::Keys;
use plenipo_model::{Authentication, ClaimHeader, KeySource, RemoteKeys, TokenLocation, TokenRule};
use plenipo_resources::istio::{JwtRule, RequestAuthentication};
use plenipo_resources::{Object, View};

use super::destinations::{Carries, Wanted};
use super::security::{Meant, Pods};
use super::world::World;
use super::{source_of, unknown_fields, unknown_within};
use crate::duration::duration;
use crate::findings::{Findings, Flaw};

/// Where OpenID providers tell about themselves (OpenID Connect Discovery 1.0 §4).
const METADATA: &str = "/.well-known/openid-configuration";
/// Fields that no claim may be written to: they say where a message goes and where it ends.
const PROTECTED: [&str; 7] =
    ["host", "connection", "content-length", "te", "trailer", "transfer-encoding", "upgrade"];

/// All rules for our pods together.
pub(super) fn read(pods: &Pods<'_>, world: &mut World<'_, '_>) -> Option<Arc<Authentication>> {
    let mut rules = Vec::new();
    let mut any = false;
    for object in pods.set.of_kind("RequestAuthentication") {
        let View::RequestAuthentication(spec) = &object.view else { continue };
        let RequestAuthentication { selector, target_ref, target_refs, jwt_rules } = &**spec;
        let targets = (target_ref.as_ref(), target_refs.as_slice());
        if pods.meant(object, selector.as_ref(), targets, world.findings) == Meant::No {
            world.findings.ignore(object);
            continue;
        }
        world.findings.accept(object);
        unknown_fields(object, world.findings);
        any = true;
        if jwt_rules.is_empty() && !object.unknown_fields.is_empty() {
            let why = "nothing in it is understood: all tokens are refused".to_owned();
            let fix = "write jwtRules as they are documented";
            world.findings.error(object, "bad-jwt-rule", "spec", why.clone(), fix);
            rules.push(Arc::new(TokenRule::new(source_of(object), "", KeySource::Missing(why))));
        }
        for (place, written) in jwt_rules.iter().enumerate() {
            let field = format!("spec.jwtRules[{place}]");
            rules.push(Arc::new(rule(object, written, &field, pods, world)));
        }
    }
    any.then(|| Arc::new(Authentication { rules }))
}

/// Why nothing that was asked for can be verified; none = it can.
pub(super) fn lost(pods: &Pods<'_>) -> Option<String> {
    pods.lost("RequestAuthentication").then(|| "a RequestAuthentication cannot be read".to_owned())
}

fn rule(
    object: &Object,
    written: &JwtRule,
    field: &str,
    pods: &Pods<'_>,
    world: &mut World<'_, '_>,
) -> TokenRule {
    let keys = keys(object, written, field, pods, world);
    let mut rule = TokenRule::new(source_of(object), &written.issuer, keys);
    rule.audiences = written.audiences.clone();
    rule.forward_token = written.forward_original_token.unwrap_or(false);
    rule.spaced_claims = written.space_delimited_claims.clone();
    let findings = &mut *world.findings;
    rule.locations = locations(object, written, field, findings);
    let payload = written.output_payload_to_header.as_deref().filter(|name| !name.is_empty());
    rule.payload_header =
        payload.and_then(|name| header(object, name, &format!("{field}.outputPayloadToHeader"), findings));
    for (place, one) in written.output_claim_to_headers.iter().enumerate() {
        let field = format!("{field}.outputClaimToHeaders[{place}]");
        let Some(header) = header(object, &one.header, &field, findings) else { continue };
        if rule.own_headers().any(|other| *other == header) {
            let message = format!("{header} is written already: the first one counts");
            findings.error(
                object,
                "bad-jwt-rule",
                &field,
                message,
                "write each claim to a header of its own",
            );
            continue;
        }
        let claim: Vec<String> = one.claim.split('.').map(str::to_owned).collect();
        if claim.iter().any(String::is_empty) {
            let message = format!("'{}' names no claim", one.claim);
            findings.error(
                object,
                "bad-jwt-rule",
                &field,
                message,
                "write the claim's name, with dots on the way to it",
            );
        }
        // Also of what is no claim the field is not the client's.
        rule.claim_headers.push(ClaimHeader { header, claim });
    }
    rule
}

fn locations(object: &Object, written: &JwtRule, field: &str, findings: &mut Findings) -> Vec<TokenLocation> {
    let mut locations = Vec::new();
    for (place, one) in written.from_headers.iter().enumerate() {
        let name = header(object, &one.name, &format!("{field}.fromHeaders[{place}].name"), findings);
        let prefix = one.prefix.clone().unwrap_or_default();
        locations.extend(name.map(|name| TokenLocation::Header { name, prefix }));
    }
    let named = |name: &&String| !name.is_empty();
    locations.extend(written.from_params.iter().filter(named).cloned().map(TokenLocation::Query));
    locations.extend(written.from_cookies.iter().filter(named).cloned().map(TokenLocation::Cookie));
    locations
}

fn header(object: &Object, name: &str, field: &str, findings: &mut Findings) -> Option<HeaderName> {
    match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if !PROTECTED.contains(&name.as_str()) => Some(name),
        _ => {
            let message = format!("'{name}' is no header field that can be used here");
            findings.error(object, "bad-jwt-rule", field, message, "write the name of a header field");
            None
        }
    }
}

/// Where a rule's keys come from. What cannot be used refuses the rule's tokens.
fn keys(
    object: &Object,
    written: &JwtRule,
    field: &str,
    pods: &Pods<'_>,
    world: &mut World<'_, '_>,
) -> KeySource {
    if let Some(flaw) = misread(object, written, field) {
        world.findings.flaw(object, &flaw);
        return KeySource::Missing(flaw.message);
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let found = match (given(&written.jwks), given(&written.jwks_uri)) {
        (Some(_), Some(_)) => {
            Err((".jwksUri", "jwks and jwksUri are both there".to_owned(), "leave one of them out"))
        }
        (Some(text), None) => inline(object, text, field, world.findings),
        (None, Some(url)) => remote(object, &url, (field, ".jwksUri"), written, pods, world),
        (None, None) => {
            let url = format!("{}{METADATA}", written.issuer.trim_end_matches('/'));
            remote(object, &url, (field, ".issuer"), written, pods, world).map(|source| match source {
                KeySource::Remote(remote) => KeySource::Remote(RemoteKeys { discovery: true, ..remote }),
                other => other,
            })
        }
    };
    found.unwrap_or_else(|(part, why, fix)| {
        let message = format!("{why}: tokens of {} are refused", written.issuer);
        world.findings.error(object, "bad-jwt-keys", &format!("{field}{part}"), message, fix);
        KeySource::Missing(why)
    })
}

/// Why a rule is not what was meant: the tokens that it finds are refused, and what it writes is nobody else's.
fn misread(object: &Object, written: &JwtRule, field: &str) -> Option<Flaw> {
    if written.issuer.is_empty() {
        let message = "it names no issuer, no token is accepted by it";
        let field = format!("{field}.issuer");
        return Some(Flaw::new("bad-jwt-rule", field, message, "write the claim iss of the tokens"));
    }
    let unknown = unknown_within(object, field)?;
    // It may have been what tokens must have: audiences, say.
    let message = format!("it is no field that is known here: tokens of {} are refused", written.issuer);
    Some(Flaw::new("bad-jwt-rule", unknown.clone(), message, "check the spelling, or remove it"))
}

type NoKeys = (&'static str, String, &'static str);

fn inline(object: &Object, text: String, field: &str, findings: &mut Findings) -> Result<KeySource, NoKeys> {
    let keys = Keys::parse(text.as_bytes());
    let keys =
        keys.map_err(|error| (".jwks", error.to_string(), "write a JSON Web Key Set with public keys"))?;
    if keys.skipped() > 0 {
        let message =
            format!("{} of its keys are not for signatures, or of a kind that is not known", keys.skipped());
        findings.warn(object, "unused-jwt-keys", &format!("{field}.jwks"), message, "leave them out");
    }
    Ok(KeySource::Inline(text.into()))
}

fn remote(
    object: &Object,
    url: &str,
    (field, part): (&str, &'static str),
    written: &JwtRule,
    pods: &Pods<'_>,
    world: &mut World<'_, '_>,
) -> Result<KeySource, NoKeys> {
    let no_url =
        || (part, format!("'{url}' is no http: or https: URL"), "write jwksUri, the URL of the key set");
    let parsed: Uri = url.parse().map_err(|_| no_url())?;
    let (host, secure) = match (parsed.host(), parsed.scheme_str()) {
        (Some(host), Some("https")) => (host.to_ascii_lowercase(), true),
        (Some(host), Some("http")) => (host.to_ascii_lowercase(), false),
        _ => return Err(no_url()),
    };
    let port = parsed.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let field = format!("{field}{part}");
    let mut remote = RemoteKeys::new(url);
    if let Some(text) = &written.timeout {
        match duration(text).filter(|time| !time.is_zero()) {
            Some(time) => remote.timeout = time,
            None => {
                let message = format!("'{text}' is not a time, 5 s is used");
                world.findings.warn(object, "bad-jwt-rule", &field, message, "write 5s");
            }
        }
    }
    let istio = &world.options.istio;
    let in_cluster = host.ends_with(&format!(".svc.{}", istio.cluster_domain)) || host.ends_with(".svc");
    remote.private_addresses = in_cluster || istio.private_key_servers;
    if pods.knows(&host) {
        let wanted = Wanted {
            object,
            field: &field,
            host: &host,
            namespace: &object.id.namespace,
            subset: None,
            port: Some(port),
            listener_port: port,
            carries: Carries::Http,
        };
        let reached = world.destinations.reach(&wanted, world.secrets, world.findings);
        remote.cluster = reached.ok().map(|reached| reached.cluster);
        if remote.cluster.is_none() && !secure {
            let why = format!("{host} cannot be reached as its own rules ask");
            return Err((part, why, "repair its Service, ServiceEntry or DestinationRule"));
        }
    } else if !secure && !in_cluster {
        let message = "keys come in clear text: whoever is on the way can make tokens".to_owned();
        world.findings.warn(object, "clear-text-keys", &field, message, "write an https: URL");
    }
    Ok(KeySource::Remote(remote))
}
