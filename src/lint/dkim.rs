//! What the bytes alone tell of DKIM signatures (RFC 6376): for which domain, over which fields, and
//! whether the body is the one that was signed. Whether a signature verifies, its key must say,
//! which is in the DNS.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use super::is_within;
use super::mail::Outgoing;
use super::rules::{Code, Finding, Severity};
use crate::model::domain::canonical;

const HEADER: &str = "DKIM-Signature";

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// The line on which it begins.
    line: usize,
    /// `d=`: who signs, canonical.
    pub(super) domain: String,
    /// `h=`: what is signed, lower-case, in order.
    signed: Vec<String>,
}

impl Signature {
    /// Whether the field is signed.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.signed.iter().any(|signed| signed == name)
    }

    fn times(&self, name: &str) -> usize {
        self.signed.iter().filter(|signed| *signed == name).count()
    }
}

/// Reads all signatures; those that cannot be valid are found, and are none.
pub(super) fn look(mail: &Outgoing<'_>, found: &mut Vec<Finding>) -> Vec<Signature> {
    let fields = mail.all("dkim-signature");
    if fields.is_empty() {
        let says = "there is no signature";
        found.push(Finding::new(Code::NotSigned, Some(HEADER), None, says));
        return Vec::new();
    }
    let mut hashes = Hashes::new(mail.body);
    let mut signatures = Vec::new();
    for field in fields {
        let mut finding = |code, says: String| {
            found.push(Finding::new(code, Some(HEADER), Some(field.number), says));
        };
        let tags = tags(&field.value);
        match read(field.number, &tags) {
            Err(says) => finding(Code::BadSignature, says),
            Ok(signature) => match hashes.verdict(&tags) {
                Body::Changed => {
                    let says = "bh= is not the hash of this body";
                    finding(Code::BodyChanged, format!("{}: {says}", signature.domain));
                }
                Body::Partly => {
                    let says = format!("{}: l= signs a part of the body alone", signature.domain);
                    finding(Code::PartlySigned, says);
                    signatures.push(signature);
                }
                Body::Signed => signatures.push(signature),
            },
        }
    }
    found.extend(alignment(mail, &signatures));
    found.extend(additions(mail, &signatures));
    signatures
}

/// Whether one signature is for the author. Organisational domains are the DNS's to tell: what
/// shares its last two labels may be one.
fn alignment(mail: &Outgoing<'_>, signatures: &[Signature]) -> Option<Finding> {
    let from = mail.from_domain.as_deref()?;
    let first = signatures.first()?;
    let end = |domain: &str| {
        let labels: Vec<String> = domain.rsplit('.').take(2).map(str::to_owned).collect();
        labels
    };
    let aligned = |one: &Signature| {
        is_within(from, &one.domain)
            || is_within(&one.domain, from)
            || end(from) == end(&one.domain)
    };
    if signatures.iter().any(aligned) {
        return None;
    }
    let says = format!("no signature is for {from}, the domain of From");
    Some(Finding::new(
        Code::FromNotAligned,
        Some(HEADER),
        Some(first.line),
        says,
    ))
}

/// Fields of ours that somebody could add a second time.
fn additions(mail: &Outgoing<'_>, signatures: &[Signature]) -> Option<Finding> {
    let first = signatures.first()?;
    let ours = [
        ("list-unsubscribe", "List-Unsubscribe"),
        ("list-unsubscribe-post", "List-Unsubscribe-Post"),
        ("cfbl-address", "CFBL-Address"),
        ("cfbl-feedback-id", "CFBL-Feedback-ID"),
    ];
    let open = ours.into_iter().filter(|(name, _)| {
        let there = mail.count(name);
        there > 0
            && signatures.iter().any(|one| one.covers(name))
            && !signatures.iter().any(|one| one.times(name) > there)
    });
    let open: Vec<&str> = open.map(|(_, shown)| shown).collect();
    if open.is_empty() {
        return None;
    }
    let says = format!("not signed against additions: {}", open.join(", "));
    let finding = Finding::new(Code::NotOversigned, Some(HEADER), Some(first.line), says);
    Some(finding.only(Severity::Info))
}

/// The tags of a field (RFC 6376 §3.2); white space within values is of no meaning here.
fn tags(value: &str) -> Vec<(String, String)> {
    let pairs = value.split(';').filter_map(|tag| tag.split_once('='));
    pairs
        .map(|(name, value)| {
            let value = value.chars().filter(|char| !char.is_ascii_whitespace());
            (name.trim().to_owned(), value.collect())
        })
        .collect()
}

