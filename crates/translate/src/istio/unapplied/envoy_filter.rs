//! EnvoyFilters: what each patch is for, told by the words in it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Unapplied;
use crate::findings::Findings;

/// One finding for everything that the filter is used for.
pub(super) fn tell(filter: &Unapplied<'_>, findings: &mut Findings) {
    let patches = filter.spec.get("configPatches").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (place, patch) in patches.iter().enumerate().filter(|(_, patch)| is_for_gateways(patch, filter)) {
        let field = format!("spec.configPatches[{place}]");
        let purposes = purposes(patch);
        for purpose in purposes.iter().filter(|purpose| told.insert(purpose.does)) {
            let message = format!("it {} by a patch of Envoy, which is not here", purpose.does);
            match purpose.guards {
                true => findings.error(filter.object, "not-applied", &field, message, purpose.here),
                false => findings.warn(filter.object, "not-applied", &field, message, purpose.here),
            }
        }
        if purposes.is_empty() {
            let fix = "say what it is for by a Gateway, a VirtualService or a DestinationRule, or leave it to a service";
            findings.warn(filter.object, "not-applied", &field, unknown(patch), fix);
        }
    }
}

/// Patches that say GATEWAY are; those that say nothing are where the gateway may be.
fn is_for_gateways(patch: &Value, filter: &Unapplied<'_>) -> bool {
    match patch.pointer("/match/context").and_then(Value::as_str).unwrap_or("ANY") {
        "GATEWAY" => true,
        "ANY" => {
            let namespace = &*filter.object.id.namespace;
            namespace == filter.options.root_namespace || namespace == filter.options.namespace
        }
        _ => false,
    }
}

fn unknown(patch: &Value) -> String {
    let text = |pointer: &str| patch.pointer(pointer).and_then(Value::as_str);
    let what = text("/applyTo").unwrap_or("something");
    match (text("/patch/operation"), text("/patch/value/name")) {
        (Some("REMOVE"), _) => format!("it takes {what} out of Envoy, which is not here"),
        (_, Some(name)) => format!("it adds {name} ({what}) to Envoy, which is not here"),
        _ => format!("it changes {what} of Envoy, which is not here"),
    }
}

/// What patches are used for.
#[derive(Debug)]
struct Purpose {
    /// Words of which one is in the patch.
    signs: &'static [&'static str],
    does: &'static str,
    here: &'static str,
    /// Who may not come in, comes in without it.
    guards: bool,
}

fn purposes(patch: &Value) -> Vec<&'static Purpose> {
    let removes = patch.pointer("/patch/operation").and_then(Value::as_str) == Some("REMOVE");
    let mut words = String::new();
    if !removes {
        collect(patch.pointer("/patch/value").unwrap_or(&Value::Null), &mut words);
    }
    PURPOSES.iter().filter(|purpose| purpose.signs.iter().any(|sign| words.contains(sign))).collect()
}

/// The names of fields, filters, types and headers, each between spaces, in one spelling: fields are written with `_` or
/// with capital letters.
fn collect(value: &Value, words: &mut String) {
    let mut add = |word: &str| {
        words.push(' ');
        words.extend(word.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()));
        words.push(' ');
    };
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(map) => {
            for (key, value) in map {
                add(key);
                if let (Some(text), "name" | "@type" | "type_url" | "typeUrl" | "key" | "stat_prefix") =
                    (value.as_str(), key.as_str())
                {
                    add(text);
                }
            }
            map.values().for_each(|value| collect(value, words));
        }
        _ => {}
    }
}

