//! Who a request comes from, by the token it carries.
//!
//! A token is looked for where the rules say, verified, and taken out of the request; what it says goes upstream in fields
//! that nobody else can set. Keys are fetched elsewhere ([`keys`]); here they are only looked at.

mod keys;
mod locations;

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use plenipo_jwt::{Claims, Refused, Token};
use plenipo_model::{Authentication, Source, TokenLocation, TokenRule};

use crate::fields::Fields;
use crate::headers;
use crate::message::RequestHead;

pub(crate) use keys::{KeySet, KeySets, Places};

/// What rules without locations say (RFC 6750 §2).
const PARAMETER: &str = "access_token";

/// An [`Authentication`], with the keys.
#[derive(Debug)]
pub(crate) struct CompiledAuthentication {
    rules: Vec<CompiledRule>,
    /// Fields that only we set.
    own: Vec<HeaderName>,
}

#[derive(Debug)]
struct CompiledRule {
    model: Arc<TokenRule>,
    locations: Vec<TokenLocation>,
    keys: Arc<KeySet>,
}

/// A token that was found, and where.
struct Found<'a> {
    rule: &'a CompiledRule,
    location: &'a TokenLocation,
    claims: Claims,
}

impl CompiledAuthentication {
    /// Keys of rules that were there before are kept.
    pub(crate) fn new(
        model: &Authentication,
        sets: &mut KeySets,
        before: Option<&KeySets>,
        problems: &mut Vec<(Source, String)>,
    ) -> Self {
        let rules = model.rules.iter().map(|rule| CompiledRule {
            model: Arc::clone(rule),
            locations: locations_of(rule),
            keys: sets.keys(rule, before, problems),
        });
        let own = model.rules.iter().flat_map(|rule| rule.own_headers().cloned()).collect();
        Self { rules: rules.collect(), own }
    }

    /// Looks for a token and verifies it; none when there is no token. What is to go upstream is written to the request.
    /// `now` is seconds since 1970.
    ///
    /// # Errors
    /// When there is a token that no rule accepts, even besides one that is good: a service might believe the other.
    pub(crate) async fn authenticate(
        &self,
        parts: &mut RequestHead,
        now: u64,
    ) -> Result<Option<Claims>, Refused> {
        for name in &self.own {
            headers::strip(name, &mut parts.headers);
        }
        let mut found = self.find(parts, now).await?;
        for found in found.iter().filter(|found| !found.rule.model.forward_token) {
            locations::remove(found.location, parts);
        }
        if found.is_empty() {
            return Ok(None);
        }
        let Found { rule, claims, .. } = found.swap_remove(0);
        tell(&rule.model, &claims, &mut parts.headers);
        Ok(Some(claims))
    }

    /// Every token, the first one first, with the rule that accepts it.
    async fn find(&self, parts: &RequestHead, now: u64) -> Result<Vec<Found<'_>>, Refused> {
        let mut accepted: Vec<(Cow<'_, str>, Found<'_>)> = Vec::new();
        let mut refused: Vec<(Cow<'_, str>, Refused)> = Vec::new();
        for rule in &self.rules {
            for location in &rule.locations {
                for text in locations::tokens(location, parts)? {
                    match rule.verify(&text, now).await {
                        Ok(claims) => accepted.push((text, Found { rule, location, claims })),
                        Err(why) => refused.push((text, why)),
                    }
                }
            }
        }
        let bad = refused.into_iter().filter(|(text, _)| accepted.iter().all(|(good, _)| good != text));
        match bad.fold(None, |before, (_, why)| Some(worse(before, why))) {
            Some(why) => Err(why),
            None => Ok(accepted.into_iter().map(|(_, found)| found).collect()),
        }
    }
}

impl CompiledRule {
    async fn verify(&self, text: &str, now: u64) -> Result<Claims, Refused> {
        let token = Token::parse(text)?;
        if token.issuer() != Some(&*self.model.issuer) {
            return Err(Refused::Issuer);
        }
        token.is_for(&self.model.audiences, now)?;
        let keys = self.keys.wait().await.ok_or(Refused::NoKeys)?;
        match token.is_signed_by(&keys) {
            Ok(()) => Ok(token.into_claims(&self.model.spaced_claims)),
            Err(why) => {
                // The issuer may have new keys.
                if why == Refused::NoSuchKey {
                    self.keys.wish();
                }
                Err(why)
            }
        }
    }
}

/// Of two reasons, the one that says more: a token of a known issuer is what was meant.
fn worse(before: Option<Refused>, now: Refused) -> Refused {
    match before {
        Some(before) if now == Refused::Issuer || before != Refused::Issuer => before,
        _ => now,
    }
}

fn locations_of(rule: &TokenRule) -> Vec<TokenLocation> {
    if !rule.locations.is_empty() {
        return rule.locations.clone();
    }
    vec![
        TokenLocation::Header { name: http::header::AUTHORIZATION, prefix: "Bearer ".to_owned() },
        TokenLocation::Query(PARAMETER.to_owned()),
    ]
}

/// Writes what a verified token says to the request that goes upstream. What is no header value is left out.
fn tell(rule: &TokenRule, claims: &Claims, headers: &mut Fields) {
    let payload = rule.payload_header.as_ref().map(|name| (name, Cow::Borrowed(claims.payload())));
    let single = rule.claim_headers.iter().filter_map(|one| Some((&one.header, claims.text(&one.claim)?)));
    for (name, text) in payload.into_iter().chain(single) {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
