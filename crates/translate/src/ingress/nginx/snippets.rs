//! Snippets of nginx' own configuration: said to have no effect, with what does the same here.

use super::annotations::Annotations;

/// Directives that keep somebody out: without them, requests would come in that are not meant to.
const PROTECTING: [&str; 14] = [
    "deny",
    "allow",
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "satisfy",
    "limit_except",
    "internal",
    "modsecurity",
    "secure_link",
    "valid_referers",
    "ssl_verify_client",
    "access_by_lua",
    "geoip",
];

/// Directives, and what does the same here.
const NATIVE: [(&str, &str); 12] = [
    ("more_set_headers", "write the fields into a ConfigMap, and name it in custom-headers"),
    ("add_header", "write the fields into a ConfigMap, and name it in custom-headers"),
    ("proxy_set_header host", "write upstream-vhost"),
    ("rewrite", "write rewrite-target"),
    ("client_max_body_size", "write proxy-body-size"),
    ("proxy_read_timeout", "write proxy-read-timeout"),
    ("proxy_send_timeout", "write proxy-send-timeout"),
    ("proxy_connect_timeout", "write proxy-connect-timeout"),
    ("proxy_next_upstream", "write proxy-next-upstream"),
    ("return 30", "write permanent-redirect or temporal-redirect"),
    ("server_name", "write server-alias"),
    ("proxy_ssl", "write the proxy-ssl annotations"),
];

pub(super) fn read(annotations: &mut Annotations<'_, '_>) {
    for name in ["configuration-snippet", "server-snippet", "stream-snippet", "modsecurity-snippet"] {
        let Some(text) = annotations.text(name) else { continue };
        let lower = text.to_ascii_lowercase();
        let words = || lower.split(['\n', ';', '{', '}']).map(str::trim);
        let refuses = |directive: &str| {
            PROTECTING.iter().any(|word| directive.starts_with(word)) || directive.starts_with("return 4")
        };
        if let Some(directive) = words().find(|directive| refuses(directive)) {
            let message = format!("'{directive}' keeps requests out, and snippets are not carried out");
            let fix =
                "write denylist-source-range, whitelist-source-range or auth-url, and remove the snippet";
            annotations.close(name, &message, fix);
            continue;
        }
        let native = NATIVE.iter().find(|(directive, _)| words().any(|one| one.starts_with(directive)));
        let fix = native.map_or("remove it, or let the service do it", |(_, fix)| fix);
        annotations.unapplied(name, "nginx' own configuration means nothing here".to_owned(), fix);
    }
}
