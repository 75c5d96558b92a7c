//! The PROXY protocol's header, versions 1 and 2, as a value: what a proxy says of the connection
//! that it hands on ("The PROXY protocol", sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of the longest header of version 1, with its line end.
pub const LONGEST_V1: usize = 107;
/// Octets of the longest header of version 2 that is read: its fixed part and 2 KiB of addresses
/// and additions, which nobody needs to be long.
pub const LONGEST: usize = FIXED_V2 + 2048;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Who connected to the proxy; an IPv4-mapped address as IPv4.
    Peer(SocketAddr),
    /// Nothing (`UNKNOWN`), the proxy itself (`LOCAL`), or no address of the internet: the peer is
    /// the one that is connected.
    Itself,
}

/// Why something is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It begins otherwise.
    #[error("no PROXY header")]
    NoHeader,
    /// The line is longer than the protocol allows, or has no proper end.
    #[error("a PROXY line without its end")]
    Endless,
    /// The line's words are not those of the protocol.
    #[error("a PROXY line with wrong words")]
    Words,
    /// A number of version 2 is none of the protocol.
    #[error("a PROXY header with an unknown version, command or family")]
    Unknown,
    /// The length of version 2 does not fit what it holds, or is too great.
    #[error("a PROXY header with a wrong length")]
    Length,
}

/// Reads the header that `octets` begin with: what it says and how long it is. `None`: more is
/// needed, and all that is there belongs to it.
pub fn read(octets: &[u8]) -> Result<Option<(Told, usize)>, Malformed> {
    if begins(octets, SIGNATURE_V2) {
        return version_2(octets);
    }
    if begins(octets, SIGNATURE_V1) {
        return version_1(octets);
    }
    Err(Malformed::NoHeader)
}

/// Whether `octets` begin with `signature`, as far as both go.
fn begins(octets: &[u8], signature: &[u8]) -> bool {
    octets.iter().zip(signature).all(|(a, b)| a == b)
}

fn version_1(octets: &[u8]) -> Result<Option<(Told, usize)>, Malformed> {
    let within = octets.get(..LONGEST_V1).unwrap_or(octets);
    let Some(end) = within.iter().position(|&octet| octet == b'\n') else {
        let is_longest = within.len() == LONGEST_V1;
        return if is_longest || has_bare_return(within) {
            Err(Malformed::Endless)
        } else {
            Ok(None)
        };
    };
    let line = within.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.ok_or(Malformed::Endless)?;
    if line.contains(&b'\r') {
        return Err(Malformed::Endless);
    }
    let text = line.strip_prefix(SIGNATURE_V1).ok_or(Malformed::Words)?;
    let text = std::str::from_utf8(text).map_err(|_not_text| Malformed::Words)?;
    Ok(Some((words(text)?, end + 1)))
}

/// A CR that another octet than LF follows.
fn has_bare_return(octets: &[u8]) -> bool {
    let before_last = octets.split_last().map_or(octets, |(_, rest)| rest);
    before_last.contains(&b'\r')
}

/// What stands behind `PROXY `: one space between words, nothing else.
fn words(text: &str) -> Result<Told, Malformed> {
    // Whatever follows UNKNOWN is to be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(Told::Itself);
    }
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(Malformed::Words);
    let (family, source, destination, source_port, destination_port) =
        (word()?, word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Malformed::Words);
    }
    let address: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(Malformed::Words),
    };
    let source = address(source).ok_or(Malformed::Words)?;
    address(destination).ok_or(Malformed::Words)?;
    port(destination_port).ok_or(Malformed::Words)?;
    let port = port(source_port).ok_or(Malformed::Words)?;
    Ok(peer(source, port))
}

/// Decimal without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    (is_plain && !has_zeros)
        .then(|| text.parse().ok())
        .flatten()
}

fn version_2(octets: &[u8]) -> Result<Option<(Told, usize)>, Malformed> {
    let Some((fixed, rest)) = octets.split_first_chunk::<FIXED_V2>() else {
        return Ok(None);
    };
    let [.., version_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = FIXED_V2 + length;
    if whole > LONGEST {
        return Err(Malformed::Length);
    }
    let Some(block) = rest.get(..length) else {
        // What is wrong already is not waited for.
        return told_v2(version_command, family, None).map(|_told| None);
    };
    Ok(told_v2(version_command, family, Some(block))?.map(|told| (told, whole)))
}

/// What version 2 says; `None` as long as its addresses are not there.
fn told_v2(
    version_command: u8,
    family: u8,
    block: Option<&[u8]>,
) -> Result<Option<Told>, Malformed> {
    match version_command {
        LOCAL => return Ok(block.map(|_ignored| Told::Itself)),
        PROXY => {}
        _ => return Err(Malformed::Unknown),
    }
    let read: fn(&[u8]) -> Option<Told> = match family {
        TCP_OVER_IPV4 => ipv4,
        TCP_OVER_IPV6 => ipv6,
        UNIX_STREAM => |block| block.get(..UNIX_OCTETS).map(|_paths| Told::Itself),
        UNSPECIFIED => |_block| Some(Told::Itself),
        _ => return Err(Malformed::Unknown),
    };
    match block {
        None => Ok(None),
        Some(block) => read(block).map(Some).ok_or(Malformed::Length),
    }
}

/// Source, destination, their ports.
fn ipv4(block: &[u8]) -> Option<Told> {
    let (source, rest) = block.split_first_chunk::<4>()?;
    let (_destination, rest) = rest.split_first_chunk::<4>()?;
    let ([high, low, ..], _) = rest.split_first_chunk::<4>()?;
    Some(peer(
        IpAddr::from(*source),
        u16::from_be_bytes([*high, *low]),
    ))
}

fn ipv6(block: &[u8]) -> Option<Told> {
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (_destination, rest) = rest.split_first_chunk::<16>()?;
    let ([high, low, ..], _) = rest.split_first_chunk::<4>()?;
    Some(peer(
        IpAddr::from(*source),
        u16::from_be_bytes([*high, *low]),
    ))
}

fn peer(source: IpAddr, port: u16) -> Told {
    Told::Peer(SocketAddr::new(source.to_canonical(), port))
}

const SIGNATURE_V1: &[u8] = b"PROXY ";
const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED_V2: usize = 16;
/// Version 2 in the high half, the command in the low one.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// The family in the high half, the protocol in the low one.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
/// Two paths of 108 octets.
const UNIX_OCTETS: usize = 216;

#[cfg(test)]
mod tests;
