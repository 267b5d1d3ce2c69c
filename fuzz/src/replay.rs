//! Every committed input runs through its target once.

use std::fs;
use std::path::Path;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        run(&fs::read(&path).expect("an input"));
        inputs += 1;
    }
    assert!(inputs > 0, "no input in {}", folder.display());
}

#[test]
fn proxy_protocol() {
    replay("proxy_protocol", crate::proxy_protocol);
}

#[test]
fn client_hello() {
    replay("client_hello", crate::client_hello);
}

#[test]
fn path_host() {
    replay("path_host", crate::path_host);
}

#[test]
fn forwarded_for() {
    replay("forwarded_for", crate::forwarded_for);
}

#[test]
fn template() {
    replay("template", crate::template);
}

#[test]
fn token() {
    replay("token", crate::token);
}

#[test]
fn translate() {
    replay("translate", crate::translate);
}

#[test]
fn routes() {
    replay("routes", crate::routes);
}

#[test]
fn framing() {
    replay("framing", crate::framing);
}

#[test]
fn http1() {
    replay("http1", crate::http1);
}

#[test]
fn http2() {
    replay("http2", crate::http2);
}
