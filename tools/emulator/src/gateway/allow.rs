//! Networks by their addresses, and who is in them.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Networks(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u8,
}

impl Networks {
    /// Whether no network is named.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the networks has the address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address.to_canonical()))
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = (own.to_bits() ^ other.to_bits()).leading_zeros();
                differing >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = (own.to_bits() ^ other.to_bits()).leading_zeros();
                differing >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Networks {
    type Err = ();

    /// Networks with commas between them; nothing is no network.
    fn from_str(text: &str) -> Result<Networks, ()> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::parse).collect::<Result<_, _>>().map(Networks)
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| ())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { Ipv4Addr::BITS } else { 128 } as u8;
        let bits = bits.unwrap_or(most);
        if bits <= most { Ok(Network { address, bits }) } else { Err(()) }
    }
}

/// Who sent a request: the peer, or what the last proxy that is not trusted says of it (`X-Forwarded-For`).
pub(super) fn source(peer: IpAddr, forwarded: Option<&str>, trusted: &Networks) -> IpAddr {
    let mut source = peer;
    for hop in forwarded.into_iter().flat_map(|list| list.rsplit(',')) {
        if !trusted.contain(source) {
            break;
        }
        let Ok(address) = hop.trim().parse() else { break };
        source = address;
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(networks: &str, address: &str) -> bool {
        networks.parse::<Networks>().unwrap().contain(address.parse().unwrap())
    }

    #[test]
    fn addresses_are_in_their_networks() {
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("192.0.2.7", "192.0.2.7") && !has("192.0.2.7", "192.0.2.6"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "::1"));
        assert!(has("2001:db8::/33, ::1", "2001:db8:7fff::1") && !has("2001:db8::/33", "2001:db8:8000::1"));
        assert!(has("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!has("", "127.0.0.1"));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let peer = "127.0.0.1".parse().unwrap();
        let of = |trusted: &str, forwarded| source(peer, forwarded, &trusted.parse().unwrap()).to_string();
        assert_eq!(of("", Some("192.0.2.1")), "127.0.0.1");
        assert_eq!(of("127.0.0.1", None), "127.0.0.1");
        assert_eq!(of("127.0.0.1", Some("198.51.100.9, 192.0.2.1")), "192.0.2.1");
        assert_eq!(of("127.0.0.1,192.0.2.0/24", Some("198.51.100.9, 192.0.2.1")), "198.51.100.9");
    }
}
