//! A directory or a cluster read once, translated and compiled, as `check`, `explain` and `routes` need it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use plenipo_model::{Edge, Serve};
use plenipo_proxy::Snapshot;
use plenipo_resources::{Code, Problem, Report, Set, Severity};
use plenipo_source::Directory;
use plenipo_source::cluster::{Access, ClusterOptions};

use crate::app;
use crate::arguments::{InputArguments, ReadingArguments};
use crate::environment::Environment;
use crate::exit::Ending;
use crate::settings::Reading;

/// Certificates and revocation lists are small; a larger file is a mistake (or a device).
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A directory or a cluster, read.
#[derive(Debug)]
pub(crate) struct Read {
    /// What would be served.
    pub(crate) edge: Arc<Edge>,
    /// What became of every object.
    pub(crate) report: Report,
    /// What it was read from.
    pub(crate) set: Set,
    reading: Reading,
}

/// Reads a directory or a cluster, and translates what is in it.
pub(crate) fn once(
    input: &InputArguments,
    arguments: &ReadingArguments,
    environment: &Environment,
) -> anyhow::Result<Read> {
    let mut reading = Reading::new(arguments, environment)?;
    if let Some(origin) = &reading.mesh {
        // Nobody is asked for a certificate by a look at YAML.
        match plenipo_mesh::look(origin) {
            Some(identity) => reading.options.istio.identity = Some(Arc::new(identity?)),
            None => reading.options.istio.identity_expected = true,
        }
    }
    let set = match &input.directory {
        Some(path) => Directory::open(path).map_err(|error| Ending::unreadable(error.to_string()))?.read(),
        None => {
            let has_namespace =
                arguments.namespace.is_some() || environment.value("AMBASSADOR_NAMESPACE").is_some();
            let (access, options) = reading.of_cluster(&input.cluster, has_namespace, environment);
            cluster(&access, ClusterOptions { whole: true, ..options })?
        }
    };
    Ok(Read::of(set, reading))
}

/// Reads a cluster.
fn cluster(access: &Access, options: ClusterOptions) -> anyhow::Result<Set> {
    let read = async {
        let client = plenipo_source::cluster::connect(access).await?;
        plenipo_source::cluster::read(client, options).await
    };
    Ok(app::runtime()?.block_on(read).map_err(|error| Ending::unreadable(error.to_string()))?)
}

impl Read {
    fn of(set: Set, mut reading: Reading) -> Self {
        reading.options.files = files(plenipo_translate::referenced_files(&set));
        let (mut edge, report) = plenipo_translate::translate(&set, &reading.options);
        edge.map_ports(&reading.ports);
        Self { edge: Arc::new(edge), report, set, reading }
    }

    /// Another set, understood in the same way.
    pub(crate) fn another(&self, set: Set) -> Self {
        Self::of(set, self.reading.clone())
    }
}

/// The files that objects name, as far as they can be read; the translation says what is missing.
pub(crate) fn files(named: BTreeSet<String>) -> BTreeMap<String, Vec<u8>> {
    let read = |path: &str| {
        let mut content = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut content));
        match read {
            Ok(_) => Some(content),
            Err(error) => {
                tracing::debug!(path, %error, "a file that an object names cannot be read");
                None
            }
        }
    };
    named.into_iter().filter_map(|path| read(&path).map(|content| (path, content))).collect()
}

impl Read {
    /// What cannot be compiled although every object looked fine.
    pub(crate) fn compile_problems(&self) -> Vec<Problem> {
        // Compiling opens access logs, and looking at a directory must leave nothing behind.
        let snapshot = Snapshot::build(Arc::new(without_access_logs(&self.edge)), None);
        let problem = |(source, why): &(plenipo_model::Source, String)| Problem {
            severity: Severity::Error,
            code: Code("cannot-be-compiled"),
            object: None,
            origin: None,
            field: String::new(),
            message: format!("{source}: {why}"),
            fix: String::new(),
        };
        snapshot.problems().iter().map(problem).collect()
    }
}

/// The edge, reporting no request anywhere.
pub(crate) fn without_access_logs(edge: &Edge) -> Edge {
    let mut edge = edge.clone();
    for chain in edge.listeners.iter_mut().flat_map(|listener| &mut listener.chains) {
        match &mut chain.serve {
            Serve::Http(server) => Arc::make_mut(server).access_log = None,
            Serve::Tcp(route) => Arc::make_mut(route).access_log = None,
            Serve::Udp(route) => Arc::make_mut(route).access_log = None,
        }
    }
    edge
}
