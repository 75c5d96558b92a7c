//! Bounces that are written for people only. Which mail systems' are known, and where recipients and
//! reasons stand in them, is data: `ndr.toml`.

mod formats;
mod pattern;
mod text;

use std::borrow::Cow;

use super::encoded_words::decode_words;
use super::header::Header;
use super::status::{Delivery, MAX_RECIPIENTS, Outcome};
use super::{dsn, mime, reply};
use crate::model::address::Address;
use crate::model::bounce::Action;
use formats::{Format, Formats, Order, Signs};
use mime::Entity;
use pattern::Found;

/// Octets of the text of one reason that are kept.
const MAX_REASON: usize = 1_024;

/// Lines of a bounce's own text that are read.
const MAX_LINES: usize = 2_000;

/// Reads `root`, whose Subject is `subject`, as a bounce of any known form. `None`: it is none.
pub(super) fn delivery_in(
    root: &Entity<'_>,
    subject: &str,
    author: Option<&Address>,
) -> Option<Delivery> {
    read(root, subject, author).map(|read| read.delivery)
}

/// Adds to a notification what only its text for people says: recipients, if its fields name none,
/// and reasons for those who have none.
pub(super) fn complete(
    delivery: &mut Delivery,
    root: &Entity<'_>,
    subject: &str,
    author: Option<&Address>,
) {
    let nobody = delivery
        .outcomes
        .iter()
        .all(|outcome| outcome.recipient().is_none());
    if !nobody && !delivery.outcomes.iter().any(lacks_reason) {
        return;
    }
    let read = read(root, subject, author);
    if nobody {
        let found = match read {
            Some(read) if !read.delivery.outcomes.is_empty() => read.delivery.outcomes,
            _ => single_to(&delivery.returned)
                .map(meant)
                .into_iter()
                .collect(),
        };
        name(delivery, found);
        return;
    }
    let Some(Read {
        delivery: told,
        listed: true,
    }) = read
    else {
        return;
    };
    let mut told = told.outcomes;
    for outcome in delivery
        .outcomes
        .iter_mut()
        .filter(|outcome| lacks_reason(outcome))
    {
        let same = |one: &Outcome| one.address.is_some() && one.address == outcome.address;
        if let Some(at) = told.iter().take(LOOK_BACK).position(same) {
            add(outcome, told.swap_remove(at));
        }
    }
}

/// Whether the text for people can say more than the fields do.
fn lacks_reason(outcome: &Outcome) -> bool {
    let vague = |code: &String| code.split('.').nth(1) == Some("0");
    let unknown = |text: &String| {
        let text = text.to_ascii_lowercase();
        text.contains("unknown user") || text.contains("user unknown")
    };
    outcome.diagnostic.is_none()
        || (outcome.stage.is_none()
            && outcome.action == Action::Failed
            && (outcome.status.as_ref().is_none_or(vague)
                || outcome.diagnostic.as_ref().is_some_and(unknown)))
}

fn add(outcome: &mut Outcome, told: Outcome) {
    outcome.stage = outcome.stage.or(told.stage);
    if outcome.diagnostic.is_none() {
        outcome.status = dsn::more_telling(outcome.status.take(), told.status);
        outcome.smtp_code = outcome.smtp_code.or(told.smtp_code);
        outcome.diagnostic = told.diagnostic;
    }
    if outcome.remote_mta.is_none() {
        outcome.remote_mta = told.remote_mta;
    }
}

/// Names the recipients of a notification that names none.
fn name(delivery: &mut Delivery, found: Vec<Outcome>) {
    match (delivery.outcomes.first_mut(), found.len()) {
        (Some(outcome), 1) => {
            for one in found {
                outcome.address.clone_from(&one.address);
                outcome.original.clone_from(&one.original);
                add(outcome, one);
            }
        }
        (None, _) => delivery.outcomes = found,
        (Some(_), _) => {}
    }
}

