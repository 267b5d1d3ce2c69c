//! A row of a table, made a whole Service: what the row leaves out is what any Service has.

use plenipo_aws::stack::Stack;
use plenipo_aws::{Account, service};
use serde_json::{Value, json};

use crate::case::{object, set};

pub(crate) const PREFIX: &str = "service.beta.kubernetes.io/";

/// A Service under construction.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) value: Value,
    pub(crate) account: Account,
}

impl Row {
    /// Of the Service that stands in the row; `null` = any.
    pub(crate) fn new(value: &Value) -> Self {
        let mut value = if value.is_object() { value.clone() } else { json!({}) };
        let spec = &mut value["spec"];
        if spec["type"].is_null() {
            spec["type"] = json!("LoadBalancer");
        }
        if spec["ports"].as_array().is_none_or(Vec::is_empty) {
            spec["ports"] = json!([{"port": 80, "targetPort": 80, "protocol": "TCP"}]);
        }
        spec["loadBalancerClass"] = json!("service.k8s.aws/nlb");
        let account = Account {
            complete: true,
            backend_security_group: Some("sg-backend".to_owned()),
            default_scheme: "internet-facing".to_owned(),
            ..Account::default()
        };
        Self { value, account }
    }

    /// Ports that have none get a node port.
    pub(crate) fn with_node_ports(mut self) -> Self {
        for (at, port) in self.value["spec"]["ports"].as_array_mut().unwrap().iter_mut().enumerate() {
            if port["nodePort"].is_null() {
                port["nodePort"] = json!(30080 + at);
            }
        }
        self
    }

    pub(crate) fn with(mut self, suffix: &str, value: impl Into<String>) -> Self {
        self.value["metadata"]["annotations"][format!("{PREFIX}{suffix}")] = json!(value.into());
        self
    }

    pub(crate) fn with_spec(mut self, field: &str, value: Value) -> Self {
        self.value["spec"][field] = value;
        self
    }

    pub(crate) fn account(mut self, change: impl FnOnce(&mut Account)) -> Self {
        change(&mut self.account);
        self
    }

    /// What is made of it, or the text of the error.
    pub(crate) fn build(&self) -> Result<Stack, String> {
        let object = object("Service", self.value.clone());
        let built = service::build(&set([object.clone()]), &object, &self.account);
        built.map_err(|error| error.message).map(|stack| stack.expect("the Service is the controller's"))
    }
}
