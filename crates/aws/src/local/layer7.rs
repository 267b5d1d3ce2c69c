//! Listeners that understand requests.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use plenipo_model::{
    Accepts, BalancerRules, Chain, ChainTls, ClientCertificateFields, Desync, ForwardedFor, HeaderEdit,
    HeaderEdits, HostPattern, HttpLimits, HttpServer, Refusal, Route, RouteMatch, Serve, Source, Template,
    TlsFields, Transport, VirtualHost,
};

use super::attributes::Attributes;
use super::{Builder, Remarks, Site, conditions};
use crate::stack::{Kind, Listener, MutualMode, Rule};

/// A client's connection takes no new request after so long.
const KEEP_ALIVE: Duration = Duration::from_secs(3600);

impl Builder<'_> {
    pub(super) fn layer7(&mut self, site: Site<'_>, listener: &Listener, remarks: &mut Remarks) {
        let source = Source::new(site.listener_name(listener.port));
        let mut routes: Vec<Arc<Route>> =
            listener.rules.iter().map(|rule| Arc::new(self.rule(site, listener, rule, remarks))).collect();
        routes.push(Arc::new(self.default_route(site, listener, remarks)));
        let host = VirtualHost::new(source.clone(), HostPattern::Any, routes);
        let rules = self.rules(site, listener, remarks);
        let serve = Serve::Http(Arc::new(self.server(site, listener, rules, host)));
        let chain = if listener.protocol.ends_tls() {
            let tls = self.terminate(site, listener, remarks);
            Chain { source, accepts: Accepts::Tls(vec![HostPattern::Any]), tls, serve }
        } else {
            Chain { source, accepts: Accepts::Anything, tls: ChainTls::Untouched, serve }
        };
        self.bind(site, listener, Transport::Tcp, &chain);
    }

    fn rule(&mut self, site: Site<'_>, listener: &Listener, rule: &Rule, remarks: &mut Remarks) -> Route {
        let name = format!("{}/{}", site.listener_name(listener.port), rule.priority);
        let source = Source::new(rule.source.to_string());
        let matches = conditions::matches(&rule.conditions);
        let matches = matches.unwrap_or_else(|why| {
            let message = format!("rule {name}: {why}: it takes no request");
            self.refuse("edge-condition", Some(&rule.source), message, "write the condition as AWS takes it");
            nothing()
        });
        let outcome = self.actions(site, listener, &rule.actions, &rule.transforms, &rule.source, remarks);
        let pattern = matches.path.text().into();
        Route { pattern, matches, ..Route::new(&name, source, conditions::anything().path, outcome) }
    }

    fn default_route(&mut self, site: Site<'_>, listener: &Listener, remarks: &mut Remarks) -> Route {
        let name = format!("{}/default", site.listener_name(listener.port));
        let source = Source::new(site.member().map_or_else(|| name.clone(), ToString::to_string));
        let member = site.member().cloned();
        let outcome = match &member {
            Some(member) => self.actions(site, listener, &listener.default_actions, &[], member, remarks),
            None => super::actions::unavailable(),
        };
        Route { pattern: "*".into(), ..Route::new(&name, source, conditions::anything().path, outcome) }
    }

    fn server(
        &mut self,
        site: Site<'_>,
        listener: &Listener,
        rules: BalancerRules,
        host: VirtualHost,
    ) -> HttpServer {
        let attributes = site.attributes();
        let idle = super::clusters::idle(site);
        let lifetime = match site.stack.load_balancer.kind {
            Kind::Classic => None,
            _ => Some(attributes.seconds("client_keep_alive.seconds").unwrap_or(KEEP_ALIVE)),
        };
        HttpServer {
            limits: HttpLimits { idle_timeout: idle, lifetime, ..HttpLimits::balancer() },
            http10: true,
            refuse: self.web_acl(site),
            response_headers: response_fields(Attributes(&listener.attributes)),
            balancer: Some(Arc::new(rules)),
            ..HttpServer::new(host.source.clone(), vec![host])
        }
    }

    /// A firewall that is not there must not count as one that lets everything through.
    fn web_acl(&mut self, site: Site<'_>) -> Option<Refusal> {
        let acl = site.stack.web_acl.as_deref().filter(|acl| *acl != "none" && !acl.is_empty())?;
        if self.options.without_web_acl {
            let message = format!("the web ACL {acl} is not run here: every request passes");
            self.warn("edge-web-acl", site.member(), message, "");
            return None;
        }
        let reason = format!("the web ACL {acl} is not run here: every request is answered 503");
        self.refuse("edge-web-acl", site.member(), reason.clone(), "give --without-web-acl to go without it");
        Some(Refusal { status: 503, reason })
    }

    fn rules(&mut self, site: Site<'_>, listener: &Listener, remarks: &mut Remarks) -> BalancerRules {
        if site.stack.load_balancer.kind == Kind::Classic {
            return BalancerRules { desync: desync(site.attributes()), ..BalancerRules::classic() };
        }
        let balancer = site.attributes();
        let own = Attributes(&listener.attributes);
        let mut name = |attribute: &str, usual: HeaderName| {
            let attribute = format!("routing.http.request.{attribute}.header_name");
            let Some(text) = own.text(&attribute) else { return usual };
            text.parse().unwrap_or_else(|_| {
                remarks.deviations.push(format!("{attribute}: {text:?} is no header name, {usual} is sent"));
                usual
            })
        };
        let usual = TlsFields::default();
        let tls_fields = TlsFields {
            version: name("x_amzn_tls_version", usual.version),
            cipher: name("x_amzn_tls_cipher_suite", usual.cipher),
        };
        let mode = listener.mutual_authentication.as_ref().map(|mutual| mutual.mode);
        let client_certificate = certificate_fields(mode, &mut name);
        let told = balancer.is("routing.http.x_amzn_tls_version_and_cipher_suite.enabled");
        BalancerRules {
            forwarded_for: match balancer.text("routing.http.xff_header_processing.mode") {
                Some("preserve") => ForwardedFor::Preserve,
                Some("remove") => ForwardedFor::Remove,
                _ => ForwardedFor::Append,
            },
            client_port: balancer.is("routing.http.xff_client_port.enabled"),
            preserve_host: balancer.is("routing.http.preserve_host_header.enabled"),
            drop_invalid_fields: balancer.is("routing.http.drop_invalid_header_fields.enabled"),
            tls_fields: (told && listener.protocol.ends_tls()).then_some(tls_fields),
            client_certificate,
            desync: desync(balancer),
            ..BalancerRules::application()
        }
    }
}

