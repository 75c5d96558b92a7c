//! Reports that receivers send by the day: DMARC aggregate (RFC 9990) and SMTP TLS (RFC 8460),
//! recognised by what they are labelled as.

use super::media::Media;
use super::mime::Entity;

/// Whether it is an SMTP TLS report (RFC 8460 §5.3).
pub fn is_tls_report(root: &Entity<'_>) -> bool {
    root.media.report_type().as_deref() == Some("tlsrpt")
        || root
            .walk()
            .iter()
            .any(|part| part.media.essence().starts_with("application/tlsrpt"))
}

/// Whether it carries a file named as RFC 9990 §3.5.2 wants it:
/// `receiver!domain!begin!end[!id].xml`, packed or not.
pub fn is_dmarc_aggregate(root: &Entity<'_>) -> bool {
    root.walk()
        .iter()
        .any(|part| file_name(part).is_some_and(|name| is_aggregate_name(&name)))
}

/// Whether the text is a failure report in words alone, as Exim sends it where it has not learnt
/// RFC 6591: what it says first, and the lines that follow.
pub fn is_failure_in_words(text: &str) -> bool {
    let line_begins = |beginning: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with(beginning))
    };
    text.contains("has failed the published DMARC")
        && line_begins("Sender Domain:")
        && line_begins("Sender IP Address:")
}

fn file_name(part: &Entity<'_>) -> Option<String> {
    let disposition = part.header.first("content-disposition").unwrap_or_default();
    // The syntax is that of Content-Type with one word in place of the two.
    let disposition = Media::parse(&format!("x/{disposition}"));
    let name = disposition.as_ref().and_then(|d| d.parameter("filename"));
    name.or_else(|| part.media.parameter("name"))
        .map(str::to_owned)
}

fn is_aggregate_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let stem = name.split(".xml").next().unwrap_or_default();
    let stem = stem
        .strip_suffix(".zip")
        .or_else(|| stem.strip_suffix(".gz"))
        .unwrap_or(stem);
    let pieces: Vec<&str> = stem.splitn(6, '!').collect();
    match pieces.as_slice() {
        [receiver, domain, begin, end] | [receiver, domain, begin, end, _] => {
            receiver.contains('.') && domain.contains('.') && is_number(begin) && is_number(end)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // B-022
    #[test]
    fn a_failure_in_words_has_its_lines() {
        let text = "A message claiming to be from you has failed the published DMARC policy for your domain.\n\n  Sender Domain: example.com\n  Sender IP Address: 192.0.2.1\n";
        assert!(is_failure_in_words(text));
        assert!(!is_failure_in_words(
            "It has failed the published DMARC policy, they say"
        ));
    }

    #[test]
    fn the_file_name_tells_an_aggregate_report() {
        for name in [
            "mx.example!a.example!1700000000!1700086400.xml.gz",
            "mx.example!a.example!1700000000!1700086400!id.xml",
            "mx.example!a.example!1700000000!1700086400.zip",
        ] {
            assert!(is_aggregate_name(name), "{name}");
        }
        for name in [
            "wow!great!news!now.zip",
            "report.xml",
            "a.b!c.d!1!x.xml",
            "!!!!",
        ] {
            assert!(!is_aggregate_name(name), "{name}");
        }
    }
}