/// In the order in which they are told. Signs are as [`collect`] spells them.
const PURPOSES: &[Purpose] = &[
    Purpose {
        signs: &["ratelimit"],
        does: "limits the rate of requests",
        here: "there is no setting for it: limit it in the services, or in front of the gateway",
        guards: false,
    },
    Purpose {
        signs: &["filters.http.buffer", " maxrequestbytes "],
        does: "limits the size of bodies",
        here: "annotate the Gateway with plenipo.io/max-request-body",
        guards: false,
    },
    Purpose {
        signs: &["http.lua", " inlinecode "],
        does: "runs Lua over requests and answers",
        here: "write what it does to headers into headers of VirtualServices, and leave the rest to a service",
        guards: false,
    },
    Purpose {
        signs: &["compressor", "gzip", "brotli"],
        does: "compresses answers",
        here: "there is no setting for it: let the services compress",
        guards: false,
    },
    Purpose {
        signs: &["extauthz"],
        does: "asks a service whom to let in",
        here: "write an AuthorizationPolicy with action CUSTOM, and the service into extensionProviders",
        guards: true,
    },
    Purpose {
        signs: &["oauth2"],
        does: "signs users in",
        here: "write an AuthorizationPolicy with action CUSTOM that asks a service which does it (oauth2-proxy)",
        guards: true,
    },
    Purpose {
        signs: &["jwtauthn"],
        does: "verifies tokens",
        here: "write a RequestAuthentication",
        guards: true,
    },
    Purpose {
        signs: &["filters.http.rbac", "filters.network.rbac"],
        does: "decides who is let in",
        here: "write an AuthorizationPolicy",
        guards: true,
    },
    Purpose {
        signs: &["localreplyconfig"],
        does: "writes pages for errors",
        here: "there is no setting for it with VirtualServices: let the services write them",
        guards: false,
    },
    Purpose {
        signs: &[" accesslog "],
        does: "changes the access log",
        here: "write a Telemetry, or meshConfig.accessLogFile, accessLogFormat and accessLogEncoding",
        guards: false,
    },
    Purpose {
        signs: &["upstreamproxyprotocol"],
        does: "sends PROXY headers to upstreams",
        here: "write trafficPolicy.proxyProtocol into a DestinationRule",
        guards: false,
    },
    Purpose {
        signs: &["listener.proxyprotocol"],
        does: "takes PROXY headers from load balancers",
        here: "write gatewayTopology.proxyProtocol into meshConfig.defaultConfig",
        guards: false,
    },
    Purpose {
        signs: &[
            " xffnumtrustedhops ",
            " useremoteaddress ",
            " originalipdetectionextensions ",
            "originalip",
        ],
        does: "says which proxies in front are believed",
        here: "write gatewayTopology.numTrustedProxies into meshConfig.defaultConfig",
        guards: false,
    },
    Purpose {
        signs: &[" streamidletimeout ", " requesttimeout "],
        does: "limits the time of requests",
        here: "write timeout into the routes of VirtualServices",
        guards: false,
    },
    Purpose {
        signs: &[" idletimeout ", " maxconnectionduration "],
        does: "limits the time of connections",
        here: "annotate the Gateway with plenipo.io/idle-timeout and plenipo.io/max-connection-duration; towards \
               upstreams write connectionPool into a DestinationRule",
        guards: false,
    },
    Purpose {
        signs: &[" maxrequestheaderskb ", " maxheaderscount "],
        does: "limits the head of requests",
        here: "annotate the Gateway with plenipo.io/max-request-head",
        guards: false,
    },
    Purpose {
        signs: &[" serverheadertransformation ", " servername "],
        does: "changes the header server",
        here: "write proxyHeaders.server into meshConfig.defaultConfig",
        guards: false,
    },
    Purpose {
        signs: &["forwardclientcertdetails", "setcurrentclientcertdetails"],
        does: "tells services about client certificates",
        here: "write gatewayTopology.forwardClientCertDetails into meshConfig.defaultConfig",
        guards: false,
    },
    Purpose {
        signs: &[
            "strict-transport-security",
            "responseheaderstoadd",
            "responseheaderstoremove",
            "requestheaderstoadd",
            "requestheaderstoremove",
            "headermutation",
        ],
        does: "writes or removes headers",
        here: "write headers into the routes of VirtualServices",
        guards: false,
    },
    Purpose {
        signs: &["tcpkeepalive", "socketoptions"],
        does: "keeps connections alive",
        here: "towards upstreams write connectionPool.tcp.tcpKeepalive into a DestinationRule",
        guards: false,
    },
    Purpose {
        signs: &[" normalizepath ", " mergeslashes ", "pathwithescapedslashesaction"],
        does: "changes how paths are read",
        here: "write pathNormalization into meshConfig",
        guards: false,
    },
    Purpose {
        signs: &["http.cors"],
        does: "answers preflights",
        here: "write corsPolicy into the routes of VirtualServices",
        guards: false,
    },
    Purpose {
        signs: &["http.fault"],
        does: "injects faults",
        here: "write fault into the routes of VirtualServices",
        guards: false,
    },
    Purpose {
        signs: &[" retrypolicy ", " numretries "],
        does: "changes what is tried again",
        here: "write retries into the routes of VirtualServices",
        guards: false,
    },
    Purpose {
        signs: &[" circuitbreakers ", " outlierdetection ", " lbpolicy "],
        does: "changes how upstreams are chosen and guarded",
        here: "write a DestinationRule",
        guards: false,
    },
    Purpose {
        signs: &["downstreamtlscontext", " tlsparams "],
        does: "changes TLS towards clients",
        here: "write minProtocolVersion, maxProtocolVersion and cipherSuites into tls of the Gateway's server",
        guards: false,
    },
    Purpose {
        signs: &["upstreamtlscontext"],
        does: "changes TLS towards upstreams",
        here: "write trafficPolicy.tls into a DestinationRule",
        guards: false,
    },
    Purpose {
        signs: &[" accepthttp10 "],
        does: "lets clients speak HTTP/1.0",
        here: "write ISTIO_META_HTTP10: \"1\" into meshConfig.defaultConfig.proxyMetadata",
        guards: false,
    },
    Purpose {
        signs: &[" upgradeconfigs "],
        does: "allows upgrades",
        here: "remove it: WebSocket upgrades are allowed on every route",
        guards: false,
    },
    Purpose {
        signs: &["istio.stats", "statstags", "http.grpcstats"],
        does: "changes metrics",
        here: "there is no setting for it: the metrics tell routes, upstreams and statuses apart already",
        guards: false,
    },
    Purpose {
        signs: &["geoip"],
        does: "tells countries by addresses",
        here: "there is no setting for it: let the load balancer or a service do it",
        guards: false,
    },
    Purpose {
        signs: &["http.csrf"],
        does: "guards against forged requests of other sites",
        here: "there is no setting for it: let the services do it",
        guards: true,
    },
    Purpose {
        signs: &["http.wasm", "network.wasm"],
        does: "runs a WebAssembly module",
        here: "there is no setting for it: let a service behind the gateway do it",
        guards: false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_spelled_as_words_are() {
        for sign in PURPOSES.iter().flat_map(|purpose| purpose.signs) {
            assert!(!sign.contains('_') && !sign.contains(char::is_uppercase), "{sign}");
        }
    }

    #[test]
    fn fields_have_two_spellings_and_one_purpose() {
        for value in [
            serde_json::json!({"typed_config": {"xff_num_trusted_hops": 1}}),
            serde_json::json!({"typedConfig": {"xffNumTrustedHops": 1}}),
        ] {
            let found = purposes(&serde_json::json!({"patch": {"operation": "MERGE", "value": value}}));
            let found: Vec<&str> = found.iter().map(|purpose| purpose.does).collect();
            assert_eq!(found, ["says which proxies in front are believed"]);
        }
    }

    #[test]
    fn the_place_of_a_filter_says_nothing_of_what_it_is_for() {
        let patch = serde_json::json!({
            "match": {"listener": {"filterChain": {"filter": {"subFilter": {"name": "envoy.filters.http.cors"}}}}},
            "patch": {"operation": "INSERT_BEFORE", "value": {"name": "envoy.filters.http.lua"}},
        });
        let found: Vec<&str> = purposes(&patch).iter().map(|purpose| purpose.does).collect();
        assert_eq!(found, ["runs Lua over requests and answers"]);
    }
}