/// Somebody of whom nothing is known but that the returned mail was for her.
fn meant(address: String) -> Outcome {
    Outcome {
        address: None,
        original: Some(address),
        action: Action::Failed,
        status: None,
        smtp_code: None,
        stage: None,
        diagnostic: None,
        remote_mta: None,
    }
}

struct Read {
    delivery: Delivery,
    /// Whether the text itself lists the recipients.
    listed: bool,
}

fn read(root: &Entity<'_>, subject: &str, author: Option<&Address>) -> Option<Read> {
    let formats = Formats::embedded();
    let declared = root.media.report_type().as_deref() == Some("delivery-status");
    let from = lower(&decode_words(&raw_from(&root.header), None));
    let subject = lower(subject);
    let daemon = declared || is_daemon(&root.header, &from);
    // A person who passes a bounce on is not the one who bounced.
    let passed_on = ["fwd:", "fw:", "re:"]
        .iter()
        .any(|mark| subject.starts_with(mark));
    if !daemon && (passed_on || !formats.may_be(&subject, &from, &root.header)) {
        return None;
    }
    let said = text::own(root, formats);
    let flat = text::flat(&said.lower);
    if daemon && let Some(mut delivery) = fields_in(&said) {
        delivery.returned = said.returned;
        return Some(Read {
            delivery,
            listed: true,
        });
    }
    let signs = Signs {
        subject: &subject,
        from: &from,
        header: &root.header,
        text: formats.phrases_in(&flat),
        daemon,
    };
    let domain = author.map(|author| author.domain().to_owned());
    let of = |format: &Format| listed(&said, format, domain.as_deref().unwrap_or_default());
    let mut agreeing = formats.agreeing(&signs).map(|format| (format, of(format)));
    let first = agreeing.next()?;
    // Systems copy each other's words: the first form whose recipients can be found is the right one.
    let (format, mut found) = if first.1.is_empty() {
        agreeing
            .find(|(_, listed)| !listed.is_empty())
            .unwrap_or(first)
    } else {
        first
    };
    let delayed = formats.is_delay(&flat) || formats.is_delay(&subject);
    let action = if delayed {
        Action::Delayed
    } else {
        Action::Failed
    };
    let listed = !found.is_empty();
    if !listed {
        found = elsewhere(&root.header, &said.returned, format)
            .into_iter()
            .map(Listed::named)
            .collect();
    }
    Some(Read {
        delivery: Delivery {
            format: format.name.clone(),
            outcomes: outcomes(found, action, &format.marks(&root.header), &said),
            returned: said.returned,
            reporting_mta: domain,
            envelope_id: None,
        },
        listed,
    })
}

/// Whether a program that delivers mail wrote it; `from` is its From, lower-case.
fn is_daemon(header: &Header, from: &str) -> bool {
    header.has("x-failed-recipients")
        || Formats::embedded().is_daemon(from)
        || (from.is_empty() && header.has("from"))
}

fn outcomes(
    found: Vec<Listed>,
    action: Action,
    marks: &[String],
    said: &text::Said,
) -> Vec<Outcome> {
    let outcomes = found.into_iter().enumerate().map(|(index, mut one)| {
        for mark in marks {
            one.add(mark);
        }
        // A transcript is looked through for a few only: what it costs grows with both.
        one.outcome(
            action,
            &said.own,
            (index < LOOK_BACK).then_some(said.lower.as_str()),
        )
    });
    outcomes.collect()
}

/// Notification fields that a program wrote into its text.
fn fields_in(said: &text::Said) -> Option<Delivery> {
    if !said.lower.contains("final-recipient:") {
        return None;
    }
    let own = &said.own;
    let lower = own.to_ascii_lowercase();
    let at = lower
        .find("\nfinal-recipient:")
        .map(|at| at + 1)
        .or_else(|| lower.starts_with("final-recipient:").then_some(0))?;
    // The paragraph that it stands in, and the one before it with what is said of the whole.
    let before = own.get(..at)?;
    let start = [before.rfind("\nReporting-MTA:"), before.rfind("\nAction:")]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(at);
    let delivery = dsn::read(own.get(start..)?.as_bytes());
    let first = delivery.outcomes.first()?;
    (first.address.is_some() && (first.status.is_some() || first.diagnostic.is_some()))
        .then_some(delivery)
}