fn certificate_fields(
    mode: Option<MutualMode>,
    name: &mut impl FnMut(&str, HeaderName) -> HeaderName,
) -> ClientCertificateFields {
    use ClientCertificateFields as Fields;
    let usual = match mode {
        None | Some(MutualMode::Off) => return Fields::None,
        Some(MutualMode::Passthrough) => Fields::passthrough(),
        Some(MutualMode::Verify) => Fields::verified(),
    };
    match usual {
        Fields::None => Fields::None,
        Fields::Passthrough { name: usual } => {
            Fields::Passthrough { name: name("x_amzn_mtls_clientcert", usual) }
        }
        Fields::Verified { serial, issuer, subject, validity, leaf } => Fields::Verified {
            serial: name("x_amzn_mtls_clientcert_serial_number", serial),
            issuer: name("x_amzn_mtls_clientcert_issuer", issuer),
            subject: name("x_amzn_mtls_clientcert_subject", subject),
            validity: name("x_amzn_mtls_clientcert_validity", validity),
            leaf: name("x_amzn_mtls_clientcert_leaf", leaf),
        },
    }
}

fn desync(attributes: Attributes<'_>) -> Desync {
    match attributes.text("routing.http.desync_mitigation_mode") {
        Some("monitor") => Desync::Monitor,
        Some("strictest") => Desync::Strictest,
        _ => Desync::Defensive,
    }
}

/// `routing.http.response.strict_transport_security.header_value` and its like: each overwrites the target's field.
fn response_fields(attributes: Attributes<'_>) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    for (name, value) in attributes.0 {
        let Some(rest) = name.strip_prefix("routing.http.response.") else { continue };
        if rest == "server.enabled" && value == "false" {
            edits.remove.push(http::header::SERVER);
        }
        let field = rest.strip_suffix(".header_value").map(|field| field.replace('_', "-"));
        let Some(field) = field.and_then(|field| field.parse::<HeaderName>().ok()) else { continue };
        if !value.is_empty() && HeaderValue::from_str(value).is_ok() {
            edits.add.push(HeaderEdit { name: field, value: Template::literal(value), append: false });
        }
    }
    edits
}

/// A match that no request has: its share is none of them.
fn nothing() -> RouteMatch {
    RouteMatch { fraction: Some(plenipo_model::Fraction(0)), ..conditions::anything() }
}
