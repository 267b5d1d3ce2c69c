//! The getambassador.io dialect: Listeners, Hosts, Mappings and what belongs to them.

mod auth_service;
mod elsewhere;
mod group;
mod hosts;
mod listener;
mod mapping;
mod mappings;
mod memory;
mod module;
mod ours;
mod policy;
mod service;
mod tcp;
mod tls;
mod upstream;

use std::collections::HashSet;

use self::ours::Ours;
use self::tls::Contexts;
use crate::findings::Findings;

pub(crate) use self::memory::Memory;

/// Contexts for names that nobody serves (not even an object that is refused for another reason).
fn unused_contexts(ours: &Ours<'_>, contexts: &Contexts<'_>, findings: &mut Findings) {
    if contexts.hosts().next().is_none() {
        return;
    }
    let hosts = ours.hosts.iter().map(|host| host.spec.hostname.as_deref().unwrap_or("*"));
    let tcp = ours.tcp_mappings.iter().filter_map(|mapping| mapping.spec.host.as_deref());
    let names: HashSet<String> = hosts.chain(tcp).map(|name| name.trim().to_ascii_lowercase()).collect();
    for (host, contexts) in contexts.hosts() {
        if names.contains(host) {
            continue;
        }
        for context in contexts {
            let message = format!("no Host or TCPMapping is for '{host}'");
            let fix = "create a Host with this hostname";
            findings.note(context.object, "tls-context-without-host", "spec.hosts", message, fix);
        }
    }
}