/// A recipient as a text lists it.
#[derive(Debug, Default)]
struct Listed {
    address: Option<String>,
    parent: Option<String>,
    reason: String,
    /// What to say if nothing else is said: the line that named it, or what stood before.
    otherwise: String,
}

impl Listed {
    fn named(address: String) -> Self {
        Self {
            address: Some(address),
            ..Self::default()
        }
    }

    fn add(&mut self, line: &str) {
        if self.reason.len() < MAX_REASON && !line.is_empty() {
            if !self.reason.is_empty() {
                self.reason.push('\n');
            }
            self.reason.push_str(line);
        }
    }

    fn outcome(mut self, action: Action, own: &str, whole: Option<&str>) -> Outcome {
        if self.reason.is_empty() {
            self.reason = std::mem::take(&mut self.otherwise);
        }
        if self.reason.is_empty() {
            self.reason = flat_case(own);
        }
        let mut codes = reply::codes(&self.reason);
        if codes.reply.is_none()
            && let (Some(address), Some(whole)) = (&self.address, whole)
            && let Some(line) = answer_about(own, whole, address)
        {
            self.add(line);
            codes = reply::codes(&self.reason);
        }
        let diagnostic = cut(&flat_case(&self.reason));
        Outcome {
            status: codes.enhanced,
            smtp_code: codes.reply,
            stage: reply::stage(&diagnostic),
            remote_mta: reply::host(&diagnostic),
            address: self.address,
            original: self.parent,
            action,
            diagnostic: (!diagnostic.is_empty()).then_some(diagnostic),
        }
    }
}

/// A line of a transcript that begins with a reply code and names the address.
fn answer_about<'a>(own: &'a str, whole: &str, address: &str) -> Option<&'a str> {
    let at = whole
        .find(&address.to_lowercase())
        .filter(|_| whole.len() == own.len())?;
    let rest = own.get(at..)?;
    let at = at + rest.find('\n')?;
    // Behind the place where it is listed.
    let tail = own.get(at..)?;
    let lines = tail.lines().take(MAX_LINES);
    lines
        .map(|line| line.trim_start_matches(['<', ' ', '\t']).trim())
        .find(|line| {
            line.bytes().take(3).filter(u8::is_ascii_digit).count() == 3
                && line.to_lowercase().contains(&address.to_lowercase())
        })
}

/// The recipients that `own` lists in the form of `format`.
fn listed(said: &text::Said, format: &Format, domain: &str) -> Vec<Listed> {
    let mut list = List {
        found: Vec::new(),
        current: None,
        open: false,
        before: String::new(),
    };
    let mut begun = format.begin.is_empty();
    let lines = said.own.lines().zip(said.lower.lines());
    for (line, lower) in lines.take(MAX_LINES) {
        let (line, lower) = (line.trim(), lower.trim());
        if !begun {
            begun = format
                .begin
                .iter()
                .any(|begin| lower.contains(begin.as_str()));
            if !begun {
                continue;
            }
        }
        let named = format
            .recipient
            .iter()
            .find_map(|pattern| pattern.matches(line));
        match named {
            Some(found) => list.name(line, found, domain, format.order),
            None if format
                .stop
                .iter()
                .any(|stop| lower.starts_with(stop.as_str())) =>
            {
                list.open = false;
            }
            None => list.line(line, format),
        }
        if list.found.len() >= MAX_RECIPIENTS {
            break;
        }
    }
    list.found
}

struct List {
    found: Vec<Listed>,
    /// Which one the lines are about.
    current: Option<usize>,
    /// Whether lines are still its reason.
    open: bool,
    /// Lines that belong to none.
    before: String,
}

