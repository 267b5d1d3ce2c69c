//! Where the Pods of tests are: the API server refuses 127.0.0.0/8 and 169.254.0.0/16 in EndpointSlices.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::LazyLock;

/// Not routed anywhere (RFC 2544, for benchmarks).
const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

pub(super) fn address() -> IpAddr {
    static ADDRESS: LazyLock<IpAddr> = LazyLock::new(|| way_out().unwrap_or_else(added));
    *ADDRESS
}

/// The address of this machine from which it would speak to the world (nothing is sent: connecting a UDP socket only looks
/// up the route).
fn way_out() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    let usable = matches!(address, IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local());
    usable.then_some(address)
}

/// Without a network, what is sent to an address of our own stays here if the kernel is told so, which root may.
fn added() -> IpAddr {
    let mut command = Command::new("ip");
    command.args(["route", "replace", "local", &format!("{OWN}/32"), "dev", "lo"]);
    let ended = command.output().expect("`ip` (iproute2) adds an address where there is no network");
    assert!(
        ended.status.success(),
        "no network, and no address can be added: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    OWN.into()
}
