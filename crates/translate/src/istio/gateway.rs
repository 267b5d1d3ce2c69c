//! Gateways: which are ours, and the servers in them that can be used.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::{HostPattern, Source};
use plenipo_resources::istio::{Gateway as Written, Server as WrittenServer, ServerTls};
use plenipo_resources::{Object, View};

use super::chronological;
use super::ports::Ports;
use super::virtual_service::GatewayName;
use crate::findings::{Findings, Flaw, source_of};
use crate::memory::Reader;
use crate::options::Options;

/// One server of a Gateway of ours.
#[derive(Debug)]
pub(super) struct Server<'a> {
    pub(super) gateway: &'a Object,
    pub(super) written: &'a WrittenServer,
    /// `spec.servers[0]`.
    pub(super) field: String,
    pub(super) source: Source,
    pub(super) kind: Kind,
    /// As written: the port of the gateway's Service.
    pub(super) number: u16,
    /// Where it listens: behind that port.
    pub(super) bind: SocketAddr,
    /// At least one.
    pub(super) hosts: Vec<ServerHost>,
}

/// What a server does with connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// HTTP in clear text.
    Http {
        /// Every request is sent to https.
        redirect: bool,
    },
    /// HTTP behind TLS that ends here.
    Https,
    /// Bytes behind TLS that ends here.
    TlsToTcp,
    /// TLS that is passed on as it is, by its server name.
    Passthrough,
    /// Bytes.
    Tcp,
}

/// One of `hosts`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ServerHost {
    /// The namespace that VirtualServices must be of; none = any.
    pub(super) namespace: Option<String>,
    pub(super) pattern: HostPattern,
    /// Its place among `hosts`.
    pub(super) place: usize,
}

impl Kind {
    /// Does a ClientHello come first?
    pub(super) fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::TlsToTcp | Self::Passthrough)
    }
}

impl Server<'_> {
    /// A field of it, with its path in the object.
    pub(super) fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.field)
    }

    /// TLS settings; they are there where the kind has any.
    pub(super) fn tls(&self) -> Option<&ServerTls> {
        self.written.tls.as_ref()
    }
}

/// The servers of all Gateways that are ours, in the order in which Gateways go before each other.
pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Vec<Server<'a>> {
    let mut objects: Vec<(&'a Object, &'a Written)> = Vec::new();
    for object in reader.set.of_kind("Gateway") {
        let View::Gateway(written) = &object.view else { continue };
        if is_ours(written, reader.options) {
            objects.push((object, written));
        } else {
            reader.findings.ignore(object);
        }
    }
    objects.sort_by(|(a, _), (b, _)| chronological(a).cmp(&chronological(b)));
    let ports = Ports::new(reader.set, reader.options);
    let bind_address = reader.options.bind_address;
    let mut servers = Vec::new();
    for (object, written) in objects {
        reader.findings.accept(object);
        super::unknown_fields(object, reader.findings);
        if written.servers.is_empty() {
            let flaw =
                Flaw::new("no-server", "spec.servers", "it has no servers", "write at least one server");
            reader.findings.fatal(object, &flaw);
        }
        for (place, server) in written.servers.iter().enumerate() {
            let mut reading = Reading { object, selector: written, ports: &ports, place, bind_address };
            match reading.server(server, reader.findings) {
                Ok(server) => servers.push(server),
                Err(flaw) => reader.findings.fatal(object, &flaw),
            }
        }
    }
    servers
}

/// The Gateways that are ours, whether or not any of their servers can be used.
pub(super) fn ours(reader: &Reader<'_>) -> BTreeSet<GatewayName> {
    let is_ours = |object: &&Arc<Object>| match &object.view {
        View::Gateway(written) => is_ours(written, reader.options),
        _ => false,
    };
    reader.set.of_kind("Gateway").iter().filter(is_ours).map(|object| GatewayName::of(object)).collect()
}

