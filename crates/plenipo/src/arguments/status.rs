//! What is written back to the cluster.

use clap::Args;

/// What is written back to the cluster, and how often.
#[derive(Args, Debug, Clone)]
pub(crate) struct StatusArguments {
    /// Write no status, no Events and no Lease
    #[arg(long, requires = "kubernetes", help_heading = "Status")]
    pub(crate) no_status: bool,
    /// Service whose addresses Ingresses get as theirs [default: the Services that lead to the gateway]
    #[arg(
        long,
        visible_alias = "service",
        value_name = "NS/NAME",
        value_parser = service,
        requires = "kubernetes",
        help_heading = "Status"
    )]
    pub(crate) publish_service: Option<(String, String)>,
    /// Address or host name that Ingresses get instead; may be given several times
    #[arg(long, value_name = "ADDRESS", requires = "kubernetes", help_heading = "Status")]
    pub(crate) publish_address: Vec<String>,
    /// Writes of status each second
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1000),
        default_value_t = 20,
        help_heading = "Status"
    )]
    pub(crate) status_rate: u32,
    /// Writes of status at once, after a while without
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000),
        default_value_t = 50,
        help_heading = "Status"
    )]
    pub(crate) status_burst: u32,
}

fn service(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("should look like namespace/name".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_namespace() {
        assert_eq!(service("edge/plenipo"), Ok(("edge".to_owned(), "plenipo".to_owned())));
        for bad in ["", "plenipo", "/plenipo", "edge/", "a/b/c"] {
            assert!(service(bad).is_err(), "{bad}");
        }
    }
}
