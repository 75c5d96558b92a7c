//! Files that are no mail: reports as people save them from one, and notices as they are logged.
//! Told by their first bytes and by the names that archives carry, without unpacking anything.

use super::ses;

/// What a file is.
#[derive(Debug)]
pub enum Bare {
    /// A DMARC aggregate report (RFC 9990), packed or not.
    DmarcAggregate,
    /// An SMTP TLS report (RFC 8460), packed or not.
    TlsReport,
    /// A notice of Amazon SES.
    Ses(ses::Notice),
}

/// Octets that are searched for the marks of a report.
const BEGINNING: usize = 4 * 1024;

/// Octets of a notice that are read.
const MAX_NOTICE: usize = 256 * 1024;

/// What the file is, if it is none that could be a mail.
pub fn kind(raw: &[u8]) -> Option<Bare> {
    let raw = raw.strip_prefix("\u{feff}".as_bytes()).unwrap_or(raw);
    let raw = raw.trim_ascii_start();
    let beginning = raw.get(..BEGINNING).unwrap_or(raw);
    let has = |mark: &str| memchr::memmem::find(beginning, mark.as_bytes()).is_some();
    match raw {
        [b'<', ..] if has("report_metadata") => Some(Bare::DmarcAggregate),
        [b'{', ..] if has("\"organization-name\"") || has("\"policies\"") => Some(Bare::TlsReport),
        [b'{', ..] => {
            let notice = raw.get(..MAX_NOTICE).unwrap_or(raw);
            ses::complaint_in(std::str::from_utf8(notice).ok()?).map(Bare::Ses)
        }
        [0x1f, 0x8b, 8, flags, rest @ ..] => by_name(gzip_name(*flags, rest)?),
        [b'P', b'K', 3, 4, rest @ ..] => by_name(zip_name(rest)?),
        _ => None,
    }
}

fn by_name(name: &[u8]) -> Option<Bare> {
    let name = name.to_ascii_lowercase();
    if name.ends_with(b".xml") {
        Some(Bare::DmarcAggregate)
    } else if name.ends_with(b".json") {
        Some(Bare::TlsReport)
    } else {
        None
    }
}

/// The name of the packed file (RFC 1952 §2.3.1), if there is one and nothing before it.
fn gzip_name(flags: u8, rest: &[u8]) -> Option<&[u8]> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    if flags & NAME == 0 || flags & EXTRA != 0 {
        return None;
    }
    // Time, extra flags, system.
    rest.get(6..)?.split(|byte| *byte == 0).next()
}

/// The name of the first packed file; `rest` is the local header behind its signature.
fn zip_name(rest: &[u8]) -> Option<&[u8]> {
    let length = rest.get(22..24)?.first_chunk()?;
    let length = usize::from(u16::from_le_bytes(*length));
    rest.get(26..)?.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let gzip = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03a!b!1!2.xml\0...";
        let mut zip = b"PK\x03\x04".to_vec();
        zip.extend([0; 22]);
        zip.extend([6, 0, 0, 0]);
        zip.extend(b"r.json...");
        for (raw, expected) in [
            (
                &b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<feedback><report_metadata>"[..],
                "DmarcAggregate",
            ),
            (
                b"\n{\"organization-name\":\"a\",\"policies\":[]}",
                "TlsReport",
            ),
            (gzip, "DmarcAggregate"),
            (&zip, "TlsReport"),
            (
                br#"{"eventType":"Complaint","complaint":{},"mail":{}}"#,
                "Ses(Complaint",
            ),
        ] {
            let told = format!("{:?}", kind(raw));
            assert!(told.contains(expected), "{told}");
        }
        for raw in [
            &b""[..],
            b"From: a@b.example\n\n<report_metadata>",
            b"<html>",
            b"{}",
            b"\x1f\x8b\x08",
            b"\x1f\x8b\x08\x00\0\0\0\0\0\x03x.xml\0",
            b"PK\x03\x04",
        ] {
            assert!(kind(raw).is_none(), "{raw:?}");
        }
    }
}
