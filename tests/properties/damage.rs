//! Damages input: what happens to it on its way, and what an attacker tries.

/// A generator of numbers: the same seed gives the same.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap().max(1);
        usize::try_from(self.next() % end).unwrap()
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// What means something in one of the formats.
const WORDS: [&[u8]; 22] = [
    b"\r\n.\r\n",
    b"\r\n\r\n",
    b"--",
    b"=\r\n",
    b"=?utf-8?b?",
    b"?=",
    b"BDAT 10 LAST\r\n",
    b"RCPT TO:<fbl@fb.example.com>\r\n",
    b"Content-Type: multipart/mixed; boundary=q\n\n--q\n",
    b"Content-Type: message/rfc822\n\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\n",
    b"References: ",
    b"Feedback-Type: opt-out\n",
    b"Auto-Submitted: auto-replied\n",
    b"%2B",
    b"\\u0000",
    b"null",
    b"\xff\xfe",
    b"\xe2\x80\xae",
    b"ceaaaaiaagsz7rly2tfun6vldu6jpcdqjxrbd4hozrf4gdkx7dsa",
    b"18446744073709551616",
];

/// A few damages at once. `other` is what splices take from.
pub(crate) fn damaged(given: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = given.to_vec();
    for _ in 0..=random.below(4) {
        one(&mut bytes, other, random);
    }
    bytes
}

fn one(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let end = (at + random.below(200)).min(bytes.len());
    match random.below(60) {
        0..10 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        10..15 if !bytes.is_empty() => bytes[at] = random.octet(),
        15..20 => bytes.truncate(at),
        20..26 => drop(bytes.drain(at..end)),
        26..32 => {
            let again = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, again));
        }
        32..38 => {
            let from = random.below(other.len());
            drop(bytes.splice(at.., other[from..].iter().copied()));
        }
        38..42 => {
            let from = random.below(other.len());
            let length = random.below(300).min(other.len() - from);
            drop(bytes.splice(at..at, other[from..from + length].iter().copied()));
        }
        42..50 => {
            let word = WORDS[random.below(WORDS.len())];
            drop(bytes.splice(at..at, word.iter().copied()));
        }
        50..54 => *bytes = line_ends(bytes, random),
        54 => {
            let long = [random.octet()].repeat(random.below(100_000));
            drop(bytes.splice(at..at, long));
        }
        55..57 => {
            let many = bytes[at..end].repeat(random.below(500));
            drop(bytes.splice(at..at, many));
        }
        _ => deeper(bytes, random),
    }
}

/// Every line end becomes another one.
fn line_ends(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let end = [&b"\n"[..], b"\r\n", b"\r", b"\n\r", b""][random.below(5)];
    let lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    lines.join(end)
}

/// Puts all of it deep inside something.
fn deeper(bytes: &mut Vec<u8>, random: &mut Random) {
    let level = [
        &b"Content-Type: message/rfc822\n\n"[..],
        b"Content-Type: multipart/mixed; boundary=q\n\n--q\n",
        b"Content-Type: multipart/mixed; boundary=\"\"\n\n--\n",
        b"[",
        b"{\"a\":",
        b"(",
        b"\"",
    ][random.below(7)];
    let levels = level.repeat(random.below(1000));
    // Some input has a line of its own before.
    let at = if random.below(2) == 0 {
        0
    } else {
        bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1)
    };
    drop(bytes.splice(at..at, levels));
}
