//! Arguments and environment, checked and put together. Arguments win.

mod cluster;
mod mesh;
mod status;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use plenipo_admin::{Identity, Token};
use plenipo_model::PortMap;
use plenipo_source::cluster::{Access, ClusterOptions};
use plenipo_translate::{IngressOptions, Options};

use crate::arguments::{LogFormat, ReadingArguments, RunArguments};
use crate::balancers::BalancerSettings;
use crate::environment::Environment;
use crate::exit::Ending;

/// How objects are read: what `check`, `explain`, `routes`, `demo` and `run` share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// For the translation.
    pub(crate) options: Options,
    /// Ports bound instead of those declared.
    pub(crate) ports: PortMap,
    /// Where the identity in a service mesh comes from that must be kept valid; none = nobody need be asked.
    pub(crate) mesh: Option<plenipo_mesh::Origin>,
}

/// Everything that `run` must know before the first object.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where objects come from.
    pub(crate) place: Place,
    /// How objects are read.
    pub(crate) reading: Reading,
    /// For the data plane.
    pub(crate) proxy: plenipo_proxy::Settings,
    /// Address of probes, metrics and dumps.
    pub(crate) admin: SocketAddr,
    /// Opens the dumps to other machines.
    pub(crate) token: Option<Token>,
    /// Who we are.
    pub(crate) identity: Identity,
    /// The load balancers to run in front of the gateway.
    pub(crate) balancers: Option<BalancerSettings>,
    /// What is written back to the cluster; none = nothing.
    pub(crate) status: Option<plenipo_status::Options>,
}

/// Where objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory of YAML files.
    Directory(PathBuf),
    /// A cluster.
    Cluster(Access, ClusterOptions),
}

/// Where log lines go and which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Logging {
    /// How lines look.
    pub(crate) format: LogFormat,
    /// Which lines.
    pub(crate) filter: String,
}

impl Reading {
    /// # Errors
    /// When a variable makes no sense.
    pub(crate) fn new(arguments: &ReadingArguments, environment: &Environment) -> Result<Self, Ending> {
        let text = |argument: &Option<String>, variable: &str| {
            let value = argument.as_deref().or_else(|| environment.value(variable));
            value.unwrap_or("default").to_owned()
        };
        let bind = match arguments.bind {
            Some(address) => address,
            None => {
                parsed(environment, "AMBASSADOR_ENVOY_BIND_ADDRESS")?.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
            }
        };
        let resolve =
            arguments.resolve.iter().map(|found| ((found.service.clone(), found.port), found.address));
        let mut ports = PortMap::default();
        for (declared, bound) in &arguments.port_map {
            let clash = |(other, taken): &&(u16, u16)| (other == declared) != (taken == bound);
            if let Some((other, taken)) = arguments.port_map.iter().find(clash) {
                return Err(Ending::usage(format!(
                    "--port-map {declared}={bound} and {other}={taken}: every declared port has a bound port of its own"
                )));
            }
            ports.insert(*declared, *bound);
        }
        let (istio, mesh) = mesh::read(&arguments.mesh, environment);
        let classes = &arguments.ingress.ingress_class;
        let ingress = IngressOptions {
            classes: (!classes.is_empty()).then(|| classes.iter().cloned().collect()),
            default_certificate: arguments.ingress.default_certificate.clone(),
        };
        let options = Options {
            istio,
            ingress,
            ambassador_id: text(&arguments.ambassador_id, "AMBASSADOR_ID"),
            namespace: text(&arguments.namespace, "AMBASSADOR_NAMESPACE"),
            // Emissary: any non-empty value, "false" included.
            single_namespace: arguments.single_namespace
                || environment.value("AMBASSADOR_SINGLE_NAMESPACE").is_some(),
            bind_address: bind,
            resolve: resolve.collect(),
            force_directory_endpoints: true,
            disable_strict_label_selectors: environment.is_yes("DISABLE_STRICT_LABEL_SELECTORS"),
            ..Options::default()
        };
        Ok(Self { options, ports, mesh })
    }
}

