//! One Mapping, read: which requests it takes, how it ranks, where they go and what happens to them on the way.

mod matching;
mod order;
mod policies;

use std::collections::HashMap;
use std::sync::Arc;

use plenipo_model::{PathRewrite, Redirect, RedirectPath, Source, Target};
use plenipo_resources::ambassador::Mapping;
use plenipo_resources::{Object, View};

use super::ours::{LoadOrder, Of, is_taken, source_of};
use super::policy::{Millis, millis};
use super::upstream::{Plan, Upstreams, Wanted, World};
use crate::findings::{Finding, Findings, Flaw};
use crate::options::Options;
use crate::secrets::{SecretName, Secrets};

pub(crate) use matching::{HostRule, Matching, Patterns, unless_implied};
pub(crate) use order::{Rank, Requests};
pub(crate) use policies::Policies;

/// What reading one Mapping came to, which holds while its object, and what it says it depends on, stay what they are.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) object: Arc<Object>,
    pub(crate) order: LoadOrder,
    pub(crate) found: Vec<Finding>,
    /// None when it is not for us, or refused.
    pub(crate) rule: Option<Arc<Rule>>,
    /// Secrets that were looked at, whether they are there or not.
    pub(crate) secrets: Vec<SecretName>,
    /// Expressions that it uses.
    pub(crate) patterns: Vec<String>,
}

/// A Mapping that can be used.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) object: Arc<Object>,
    pub(crate) source: Source,
    pub(crate) matching: Matching,
    pub(crate) rank: Rank,
    pub(crate) policies: Arc<Policies>,
    pub(crate) work: Work,
}

/// What a Mapping does with its requests.
#[derive(Debug)]
pub(crate) enum Work {
    /// Sends them upstream.
    Forward(Box<Target>, Arc<Plan>),
    /// Sends a copy of them upstream, that many percent.
    Shadow(Arc<Plan>, u32),
    /// Sends the client elsewhere.
    Redirect(Box<Redirect>),
}

impl Rule {
    /// As it was written.
    pub(crate) fn spec(&self) -> &Mapping {
        spec(&self.object).expect("a rule is made of a Mapping")
    }

    /// The cluster it wants, if any.
    pub(crate) fn plan(&self) -> Option<&Arc<Plan>> {
        match &self.work {
            Work::Forward(_, plan) | Work::Shadow(plan, _) => Some(plan),
            Work::Redirect(_) => None,
        }
    }
}

impl Reading {
    /// The cluster it wants, if any.
    pub(crate) fn plan(&self) -> Option<&Arc<Plan>> {
        self.rule.as_ref().and_then(|rule| rule.plan())
    }
}

fn spec(object: &Object) -> Option<&Mapping> {
    match &object.view {
        View::Mapping(spec) => Some(spec),
        _ => None,
    }
}

/// Everything that reading a Mapping needs.
#[derive(Debug)]
pub(crate) struct Reader<'r, 'a> {
    pub(crate) world: World<'r, 'a>,
    pub(crate) options: &'a Options,
    pub(crate) upstreams: &'r Upstreams<'a>,
    pub(crate) secrets: &'r mut Secrets<'a>,
    pub(crate) patterns: &'r mut Patterns,
    /// The policies of Mappings that say nothing about any.
    pub(crate) plain: Arc<Policies>,
    /// What the Mappings read before came to: what is equal is held once.
    pub(crate) shared: Shared,
    /// Of the Mapping being read.
    pub(crate) findings: Findings,
}

/// What is likely to be the same in many Mappings: thousands of copies would be megabytes.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    plans: HashMap<Arc<str>, Arc<Plan>>,
    /// Of the Mapping read last: those with the same policies mostly stand together.
    policies: Option<Arc<Policies>>,
}

impl Shared {
    fn plan(&mut self, plan: Plan) -> Arc<Plan> {
        match self.plans.get(plan.name()) {
            Some(known) if **known == plan => Arc::clone(known),
            _ => {
                let plan = Arc::new(plan);
                self.plans.insert(Arc::clone(plan.name()), Arc::clone(&plan));
                plan
            }
        }
    }

    fn policies(&mut self, policies: Policies) -> Arc<Policies> {
        match &self.policies {
            Some(known) if **known == policies => Arc::clone(known),
            _ => Arc::clone(self.policies.insert(Arc::new(policies))),
        }
    }
}

impl Reader<'_, '_> {
    /// Reads a Mapping; none when it is an object of another kind.
    pub(crate) fn read(&mut self, object: &Arc<Object>) -> Option<Reading> {
        let spec = spec(object)?;
        self.secrets.forget_asked();
        let rule = if is_taken(object, &spec.ambassador_id, self.options, &mut self.findings) {
            self.rule(object, Of { object, spec })
                .inspect_err(|flaw| self.findings.fatal(object, flaw))
                .ok()
                .map(Arc::new)
        } else {
            None
        };
        Some(Reading {
            object: Arc::clone(object),
            order: LoadOrder::of(&object.id),
            found: std::mem::take(&mut self.findings).into_found(),
            rule,
            secrets: self.secrets.forget_asked(),
            patterns: self.patterns.take_asked(),
        })
    }

