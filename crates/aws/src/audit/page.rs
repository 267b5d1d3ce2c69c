//! An audit as a page to pin to the wall: HTML with a drawing, and nothing loaded from anywhere.

use std::fmt::Write as _;

use super::{Audit, Hop, Outcome, Party, Role, Way, text};

/// Width of a box, and of the space between two, in pixels.
const BOX: usize = 220;
const GAP: usize = 150;
/// Height of a lane.
const LANE: usize = 78;

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:2.5rem auto;max-width:1500px;padding:0 1.5rem;color:#1b1f24;background:#fff}\
h1{font-weight:650;font-size:1.7rem;margin:0 0 .3rem}h2{font:600 1.05rem ui-monospace,monospace;margin:0}\
section{border-top:1px solid #d8dee4;padding:1.1rem 0}p{margin:.25rem 0;color:#57606a}\
.legend span{display:inline-block;margin-right:1.6rem}.legend i{display:inline-block;width:2.2rem;height:4px;\
vertical-align:middle;margin-right:.5rem;border-radius:2px}\
.warn{color:#b42318;font-weight:600}svg{display:block;margin:.7rem 0;max-width:100%;height:auto}\
svg text{font:13px system-ui,sans-serif;fill:#1b1f24}svg .small{font-size:11px;fill:#57606a}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}p{color:#9198a1}section{border-color:#30363d}\
svg text{fill:#e6edf3}svg .small{fill:#9198a1}svg rect{fill:#161b22;stroke:#444c56}}\
@media print{section{break-inside:avoid}}";

const VERIFIED: &str = "#1a7f37";
const ANYBODY: &str = "#bf8700";
const CLEAR: &str = "#cf222e";

/// The page.
pub(super) fn page(audit: &Audit, title: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, audit, title);
    out
}

fn write(out: &mut String, audit: &Audit, title: &str) -> std::fmt::Result {
    let title = escaped(title);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\
         <h1>{title}</h1><p class=\"legend\">\
         <span><i style=\"background:{VERIFIED}\"></i>encrypted, the server is checked</span>\
         <span><i style=\"background:{ANYBODY}\"></i>encrypted, but to anybody</span>\
         <span><i style=\"background:{CLEAR}\"></i>clear text</span></p>"
    )?;
    for way in &audit.ways {
        section(out, way)?;
    }
    if audit.ways.is_empty() {
        out.push_str("<p>Nothing is reachable: no listener was accepted.</p>");
    }
    out.push_str("</body></html>\n");
    Ok(())
}

fn section(out: &mut String, way: &Way) -> std::fmt::Result {
    let sources = escaped(&way.sources.join(" · "));
    write!(out, "<section><h2>{}://{}</h2><p>{sources}</p>", way.scheme, escaped(&way.host))?;
    drawing(out, way)?;
    match &way.outcome {
        Outcome::Served => {
            let class = if way.client_address.trusted { "" } else { " class=\"warn\"" };
            write!(out, "<p{class}>Client address: {}</p>", escaped(&way.client_address.from))?;
        }
        Outcome::Redirected => out.push_str("<p>Redirected to https.</p>"),
        Outcome::Refused(why) => write!(out, "<p class=\"warn\">Refused: {}</p>", escaped(why))?,
        Outcome::Loops(why) => {
            write!(out, "<p class=\"warn\">Redirects without end: {}</p>", escaped(why))?;
        }
    }
    out.push_str("</section>");
    Ok(())
}

/// Boxes from left to right; backends one below the other.
fn drawing(out: &mut String, way: &Way) -> std::fmt::Result {
    let lanes = way.backends.len().max(1);
    let columns = way.hops.len() + 1 + usize::from(!way.backends.is_empty());
    let (width, height) = (columns * BOX + (columns - 1) * GAP, lanes * LANE);
    write!(out, "<svg viewBox=\"-1 -1 {} {}\" width=\"{}\" role=\"img\">", width + 2, height + 2, width + 2)?;
    let Some(first) = way.hops.first() else {
        out.push_str("</svg>");
        return Ok(());
    };
    party(out, 0, 0, &first.from)?;
    for (index, hop) in way.hops.iter().enumerate() {
        arrow(out, index, 0, 0, hop)?;
        party(out, index + 1, 0, &hop.to)?;
    }
    for (lane, hop) in way.backends.iter().enumerate() {
        arrow(out, way.hops.len(), 0, lane, hop)?;
        party(out, way.hops.len() + 1, lane, &hop.to)?;
    }
    out.push_str("</svg>");
    Ok(())
}

fn party(out: &mut String, column: usize, lane: usize, party: &Party) -> std::fmt::Result {
    let (x, y) = (column * (BOX + GAP), lane * LANE);
    let role = match party.role {
        Role::Client => "client",
        Role::LoadBalancer => "load balancer",
        Role::Gateway => "gateway",
        Role::Backend => "backend",
    };
    let place = party.port.map(|port| format!("{role}, port {port}")).unwrap_or_else(|| role.to_owned());
    let name = shortened(&party.name, 27);
    write!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"52\" rx=\"8\" fill=\"#f6f8fa\" stroke=\"#d0d7de\"/>\
         <text x=\"{}\" y=\"{}\">{}</text><text class=\"small\" x=\"{}\" y=\"{}\">{place}</text>",
        x + 12,
        y + 23,
        escaped(&name),
        x + 12,
        y + 41
    )
}

fn arrow(out: &mut String, column: usize, from: usize, to: usize, hop: &Hop) -> std::fmt::Result {
    let x = column * (BOX + GAP) + BOX;
    let (start, end) = (from * LANE + 26, to * LANE + 26);
    let colour = match &hop.tls {
        None => CLEAR,
        Some(_) if hop.is_verified() => VERIFIED,
        Some(_) => ANYBODY,
    };
    let label = match &hop.tls {
        None => format!("{}, clear text", hop.protocol),
        Some(tls) if tls.carried => format!("{}, TLS passes", hop.protocol),
        Some(tls) if tls.versions.len() < 10 => format!("{}, TLS {}", hop.protocol, tls.versions),
        // The name of a policy is too long for here: it is in the title.
        Some(_) => format!("{}, TLS", hop.protocol),
    };
    let dashes = if hop.tls.is_none() { " stroke-dasharray=\"7 5\"" } else { "" };
    let tip = x + GAP - 3;
    write!(
        out,
        "<g><title>{}</title><path d=\"M{} {start} C{} {start} {} {end} {tip} {end}\" fill=\"none\" \
         stroke=\"{colour}\" stroke-width=\"3\"{dashes}/><path d=\"M{} {} L{tip} {end} L{} {}\" fill=\"none\" \
         stroke=\"{colour}\" stroke-width=\"3\"/><text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
        escaped(&text::describe(hop)),
        x + 3,
        x + GAP / 2,
        x + GAP / 2,
        tip - 9,
        end - 6,
        tip - 9,
        end + 6,
        x + GAP / 2,
        end - 9,
        escaped(&shortened(&label, 24))
    )
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width - 1).collect();
    format!("{start}…")
}

/// Text as HTML: names come from objects that anybody may have written.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}
