//! The command line as typed. What it means together with the environment is worked out in `settings`.

mod balancers;
mod ingress;
mod mesh;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use plenipo_resources::Severity;

pub(crate) use balancers::{BalancerArguments, EdgeArguments, PemPair, TrustFiles};
pub(crate) use ingress::IngressArguments;
pub(crate) use mesh::{IdentityOrigin, MeshArguments};

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
    /// Serve what a directory of YAML says, and follow its changes
    Run(RunArguments),
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
    /// Try it: echo services, certificates and an example, all in this process
    Demo(DemoArguments),
    /// Print the version
    Version,
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// What the translation of objects depends on besides the objects.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ReadingArguments {
    /// Objects of which instance are ours [default: $AMBASSADOR_ID, else "default"]
    #[arg(long, value_name = "ID", help_heading = "Reading")]
    pub(crate) ambassador_id: Option<String>,
    /// Our own namespace, for names without one [default: $AMBASSADOR_NAMESPACE, else "default"]
    #[arg(long, value_name = "NAMESPACE", help_heading = "Reading")]
    pub(crate) namespace: Option<String>,
    /// Read only objects of our own namespace [default: whether $AMBASSADOR_SINGLE_NAMESPACE is set]
    #[arg(long, help_heading = "Reading")]
    pub(crate) single_namespace: bool,
    /// Address that listeners bind [default: $AMBASSADOR_ENVOY_BIND_ADDRESS, else 0.0.0.0]
    #[arg(long, value_name = "IP", help_heading = "Reading")]
    pub(crate) bind: Option<IpAddr>,
    /// Where a service is instead of where its name resolves to; may be given several times
    #[arg(long, value_name = "NAME[.NS]:PORT=ADDR:PORT", value_parser = resolution, help_heading = "Reading")]
    pub(crate) resolve: Vec<Resolution>,
    /// Bind another port than the one declared, as a laptop must for 443; may be given several times
    #[arg(long, value_name = "DECLARED=BOUND", value_parser = port_pair, help_heading = "Reading")]
    pub(crate) port_map: Vec<(u16, u16)>,
    #[command(flatten)]
    pub(crate) mesh: MeshArguments,
    #[command(flatten)]
    pub(crate) ingress: IngressArguments,
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Directory of YAML files; followed while running [default: $AMBASSADOR_CONFIG_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Option<PathBuf>,
    /// The same, and run the AWS load balancers that the YAML asks for in front of the gateway
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) edge: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
    #[command(flatten)]
    pub(crate) balancers: BalancerArguments,
    /// Threads that carry traffic [default: $ENVOY_CONCURRENCY, else one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Address of probes, metrics and dumps [default: $AMBASSADOR_HEALTHCHECK_BIND_ADDRESS and _PORT, else 0.0.0.0:8877]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// File whose content opens the dumps to other machines (Authorization: Bearer …)
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// How log lines look [default: json if $AMBASSADOR_JSON_LOGGING is true, else text]
    #[arg(long, value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter [default: $AES_LOG_LEVEL, else info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// Serve for so long after SIGTERM before closing the listeners: load balancers need it to look away
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(crate) min_drain: Duration,
    /// Cut what is still running so long after SIGTERM [default: $AMBASSADOR_DRAIN_TIME s, else 600s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) max_drain: Option<Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// Directory of YAML files
    pub(crate) directory: PathBuf,
    /// How problems are printed
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
    /// Mildest severity that makes the exit code 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Threshold::Error)]
    pub(crate) fail_on: Threshold,
    /// Leave out problems of a code, everywhere or on one object; may be given several times
    #[arg(long, value_name = "CODE[=KIND NS/NAME]", value_parser = suppression)]
    pub(crate) suppress: Vec<Suppression>,
    /// Print the documents with every patch that can be written instead; what is left goes to standard error
    #[arg(long)]
    pub(crate) fix: bool,
    /// YAML file of facts that no object shows: region, certificates, zones, … (docs/checks/README.md)
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArguments {
    /// Directory of YAML files
    pub(crate) directory: PathBuf,
    /// The request's URL, as a client writes it
    pub(crate) url: String,
    /// Its method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// A header of it; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(http::HeaderName, http::HeaderValue)>,
    /// The address of the client
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) from: IpAddr,
    /// Who connects to the gateway, when a proxy is in front of it [default: the client]
    #[arg(long, value_name = "IP")]
    pub(crate) peer: Option<IpAddr>,
    /// X-Forwarded-For as the gateway gets it [default: none, or what the proxies that it trusts would say of the client]
    #[arg(long, value_name = "IP, …", value_parser = header_value)]
    pub(crate) xff: Option<http::HeaderValue>,
    /// PEM file of the certificate that the client shows
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// The load balancer it comes through, by name or by object ("Ingress default/shop") [default: one that can take it]
    #[arg(long, value_name = "NAME")]
    pub(crate) through: Option<String>,
    /// How the answer is printed
    #[arg(short, long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) output: TableFormat,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

