//! What an idle connection costs in memory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::Effort;
use crate::accounting::memory;
use crate::load::{Load, ourselves};
use crate::material::KeyKind;
use crate::peer::{Peer, start_upstream};
use crate::results::IdleSample;
use crate::rounds::survive;
use crate::setup::{Back, Front, Ground};

/// Connections held open.
const CONNECTIONS: u64 = 5_000;

/// Opens connections that serve one request each and stay, in clear text and with TLS.
///
/// # Errors
/// When a proxy does not start or refuses connections.
pub(crate) fn measure(effort: &Effort) -> Result<Vec<IdleSample>> {
    let ground = Ground::prepare()?;
    let mut samples = Vec::new();
    for front in [Front::Http, Front::Https(KeyKind::EcdsaP256)] {
        for peer in &effort.peers {
            let mut failed = BTreeMap::new();
            let sample = one(*peer, front, &ground);
            let Some(sample) = survive(*peer, sample, &mut failed)? else { continue };
            println!("  {:8} {:6.1} KiB each, {} KiB base", sample.peer, sample.each, sample.base);
            samples.push(sample);
        }
    }
    Ok(samples)
}

fn one(peer: Peer, front: Front, ground: &Ground) -> Result<IdleSample> {
    let tls = front != Front::Http;
    let setup = ground.setup(peer, front, Back::Clear, 0)?;
    let _upstream = start_upstream(&setup)?;
    let proxy = peer.start(&setup)?;
    // What a proxy allocates once, by its first requests, is not the price of a connection.
    Load::http(16).run(&setup.target(), 1)?;
    let base = memory(proxy.id())?;
    let mut command = ourselves(setup.load_cores())?;
    command.args(["load", "idle", "--target", &setup.address().to_string()]);
    command.args(["--connections", &CONNECTIONS.to_string()]);
    if tls {
        command.arg("--tls");
    }
    let mut clients = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let mut output = BufReader::new(clients.stdout.take().context("no output")?);
    output.read_line(&mut line)?;
    let with = memory(proxy.id());
    // The end of its standard input lets it go.
    drop(clients.stdin.take());
    ensure!(clients.wait()?.success() && line.trim() == "open", "the connections could not be opened");
    let each = with?.saturating_sub(base) as f64 / CONNECTIONS as f64;
    Ok(IdleSample { peer: peer.to_string(), tls, base, each })
}
