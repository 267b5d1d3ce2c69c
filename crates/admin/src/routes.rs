//! The route table as people read it: in match order.

use plenipo_model::{
    Accepts, Action, Chain, ChainTls, Edge, HostRewrite, InsecureAction, Listener, PathMatch, PathRewrite,
    PortFrom, Redirect, RedirectPath, Route, RouteMatch, Serve, Source, Target, TcpTarget, ValueMatch,
    VirtualHost,
};
use serde::Serialize;

/// One line of the table. Rows of one listener, chain and host are in the order in which they are tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RouteRow {
    /// Name of the listener.
    pub listener: String,
    /// `https`, `http`, `tcp`, `tls`, `tls-passthrough`, or `tls-broken` when handshakes are refused.
    pub protocol: &'static str,
    /// Host pattern; for TCP the server names.
    pub host: String,
    /// What happens to a request of this host that is not secure: `redirect`, `route`, `reject`.
    pub insecure: Option<&'static str>,
    /// Place in the order of the host, from 1.
    pub order: usize,
    /// Name of the route.
    pub route: String,
    /// Path as matched: `prefix /foo`, `exact /foo`, `regex /fo+`.
    pub path: String,
    /// Everything else that must hold: `method=GET`, `x-a=b`, `?q=1`, `host=…`, `10%`.
    pub also: Vec<String>,
    /// What happens: `quote.default:80 70%`, `redirect 301 …`, `answer 404`.
    pub action: String,
    /// Who asked for it.
    pub source: Source,
}

/// The table of everything the edge routes: listeners in order of address, hosts and routes in order of precedence.
pub fn route_table(edge: &Edge) -> Vec<RouteRow> {
    edge.listeners
        .iter()
        .flat_map(|listener| listener.chains.iter().map(move |chain| (listener, chain)))
        .flat_map(|(listener, chain)| match &chain.serve {
            Serve::Http(server) => {
                server.hosts.iter().flat_map(|host| host_rows(listener, chain, host)).collect::<Vec<_>>()
            }
            Serve::Tcp(route) => vec![relay_row(listener, chain, &route.name, &route.source, &route.targets)],
            Serve::Udp(route) => vec![relay_row(listener, chain, &route.name, &route.source, &route.targets)],
        })
        .collect()
}

fn host_rows(listener: &Listener, chain: &Chain, host: &VirtualHost) -> Vec<RouteRow> {
    let insecure = match host.insecure {
        InsecureAction::Redirect => "redirect",
        InsecureAction::Route => "route",
        InsecureAction::Reject => "reject",
    };
    let row = |(index, route): (usize, &std::sync::Arc<Route>)| RouteRow {
        listener: listener.name.clone(),
        protocol: protocol(chain),
        host: host.host.to_string(),
        insecure: Some(insecure),
        order: index + 1,
        route: route.name.to_string(),
        path: path(&route.matches.path),
        also: conditions(&route.matches),
        action: host.refuse.as_ref().map_or_else(
            || action(&route.action),
            |refusal| format!("refused {} ({})", refusal.status, refusal.reason),
        ),
        source: route.source.clone(),
    };
    host.routes.iter().enumerate().map(row).collect()
}

fn relay_row(
    listener: &Listener,
    chain: &Chain,
    name: &str,
    source: &Source,
    targets: &[TcpTarget],
) -> RouteRow {
    let host = match &chain.accepts {
        Accepts::Tls(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        Accepts::ClearText | Accepts::Anything => "*".to_owned(),
    };
    let total = targets.iter().map(|target| target.weight).sum();
    let shares = targets.iter().map(|target| share(&target.cluster, target.weight, total));
    RouteRow {
        listener: listener.name.clone(),
        protocol: protocol(chain),
        host,
        insecure: None,
        order: 1,
        route: name.to_owned(),
        path: String::new(),
        also: Vec::new(),
        action: shares.collect::<Vec<_>>().join(", "),
        source: source.clone(),
    }
}

fn protocol(chain: &Chain) -> &'static str {
    match (&chain.tls, &chain.serve, &chain.accepts) {
        (ChainTls::Broken(_), _, _) => "tls-broken",
        (_, Serve::Udp(_), _) => "udp",
        (ChainTls::Terminate(_), Serve::Http(_), _) => "https",
        (ChainTls::Terminate(_), Serve::Tcp(_), _) => "tls",
        (ChainTls::Untouched, Serve::Http(_), _) => "http",
        (ChainTls::Untouched, Serve::Tcp(_), Accepts::Tls(_)) => "tls-passthrough",
        (ChainTls::Untouched, Serve::Tcp(_), _) => "tcp",
    }
}

