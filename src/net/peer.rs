//! What a peer is counted with: whoever has one address of a network can have the others.

use std::net::{IpAddr, Ipv6Addr};

/// What one subscriber has: the IPv4 address, or the /64 of an IPv6 address. Sessions are counted
/// by it: the relays of a provider, side by side in one /24, have each their own.
pub fn subscriber_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(first_64_bits(address)),
    }
}

/// What one organisation has at least: the /24 of an IPv4 address, or the /64 of an IPv6 address.
/// Memory is shared out by it: nobody gets more by sending from the address next door.
pub fn neighbourhood_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(address) => IpAddr::V6(first_64_bits(address)),
    }
}

fn first_64_bits(address: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, d, ..] = address.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_counted_with_those_who_are_the_same() {
        for (peer, subscriber, neighbourhood) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.0"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1:2::"),
            ("::1", "::", "::"),
        ] {
            let ip = |text: &str| text.parse::<IpAddr>().unwrap();
            assert_eq!(subscriber_of(ip(peer)), ip(subscriber), "{peer}");
            assert_eq!(neighbourhood_of(ip(peer)), ip(neighbourhood), "{peer}");
        }
    }
}