impl Settings {
    /// # Errors
    /// When an argument or a variable makes no sense, or the token file cannot be read.
    pub(crate) fn new(arguments: &RunArguments, environment: &Environment) -> Result<Self, Ending> {
        let mut reading = Reading::new(&arguments.reading, environment)?;
        let place = place(arguments, environment, &mut reading)?;
        let mut proxy = plenipo_proxy::Settings { min_drain: arguments.min_drain, ..Default::default() };
        if let Some(workers) = workers(arguments, environment)? {
            proxy.workers = workers;
        }
        proxy.max_drain = match arguments.max_drain {
            Some(time) => time,
            None => Duration::from_secs(parsed(environment, "AMBASSADOR_DRAIN_TIME")?.unwrap_or(600)),
        };
        let identity = Identity {
            version: env!("CARGO_PKG_VERSION"),
            ambassador_id: reading.options.ambassador_id.clone(),
            namespace: reading.options.namespace.clone(),
            single_namespace: reading.options.single_namespace,
            hostname: environment.value("HOSTNAME").unwrap_or("localhost").to_owned(),
        };
        let admin = admin(arguments, environment)?;
        let balancers = arguments.edge.is_some().then(|| {
            BalancerSettings::new(&arguments.balancers, &arguments.reading, &reading, admin.port(), &proxy)
        });
        if balancers.is_some() {
            // Clients are at the load balancers, which go first: they are whom the time is for.
            proxy.min_drain = Duration::ZERO;
        }
        let status = status::read(&arguments.status, environment, &place, &reading.options);
        Ok(Self { place, balancers, admin, token: token(arguments)?, reading, proxy, identity, status })
    }
}

impl Logging {
    /// From the arguments of `run`.
    pub(crate) fn new(arguments: &RunArguments, environment: &Environment) -> Self {
        let json = environment.is_yes("AMBASSADOR_JSON_LOGGING");
        let format = arguments.log_format.unwrap_or(if json { LogFormat::Json } else { LogFormat::Text });
        let filter =
            arguments.log.as_deref().or_else(|| environment.value("AES_LOG_LEVEL")).unwrap_or("info");
        Self { format, filter: filter.to_owned() }
    }
}

fn place(
    arguments: &RunArguments,
    environment: &Environment,
    reading: &mut Reading,
) -> Result<Place, Ending> {
    if arguments.cluster.kubernetes {
        let has_namespace =
            arguments.reading.namespace.is_some() || environment.value("AMBASSADOR_NAMESPACE").is_some();
        let (access, options) = reading.of_cluster(&arguments.cluster, has_namespace, environment);
        return Ok(Place::Cluster(access, options));
    }
    let given = arguments.config.clone().or_else(|| arguments.edge.clone());
    let directory = given.or_else(|| environment.value("AMBASSADOR_CONFIG_DIR").map(PathBuf::from));
    directory.map(Place::Directory).ok_or_else(|| {
        Ending::usage(
            "where from? Give --config DIR (or set AMBASSADOR_CONFIG_DIR), or --kubernetes for a cluster",
        )
    })
}

fn workers(arguments: &RunArguments, environment: &Environment) -> Result<Option<usize>, Ending> {
    let wanted = match arguments.workers {
        Some(workers) => Some(workers),
        None => parsed::<u16>(environment, "ENVOY_CONCURRENCY")?,
    };
    // Envoy: 0 is "one per processor".
    Ok(wanted.filter(|workers| *workers > 0).map(usize::from))
}

fn admin(arguments: &RunArguments, environment: &Environment) -> Result<SocketAddr, Ending> {
    if let Some(address) = arguments.admin {
        return Ok(address);
    }
    let address =
        parsed(environment, "AMBASSADOR_HEALTHCHECK_BIND_ADDRESS")?.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let port = parsed(environment, "AMBASSADOR_HEALTHCHECK_BIND_PORT")?.unwrap_or(8877);
    Ok(SocketAddr::new(address, port))
}

fn token(arguments: &RunArguments) -> Result<Option<Token>, Ending> {
    let Some(path) = &arguments.admin_token_file else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Ending::unreadable(format!("--admin-token-file {}: {error}", path.display())))?;
    let token = Token::new(&text);
    token
        .map(Some)
        .ok_or_else(|| Ending::unreadable(format!("--admin-token-file {}: it is empty", path.display())))
}

fn parsed<T: FromStr + Kind>(environment: &Environment, name: &str) -> Result<Option<T>, Ending> {
    let Some(text) = environment.value(name) else { return Ok(None) };
    let wrong = |_| Ending::usage(format!("{name}={text:?} is not {}", T::NAME));
    text.parse().map(Some).map_err(wrong)
}

/// How a value is called in a complaint.
trait Kind {
    const NAME: &'static str;
}

impl Kind for IpAddr {
    const NAME: &'static str = "an IP address";
}

impl Kind for u16 {
    const NAME: &'static str = "a number from 0 to 65535";
}

