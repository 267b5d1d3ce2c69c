//! The examples of the `examples/` folder, built in.

use super::load_balancer::Kind;

/// One folder of `examples/`.
#[derive(Debug)]
pub(super) struct Example {
    /// Name of the folder.
    pub(super) name: &'static str,
    /// Its `gateway.yaml`.
    pub(super) yaml: &'static str,
    /// Its `README.md`, whose commands are shown.
    pub(super) readme: &'static str,
    /// What stands in front of the gateway.
    pub(super) front: Option<Kind>,
}

macro_rules! example {
    ($name:literal, $front:expr) => {
        Example {
            name: $name,
            yaml: include_str!(concat!("../../../../../examples/", $name, "/gateway.yaml")),
            readme: include_str!(concat!("../../../../../examples/", $name, "/README.md")),
            front: $front,
        }
    };
}

/// All of them, in the order of docs/examples.md.
pub(super) const EXAMPLES: &[Example] = &[
    example!("nlb-proxy-protocol", Some(Kind::NlbProxyProtocol)),
    example!("l4-lb-tls", Some(Kind::L4Tls)),
    example!("l7-lb-tls", Some(Kind::L7Tls)),
    example!("mtls-optional", None),
    example!("mtls-required", None),
    example!("backend-tls", None),
    example!("backend-mtls", None),
    example!("tcpmapping", None),
    example!("canary", None),
    example!("grpc", None),
    example!("websocket", None),
];

impl Example {
    /// The first line of the README: `# Title`.
    pub(super) fn title(&self) -> &'static str {
        self.readme.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}