fn path(matches: &PathMatch) -> String {
    let kind = match matches {
        PathMatch::Exact(_) => "exact",
        PathMatch::Prefix(_) => "prefix",
        PathMatch::Segments(_) => "segments",
        PathMatch::ExactIgnoreCase(_) => "exact (any case)",
        PathMatch::PrefixIgnoreCase(_) => "prefix (any case)",
        PathMatch::Regex(_) => "regex",
    };
    format!("{kind} {}", matches.text())
}

fn conditions(matches: &RouteMatch) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(matches.host.as_ref().map(|host| format!("host{}", value(host))));
    all.extend(matches.method.as_ref().map(|method| format!("method{}", value(method))));
    all.extend(matches.authority.as_ref().map(|authority| format!("authority{}", value(authority))));
    all.extend(matches.scheme.as_ref().map(|scheme| format!("scheme{}", value(scheme))));
    all.extend(matches.headers.iter().map(|header| {
        let not = if header.invert { "not " } else { "" };
        format!("{not}{}{}", header.name, value(&header.value))
    }));
    all.extend(matches.query.iter().map(|query| format!("?{}{}", query.name, value(&query.value))));
    all.extend(matches.claims.iter().map(|claim| {
        let not = if claim.invert { "not " } else { "" };
        format!("{not}claim {}{}", claim.path.join("."), value(&claim.value))
    }));
    all.extend(matches.fraction.map(|fraction| format!("{}%", f64::from(fraction.0) / 10_000.0)));
    all
}

fn value(matches: &ValueMatch) -> String {
    match matches {
        ValueMatch::Exact(text) => format!("={text}"),
        ValueMatch::Prefix(text) => format!("={text}…"),
        ValueMatch::Regex(pattern) => format!("~{}", pattern.as_str()),
        ValueMatch::Present => " present".to_owned(),
        ValueMatch::Host(pattern) => format!("={pattern}"),
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Forward(forward) => {
            let targets = forward.targets.iter().map(|target| self::target(target, forward.total));
            let mirrors = forward.mirrors.iter().map(|mirror| {
                let percent = f64::from(mirror.part.0) / 10_000.0;
                format!("copy {percent}% to {}", mirror.cluster)
            });
            targets.chain(mirrors).collect::<Vec<_>>().join(", ")
        }
        Action::Redirect(redirect) => format!("redirect {} {}", redirect.status.as_u16(), location(redirect)),
        Action::Respond(respond) => format!("answer {}", respond.status.as_u16()),
    }
}

/// What of the request's URL stays is in parentheses; the query is not spoken of.
fn location(redirect: &Redirect) -> String {
    if let Some(location) = &redirect.location {
        return location.text().to_owned();
    }
    let scheme = redirect.scheme.as_deref().unwrap_or("(scheme)");
    let host = redirect.host.as_deref().unwrap_or("(host)");
    let port = match (redirect.port, redirect.port_from) {
        (Some(port), _) => format!(":{port}"),
        (None, PortFrom::Request) => ":(port)".to_owned(),
        (None, PortFrom::Host | PortFrom::Scheme) => String::new(),
    };
    let path = match &redirect.path {
        RedirectPath::Keep => "(path)".to_owned(),
        RedirectPath::To(path) => path.clone(),
        RedirectPath::Matched(new) => format!("{new}(rest)"),
        RedirectPath::Regex(pattern, new) => format!("(path as s/{}/{new}/)", pattern.as_str()),
    };
    format!("{scheme}://{host}{port}{path}")
}

fn target(target: &Target, total: u32) -> String {
    let mut text = share(&target.cluster, target.weight, total);
    match &target.rewrite {
        PathRewrite::Keep => {}
        PathRewrite::Matched(new) | PathRewrite::Segments(new) => {
            text.push_str(&format!(" as {}", if new.is_empty() { "(nothing)" } else { new }));
        }
        PathRewrite::Regex(pattern, new) => text.push_str(&format!(" as s/{}/{new}/", pattern.as_str())),
    }
    match &target.host {
        HostRewrite::Keep => {}
        HostRewrite::To(host) => text.push_str(&format!(" host {host}")),
        HostRewrite::Upstream => text.push_str(" host of upstream"),
    }
    text
}

fn share(cluster: &str, weight: u32, total: u32) -> String {
    if weight >= total {
        return cluster.to_owned();
    }
    format!("{cluster} {weight}/{total}")
}
