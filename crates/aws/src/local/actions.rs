//! Actions of rules.

use std::time::Duration;

use http::StatusCode;
use plenipo_model::{
    Action as Outcome, ClientProtocol, Forward as Forwarded, HostRewrite, LocationTemplate, PathRewrite,
    Pattern, Redirect as Redirected, Respond, Source, StickyTargets, Target, Transport,
};
use plenipo_resources::ObjectId;

use super::{Builder, Remarks, Site, clusters};
use crate::ingress::MISSING_SERVICE;
use crate::stack::{Action, Forward, Kind, Listener, Redirect, Transform};

/// What requests get whose action cannot be carried out here.
fn refusal(status: StatusCode) -> Outcome {
    Outcome::Respond(Respond { status, content_type: None, body: "".into() })
}

/// 503.
pub(super) fn unavailable() -> Outcome {
    refusal(StatusCode::SERVICE_UNAVAILABLE)
}

impl Builder<'_> {
    /// What happens to a request that a rule takes. Nothing that is asked for before the last action is skipped.
    pub(super) fn actions(
        &mut self,
        site: Site<'_>,
        listener: &Listener,
        actions: &[Action],
        transforms: &[Transform],
        source: &ObjectId,
        remarks: &mut Remarks,
    ) -> Outcome {
        let before = actions.iter().find_map(|action| match action {
            Action::AuthenticateOidc(_) => Some("signing users in by OpenID Connect"),
            Action::AuthenticateCognito(_) => Some("signing users in by Cognito"),
            Action::ValidateJwt(_) => Some("checking tokens"),
            Action::Forward(_) | Action::Redirect(_) | Action::FixedResponse { .. } => None,
        });
        if let Some(what) = before {
            let message =
                format!("port {}: {what} is not done here: such requests are answered 500", listener.port);
            self.refuse(
                "edge-authentication",
                Some(source),
                message,
                "try the rule without its authentication",
            );
            return refusal(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let outcome = match actions.last() {
            Some(Action::Forward(forward)) => {
                self.forward(site, listener, forward, transforms, source, remarks)
            }
            Some(Action::Redirect(redirect)) => redirection(redirect),
            Some(Action::FixedResponse { status, content_type, body }) => {
                self.answered(listener, status, body.as_deref().unwrap_or_default(), source, remarks);
                fixed(status, content_type, body)
            }
            _ => Err("it has no action".to_owned()),
        };
        outcome.unwrap_or_else(|why| {
            let message = format!("port {}: {why}: such requests are answered 503", listener.port);
            self.refuse("edge-action", Some(source), message, "write the action as AWS takes it");
            unavailable()
        })
    }

    /// Tells of an answer of the load balancer's own; one for a Service that is not there is rarely meant.
    fn answered(
        &mut self,
        listener: &Listener,
        status: &str,
        body: &str,
        source: &ObjectId,
        remarks: &mut Remarks,
    ) {
        if body == MISSING_SERVICE {
            let message = format!(
                "port {}: a rule names a Service that is not there: such requests are answered {status}",
                listener.port
            );
            self.warn("edge-no-targets", Some(source), message, "put the Service into the directory, too");
        }
        if !body.is_empty() {
            remarks.targets.push(format!("its own answer {status}: {body}"));
        }
    }

    fn forward(
        &mut self,
        site: Site<'_>,
        listener: &Listener,
        forward: &Forward,
        transforms: &[Transform],
        object: &ObjectId,
        remarks: &mut Remarks,
    ) -> Result<Outcome, String> {
        let (host, rewrite) = rewrites(transforms)?;
        let idle = clusters::idle(site);
        let classic = site.stack.load_balancer.kind == Kind::Classic;
        let mut targets = Vec::new();
        let mut protocol = None;
        for weighted in &forward.targets {
            let target = self.target(site, listener, &weighted.target, Transport::Tcp, remarks);
            let version = target.group.and_then(|group| group.protocol_version.as_deref());
            protocol = protocol.or(version.map(client_protocol));
            targets.push(Target {
                weight: weighted.weight.unwrap_or(1),
                rewrite: rewrite.clone(),
                host: host.clone(),
                idle_timeout: Some(idle),
                ..Target::all(Source::new(object.to_string()), target.cluster)
            });
        }
        let total: u32 = targets.iter().map(|target| target.weight).sum();
        let Some(first) = targets.first().cloned().filter(|_| total > 0) else {
            return Err("it forwards to nothing".to_owned());
        };
        let sticky = forward.stickiness.flatten().map(|seconds| StickyTargets {
            cookie: "AWSALBTG".to_owned(),
            companion: Some("AWSALBTGCORS".to_owned()),
            duration: Duration::from_secs(u64::from(seconds)),
        });
        let upgrades = if classic { Vec::new() } else { vec!["websocket".to_owned()] };
        let client_protocol = if classic { None } else { protocol };
        Ok(Outcome::Forward(Box::new(Forwarded {
            sticky: sticky.filter(|_| targets.len() > 1),
            targets,
            total,
            upgrades,
            client_protocol,
            ..Forwarded::to(first)
        })))
    }
}

fn client_protocol(version: &str) -> ClientProtocol {
    match version {
        "HTTP2" => ClientProtocol::Http2,
        "GRPC" => ClientProtocol::Grpc,
        _ => ClientProtocol::Http1,
    }
}

fn redirection(redirect: &Redirect) -> Result<Outcome, String> {
    let protocol = match redirect.protocol.as_deref() {
        None => "#{protocol}".to_owned(),
        Some(template) if template.contains("#{") => template.to_owned(),
        Some(name) => name.to_ascii_lowercase(),
    };
    let host = redirect.host.as_deref().unwrap_or("#{host}");
    let port = redirect.port.as_deref().unwrap_or("#{port}");
    let path = redirect.path.as_deref().unwrap_or("/#{path}");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let query = redirect.query.as_deref().unwrap_or("#{query}");
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let text = format!("{protocol}://{host}:{port}{slash}{path}{query}");
    let location = LocationTemplate::parse(&text).map_err(|error| error.to_string())?;
    let status = match redirect.status.as_str() {
        "HTTP_301" => StatusCode::MOVED_PERMANENTLY,
        "HTTP_302" => StatusCode::FOUND,
        other => return Err(format!("{other:?} is neither HTTP_301 nor HTTP_302")),
    };
    Ok(Outcome::Redirect(Box::new(Redirected { location: Some(location), ..Redirected::new(status) })))
}

fn fixed(status: &str, content_type: &Option<String>, body: &Option<String>) -> Result<Outcome, String> {
    let status = status.parse::<StatusCode>().map_err(|_| format!("{status:?} is no status"))?;
    let body = body.clone().unwrap_or_default();
    Ok(Outcome::Respond(Respond { status, content_type: content_type.clone(), body: body.into() }))
}

/// What transforms make of host and path.
///
/// # Errors
/// When one of them cannot be done: the targets would get what they were not to get.
fn rewrites(transforms: &[Transform]) -> Result<(HostRewrite, PathRewrite), String> {
    let mut host = HostRewrite::Keep;
    let mut path = PathRewrite::Keep;
    for transform in transforms {
        match transform {
            Transform::Host(rewrites) => match rewrites.as_slice() {
                [(regex, name)]
                    if matches!(regex.as_str(), ".*" | "^.*$" | ".+" | "^.+$") && !name.contains('$') =>
                {
                    host = HostRewrite::To(name.clone());
                }
                _ => return Err("only a rewrite of the whole host by a fixed name is done here".to_owned()),
            },
            Transform::Url(rewrites) => match rewrites.as_slice() {
                [(regex, replacement)] => {
                    let pattern = Pattern::new(regex).map_err(|error| error.to_string())?;
                    path = PathRewrite::Regex(pattern, groups(replacement));
                }
                _ => return Err("one rewrite of the URL is done, not several".to_owned()),
            },
        }
    }
    Ok((host, path))
}

/// `$1` as the model writes it, `\1`.
fn groups(replacement: &str) -> String {
    let escaped = replacement.replace('\\', r"\\");
    let mut result = String::new();
    let mut characters = escaped.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '$' if characters.peek().is_some_and(char::is_ascii_digit) => result.push('\\'),
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(redirect: &Redirect) -> Result<String, String> {
        match redirection(redirect)? {
            Outcome::Redirect(redirect) => Ok(format!("{:?}", redirect.location.expect("always there"))),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn redirects_are_whole_urls() {
        let redirect = Redirect {
            protocol: Some("HTTPS".to_owned()),
            host: None,
            port: Some("443".to_owned()),
            path: None,
            query: None,
            status: "HTTP_301".to_owned(),
        };
        assert_eq!(location(&redirect), Ok(r##""https://#{host}:443/#{path}?#{query}""##.to_owned()));
        let bare = Redirect { query: Some(String::new()), path: Some("/x".to_owned()), ..redirect.clone() };
        assert_eq!(location(&bare), Ok(r##""https://#{host}:443/x""##.to_owned()));
        assert!(location(&Redirect { status: "HTTP_307".to_owned(), ..redirect.clone() }).is_err());
        assert!(location(&Redirect { host: Some("#{hots}".to_owned()), ..redirect }).is_err());
    }

    #[test]
    fn groups_are_written_the_models_way() {
        assert_eq!(groups("/$1/x$"), r"/\1/x$");
        assert_eq!(groups(r"a\b"), r"a\\b");
    }

    #[test]
    fn what_cannot_be_rewritten_is_refused() {
        let host =
            |regex: &str, to: &str| rewrites(&[Transform::Host(vec![(regex.to_owned(), to.to_owned())])]);
        assert_eq!(host("^.*$", "a.org").map(|found| found.0), Ok(HostRewrite::To("a.org".to_owned())));
        assert!(host("^(.*)$", "$1.org").is_err());
    }
}
