//! Notices about delivery: read and assessed within bounds, whatever they hold, and each recipient
//! by itself.

use desist::judge::bounce::assess;
use desist::judge::summary;
use desist::model::bounce::{Action, Severity};
use desist::report::reply::MAX_REPLY;
use desist::report::status::{Delivery, MAX_RECIPIENTS, MAX_STATUS_PART, Outcome};
use desist::report::{What, read};

/// Mails with notices, bounces and what only looks like them.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let folder = super::world::root().join("fixtures/bounce");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

pub(crate) fn check(input: &[u8]) {
    let reading = read(input);
    let told = summary::of(&reading);
    let What::Delivery(delivery) = reading.what else {
        return;
    };
    assert!(delivery.outcomes.len() <= MAX_RECIPIENTS);
    assert_eq!(told.recipients.len(), delivery.outcomes.len());
    for outcome in &delivery.outcomes {
        sound(outcome, &delivery);
    }
    order_means_nothing(input);
}

/// What is said of one recipient agrees with itself.
fn sound(outcome: &Outcome, delivery: &Delivery) {
    let told = assess(outcome, delivery);
    if outcome.action != Action::Failed {
        assert_eq!(told.severity, Severity::None, "{outcome:?}");
    }
    if told.severity == Severity::Hard {
        assert_eq!(told.permanent, Some(true), "{outcome:?}");
    }
    assert_eq!(
        told.permanent.is_some(),
        matches!(outcome.action, Action::Failed | Action::Delayed)
    );
    assert!(
        outcome
            .smtp_code
            .is_none_or(|code| (200..600).contains(&code))
    );
    let text = outcome.diagnostic.as_deref().unwrap_or_default();
    assert!(
        text.len() <= MAX_REPLY + 32 && !text.contains('\n'),
        "{text:?}"
    );
    if let Some(status) = &outcome.status {
        let numbers: Vec<u16> = status
            .split('.')
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(
            numbers.len() == 3 && numbers.iter().all(|number| *number <= 999),
            "{status}"
        );
    }
}

/// The blocks of the input in one notification, forwards and backwards.
fn order_means_nothing(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace('\r', "");
    let blocks = text.split("\n\n").filter(|block| is_block(block));
    // Of more than are read it does matter which come first.
    // 64: the first field.
    let mut left = MAX_STATUS_PART - 64;
    let fits = |block: &&str| {
        left = left.saturating_sub(block.len() + 2);
        left > 0
    };
    let blocks: Vec<&str> = blocks.take(500).take_while(fits).collect();
    let notification = |blocks: &[&str]| {
        let head = "From: MAILER-DAEMON@b.example\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; b.example\n\n";
        let raw = format!("{head}{}\n", blocks.join("\n\n"));
        match read(raw.as_bytes()).what {
            What::Delivery(delivery) => delivery,
            other => panic!("no notification: {other:?}"),
        }
    };
    let forwards = notification(&blocks);
    let mut reversed = blocks.clone();
    reversed.reverse();
    let mut backwards = notification(&reversed);
    backwards.outcomes.reverse();
    assert_eq!(forwards.outcomes, backwards.outcomes);
    let meanings = |delivery: &Delivery| {
        delivery
            .outcomes
            .iter()
            .map(|outcome| assess(outcome, delivery))
            .collect::<Vec<_>>()
    };
    assert_eq!(meanings(&forwards), meanings(&backwards));
}

/// Whether a paragraph is the block of exactly one recipient and stands for itself.
fn is_block(block: &str) -> bool {
    let mut lines = block.lines();
    let field = |line: &str| {
        line.split_once(':').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
        })
    };
    let whose = lines.next().and_then(|line| line.split_once(':'));
    let begins = whose.is_some_and(|(name, address)| {
        name.eq_ignore_ascii_case("final-recipient") && address.contains('@')
    });
    let others: Vec<&str> = lines.collect();
    let once = |name: &str| {
        others
            .iter()
            .filter(|line| line.to_ascii_lowercase().starts_with(name))
            .count()
            <= 1
    };
    begins
        && others
            .iter()
            .all(|line| field(line) && line.is_ascii() && !line.contains(char::is_control))
        && once("action")
        && once("original-recipient")
        && !others
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with("final-recipient"))
}