    fn rule(&mut self, object: &Arc<Object>, mapping: Of<'_, Mapping>) -> Result<Rule, Flaw> {
        let source = source_of(object);
        let matching = Matching::read(mapping, self.patterns, &mut self.findings)?;
        let rank = Rank::of(mapping.spec, &matching);
        let policies = if Policies::is_plain(mapping.spec) {
            Arc::clone(&self.plain)
        } else {
            let settings = self.world.settings;
            let findings = &mut self.findings;
            let read = Policies::read(mapping, &source, settings, self.options, self.patterns, findings)?;
            self.shared.policies(read)
        };
        let work = self.work(mapping, &source, &policies)?;
        Ok(Rule { object: Arc::clone(object), source, matching, rank, policies, work })
    }

    fn work(&mut self, mapping: Of<'_, Mapping>, source: &Source, policies: &Policies) -> Result<Work, Flaw> {
        let spec = mapping.spec;
        let shadow = spec.shadow == Some(true);
        if spec.host_redirect == Some(true) {
            if !shadow {
                return Ok(Work::Redirect(Box::new(redirect(mapping, self.patterns, &mut self.findings)?)));
            }
            let message = "a Mapping cannot redirect and shadow, it shadows".to_owned();
            self.findings.error(
                mapping.object,
                "redirect-and-shadow",
                "spec.host_redirect",
                message,
                "keep one of the two",
            );
        }
        let plan = self.plan(mapping, policies)?;
        if shadow {
            let percent =
                spec.weight.map_or(100, |weight| u32::try_from(weight.clamp(0, 100)).unwrap_or(100));
            return Ok(Work::Shadow(plan, percent));
        }
        let target = Target {
            rewrite: rewrite(spec.rewrite.as_deref()),
            host: host_rewrite(mapping, &plan, &mut self.findings),
            timeout: self.timeout(mapping),
            idle_timeout: self.idle_timeout(mapping),
            ..Target::all(source.clone(), Arc::clone(plan.name()))
        };
        Ok(Work::Forward(Box::new(target), plan))
    }

    fn plan(&mut self, mapping: Of<'_, Mapping>, policies: &Policies) -> Result<Arc<Plan>, Flaw> {
        let spec = mapping.spec;
        let settings = self.world.settings;
        let wanted = Wanted {
            object: mapping.object,
            service: spec.service.as_deref().unwrap_or_default(),
            resolver: spec.resolver.as_deref(),
            tls: spec.tls.as_deref(),
            http2: spec.grpc == Some(true),
            connect_timeout_ms: spec.connect_timeout_ms,
            idle_timeout_ms: spec.cluster_idle_timeout_ms,
            max_lifetime_ms: spec.cluster_max_connection_lifetime_ms,
            dns_type: spec.dns_type.as_deref(),
            respect_dns_ttl: spec.respect_dns_ttl == Some(true),
            family: settings.family(spec.enable_ipv4, spec.enable_ipv6),
            limits: policies.limits.or(settings.limits),
            own_balance: policies.balancing.as_ref().map(|balancing| balancing.balance),
            keepalive: policies.keepalive.or(settings.keepalive),
            health_checks: policies.health_checks.clone(),
            tag: spec.cluster_tag.as_deref(),
            stats_name: spec.stats_name.as_deref(),
            send_proxy: None,
        };
        let plan = self.upstreams.plan(&wanted, &self.world, self.secrets, &mut self.findings)?;
        Ok(self.shared.plan(plan))
    }

    fn timeout(&mut self, mapping: Of<'_, Mapping>) -> Option<std::time::Duration> {
        let otherwise = self.world.settings.request_timeout;
        self.time(mapping, mapping.spec.timeout_ms, "spec.timeout_ms", otherwise)
    }

    /// Without one, Envoy's 5 minutes for a stream hold.
    fn idle_timeout(&mut self, mapping: Of<'_, Mapping>) -> Option<std::time::Duration> {
        let otherwise = Some(std::time::Duration::from_secs(300));
        self.time(mapping, mapping.spec.idle_timeout_ms, "spec.idle_timeout_ms", otherwise)
    }

    fn time(
        &mut self,
        mapping: Of<'_, Mapping>,
        value: Option<i64>,
        field: &str,
        otherwise: Option<std::time::Duration>,
    ) -> Option<std::time::Duration> {
        let Some(value) = value else { return otherwise };
        match millis(value, field) {
            Ok(Millis::Zero) => None,
            Ok(Millis::For(time)) => Some(time),
            Err(flaw) => {
                self.findings.flaw(mapping.object, &flaw);
                otherwise
            }
        }
    }
}