/// Do our pods have the labels it selects? Nobody said which they have: then every Gateway is ours.
fn is_ours(gateway: &Written, options: &Options) -> bool {
    let labels = &options.istio.labels;
    labels.is_empty() || gateway.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// One server as it is read.
struct Reading<'r, 'a> {
    object: &'a Object,
    selector: &'a Written,
    ports: &'r Ports<'a>,
    place: usize,
    bind_address: std::net::IpAddr,
}

impl<'a> Reading<'_, 'a> {
    fn field(&self, name: &str) -> String {
        format!("spec.servers[{}].{name}", self.place)
    }

    fn server(&mut self, written: &'a WrittenServer, findings: &mut Findings) -> Result<Server<'a>, Flaw> {
        let port = written.port.clone().unwrap_or_default();
        let number = port.number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            let message = "a server needs the number of a port";
            Flaw::new("bad-port", self.field("port.number"), message, "write a number from 1 to 65535")
        })?;
        let kind = self.kind(written, port.protocol.as_deref())?;
        let address = match written.bind.as_deref().filter(|text| !text.is_empty()) {
            None => self.bind_address,
            Some(text) => text.parse().map_err(|_| {
                let message = match text.starts_with("unix:") {
                    true => "sockets of the file system are not supported".to_owned(),
                    false => format!("'{text}' is not an address"),
                };
                Flaw::new("bad-address", self.field("bind"), message, "write an IP address, or leave it out")
            })?,
        };
        let behind = self.ports.behind(&self.selector.selector, number);
        let hosts = self.hosts(written, findings)?;
        self.curiosities(written, kind, findings);
        Ok(Server {
            gateway: self.object,
            written,
            field: format!("spec.servers[{}]", self.place),
            source: source_of(self.object),
            kind,
            number,
            bind: SocketAddr::new(address, behind),
            hosts,
        })
    }

    fn kind(&self, written: &WrittenServer, protocol: Option<&str>) -> Result<Kind, Flaw> {
        let protocol = protocol.unwrap_or_default().to_ascii_uppercase();
        let tls = written.tls.as_ref();
        let bad = |message: String, fix| Flaw::new("bad-protocol", self.field("port.protocol"), message, fix);
        let is_plain =
            |tls: &ServerTls| ServerTls { https_redirect: None, ..tls.clone() } == ServerTls::default();
        match protocol.as_str() {
            "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" => match tls {
                Some(tls) if !is_plain(tls) => {
                    let message =
                        "TLS is asked for on a port that speaks HTTP in clear text: it is not opened";
                    Err(bad(message.to_owned(), "write protocol: HTTPS"))
                }
                tls => Ok(Kind::Http { redirect: tls.is_some_and(|tls| tls.https_redirect == Some(true)) }),
            },
            "HTTPS" | "TLS" => {
                let tls = tls.ok_or_else(|| {
                    let message = format!("{protocol} without tls settings: it is not opened");
                    let fix = "write tls with mode: SIMPLE and credentialName";
                    Flaw::new("missing-tls", self.field("tls"), message, fix)
                })?;
                self.mode(tls, protocol == "HTTPS")
            }
            "TCP" | "MONGO" | "REDIS" | "MYSQL" => match tls {
                Some(tls) if *tls != ServerTls::default() => {
                    let message =
                        "TLS is asked for on a port that speaks TCP in clear text: it is not opened";
                    Err(bad(message.to_owned(), "write protocol: TLS"))
                }
                _ => Ok(Kind::Tcp),
            },
            "" => Err(bad("a server needs a protocol".to_owned(), "write HTTP, HTTPS, TLS or TCP")),
            other => Err(bad(format!("'{other}' is not a protocol"), "write HTTP, HTTPS, TLS or TCP")),
        }
    }

    fn mode(&self, tls: &ServerTls, is_http: bool) -> Result<Kind, Flaw> {
        match tls.mode.as_deref().unwrap_or("PASSTHROUGH") {
            "PASSTHROUGH" => Ok(Kind::Passthrough),
            "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL" | "ISTIO_MUTUAL" if is_http => Ok(Kind::Https),
            "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL" | "ISTIO_MUTUAL" => Ok(Kind::TlsToTcp),
            "AUTO_PASSTHROUGH" => Err(Flaw::new(
                "not-supported",
                self.field("tls.mode"),
                "AUTO_PASSTHROUGH is for gateways between meshes, which this is not: it is not opened",
                "write PASSTHROUGH, and a VirtualService with tls routes",
            )),
            other => Err(Flaw::new(
                "bad-tls-mode",
                self.field("tls.mode"),
                format!("'{other}' is not a mode"),
                "write SIMPLE, MUTUAL, OPTIONAL_MUTUAL, ISTIO_MUTUAL or PASSTHROUGH",
            )),
        }
    }

    /// What is written and does nothing, or not what it seems to.
    fn curiosities(&self, written: &WrittenServer, kind: Kind, findings: &mut Findings) {
        let mut warn = |code, field: &str, message: &str, fix: &str| {
            findings.warn(self.object, code, &self.field(field), message.to_owned(), fix);
        };
        if written.default_endpoint.is_some() {
            warn("no-effect", "defaultEndpoint", "Istio never did anything with it", "remove it");
        }
        if written.port.as_ref().is_some_and(|port| port.target_port.is_some()) {
            let message = "it has no effect: the targetPort of the gateway's Service counts";
            warn("no-effect", "port.targetPort", message, "remove it");
        }
        let protocol = written.port.as_ref().and_then(|port| port.protocol.as_deref());
        if protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("GRPC-WEB")) {
            let message = "gRPC-Web is passed on as it is: services must speak it";
            warn("not-supported", "port.protocol", message, "let the service, or a sidecar, translate it");
        }
        let Some(tls) = &written.tls else { return };
        let has_certificate = tls.credential_name.is_some()
            || tls.server_certificate.is_some()
            || !tls.credential_names.is_empty()
            || !tls.tls_certificates.is_empty();
        if kind == Kind::Passthrough && has_certificate {
            let message = "with mode PASSTHROUGH, which is the one when none is written, the certificate is \
                never shown: TLS goes to the services as it is";
            warn("certificate-not-used", "tls.mode", message, "write mode: SIMPLE");
        }
        if tls.https_redirect == Some(true) && !matches!(kind, Kind::Http { .. }) {
            let message = "it has no effect where clients speak TLS already";
            warn("no-effect", "tls.httpsRedirect", message, "write it in the server of the HTTP port");
        }
    }

    /// The hosts that can be used; that of none is an error of the whole server.
    fn hosts(&self, written: &WrittenServer, findings: &mut Findings) -> Result<Vec<ServerHost>, Flaw> {
        let mut hosts: Vec<ServerHost> = Vec::new();
        for (place, text) in written.hosts.iter().enumerate() {
            match self.host(text) {
                Ok((namespace, pattern)) => hosts.push(ServerHost { namespace, pattern, place }),
                Err(message) => {
                    let field = self.field(&format!("hosts[{place}]"));
                    let fix =
                        "write a name with a dot, *.example.com or *, perhaps after a namespace and a slash";
                    findings.fatal(self.object, &Flaw::new("bad-host", field, message, fix));
                }
            }
        }
        if hosts.is_empty() {
            let message = "a server needs at least one host";
            return Err(Flaw::new("missing-host", self.field("hosts"), message, "write the hosts, or '*'"));
        }
        Ok(hosts)
    }

    fn host(&self, text: &str) -> Result<(Option<String>, HostPattern), String> {
        let (namespace, name) = match text.split_once('/') {
            None => (None, text),
            Some(("*", name)) => (None, name),
            Some((".", name)) => (Some(self.object.id.namespace.to_string()), name),
            Some(("", _)) => return Err(format!("'{text}' has no namespace before the slash")),
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
        };
        Ok((namespace, host_pattern(name)?))
    }
}

/// Reads a host of a Gateway or VirtualService: a name with a dot, an address, `*.suffix` or `*`.
pub(super) fn host_pattern(text: &str) -> Result<HostPattern, String> {
    let pattern = HostPattern::parse(text).map_err(|error| error.to_string())?;
    match &pattern {
        HostPattern::Any => Ok(pattern),
        HostPattern::Exact(name) if name.contains(['.', ':']) => Ok(pattern),
        HostPattern::Exact(_) => Err(format!("'{text}' has no dot: it is no full name")),
        HostPattern::Suffix(suffix) if suffix.starts_with('.') && suffix.len() > 1 => Ok(pattern),
        HostPattern::Suffix(_) | HostPattern::Prefix(_) | HostPattern::OneLabel(_) => {
            Err(format!("'{text}': a star stands for the first labels of a name, as in *.example.com"))
        }
    }
}
