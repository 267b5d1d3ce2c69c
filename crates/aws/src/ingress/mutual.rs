//! `mutual-authentication`: client certificates, port by port.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::agree::go_list;
use super::fault::{Result, json_reason};
use super::group::Member;
use crate::stack::{MutualAuthentication, MutualMode};

pub(super) const SUFFIX: &str = "mutual-authentication";

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) port: i64,
    pub(super) mode: String,
    pub(super) trust_store: String,
    pub(super) ignore_client_certificate_expiry: Option<bool>,
    pub(super) advertise_trust_store_ca_names: Option<String>,
}

/// What an Ingress says about client certificates, by port. None says nothing, which is off.
pub(super) fn by_port(member: &Member<'_>) -> Result<BTreeMap<u16, MutualAuthentication>> {
    let Some(raw) = member.notes().text(SUFFIX) else { return Ok(BTreeMap::new()) };
    let fault = |message: String| member.fault(SUFFIX, message);
    let entries: Vec<Entry> = serde_json::from_str(raw).map_err(|error| {
        let reason = json_reason(&error);
        fault(format!(
            "failed to parse mutualAuthentication configuration from ingress annotation: `{raw}`: {reason}"
        ))
    })?;
    if entries.is_empty() {
        let message = format!("empty mutualAuthentication configuration from ingress annotation: `{raw}`");
        return Err(fault(message));
    }
    entries.iter().map(|entry| entry.valid().map_err(fault)).collect()
}

impl Entry {
    /// Port and settings.
    pub(super) fn valid(&self) -> std::result::Result<(u16, MutualAuthentication), String> {
        let Self { port, mode, trust_store, .. } = self;
        let number = u16::try_from(*port).ok().filter(|port| *port != 0);
        let number = number.ok_or_else(|| format!("listen port must be within [1, 65535]: {port}"))?;
        let known = match mode.as_str() {
            "" => return Err(format!("mutualAuthentication mode cannot be empty for port {port}")),
            "off" => MutualMode::Off,
            "passthrough" => MutualMode::Passthrough,
            "verify" => MutualMode::Verify,
            other => {
                let modes = go_list(["off, passthrough, verify"]);
                return Err(format!(
                    "mutualAuthentication mode value must be among {modes} for port {port} : {other}"
                ));
            }
        };
        let verifies = known == MutualMode::Verify;
        let refused = |what: &str| {
            Err(format!("Mutual Authentication mode {mode} does not support {what} for port {port}"))
        };
        if verifies && trust_store.is_empty() {
            return Err(format!(
                "trustStore is required when mutualAuthentication mode is verify for port {port}"
            ));
        }
        if !verifies && !trust_store.is_empty() {
            return refused("trustStore");
        }
        if !verifies && self.ignore_client_certificate_expiry.is_some() {
            return refused("ignoring client certificate expiry");
        }
        let advertise = match self.advertise_trust_store_ca_names.as_deref() {
            Some(_) if !verifies => return refused("advertiseTrustStoreCaNames"),
            Some("on") => Some(true),
            Some("off") => Some(false),
            None => None,
            Some(other) => {
                return Err(format!(
                    "advertiseTrustStoreCaNames only supports the values \"on\" and \"off\" got value {other} for \
                     port {port}"
                ));
            }
        };
        let settings = MutualAuthentication {
            mode: known,
            trust_store: Some(trust_store.clone()).filter(|store| !store.is_empty()),
            ignore_expiry: self.ignore_client_certificate_expiry,
            advertise_names: advertise,
        };
        Ok((number, settings))
    }
}