/// Absent is `/`, empty is no rewrite.
fn rewrite(written: Option<&str>) -> PathRewrite {
    match written {
        None => PathRewrite::Matched("/".to_owned()),
        Some("") => PathRewrite::Keep,
        Some(text) => PathRewrite::Matched(text.to_owned()),
    }
}

fn host_rewrite(
    mapping: Of<'_, Mapping>,
    plan: &Plan,
    findings: &mut Findings,
) -> plenipo_model::HostRewrite {
    use plenipo_model::HostRewrite;
    let spec = mapping.spec;
    let auto = spec.auto_host_rewrite == Some(true);
    if let Some(host) = spec.host_rewrite.as_deref().filter(|host| !host.is_empty()) {
        if auto {
            let message = "host_rewrite is there too, which is the one that is used".to_owned();
            let field = "spec.auto_host_rewrite";
            findings.error(mapping.object, "both-host-rewrites", field, message, "keep one of the two");
        }
        return HostRewrite::To(host.to_owned());
    }
    match (auto, plan.dns_name()) {
        (false, _) => HostRewrite::Keep,
        // The name is known here, also where the address is taken from endpoints or from --resolve.
        (true, Some(name)) => HostRewrite::To(name.to_owned()),
        (true, None) => {
            let message =
                "the upstream is found by its endpoints and has no DNS name, the host is kept".to_owned();
            let field = "spec.auto_host_rewrite";
            findings.warn(
                mapping.object,
                "auto-host-rewrite-without-name",
                field,
                message,
                "use host_rewrite",
            );
            HostRewrite::Keep
        }
    }
}

/// Emissary takes the service as the host as it stands, scheme and all; here `https://` means what it says.
fn redirect(
    mapping: Of<'_, Mapping>,
    patterns: &mut Patterns,
    findings: &mut Findings,
) -> Result<Redirect, Flaw> {
    let spec = mapping.spec;
    let text = spec.service.as_deref().unwrap_or_default().trim();
    let (scheme, host) = match text.split_once("://") {
        Some((scheme, host)) => (Some(scheme.to_ascii_lowercase()), host),
        None => (None, text),
    };
    let host = host.find(['/', '?', '#']).map_or(host, |end| &host[..end]);
    let sound = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    if !sound || scheme.as_deref().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        let message = format!("'{text}' is not a host to redirect to");
        return Err(Flaw::new(
            "bad-redirect",
            "spec.service",
            message,
            "write the new host, perhaps with a port",
        ));
    }
    Ok(Redirect {
        scheme,
        host: Some(host.to_owned()),
        path: redirect_path(mapping, patterns, findings)?,
        ..Redirect::new(status(mapping, findings))
    })
}

/// The first of the three that is there; the others are said to be too many.
fn redirect_path(
    mapping: Of<'_, Mapping>,
    patterns: &mut Patterns,
    findings: &mut Findings,
) -> Result<RedirectPath, Flaw> {
    let spec = mapping.spec;
    let mut found = Vec::new();
    if let Some(path) = spec.path_redirect.as_deref().filter(|path| !path.is_empty()) {
        found.push(("path_redirect", RedirectPath::To(path.to_owned())));
    }
    if let Some(prefix) = spec.prefix_redirect.as_deref().filter(|prefix| !prefix.is_empty()) {
        found.push(("prefix_redirect", RedirectPath::Matched(prefix.to_owned())));
    }
    if let Some(regex) = spec.regex_redirect.as_ref().filter(|regex| !regex.pattern.is_empty()) {
        let pattern = patterns.compile(&regex.pattern, "spec.regex_redirect.pattern")?;
        found.push(("regex_redirect", RedirectPath::Regex(pattern, regex.substitution.clone())));
    }
    let mut found = found.into_iter();
    let Some((name, path)) = found.next() else { return Ok(RedirectPath::Keep) };
    for (other, _) in found {
        let message = format!("{name} is there too, which is the one that is used");
        let field = format!("spec.{other}");
        findings.error(mapping.object, "several-redirects", &field, message, "keep one of them");
    }
    Ok(path)
}

fn status(mapping: Of<'_, Mapping>, findings: &mut Findings) -> http::StatusCode {
    use http::StatusCode;
    match mapping.spec.redirect_response_code {
        None | Some(301) => StatusCode::MOVED_PERMANENTLY,
        Some(302) => StatusCode::FOUND,
        Some(303) => StatusCode::SEE_OTHER,
        Some(307) => StatusCode::TEMPORARY_REDIRECT,
        Some(308) => StatusCode::PERMANENT_REDIRECT,
        Some(other) => {
            let message = format!("{other} is not a redirect, 301 is used");
            let field = "spec.redirect_response_code";
            findings.error(
                mapping.object,
                "bad-redirect-code",
                field,
                message,
                "write 301, 302, 303, 307 or 308",
            );
            StatusCode::MOVED_PERMANENTLY
        }
    }
}
