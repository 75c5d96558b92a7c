//! What a message is, for people.

use std::fmt::Write as _;
use std::io;

use super::Totals;
use crate::judge::summary::{Kind, Recipient, Summary};
use crate::model::bounce::Severity;
use crate::model::hidden::harmless;
use crate::report::automatic::Automatic;

/// Recipients of one message that are shown; the rest is counted.
const SHOWN: usize = 10;

/// Characters of one text that are shown.
const WIDTH: usize = 200;

/// Prints one message as a block of lines.
pub(super) fn message(out: &mut Vec<u8>, file: &str, summary: &Summary) {
    let mut block = Block(String::new());
    // Writing to a string does not fail.
    let kind = match &summary.feedback_type {
        Some(given) if given != summary.kind.as_str() => format!("{} ({given})", summary.kind),
        _ => summary.kind.to_string(),
    };
    writeln!(block.0, "{}: {kind}", safe(file)).ok();
    for recipient in summary.recipients.iter().take(SHOWN) {
        block.line("about", &about(recipient));
    }
    if summary.recipients.len() > SHOWN {
        block.line(
            "",
            &format!("and {} more", summary.recipients.len() - SHOWN),
        );
    }
    let reporter = &summary.reporter;
    let reporter = [&reporter.name, &reporter.user_agent, &reporter.mta];
    let reporter: Vec<_> = reporter.into_iter().flatten().map(String::as_str).collect();
    block.line("from", &reporter.join(", "));
    let original = &summary.original;
    let original = [&original.message_id, &original.subject, &original.date];
    let original: Vec<_> = original.into_iter().flatten().map(String::as_str).collect();
    block.line("original", &original.join(", "));
    if let Some(token) = &summary.token {
        let text = format!(
            "{} (tenant {}, stream {}; not verified)",
            token.text, token.tenant, token.stream
        );
        block.line("token", &text);
    }
    block.line("because of", &summary.signs.join("; "));
    block.line("odd", &summary.notes.join(", "));
    block.line("desist", consequence(summary));
    block.0.push('\n');
    out.extend_from_slice(block.0.as_bytes());
}

/// Prints how many there were of each kind, the most first.
pub(super) fn totals(out: &mut dyn io::Write, totals: &Totals) -> io::Result<()> {
    let messages: u64 = totals.kinds.values().sum();
    if messages <= 1 && totals.failures == 0 {
        return Ok(());
    }
    let mut kinds: Vec<_> = totals.kinds.iter().collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(**count), **kind));
    for (kind, count) in kinds {
        writeln!(out, "{count:>9}  {kind}")?;
    }
    writeln!(out, "{messages:>9}  messages")?;
    if totals.failures > 0 {
        writeln!(out, "{:>9}  could not be read", totals.failures)?;
    }
    Ok(())
}

struct Block(String);

impl Block {
    fn line(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            writeln!(self.0, "  {name:<11} {}", safe(text)).ok();
        }
    }
}

fn about(recipient: &Recipient) -> String {
    let mut text = recipient
        .address
        .clone()
        .unwrap_or_else(|| "nobody named".to_owned());
    let facts = [
        recipient.action.map(|action| action.to_string()),
        recipient.status.clone(),
        recipient.class.map(|class| class.to_string()),
        recipient
            .severity
            .filter(|_| recipient.class.is_some())
            .map(|s| match s {
                Severity::Hard => "the address is dead".to_owned(),
                Severity::Soft => "counts against the address".to_owned(),
                Severity::None => "says nothing about the address".to_owned(),
            }),
        recipient.diagnostic.clone(),
    ];
    for fact in facts.into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&fact);
    }
    text
}

/// What follows, in the words of the README's table.
fn consequence(summary: &Summary) -> &'static str {
    match summary.kind {
        Kind::Complaint => match summary.feedback_type.as_deref() {
            Some("abuse") => {
                "stops marketing if a token of yours proves it, else holds it for you to decide"
            }
            _ => "records it: not a recipient who wants no more mail",
        },
        Kind::Unsubscribe => {
            "ends the token's stream if a token of yours proves it, else holds it for you to decide"
        }
        Kind::Bounce
            if summary
                .recipients
                .iter()
                .any(|r| r.severity == Some(Severity::Hard)) =>
        {
            "stops all mail if a bounce token of yours proves it and names that recipient"
        }
        Kind::Bounce
            if summary
                .recipients
                .iter()
                .any(|r| r.severity == Some(Severity::Soft)) =>
        {
            "counts it if a bounce token of yours proves it: several over time stop all mail"
        }
        Kind::Bounce => "records it as a signal about your sending",
        Kind::Delivered => "records it, and forgets earlier soft bounces",
        Kind::NotSpam
        | Kind::Delay
        | Kind::DmarcAggregate
        | Kind::DmarcFailure
        | Kind::TlsReport
        | Kind::AutoReply
        | Kind::Challenge
        | Kind::ReadReceipt => "records it",
        Kind::NotFeedback if is_of_a_program(summary) => "keeps it for people",
        Kind::NotFeedback => "keeps it; at an unsubscribe address with a token it is an opt-out",
        Kind::Unreadable => {
            "keeps it as unrecognised; at an unsubscribe address with a token it is an opt-out"
        }
    }
}

/// Whether its kind of automatic mail is among the notes: no address makes an opt-out of that.
fn is_of_a_program(summary: &Summary) -> bool {
    let kinds = &summary.notes;
    kinds.iter().any(|note| note.parse::<Automatic>().is_ok())
}

/// A text that cannot steer the terminal, cut at [`WIDTH`].
fn safe(text: &str) -> String {
    let cut: String = text.chars().take(WIDTH).collect();
    let mut safe = harmless(&cut);
    if text.chars().nth(WIDTH).is_some() {
        safe.push('…');
    }
    safe
}
