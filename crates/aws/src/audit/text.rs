//! An audit for people at a terminal.

use std::fmt::Write as _;

use super::{Audit, Checked, ClientShows, Hop, Outcome, Role, Way};

/// One paragraph for every way.
pub(super) fn text(audit: &Audit) -> String {
    if audit.ways.is_empty() {
        return "nothing is reachable: no listener was accepted\n".to_owned();
    }
    let mut out = String::new();
    for (index, way) in audit.ways.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = paragraph(&mut out, way);
    }
    let served = audit.ways.iter().filter(|way| way.outcome == Outcome::Served);
    let open = served.clone().filter(|way| !way.is_encrypted()).count();
    let _ = writeln!(
        out,
        "\n{} way{}, {} reach a backend, {open} of them with a hop in clear text",
        audit.ways.len(),
        if audit.ways.len() == 1 { "" } else { "s" },
        served.count()
    );
    out
}

fn paragraph(out: &mut String, way: &Way) -> std::fmt::Result {
    writeln!(out, "{}://{}  [{}]", way.scheme, way.host, way.sources.join(", "))?;
    for hop in way.all_hops() {
        writeln!(out, "  {} {} → {}: {}", mark(hop), hop.from, hop.to, describe(hop))?;
    }
    match &way.outcome {
        Outcome::Served => {
            let trust = if way.client_address.trusted { "" } else { "  ! not to be trusted" };
            writeln!(out, "    client address: {}{trust}", way.client_address.from)
        }
        Outcome::Redirected => writeln!(out, "    redirected to https"),
        Outcome::Refused(why) => writeln!(out, "  ! refused: {why}"),
        Outcome::Loops(why) => writeln!(out, "  ! redirects without end: {why}"),
    }
}

/// `+` verified, `~` encrypted to anybody, `!` clear text.
fn mark(hop: &Hop) -> char {
    match &hop.tls {
        None => '!',
        Some(_) if hop.is_verified() => '+',
        Some(_) => '~',
    }
}

/// What protects a hop, in words.
pub(super) fn describe(hop: &Hop) -> String {
    let Some(tls) = &hop.tls else { return format!("{} in clear text", hop.protocol) };
    let carried = if tls.carried { " (passes through)" } else { "" };
    let server = match &tls.server {
        Checked::ByClient => "checked by the client".to_owned(),
        Checked::Against(what) => format!("checked against {what}"),
        Checked::No => "checked by nobody".to_owned(),
    };
    let client = match (tls.client, &tls.client_name) {
        (ClientShows::Nothing, _) => String::new(),
        (ClientShows::Unverified, _) => "; a client certificate is asked for, unverified".to_owned(),
        (ClientShows::Optional, _) => "; a client certificate is optional".to_owned(),
        (ClientShows::Required, Some(name)) if hop.from.role == Role::Gateway => {
            format!("; the gateway shows its own, {name}")
        }
        (ClientShows::Required, _) if hop.from.role == Role::Gateway => {
            "; the gateway shows its own".to_owned()
        }
        (ClientShows::Required, _) => "; a client certificate is required".to_owned(),
    };
    format!(
        "{} over TLS {}{carried}, certificate {}, {server}{client}",
        hop.protocol, tls.versions, tls.certificate
    )
}