#[derive(Args, Debug)]
pub(crate) struct AuditArguments {
    /// Directory of YAML files
    pub(crate) directory: PathBuf,
    /// How the ways are printed
    #[arg(short, long, value_enum, default_value_t = AuditFormat::Text)]
    pub(crate) output: AuditFormat,
    /// What every way that reaches a backend must be
    #[arg(long, value_enum)]
    pub(crate) require: Option<Requirement>,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
}

#[derive(Args, Debug)]
pub(crate) struct RoutesArguments {
    /// Directory of YAML files
    pub(crate) directory: PathBuf,
    /// How the table is printed
    #[arg(short, long, value_enum, default_value_t = TableFormat::Text)]
    pub(crate) output: TableFormat,
    #[command(flatten)]
    pub(crate) reading: ReadingArguments,
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

/// How log lines look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// How `check` prints.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// For code-scanning pages (SARIF 2.1.0).
    Sarif,
}

/// How tables are printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TableFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

/// How `audit` prints.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AuditFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// A page with drawings, to pin to the wall.
    Html,
}

/// What every way must be.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Requirement {
    /// No hop is clear text
    Encrypted,
    /// On every hop both ends show a certificate that the other checks
    Mtls,
}

impl From<Requirement> for plenipo_aws::audit::Requirement {
    fn from(requirement: Requirement) -> Self {
        match requirement {
            Requirement::Encrypted => Self::Encrypted,
            Requirement::Mtls => Self::Mtls,
        }
    }
}

/// Mildest severity that counts.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Threshold {
    /// Something does not work.
    Error,
    /// Or does not work as its author probably thinks.
    Warning,
    /// Or is worth knowing.
    Note,
}

impl From<Threshold> for Severity {
    fn from(threshold: Threshold) -> Self {
        match threshold {
            Threshold::Error => Self::Error,
            Threshold::Warning => Self::Warning,
            Threshold::Note => Self::Note,
        }
    }
}

/// Where a service is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolution {
    /// `name` or `name.namespace`, as services are written.
    pub(crate) service: String,
    /// Its port.
    pub(crate) port: u16,
    /// The address used instead.
    pub(crate) address: SocketAddr,
}

/// Problems to leave out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Suppression {
    /// Of this code.
    pub(crate) code: String,
    /// On this object only, written as problems write it.
    pub(crate) object: Option<String>,
}

fn resolution(text: &str) -> Result<Resolution, String> {
    let read = || {
        let (service, address) = text.split_once('=')?;
        let (service, port) = service.rsplit_once(':')?;
        let address = address.parse().ok()?;
        (!service.is_empty()).then_some(())?;
        Some(Resolution { service: service.to_ascii_lowercase(), port: port.parse().ok()?, address })
    };
    read().ok_or_else(|| "should look like quote.default:80=127.0.0.1:9000".to_owned())
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let read = || {
        let (declared, bound) = text.split_once('=')?;
        Some((declared.parse::<NonZeroU16>().ok()?.get(), bound.parse::<NonZeroU16>().ok()?.get()))
    };
    read().ok_or_else(|| "should look like 443=8443".to_owned())
}

fn suppression(text: &str) -> Result<Suppression, String> {
    let (code, object) = match text.split_once('=') {
        Some((code, object)) => (code, Some(object.trim().to_owned())),
        None => (text, None),
    };
    if code.is_empty() || object.as_deref() == Some("") {
        return Err("should look like CODE or \"CODE=Mapping default/quote\"".to_owned());
    }
    Ok(Suppression { code: code.to_owned(), object })
}

fn header_value(text: &str) -> Result<http::HeaderValue, String> {
    text.parse().map_err(|_| format!("{text:?} cannot be the value of a header"))
}

fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("should look like 'name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} cannot be a header name"))?;
    let value = value.trim().parse().map_err(|_| format!("{value:?} cannot be a header value"))?;
    Ok((name, value))
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

    #[test]
    fn resolutions() {
        let expected = Resolution {
            service: "quote.default".into(),
            port: 80,
            address: "127.0.0.1:9000".parse().unwrap(),
        };
        assert_eq!(resolution("Quote.default:80=127.0.0.1:9000"), Ok(expected));
        assert!(resolution("quote=127.0.0.1:9000").is_err());
        assert!(resolution(":80=127.0.0.1:9000").is_err());
        assert!(resolution("quote:80=elsewhere:9000").is_err());
    }

    #[test]
    fn suppressions() {
        assert_eq!(suppression("bad-regex"), Ok(Suppression { code: "bad-regex".into(), object: None }));
        let on_one = suppression("bad-regex=Mapping default/quote").unwrap();
        assert_eq!(on_one.object.as_deref(), Some("Mapping default/quote"));
        assert!(suppression("=Mapping default/quote").is_err());
        assert!(suppression("bad-regex=").is_err());
    }
}