impl Kind for u64 {
    const NAME: &'static str = "a number of seconds";
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn run(line: &str) -> RunArguments {
        let words = ["plenipo", "run"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    fn settings<const N: usize>(line: &str, variables: [(&str, &str); N]) -> Result<Settings, Ending> {
        Settings::new(&run(line), &variables.into())
    }

    #[test]
    fn defaults() {
        let settings = settings("--config x", []).unwrap();
        assert_eq!(settings.admin, "0.0.0.0:8877".parse().unwrap());
        assert_eq!(settings.proxy.min_drain, Duration::from_secs(5));
        assert_eq!(settings.proxy.max_drain, Duration::from_secs(600));
        assert_eq!(settings.reading.options.ambassador_id, "default");
        assert!(!settings.reading.options.single_namespace);
    }

    #[test]
    fn variables_keep_their_meaning() {
        let settings = settings(
            "",
            [
                ("AMBASSADOR_CONFIG_DIR", "/conf"),
                ("AMBASSADOR_ID", "edge"),
                ("AMBASSADOR_NAMESPACE", "gateway"),
                ("AMBASSADOR_SINGLE_NAMESPACE", "false"),
                ("AMBASSADOR_ENVOY_BIND_ADDRESS", "127.0.0.1"),
                ("AMBASSADOR_HEALTHCHECK_BIND_ADDRESS", "::1"),
                ("AMBASSADOR_HEALTHCHECK_BIND_PORT", "9"),
                ("AMBASSADOR_DRAIN_TIME", "7"),
                ("DISABLE_STRICT_LABEL_SELECTORS", "True"),
                ("ENVOY_CONCURRENCY", "3"),
            ],
        )
        .unwrap();
        assert_eq!(settings.place, Place::Directory(PathBuf::from("/conf")));
        assert_eq!(settings.admin, "[::1]:9".parse().unwrap());
        assert_eq!(settings.proxy.workers, 3);
        assert_eq!(settings.proxy.max_drain, Duration::from_secs(7));
        let options = &settings.reading.options;
        assert_eq!((options.ambassador_id.as_str(), options.namespace.as_str()), ("edge", "gateway"));
        assert!(options.single_namespace, "any non-empty value means yes");
        assert!(options.disable_strict_label_selectors);
        assert_eq!(options.bind_address, "127.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn every_declared_port_has_a_bound_one_of_its_own() {
        for line in ["--port-map 80=9080 --port-map 443=9080", "--port-map 80=9080 --port-map 80=9081"] {
            let refused = settings(&format!("--config x {line}"), []).unwrap_err();
            assert!(refused.to_string().contains("of its own"), "{refused}");
        }
        assert!(settings("--config x --port-map 80=9080 --port-map 443=9443 --port-map 80=9080", []).is_ok());
    }

    #[test]
    fn the_time_to_drain_is_for_who_meets_the_clients() {
        let alone = settings("--config x --min-drain 2s", []).unwrap();
        assert_eq!((alone.proxy.min_drain, alone.balancers.is_none()), (Duration::from_secs(2), true));
        let behind = settings("--edge x --min-drain 2s", []).unwrap();
        assert_eq!(behind.proxy.min_drain, Duration::ZERO);
        assert_eq!(behind.balancers.unwrap().proxy.min_drain, Duration::from_secs(2));
    }

    #[test]
    fn arguments_win() {
        let line = "--config a --ambassador-id b --admin 127.0.0.1:1 --max-drain 2m --workers 5";
        let variables = [("AMBASSADOR_CONFIG_DIR", "x"), ("AMBASSADOR_ID", "x"), ("ENVOY_CONCURRENCY", "9")];
        let settings = settings(line, variables).unwrap();
        assert_eq!(settings.place, Place::Directory(PathBuf::from("a")));
        assert_eq!(settings.reading.options.ambassador_id, "b");
        assert_eq!(settings.proxy.workers, 5);
        assert_eq!(settings.proxy.max_drain, Duration::from_secs(120));
    }

    #[test]
    fn nonsense_is_named() {
        let message = |result: Result<Settings, Ending>| result.unwrap_err().to_string();
        assert!(message(settings("", [])).contains("--config"));
        let bad_port = settings("--config x", [("AMBASSADOR_HEALTHCHECK_BIND_PORT", "http")]);
        assert_eq!(
            message(bad_port),
            "AMBASSADOR_HEALTHCHECK_BIND_PORT=\"http\" is not a number from 0 to 65535"
        );
        let bad_address = settings("--config x", [("AMBASSADOR_ENVOY_BIND_ADDRESS", "here")]);
        assert!(message(bad_address).ends_with("is not an IP address"));
    }

    #[test]
    fn logging() {
        let logging = |line: &str, variables: &[(&str, &str)]| {
            let variables: Environment = match variables {
                [a, b] => [*a, *b].into(),
                _ => [].into(),
            };
            Logging::new(&run(line), &variables)
        };
        assert_eq!(logging("", &[]), Logging { format: LogFormat::Text, filter: "info".into() });
        let from_variables = logging("", &[("AMBASSADOR_JSON_LOGGING", "true"), ("AES_LOG_LEVEL", "debug")]);
        assert_eq!(from_variables, Logging { format: LogFormat::Json, filter: "debug".into() });
        assert_eq!(logging("--log-format text --log warn", &[]).filter, "warn");
    }
}
