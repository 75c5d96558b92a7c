//! Networks as operators write them: an address and how many bits of it count (CIDR).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    bits: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It has not the form.
    #[error("is not an address or ADDRESS/BITS, such as \"192.0.2.0/24\" or \"2001:db8::/32\"")]
    Form,
    /// The address has bits beyond those that count: which network was meant is not clear.
    #[error("has bits beyond its prefix")]
    BeyondPrefix,
    /// An IPv4 address written as IPv6, which no peer has here.
    #[error("is an IPv4-mapped address: write it as IPv4")]
    Mapped,
}

impl Network {
    /// Whether the address is one of it; an IPv4-mapped one as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether it is the whole internet.
    pub const fn is_everything(&self) -> bool {
        self.bits == 0
    }

    fn beyond_prefix(&self) -> bool {
        let ones = match self.address {
            IpAddr::V4(own) => u32::from(own).trailing_zeros(),
            IpAddr::V6(own) => u128::from(own).trailing_zeros(),
        };
        ones + u32::from(self.bits) < most_bits(self.address)
    }
}

const fn most_bits(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok().ok_or(NetworkError::Form)?;
        if address.to_canonical() != address {
            return Err(NetworkError::Mapped);
        }
        let most = most_bits(address);
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().ok_or(NetworkError::Form)?
            }
            Some(_) => return Err(NetworkError::Form),
        };
        let bits = u8::try_from(bits.min(most + 1)).ok();
        let bits = bits.filter(|bits| u32::from(*bits) <= most);
        let network = Self {
            address,
            bits: bits.ok_or(NetworkError::Form)?,
        };
        if network.beyond_prefix() {
            return Err(NetworkError::BeyondPrefix);
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_their_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0/24", "::ffff:192.0.2.1", "::192.0.2.1"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("2001:db8::7/128", "2001:db8::7", "2001:db8::6"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network}");
            assert!(!network.contains(outside.parse().unwrap()), "{network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
    }

    #[test]
    fn what_is_no_network_says_why() {
        for (text, why) in [
            ("", NetworkError::Form),
            ("mx.example", NetworkError::Form),
            ("192.0.2.0/", NetworkError::Form),
            ("192.0.2.0/33", NetworkError::Form),
            ("192.0.2.0/+24", NetworkError::Form),
            ("192.0.2.0/99999999999", NetworkError::Form),
            ("2001:db8::/129", NetworkError::Form),
            ("192.0.2.1/24", NetworkError::BeyondPrefix),
            ("2001:db8::1/64", NetworkError::BeyondPrefix),
            ("::ffff:192.0.2.0/120", NetworkError::Mapped),
        ] {
            assert_eq!(text.parse::<Network>(), Err(why), "{text}");
        }
    }
}
