//! The mail as it goes out: nothing is repaired, because nobody repairs it on its way.

use super::rules::{Code, Finding};
use crate::model::address::Address;
use crate::report::asserted;
use crate::report::header::Header;

/// Octets of a line without its end (RFC 5322 §2.1.1).
const MAX_LINE: usize = 998;

/// One field where it stands.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    /// The line on which it begins, from 1.
    pub(super) number: usize,
    /// The bytes behind the colon, folding included.
    pub(super) raw: &'a [u8],
    /// On one line, trimmed.
    pub(super) value: String,
}

/// An outgoing mail.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    header: Header,
    pub(super) body: &'a [u8],
    head: &'a [u8],
    /// The domain of the author, if there is exactly one.
    pub(super) from_domain: Option<String>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn read(mail: &'a [u8]) -> Self {
        let (header, at) = Header::scan(mail);
        let (head, body) = mail.split_at_checked(at).unwrap_or((mail, b""));
        let author = asserted::author(&header);
        Self {
            from_domain: author.map(|author| author.domain().to_owned()),
            header,
            body,
            head,
        }
    }

    /// The fields of that name, which is given in lower case.
    pub(super) fn all(&self, name: &str) -> Vec<Line<'_>> {
        let fields = self.header.numbered();
        fields
            .filter(|(_, field)| field.name() == name)
            .map(|(number, field)| Line {
                number,
                raw: field.raw(),
                value: field.value(),
            })
            .collect()
    }

    /// Whether there is a field of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.header.has(name)
    }

    /// How many fields of that name there are.
    pub(super) fn count(&self, name: &str) -> usize {
        self.header.count(name)
    }

    /// Everybody that it says it is for.
    pub(super) fn addressed(&self) -> Vec<Address> {
        let fields = ["to", "cc", "bcc"]
            .into_iter()
            .flat_map(|name| self.all(name));
        fields
            .flat_map(|line| asserted::addresses(&line.value))
            .collect()
    }

    /// What is wrong with it as a mail.
    pub(super) fn oddities(&self) -> Vec<Finding> {
        if self.header.is_empty() {
            return vec![Finding::new(
                Code::NoHeader,
                None,
                None,
                "it has no header field",
            )];
        }
        let mut found = Vec::new();
        if self.from_domain.is_none() {
            let line = self.all("from").first().map(|line| line.number);
            let says = match self.count("from") {
                0 => "there is no From field".to_owned(),
                1 => "From has not exactly one address".to_owned(),
                many => format!("there are {many} From fields"),
            };
            found.push(Finding::new(Code::NoAuthor, Some("From"), line, says));
        }
        let lines = self
            .head
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end);
        for (number, line) in (1..).zip(lines) {
            if line.len() > MAX_LINE {
                let says = format!(
                    "the line has {} octets, at most {MAX_LINE} are allowed",
                    line.len()
                );
                found.push(Finding::new(Code::LongLine, None, Some(number), says));
            }
        }
        if self.header.is_truncated() {
            let says = "the header is longer than what is read";
            found.push(Finding::new(Code::LongHeader, None, None, says));
        }
        found
    }
}
