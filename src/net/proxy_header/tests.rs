//! Tables of headers, and what holds for any octets.

use proptest::prelude::*;

use super::*;

fn told(text: &str) -> Told {
    Told::Peer(text.parse().unwrap())
}

/// A header of version 2.
fn v2(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE_V2, &[version_command, family], &length, block].concat()
}

fn block_v4() -> Vec<u8> {
    vec![192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0, 25]
}

fn block_v6(source: &str) -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets().to_vec();
    [address(source), address("2001:db8::1"), vec![1, 0, 0, 25]].concat()
}

fn good() -> Vec<(Vec<u8>, Told)> {
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                   ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535";
    let with_additions = [block_v4(), vec![4, 0, 3, 1, 2, 3]].concat();
    vec![
        (
            line("PROXY TCP4 192.0.2.7 198.51.100.1 40000 25"),
            told("192.0.2.7:40000"),
        ),
        (
            line("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535"),
            told("255.255.255.255:0"),
        ),
        (
            line("PROXY TCP6 2001:db8::7 2001:db8::1 40000 25"),
            told("[2001:db8::7]:40000"),
        ),
        (
            line("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 25"),
            told("192.0.2.7:1"),
        ),
        (line("PROXY UNKNOWN"), Told::Itself),
        (line("PROXY UNKNOWN whatever\tit is"), Told::Itself),
        (line(longest), Told::Itself),
        (
            v2(PROXY, TCP_OVER_IPV4, &block_v4()),
            told("192.0.2.7:40000"),
        ),
        (
            v2(PROXY, TCP_OVER_IPV4, &with_additions),
            told("192.0.2.7:40000"),
        ),
        (
            v2(PROXY, TCP_OVER_IPV6, &block_v6("2001:db8::7")),
            told("[2001:db8::7]:256"),
        ),
        (
            v2(PROXY, TCP_OVER_IPV6, &block_v6("::ffff:192.0.2.7")),
            told("192.0.2.7:256"),
        ),
        (v2(PROXY, UNIX_STREAM, &[0; UNIX_OCTETS]), Told::Itself),
        (v2(PROXY, UNSPECIFIED, &[]), Told::Itself),
        (v2(LOCAL, TCP_OVER_IPV4, &block_v4()), Told::Itself),
        (v2(LOCAL, 0xff, &[1; 2048]), Told::Itself),
    ]
}

// A-155: the header ends where it ends, whatever follows, and no sooner.
#[test]
fn good_headers_are_read_whole_and_no_further() {
    let lengths: Vec<usize> = good().iter().map(|(header, _)| header.len()).collect();
    assert!(lengths.contains(&LONGEST_V1) && lengths.contains(&LONGEST));
    for (header, told) in good() {
        let shown = String::from_utf8_lossy(&header).into_owned();
        let followed = [header.as_slice(), b"EHLO client\r\n"].concat();
        assert_eq!(read(&followed), Ok(Some((told, header.len()))), "{shown}");
        for end in 0..header.len() {
            assert_eq!(read(&header[..end]), Ok(None), "{shown} until {end}");
        }
    }
}

// A-155
#[test]
fn what_is_no_header_is_told_apart() {
    let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_V1 - 15));
    for (octets, why) in [
        (&b"EHLO client\r\n"[..], Malformed::NoHeader),
        (b"PROXX", Malformed::NoHeader),
        (
            b"proxy TCP4 192.0.2.7 198.51.100.1 1 25\r\n",
            Malformed::NoHeader,
        ),
        (b"PROXY\t", Malformed::NoHeader),
        (b"\r\n\r\n\0\r\nQUIT\r", Malformed::NoHeader),
        (b"\x16\x03\x01", Malformed::NoHeader),
        (longer.as_bytes(), Malformed::Endless),
        (b"PROXY UNKNOWN\n", Malformed::Endless),
        (b"PROXY UNKNOWN\r ", Malformed::Endless),
        (b"PROXY UNKNOWN \r\r\n", Malformed::Endless),
        (b"PROXY \r\n", Malformed::Words),
        (b"PROXY UNKNOWNS\r\n", Malformed::Words),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", Malformed::Words),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 25 \r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4  192.0.2.7 198.51.100.1 1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.07 198.51.100.1 1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 2001:db8::7 198.51.100.1 1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.7 mx.example 1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP6 192.0.2.7 2001:db8::1 1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY UDP4 192.0.2.7 198.51.100.1 1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 01 25\r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 1 \r\n",
            Malformed::Words,
        ),
        (
            b"PROXY TCP4 192.0.2.\xff 198.51.100.1 1 25\r\n",
            Malformed::Words,
        ),
    ] {
        refused(octets, why);
    }
}

fn refused(octets: &[u8], why: Malformed) {
    let shown = String::from_utf8_lossy(octets);
    assert_eq!(read(octets), Err(why), "{shown:?}");
}

// A-155
#[test]
fn what_is_no_header_of_version_2_is_told_apart() {
    let mut too_long = v2(LOCAL, 0, &[0; 2048]);
    too_long[15] += 1;
    for (octets, why) in [
        (v2(0x11, TCP_OVER_IPV4, &block_v4()), Malformed::Unknown),
        (v2(0x22, TCP_OVER_IPV4, &block_v4()), Malformed::Unknown),
        (v2(PROXY, 0x12, &block_v4()), Malformed::Unknown),
        (v2(PROXY, 0x41, &block_v4()), Malformed::Unknown),
        (
            v2(PROXY, TCP_OVER_IPV4, &block_v4()[..11]),
            Malformed::Length,
        ),
        (v2(PROXY, TCP_OVER_IPV6, &block_v4()), Malformed::Length),
        (v2(PROXY, UNIX_STREAM, &[0; 215]), Malformed::Length),
        (too_long, Malformed::Length),
    ] {
        refused(&octets, why);
    }
}

/// Octets that are nearly headers.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let headers: Vec<Vec<u8>> = good().into_iter().map(|(header, _)| header).collect();
    let damaged = (
        proptest::sample::select(headers),
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    );
    let damaged = damaged.prop_map(|(mut header, changes)| {
        for (index, octet) in changes {
            let at = index.index(header.len());
            header[at] = octet;
        }
        header
    });
    prop_oneof![damaged, proptest::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    // Whoever reads octet by octet learns the same as whoever reads all at once: nothing behind a
    // header is taken for a part of it, and no more is waited for than a header can have.
    #[test]
    fn any_octets_are_judged_alike_in_any_pieces(octets in nearly()) {
        let whole = read(&octets);
        let first = (0..=octets.len())
            .map(|end| read(&octets[..end]))
            .find(|judged| *judged != Ok(None))
            .unwrap_or(Ok(None));
        prop_assert_eq!(first, whole);
        match whole {
            Ok(Some((_, length))) => prop_assert!(length <= octets.len().min(LONGEST)),
            Ok(None) => prop_assert!(octets.len() < LONGEST),
            Err(_) => {}
        }
    }
}
