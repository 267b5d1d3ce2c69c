//! The getambassador.io dialect: Listeners, Hosts, Mappings and what belongs to them.

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

/// Authorisation is not there yet: where it is asked for, nothing that needs it is served.
fn missing_authorisation(ours: &Ours<'_>, findings: &mut Findings) -> bool {
    for service in &ours.auth_services {
        let message =
            "external authorisation is not supported yet: every route without bypass_auth answers 500"
                .to_owned();
        let fix = "remove the AuthService where another part of the system authorises requests";
        findings.refuse(service.object, "auth-not-supported", "", message, fix);
    }
    !ours.auth_services.is_empty() || findings.unreadable("AuthService")
}

/// Contexts for names that nobody serves (not even an object that is refused for another reason).
fn unused_contexts(ours: &Ours<'_>, contexts: &Contexts<'_>, findings: &mut Findings) {
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
