//! Who may pass: sign-in by OpenID Connect or Cognito, and tokens. On plain listeners there is none of it.

use std::collections::BTreeMap;

use plenipo_resources::{Set, View};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::words;
use crate::annotations::Annotations;
use crate::stack::Action;

type Read<T> = Result<T, (&'static str, String)>;

/// What annotations say about signing in.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Auth {
    pub(super) kind: Kind,
    pub(super) cognito: Option<Cognito>,
    pub(super) oidc: Option<Oidc>,
    pub(super) on_unauthenticated: String,
    pub(super) scope: String,
    pub(super) session_cookie: String,
    pub(super) session_timeout: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    None,
    Cognito,
    Oidc,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cognito {
    #[serde(rename = "userPoolARN")]
    user_pool_arn: String,
    #[serde(rename = "userPoolClientID")]
    user_pool_client_id: String,
    #[serde(rename = "userPoolDomain")]
    user_pool_domain: String,
    #[serde(rename = "authenticationRequestExtraParams")]
    extra_params: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Oidc {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    user_info_endpoint: String,
    secret_name: String,
    #[serde(rename = "authenticationRequestExtraParams")]
    extra_params: BTreeMap<String, String>,
}

const IDENTITY_FIELDS: [&str; 9] = [
    "userPoolARN",
    "userPoolClientID",
    "userPoolDomain",
    "authenticationRequestExtraParams",
    "issuer",
    "authorizationEndpoint",
    "tokenEndpoint",
    "userInfoEndpoint",
    "secretName",
];

impl Auth {
    /// Of the annotations of an Ingress, with those of its Service over them where it has only one. An error names the
    /// annotation.
    pub(super) fn read(notes: &Annotations<'_>) -> Read<Self> {
        let text = |suffix: &str, default: &str| notes.text(suffix).unwrap_or(default).to_owned();
        let kind = match notes.text("auth-type") {
            None | Some("none") => Kind::None,
            Some("cognito") => Kind::Cognito,
            Some("oidc") => Kind::Oidc,
            Some(other) => return Err(("auth-type", format!("unknown authType: {other}"))),
        };
        let identity = &IDENTITY_FIELDS;
        let timeout = "auth-session-timeout";
        Ok(Self {
            kind,
            cognito: notes
                .json("auth-idp-cognito", identity)
                .map_err(|error| ("auth-idp-cognito", words(&error)))?,
            oidc: notes.json("auth-idp-oidc", identity).map_err(|error| ("auth-idp-oidc", words(&error)))?,
            on_unauthenticated: text("auth-on-unauthenticated-request", "authenticate"),
            scope: text("auth-scope", "openid"),
            session_cookie: text("auth-session-cookie", "AWSELBAuthSessionCookie"),
            session_timeout: notes
                .int64(timeout)
                .map_err(|error| (timeout, words(&error)))?
                .unwrap_or(604_800),
        })
    }

    /// Does anybody sign in?
    pub(super) fn is_on(&self) -> bool {
        self.kind != Kind::None
    }

    /// The action, in AWS's JSON. The client's secret is not in it: `secret` names the Secret that holds it. Where that
    /// may be missing (`lenient`: nobody keeps Secrets in a directory) the client id is left out, too.
    pub(super) fn action(&self, set: &Set, namespace: &str, lenient: bool) -> Read<Option<Action>> {
        match self.kind {
            Kind::None => Ok(None),
            Kind::Cognito => {
                let cognito = self.cognito.as_ref().ok_or(("auth-idp-cognito", missing("Cognito")))?;
                let mut config = self.session(&cognito.extra_params);
                config.insert("userPoolARN".to_owned(), cognito.user_pool_arn.clone().into());
                config.insert("userPoolClientID".to_owned(), cognito.user_pool_client_id.clone().into());
                config.insert("userPoolDomain".to_owned(), cognito.user_pool_domain.clone().into());
                Ok(Some(Action::AuthenticateCognito(config.into())))
            }
            Kind::Oidc => {
                let oidc = self.oidc.as_ref().ok_or(("auth-idp-oidc", missing("OIDC")))?;
                let client = client_id(set, namespace, &oidc.secret_name);
                let client = match client {
                    Err(_) if lenient => None,
                    other => Some(other.map_err(|reason| ("auth-idp-oidc", reason))?),
                };
                let mut config = self.session(&oidc.extra_params);
                config.insert("issuer".to_owned(), oidc.issuer.clone().into());
                config.insert("authorizationEndpoint".to_owned(), oidc.authorization_endpoint.clone().into());
                config.insert("tokenEndpoint".to_owned(), oidc.token_endpoint.clone().into());
                config.insert("userInfoEndpoint".to_owned(), oidc.user_info_endpoint.clone().into());
                config.extend(client.map(|client| ("clientID".to_owned(), client.into())));
                config.insert("secret".to_owned(), format!("{namespace}/{}", oidc.secret_name).into());
                Ok(Some(Action::AuthenticateOidc(config.into())))
            }
        }
    }

    fn session(&self, extra: &BTreeMap<String, String>) -> Map<String, Value> {
        let mut config = Map::new();
        if !extra.is_empty() {
            config.insert("authenticationRequestExtraParams".to_owned(), json!(extra));
        }
        config.insert("onUnauthenticatedRequest".to_owned(), self.on_unauthenticated.clone().into());
        config.insert("scope".to_owned(), self.scope.clone().into());
        config.insert("sessionCookieName".to_owned(), self.session_cookie.clone().into());
        config.insert("sessionTimeout".to_owned(), self.session_timeout.into());
        config
    }
}

fn missing(which: &str) -> String {
    format!("missing IDPConfig{which}")
}

/// The client id in a Secret that must hold the client's secret as well.
fn client_id(set: &Set, namespace: &str, name: &str) -> Result<String, String> {
    let secret = set.get("Secret", namespace, name).and_then(|object| match &object.view {
        View::Secret(secret) => Some(secret),
        _ => None,
    });
    let secret = secret.ok_or_else(|| format!("secrets {name:?} not found"))?;
    let id = secret.data.get("clientID").or_else(|| secret.data.get("clientId"));
    let id = id.ok_or_else(|| format!("missing clientID, secret: {namespace}/{name}"))?;
    if !secret.data.contains_key("clientSecret") {
        return Err(format!("missing clientSecret, secret: {namespace}/{name}"));
    }
    Ok(String::from_utf8_lossy(id).trim_end().to_owned())
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Jwt {
    jwks_endpoint: String,
    issuer: String,
    additional_claims: Vec<Claim>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Claim {
    format: String,
    name: String,
    values: Vec<String>,
}

const JWT: &str = "jwt-validation";
const JWT_FIELDS: [&str; 6] = ["jwksEndpoint", "issuer", "additionalClaims", "format", "name", "values"];

/// `jwt-validation`: a token must be valid. An error names the annotation.
pub(super) fn jwt(notes: &Annotations<'_>) -> Read<Option<Action>> {
    let jwt: Option<Jwt> = notes.json(JWT, &JWT_FIELDS).map_err(|error| (JWT, words(&error)))?;
    let Some(jwt) = jwt else { return Ok(None) };
    let fields = [("jwksEndpoint", jwt.jwks_endpoint.is_empty()), ("issuer", jwt.issuer.is_empty())];
    if let Some((field, _)) = fields.iter().find(|(_, empty)| *empty) {
        return Err((JWT, format!("{field} is a required field for jwt validation")));
    }
    for claim in &jwt.additional_claims {
        let fields = [
            ("format", claim.format.is_empty()),
            ("name", claim.name.is_empty()),
            ("values", claim.values.is_empty()),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, empty)| *empty) {
            return Err((
                JWT,
                format!("{field} is a required field for additional claims for jwt validation"),
            ));
        }
    }
    let mut config = Map::new();
    config.insert("jwksEndpoint".to_owned(), jwt.jwks_endpoint.into());
    config.insert("issuer".to_owned(), jwt.issuer.into());
    if !jwt.additional_claims.is_empty() {
        let claims = jwt.additional_claims.into_iter();
        let claims =
            claims.map(|claim| json!({ "format": claim.format, "name": claim.name, "values": claim.values }));
        config.insert("additionalClaims".to_owned(), Value::Array(claims.collect()));
    }
    Ok(Some(Action::ValidateJwt(config.into())))
}
