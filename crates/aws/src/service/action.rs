//! `actions.<protocol>-<port>`: traffic that a Service shares with others, by weight.

use plenipo_resources::core::IntOrString;
use serde::Deserialize;

use super::Request;
use crate::build_error::BuildError;
use crate::stack::ListenerProtocol;

/// AWS's limit.
const HEAVIEST: u32 = 999;

/// Who gets how much.
pub(super) struct Shares {
    /// Of the Service itself.
    pub(super) base_weight: u32,
    pub(super) others: Vec<Share>,
}

/// One that shares the traffic.
pub(super) struct Share {
    pub(super) target: ShareTarget,
    pub(super) weight: Option<u32>,
    /// Its targets get the decrypted bytes of a TLS listener.
    pub(super) decrypted: bool,
    /// The annotation it stands in.
    pub(super) field: String,
}

/// A Service of the namespace, or a target group that exists.
pub(super) enum ShareTarget {
    Arn(String),
    Service { name: String, port: IntOrString },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenAction {
    #[serde(default)]
    r#type: String,
    forward_config: Option<WrittenForward>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenForward {
    base_service_weight: Option<i64>,
    #[serde(default)]
    target_groups: Vec<WrittenTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenTarget {
    #[serde(rename = "targetGroupARN")]
    target_group_arn: Option<String>,
    service_name: Option<String>,
    service_port: Option<IntOrString>,
    decrypt: Option<bool>,
    weight: Option<i64>,
}

const FIELDS: [&str; 9] = [
    "type",
    "forwardConfig",
    "baseServiceWeight",
    "targetGroups",
    "targetGroupARN",
    "serviceName",
    "servicePort",
    "decrypt",
    "weight",
];

impl Request<'_> {
    /// How the traffic of a listener is shared; none = it is not.
    pub(super) fn shared_traffic(
        &self,
        protocol: ListenerProtocol,
        port: u16,
    ) -> Result<Option<Shares>, BuildError> {
        let suffix = format!("actions.{}-{port}", protocol.as_str());
        let Some(action) = self.annotations.json::<WrittenAction>(&suffix, &FIELDS)? else { return Ok(None) };
        shares(action, &self.annotations.field(&suffix)).map(Some).map_err(|why| self.fault(&suffix, why))
    }
}

fn shares(action: WrittenAction, field: &str) -> Result<Shares, String> {
    if action.r#type != "forward" {
        return Err(format!("unknown action type: {}", action.r#type));
    }
    let invalid = |why: String| format!("invalid ForwardConfig: {why}");
    let forward = action.forward_config.ok_or_else(|| invalid("missing forwardConfig".to_owned()))?;
    let several = forward.target_groups.len() > 1;
    let mut others = Vec::with_capacity(forward.target_groups.len());
    for target in forward.target_groups {
        let share =
            share(target, field).map_err(|why| invalid(format!("invalid TargetGroupTuple: {why}")))?;
        if several && share.weight.is_none() {
            return Err(invalid("weight must be set when routing to multiple target groups".to_owned()));
        }
        others.push(share);
    }
    let base =
        forward.base_service_weight.ok_or_else(|| invalid("base service weight is required".to_owned()))?;
    let base_weight = weight(base)
        .ok_or_else(|| invalid(format!("base service weight must be between 0 and {HEAVIEST}")))?;
    Ok(Shares { base_weight, others })
}

fn share(target: WrittenTarget, field: &str) -> Result<Share, String> {
    let to = match (target.target_group_arn, target.service_name) {
        (Some(arn), None) => ShareTarget::Arn(arn),
        (None, Some(name)) => {
            let port = target.service_port.ok_or_else(|| "missing servicePort".to_owned())?;
            ShareTarget::Service { name, port: numeric(port) }
        }
        _ => return Err("precisely one of targetGroupARN and serviceName can be specified".to_owned()),
    };
    let heavy = || format!("target group weight must be between 0 and {HEAVIEST}");
    let weight = target.weight.map(|number| weight(number).ok_or_else(heavy)).transpose()?;
    Ok(Share { target: to, weight, decrypted: target.decrypt.unwrap_or(false), field: field.to_owned() })
}

fn weight(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number <= HEAVIEST)
}

/// People put numbers in quotes.
fn numeric(port: IntOrString) -> IntOrString {
    match port {
        IntOrString::String(text) => text.parse().map_or(IntOrString::String(text), IntOrString::Int),
        number @ IntOrString::Int(_) => number,
    }
}
