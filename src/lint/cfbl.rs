//! The address for complaints, and who must sign for it (RFC 9477).

use super::dkim::Signature;
use super::mail::{Line, Outgoing};
use super::rules::{Code, Finding};
use super::{Own, is_served, is_within};
use crate::report::asserted::address;

const ADDRESS: &str = "CFBL-Address";
const FEEDBACK_ID: &str = "CFBL-Feedback-ID";

/// Looks at both fields; returns all addresses (RFC 9477 §3.2).
pub(super) fn look(
    mail: &Outgoing<'_>,
    own: Option<Own<'_>>,
    signatures: &[Signature],
    found: &mut Vec<Finding>,
) -> Vec<String> {
    let fields = mail.all("cfbl-address");
    let ids = mail.all("cfbl-feedback-id");
    if fields.is_empty() {
        let says = "there is no such field";
        found.push(Finding::new(Code::NoCfbl, Some(ADDRESS), None, says));
        return Vec::new();
    }
    let mut addresses = Vec::new();
    let mut ours = false;
    for field in &fields {
        match read(field) {
            Err(finding) => found.push(finding),
            Ok((address, wrong)) => {
                found.extend(wrong);
                let domain = address.rsplit('@').next().unwrap_or_default().to_owned();
                if let Some(from) = mail.from_domain.as_deref() {
                    found.extend(signed((from, &domain), field, !ids.is_empty(), signatures));
                }
                ours |= own.is_none_or(|own| is_served(&own, &domain));
                addresses.push(address);
            }
        }
    }
    if !ours && !addresses.is_empty() {
        let says = "none of the addresses is served here";
        let at = fields.first().map(|field| field.number);
        found.push(Finding::new(Code::ForeignCfbl, Some(ADDRESS), at, says));
    }
    found.extend(feedback_id(&ids));
    addresses
}

/// `addr [; report=arf|xarf]` (RFC 9477 §5.1). A wrong parameter leaves the address as it is.
fn read(field: &Line<'_>) -> Result<(String, Option<Finding>), Finding> {
    let finding = |code, says: String| Finding::new(code, Some(ADDRESS), Some(field.number), says);
    let (whom, parameter) = match field.value.split_once(';') {
        Some((whom, parameter)) => (whom, Some(parameter.trim())),
        None => (field.value.as_str(), None),
    };
    let address = address(whom)
        .ok_or_else(|| finding(Code::BadCfblAddress, format!("{whom:?} is no address")))?;
    let wrong = parameter.filter(|given| !matches!(*given, "report=arf" | "report=xarf"));
    let wrong = wrong.map(|given| {
        let says = format!("{given:?} is neither report=arf nor report=xarf");
        finding(Code::BadCfblReport, says)
    });
    Ok((address.as_str().to_owned(), wrong))
}

/// Who must sign (RFC 9477 §3.1): where the address is the author's or below, the author's domain or
/// one above it; elsewhere also the domain of the address.
fn signed(
    (from, domain): (&str, &str),
    field: &Line<'_>,
    with_id: bool,
    signatures: &[Signature],
) -> Option<Finding> {
    // Of a mail without any signature this is said once.
    if signatures.is_empty() {
        return None;
    }
    let finding = |code, says: String| Finding::new(code, Some(ADDRESS), Some(field.number), says);
    let covers = |one: &&Signature| {
        one.covers("cfbl-address") && (!with_id || one.covers("cfbl-feedback-id"))
    };
    let of = |whose: &'static str, domain: &str, found: Vec<&Signature>| match found.as_slice() {
        [] => Err(finding(
            Code::CfblNotSigned,
            format!("no signature is for {domain}, the domain of {whose}"),
        )),
        some => Ok(some.iter().any(covers)),
    };
    let by_author = |one: &&Signature| {
        if domain == from {
            one.domain == domain
        } else {
            is_within(from, &one.domain)
        }
    };
    let author = of("From", from, signatures.iter().filter(by_author).collect());
    let not_covered = |domain: &str| {
        let says = format!("the signature of {domain} does not name the CFBL fields in h=");
        finding(Code::CfblNotSigned, says)
    };
    if is_within(domain, from) {
        return match author {
            Err(missing) => Some(missing),
            Ok(false) => Some(not_covered(from)),
            Ok(true) => None,
        };
    }
    let theirs = |one: &&Signature| one.domain == domain;
    let theirs = of(
        "CFBL-Address",
        domain,
        signatures.iter().filter(theirs).collect(),
    );
    match (author, theirs) {
        (Err(missing), _) | (_, Err(missing)) => Some(missing),
        (_, Ok(false)) => Some(not_covered(domain)),
        (Ok(false), Ok(true)) => {
            let says =
                format!("the signature of {from} was made before the CFBL fields were added");
            Some(finding(Code::CfblPresigned, says))
        }
        (Ok(true), Ok(true)) => None,
    }
}

/// `1*(atext / ":" / CFWS)` (RFC 9477 §5.2).
fn feedback_id(ids: &[Line<'_>]) -> Option<Finding> {
    let finding = |code, line: Option<usize>, says: String| {
        Some(Finding::new(code, Some(FEEDBACK_ID), line, says))
    };
    match ids {
        [] => finding(
            Code::NoFeedbackId,
            None,
            "there is no such field".to_owned(),
        ),
        [id] => {
            let allowed = |char: char| {
                char.is_ascii_alphanumeric()
                    || char.is_ascii_whitespace()
                    || "!#$%&'*+-/=?^_`{|}~:".contains(char)
                    || !char.is_ascii()
            };
            let at = Some(id.number);
            let value = without_comments(&id.value);
            if value.trim().is_empty() {
                return finding(Code::BadFeedbackId, at, "it is empty".to_owned());
            }
            let wrong = value.chars().find(|char| !allowed(*char))?;
            finding(
                Code::BadFeedbackId,
                at,
                format!("it has the character {wrong:?}"),
            )
        }
        [_, second, ..] => {
            let says = format!("there are {} of them", ids.len());
            finding(Code::SeveralFeedbackIds, Some(second.number), says)
        }
    }
}

fn without_comments(value: &str) -> String {
    let mut depth = 0_usize;
    let outside = value.chars().filter(|char| match char {
        '(' => {
            depth += 1;
            false
        }
        ')' if depth > 0 => {
            depth -= 1;
            false
        }
        _ => depth == 0,
    });
    outside.collect()
}
