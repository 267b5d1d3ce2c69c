//! The command line as typed. What it means together with the environment is worked out in `settings`.

mod audit;
mod balancers;
mod check;
mod cluster;
mod explain;
mod ingress;
mod input;
mod mesh;
mod migrate;
mod reading;
mod run;
mod status;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use audit::{AuditArguments, AuditFormat};
pub(crate) use balancers::{BalancerArguments, EdgeArguments, PemPair, TrustFiles};
pub(crate) use check::{CheckArguments, ReportFormat, Suppression};
pub(crate) use cluster::ClusterArguments;
pub(crate) use explain::ExplainArguments;
pub(crate) use ingress::IngressArguments;
pub(crate) use input::InputArguments;
pub(crate) use mesh::{IdentityOrigin, MeshArguments};
pub(crate) use migrate::{MigrateArguments, MigrateCommand};
pub(crate) use reading::ReadingArguments;
pub(crate) use run::{LogFormat, RunArguments};
pub(crate) use status::StatusArguments;

/// A Kubernetes edge gateway in one binary.
///
/// It reads the Emissary/Ambassador resources people already have and carries the traffic itself.
#[derive(Parser, Debug)]
#[command(name = "plenipo", version, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve what a directory of YAML or a cluster says, and follow its changes
    Run(Box<RunArguments>),
    /// Say what is wrong with the YAML of a directory
    ///
    /// Exit code: 0 nothing at or above --fail-on, 1 problems, 2 wrong usage, 3 the input could not be read.
    Check(CheckArguments),
    /// Say which way a request takes, and why
    Explain(ExplainArguments),
    /// Draw every way from a client to a backend: what encrypts each hop, who knows whom
    ///
    /// Exit code: 0, or 1 when --require is given and some way does not meet it.
    Audit(AuditArguments),
    /// Run the AWS load balancers that the YAML of a directory asks for, here, in front of the gateway
    Edge(EdgeArguments),
    /// Print the route table in match order
    Routes(RoutesArguments),
    /// Say what changes when Plenipo takes over from Emissary; nothing is written
    ///
    /// Exit code: 0, or 1 when something that Emissary serves or guards is lost.
    Migrate(Box<MigrateArguments>),
    /// Try it: echo services, certificates and an example, all in this process
    Demo(DemoArguments),
    /// Print the CustomResourceDefinitions of the kinds that are read
    Crds(CrdsArguments),
    /// Print the JSON Schema of a kind, for editors
    Schema {
        /// Which kind: Mapping, Host, …
        kind: String,
    },
    /// Print the version
    Version,
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CrdsArguments {
    /// Only those of a group of kinds
    #[arg(long, value_name = "GROUP", value_parser = [plenipo_resources::definition::GROUP])]
    pub(crate) group: Option<String>,
    /// How they are printed
    #[arg(short, long, value_enum, default_value_t = ManifestFormat::Yaml)]
    pub(crate) output: ManifestFormat,
}

/// How objects for a cluster are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ManifestFormat {
    /// Documents, one after the other.
    Yaml,
    /// One List of all.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct RoutesArguments {
    #[command(flatten)]
    pub(crate) input: InputArguments,
    /// How the table is printed
    #[arg(short, long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) output: TableFormat,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

/// How tables are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TableFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Which example
    #[arg(long, value_name = "NAME", default_value = crate::commands::demo::DEFAULT_EXAMPLE)]
    pub(crate) example: String,
    /// List the examples and stop
    #[arg(long)]
    pub(crate) list: bool,
    /// Bind this port for clear text instead of 8080
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Bind this port for TLS instead of 8443
    #[arg(long, value_name = "PORT")]
    pub(crate) tls_port: Option<u16>,
    /// Bind free ports instead of those in the example's README
    #[arg(long)]
    pub(crate) free_ports: bool,
}

/// `500ms`, `5s`, `10m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let total =
        number.parse::<u64>().ok().filter(|_| millis > 0).and_then(|number| number.checked_mul(millis));
    total.map(Duration::from_millis).ok_or_else(|| "should look like 500ms, 5s, 10m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_finds_no_fault() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "s", "5d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
