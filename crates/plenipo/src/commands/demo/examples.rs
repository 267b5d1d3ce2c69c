//! The examples of the `examples/` folder, built in.

/// One folder of `examples/`.
#[derive(Debug)]
pub(super) struct Example {
    /// Name of the folder.
    pub(super) name: &'static str,
    /// Its `gateway.yaml`.
    pub(super) yaml: &'static str,
    /// Its `README.md`, whose commands are shown.
    pub(super) readme: &'static str,
    /// Run the load balancers that its Services and Ingresses ask for.
    pub(super) balanced: bool,
}

macro_rules! example {
    ($name:literal, $balanced:literal) => {
        Example {
            name: $name,
            yaml: include_str!(concat!("../../../../../examples/", $name, "/gateway.yaml")),
            readme: include_str!(concat!("../../../../../examples/", $name, "/README.md")),
            balanced: $balanced,
        }
    };
}

/// All of them, in the order of docs/examples.md.
pub(super) const EXAMPLES: &[Example] = &[
    example!("nlb-proxy-protocol", true),
    example!("l4-lb-tls", true),
    example!("l7-lb-tls", true),
    example!("aws-classic-proxy-protocol", true),
    example!("aws-alb-nodeport", true),
    example!("aws-nlb-tls-ip", true),
    example!("aws-alb-mtls", true),
    example!("aws-alb-istio", true),
    example!("mtls-optional", false),
    example!("mtls-required", false),
    example!("backend-tls", false),
    example!("backend-mtls", false),
    example!("tcpmapping", false),
    example!("canary", false),
    example!("grpc", false),
    example!("websocket", false),
    example!("ingress-nginx", false),
];

impl Example {
    /// The first line of the README: `# Title`.
    pub(super) fn title(&self) -> &'static str {
        self.readme.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}