fn tag<'a>(tags: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = tags.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn read(line: usize, tags: &[(String, String)]) -> Result<Signature, String> {
    for name in ["v", "a", "b", "bh", "d", "h", "s"] {
        if tag(tags, name).is_none_or(str::is_empty) {
            return Err(format!("the tag {name}= is missing"));
        }
    }
    let given = tag(tags, "d").unwrap_or_default();
    let domain = canonical(given).ok_or_else(|| format!("d={given} is no domain"))?;
    let algorithm = tag(tags, "a").unwrap_or_default();
    if !algorithm.ends_with("-sha256") {
        return Err(format!(
            "{domain}: a={algorithm} is accepted by nobody any more"
        ));
    }
    let names = tag(tags, "h").unwrap_or_default().split(':');
    let signed: Vec<String> = names.map(str::to_ascii_lowercase).collect();
    if !signed.iter().any(|name| name == "from") {
        return Err(format!("{domain}: From is not in h="));
    }
    Ok(Signature {
        line,
        domain,
        signed,
    })
}

enum Body {
    Signed,
    Changed,
    Partly,
}

/// Hashes of the body in both canonical forms, each computed once.
struct Hashes<'a> {
    body: &'a [u8],
    simple: Option<String>,
    relaxed: Option<String>,
}

impl<'a> Hashes<'a> {
    const fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            simple: None,
            relaxed: None,
        }
    }

    fn verdict(&mut self, tags: &[(String, String)]) -> Body {
        if tag(tags, "l").is_some() {
            return Body::Partly;
        }
        let form = tag(tags, "c").and_then(|c| c.split_once('/'));
        let relaxed = form.is_some_and(|(_, body)| body == "relaxed");
        let body = self.body;
        let hash = if relaxed {
            self.relaxed.get_or_insert_with(|| hash(body, true))
        } else {
            self.simple.get_or_insert_with(|| hash(body, false))
        };
        if tag(tags, "bh") == Some(hash.as_str()) {
            Body::Signed
        } else {
            Body::Changed
        }
    }
}

/// SHA-256 of the body in its canonical form (RFC 6376 §3.4.3, §3.4.4). Lines may end in LF alone:
/// what carries mail over SMTP writes CRLF.
fn hash(body: &[u8], relaxed: bool) -> String {
    let mut hasher = Sha256::new();
    // Empty lines are written when something follows.
    let (mut empty, mut any) = (0_usize, false);
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let reduced;
        let line = if relaxed {
            reduced = reduce(line);
            reduced.as_slice()
        } else {
            line
        };
        if line.is_empty() {
            empty += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty) {
            hasher.update(b"\r\n");
        }
        hasher.update(line);
        hasher.update(b"\r\n");
        any = true;
    }
    if !any && !relaxed {
        hasher.update(b"\r\n");
    }
    BASE64.encode(&hasher.finalize())
}

/// Runs of white space are one space, and none ends a line.
fn reduce(line: &[u8]) -> Vec<u8> {
    let mut reduced = Vec::with_capacity(line.len());
    for byte in line {
        let is_space = matches!(byte, b' ' | b'\t');
        if is_space && reduced.last() == Some(&b' ') {
            continue;
        }
        reduced.push(if is_space { b' ' } else { *byte });
    }
    if reduced.last() == Some(&b' ') {
        reduced.pop();
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    // The known hashes of an empty body (an erratum says them), and forms that are the same.
    #[test]
    fn bodies_have_one_canonical_form() {
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let line_end = "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=";
        for body in [&b""[..], b"\r\n", b"\n\n\r\n"] {
            assert_eq!(hash(body, true), empty);
            assert_eq!(hash(body, false), line_end);
        }
        assert_eq!(hash(b" \t\r\n", true), empty);
        let simple = BASE64.encode(&Sha256::digest(b" C \r\nD \t E\r\n"));
        let relaxed = BASE64.encode(&Sha256::digest(b" C\r\nD E\r\n"));
        for body in [
            &b" C \r\nD \t E\r\n\r\n\r\n"[..],
            b" C \nD \t E\n",
            b" C \r\nD \t E",
        ] {
            assert_eq!(hash(body, false), simple);
            assert_eq!(hash(body, true), relaxed);
        }
        assert_ne!(hash(b"a\r\n\r\nb\r\n", true), hash(b"a\r\nb\r\n", true));
    }

    #[test]
    fn what_cannot_be_valid_is_no_signature() {
        let good = "v=1; a=rsa-sha256; d=Example.COM; s=a; h=From : List-\tUnsubscribe; bh=x; b=y";
        let signature = read(3, &tags(good)).unwrap();
        assert_eq!(signature.domain, "example.com");
        assert!(signature.covers("from") && signature.covers("list-unsubscribe"));
        for (from, to) in [
            ("d=Example.COM; ", ""),
            ("d=Example.COM", "d="),
            ("d=Example.COM", "d=a..b"),
            ("sha256", "sha1"),
            ("From", "To"),
            ("v=1; ", ""),
        ] {
            assert!(read(3, &tags(&good.replace(from, to))).is_err(), "{from}");
        }
    }
}
