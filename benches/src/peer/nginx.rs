//! nginx.

use std::fmt::Write;
use std::fs;

use anyhow::Result;

use crate::setup::{Back, Front, Setup};

/// Where Debian puts the module that relays bytes.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

pub(super) fn configure(setup: &Setup) -> Result<Vec<String>> {
    write_config(setup, None)?;
    let folder = setup.folder.display();
    Ok(vec!["-p".into(), folder.to_string(), "-c".into(), format!("{folder}/nginx.conf")])
}

/// The caller signals the process to read its files again.
pub(super) fn prepare_route(setup: &Setup, host: &str, prefix: &str) -> Result<()> {
    write_config(setup, Some((host, prefix)))
}

fn write_config(setup: &Setup, added: Option<(&str, &str)>) -> Result<()> {
    let load = if setup.is_relay() { format!("load_module {STREAM_MODULE};\n") } else { String::new() };
    let body = if setup.is_relay() { stream(setup) } else { http(setup, added)? };
    let config = format!(
        "{load}daemon off;
user root;
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 18000; }}
{body}",
        folder = setup.folder.display(),
        workers = setup.workers,
    );
    Ok(fs::write(setup.folder.join("nginx.conf"), config)?)
}

fn stream(setup: &Setup) -> String {
    format!(
        "stream {{
  server {{ listen {address}{tls}; proxy_pass {upstream}; }}
}}
",
        address = setup.address(),
        tls = certificate(setup),
        upstream = setup.upstream,
    )
}

fn http(setup: &Setup, added: Option<(&str, &str)>) -> Result<String> {
    let folder = setup.folder.display();
    let scheme = if setup.back == Back::MutualTls { "https" } else { "http" };
    let client = setup.material.file("client");
    let client_certificate = match setup.back {
        Back::MutualTls => {
            format!("  proxy_ssl_certificate {client}.crt;\n  proxy_ssl_certificate_key {client}.key;\n")
        }
        Back::Clear | Back::Relay => String::new(),
    };
    let mut http = format!(
        "http {{
  access_log off;
  keepalive_requests 1000000000;
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_temp_path {folder}/proxy; client_body_temp_path {folder}/body; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{client_certificate}  upstream one {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
",
        upstream = setup.upstream,
    );
    let listen = format!("listen {}{}", setup.address(), certificate(setup));
    if setup.routes == 0 {
        writeln!(http, "  server {{ {listen}; location / {{ proxy_pass {scheme}://one; }} }}")?;
    }
    for (host, prefixes) in setup.hosts() {
        write!(http, "  server {{ {listen}; server_name {host};")?;
        let more = added.filter(|(name, _)| *name == host).map(|(_, prefix)| prefix.to_owned());
        for prefix in prefixes.into_iter().chain(more) {
            write!(http, " location {prefix} {{ proxy_pass {scheme}://one; }}")?;
        }
        writeln!(http, " location / {{ return 404; }} }}")?;
    }
    Ok(http + "}\n")
}

/// What follows the address in `listen`, certificate included.
fn certificate(setup: &Setup) -> String {
    let Some(kind) = setup.key() else { return String::new() };
    let protocol = if matches!(setup.front, Front::Https(_)) { " http2" } else { "" };
    let file = setup.material.server_file(kind);
    format!(
        " ssl{protocol}; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {file}.crt; ssl_certificate_key {file}.key"
    )
}