impl List {
    fn name(&mut self, line: &str, found: Found, domain: &str, order: Order) {
        let address = match (found.address, found.name) {
            (Some(address), _) => Some(address),
            (None, Some(_)) if domain.is_empty() => return,
            (None, Some(name)) => Some(format!("{name}@{domain}")),
            (None, None) => None,
        };
        let same = |one: &Listed| match (&one.address, &address) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => false,
        };
        // Named again: within its own reason, or in the same list in another language.
        let recent = self.found.len().saturating_sub(LOOK_BACK);
        let known = self
            .found
            .iter()
            .skip(recent)
            .position(same)
            .map(|at| at + recent);
        if let Some(known) = known {
            if Some(known) == self.current && self.open {
                if let Some(one) = self.found.get_mut(known) {
                    one.add(line);
                }
            } else {
                self.open = self
                    .found
                    .get(known)
                    .is_some_and(|one| one.reason.is_empty());
                self.current = Some(known);
            }
            return;
        }
        let mut one = Listed {
            address,
            ..Listed::default()
        };
        match order {
            // The line itself is the last word.
            Order::Before => {
                one.add(line);
                one.add(&std::mem::take(&mut self.before));
            }
            Order::After if found.says => one.add(line),
            Order::After => one.add(found.reason.as_deref().unwrap_or_default()),
        }
        one.otherwise.clone_from(&self.before);
        self.current = Some(self.found.len());
        self.open = order == Order::After;
        self.found.push(one);
    }

    fn line(&mut self, line: &str, format: &Format) {
        let current = self.current.and_then(|at| self.found.get_mut(at));
        if let Some(one) = current {
            let parent = format
                .parent
                .iter()
                .find_map(|pattern| pattern.matches(line));
            if let Some(Found {
                address: Some(parent),
                ..
            }) = parent
            {
                one.parent.get_or_insert(parent);
                return;
            }
            if self.open {
                one.add(line);
                return;
            }
        }
        if self.before.len() < MAX_REASON && !line.is_empty() {
            self.before.push(' ');
            self.before.push_str(line);
        }
    }
}

/// How many recipients back one that is named again is looked for.
const LOOK_BACK: usize = 32;

/// Recipients that stand elsewhere than in the text.
fn elsewhere(header: &Header, returned: &Header, format: &Format) -> Vec<String> {
    let failed = header.all("x-failed-recipients").take(8);
    let failed: Vec<String> = failed
        .flat_map(|field| {
            let value = decode_words(field.raw(), None);
            value
                .split(',')
                .map(|one| one.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|address| address.contains('@'))
        .take(MAX_RECIPIENTS)
        .collect();
    if failed.is_empty() && format.to {
        return single_to(returned).into_iter().collect();
    }
    failed
}

/// The recipient of a returned mail that was for one alone.
fn single_to(returned: &Header) -> Option<String> {
    let value = decode_words(returned.all("to").next()?.raw(), None);
    let mut addresses = value
        .split([' ', ',', ';', '\t'])
        .filter_map(pattern::address);
    let first = addresses.next()?;
    let only = returned.count("to") == 1 && !returned.has("cc");
    (only && addresses.all(|other| other.eq_ignore_ascii_case(&first))).then_some(first)
}

fn raw_from(header: &Header) -> Cow<'_, [u8]> {
    match header.all("from").next() {
        Some(field) => Cow::Borrowed(field.raw()),
        None => Cow::Borrowed(b""),
    }
}

/// A text on one line.
fn flat_case(text: &str) -> String {
    let mut flat = String::with_capacity(text.len().min(2 * MAX_REASON));
    for word in text.split_whitespace() {
        if flat.len() > MAX_REASON {
            break;
        }
        flat.push_str(word);
        flat.push(' ');
    }
    flat
}

/// A text in lower case. Nearly all are ASCII, and done so much faster.
fn lower(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.to_lowercase()
    }
}

/// The beginning of a text, cut between characters.
fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim().to_owned()
}
