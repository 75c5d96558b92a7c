//! Mails: whatever happens to one on its way, it suppresses nobody whom no token names.
//!
//! The input is a line that says where the mail came in, then the mail:
//! `ROLE DOOR TOKEN MAIL-FROM TENANT STREAM TENANTS`, with `-` for what there is none of.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use desist::judge::{Judged, MAX_EVENTS, identify};
use desist::model::address::Address;
use desist::model::authentication::Authentication;
use desist::model::event::{Effect, Event, FoundIn, Proof};
use desist::model::mailbox::Role;
use desist::model::receipt::{Door, ReceiptState};
use desist::model::recipient::RecipientKey;
use desist::model::tenant::TenantId;
use desist::report::arf::Feedback;
use desist::report::encoded_words::decode_words;
use desist::report::{What, header, mime, read};
use desist::token::finder::{Finder, MAX_MACS, percent_decoded};
use desist::token::keyring::{Keyring, Mint};
use desist::token::wire::Use;

use super::world::{At, Fixture, World, fixtures};

/// Somebody whom no fixture names, on stream 1.
static VICTIM: LazyLock<(RecipientKey, String)> = LazyLock::new(|| {
    let token = World::new(&[1])
        .keyring
        .mint(&Mint {
            tenant: TenantId::DEFAULT,
            stream: 1,
            address: &Address::parse("victim@example.net").unwrap(),
            reference: b"",
            purpose: Use::Feedback,
        })
        .unwrap();
    (token.fields.recipient, token.text)
});

/// Fields that name other people's mails.
const OTHERS: [&str; 3] = ["In-Reply-To", "References", "X-Forwarded-Message-Id"];

/// Mails that come to mailboxes for complaints.
pub(crate) fn complaint(input: &[u8]) {
    check(input, &[Role::Complaint, Role::Cfbl]);
}

/// Mails that come to mailboxes for opt-outs.
pub(crate) fn unsubscribe(input: &[u8]) {
    check(input, &[Role::Unsubscribe]);
}

/// Mails that come to all other mailboxes.
pub(crate) fn bounce(input: &[u8]) {
    let roles = [Role::Bounce, Role::Dmarc, Role::TlsReport, Role::Human];
    check(input, &roles);
}

pub(crate) fn complaint_seeds() -> Vec<Vec<u8>> {
    seeds(&[Role::Complaint, Role::Cfbl])
}

pub(crate) fn unsubscribe_seeds() -> Vec<Vec<u8>> {
    seeds(&[Role::Unsubscribe])
}

pub(crate) fn bounce_seeds() -> Vec<Vec<u8>> {
    seeds(&[Role::Bounce, Role::Dmarc, Role::TlsReport, Role::Human])
}

fn seeds(roles: &[Role]) -> Vec<Vec<u8>> {
    let all = fixtures();
    let own = |fixture: &&Fixture| roles.contains(&fixture.at.role);
    all.iter().filter(own).map(written).collect()
}

fn written(fixture: &Fixture) -> Vec<u8> {
    let At {
        role,
        door,
        token,
        mail_from,
        tenant,
        stream,
        ..
    } = &fixture.at;
    let or_none = |text: Option<String>| text.filter(|t| !t.is_empty()).unwrap_or("-".to_owned());
    let line = format!(
        "{role} {door} {} {} {} {} {}\n",
        or_none(token.clone()),
        or_none(Some(mail_from.replace(' ', ""))),
        or_none(tenant.map(|tenant| tenant.to_string())),
        or_none(stream.map(|stream| stream.to_string())),
        fixture.tenants.len(),
    );
    [line.as_bytes(), &fixture.raw].concat()
}

/// Reads the input; what is damaged of its first line is taken for what comes first.
fn place<'a>(input: &'a [u8], roles: &[Role]) -> (At, Vec<u32>, &'a [u8]) {
    let end = memchr(input).unwrap_or(input.len());
    let (line, raw) = input.split_at(end);
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let mut word = || words.next().filter(|word| *word != "-" && !word.is_empty());
    let role = word().and_then(|word| word.parse().ok());
    let door = word().and_then(|word| word.parse().ok());
    let at = At {
        role: role.filter(|role| roles.contains(role)).unwrap_or(roles[0]),
        // What comes in by the API is no mail.
        door: door.filter(|door| *door != Door::Api).unwrap_or(Door::Smtp),
        token: word().map(str::to_owned),
        mail_from: word().unwrap_or_default().to_owned(),
        tenant: word().and_then(|word| TenantId::new(word.parse().ok()?)),
        stream: word().and_then(|word| word.parse().ok()),
        authentication: Authentication::Failed,
    };
    let tenants = match word() {
        Some("0") => vec![],
        None | Some("1") => vec![1],
        Some(_) => vec![1, 70_000],
    };
    (at, tenants, raw.get(1..).unwrap_or_default())
}

fn memchr(input: &[u8]) -> Option<usize> {
    input.iter().position(|byte| *byte == b'\n')
}

fn check(input: &[u8], roles: &[Role]) {
    let (at, tenants, raw) = place(input, roles);
    let world = World::new(&tenants);
    let judged = world.judge(&at, raw);
    sound(&judged, at.role);
    let named = named(&world, &at, raw);
    for event in suppressed(&judged.events) {
        assert_eq!(event.proof, Proof::Token, "{event:?}");
        let place = event.found_in.expect("a place");
        assert_ne!(place, FoundIn::Unproven);
        let recipient = event.recipient.expect("a recipient");
        let known = named.as_ref().is_none_or(|all| all.contains(&recipient));
        assert!(known, "{event:?}");
        assert_ne!(at.role, Role::Human, "{event:?}");
    }
    // Under other keys nothing is proven.
    let strangers = World {
        keyring: Keyring::with_keys([]),
        ..World::new(&tenants)
    };
    let judged = strangers.judge(&at, raw);
    assert!(suppressed(&judged.events).is_empty(), "without any key");
    if named.is_some_and(|all| !all.contains(&VICTIM.0)) {
        others_prove_nothing(&world, &at, raw);
        others_within(&world, &at, raw);
    }
    bounded(&world, raw);
}

/// Something is always said, within limits.
fn sound(judged: &Judged, role: Role) {
    let events = &judged.events;
    assert!((1..=MAX_EVENTS).contains(&events.len()));
    for (index, event) in events.iter().enumerate() {
        assert_eq!(usize::from(event.id.index), index);
        let texts = [&event.detail.user_agent, &event.detail.reporter];
        for text in texts.into_iter().flatten() {
            assert!(
                text.len() <= 512 && !text.contains(char::is_control),
                "{text:?}"
            );
        }
    }
    let human = events[0].detail.rule.as_deref() == Some("human");
    assert_eq!(role == Role::Human, human, "{events:?}");
    let held = events
        .iter()
        .flat_map(|event| &event.effects)
        .any(|effect| matches!(effect, Effect::Hold { .. }));
    assert_eq!(held, judged.state == ReceiptState::Held, "{judged:?}");
}

/// The events that suppress, or bring a suppression nearer.
fn suppressed(events: &[Event]) -> Vec<&Event> {
    let suppresses = |event: &&Event| {
        event.effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::Suppress { .. }
                    | Effect::SuppressUnlessBraked { .. }
                    | Effect::CountSoft(_)
            )
        })
    };
    events.iter().filter(suppresses).collect()
}

/// B-033: a token among the fields that name other mails is never proof.
fn others_prove_nothing(world: &World, at: &At, raw: &[u8]) {
    let (victim, token) = &*VICTIM;
    for field in OTHERS {
        let head = format!("{field}: <{token}.1@example.com>\r\n");
        let mail = [head.as_bytes(), raw].concat();
        let judged = world.judge(at, &mail);
        for event in suppressed(&judged.events) {
            assert_ne!(event.recipient.as_ref(), Some(victim), "by {field}");
        }
    }
}

/// The same within what came back with a report: its header has such fields too.
fn others_within(world: &World, at: &At, raw: &[u8]) {
    let (victim, token) = &*VICTIM;
    let marks = ["\nSubject:", "\nMessage-ID:", "\nX-Desist:"];
    let mut mail = String::from_utf8_lossy(raw).into_owned();
    for (mark, field) in marks.iter().zip(OTHERS) {
        mail = mail.replace(mark, &format!("\n{field}: <{token}.1@example.com>{mark}"));
    }
    // Elsewhere it may be in a text that says something. In JSON a line break is none of a value, so
    // the field may have become a part of another one.
    let has_header = |reports: &[Feedback]| reports.iter().all(|one| !one.sign.starts_with("JSON"));
    if matches!(read(mail.as_bytes()).what, What::Feedback(reports) if has_header(&reports)) {
        let judged = world.judge(at, mail.as_bytes());
        for event in suppressed(&judged.events) {
            assert_ne!(event.recipient.as_ref(), Some(victim), "{event:?}");
        }
    }
}

/// what the search for tokens costs, counted.
fn bounded(world: &World, raw: &[u8]) {
    let reading = read(raw);
    if let What::Feedback(reports) = &reading.what {
        let (found, cost) = identify::in_reports(None, reports, &reading.hints, &world.keyring);
        assert_eq!(found.len(), reports.len());
        assert!(cost.macs <= MAX_MACS, "{cost:?}");
        // Decoding to UTF-8 makes up to three octets of one.
        assert!(
            cost.octets <= 4 * raw.len() + 64,
            "{cost:?} in {}",
            raw.len()
        );
    }
}

/// Whom the tokens anywhere in a mail name, in whatever way they are encoded. `None`: that is too
/// much to say.
fn named(world: &World, at: &At, raw: &[u8]) -> Option<BTreeSet<RecipientKey>> {
    let mut search = Search {
        world,
        left: 32 * raw.len() + 4096,
        named: BTreeSet::new(),
    };
    if let Some(token) = &at.token {
        search.text(token.as_bytes())?;
    }
    search.mail(raw)?;
    Some(search.named)
}

struct Search<'a> {
    world: &'a World,
    /// Octets that may still be searched: parts within parts are much.
    left: usize,
    named: BTreeSet<RecipientKey>,
}

impl Search<'_> {
    fn mail(&mut self, raw: &[u8]) -> Option<()> {
        self.text(raw)?;
        // In some fields white space means nothing.
        let space = u8::is_ascii_whitespace;
        let dense: Vec<u8> = raw.iter().copied().filter(|b| !space(b)).collect();
        self.text(&dense)?;
        let message = header::repair(raw);
        let structure = mime::open(&message, mime::Limits::default());
        for field in structure.root.header.fields() {
            self.text(decode_words(field.raw(), None).as_bytes())?;
        }
        for part in structure.root.walk() {
            let content = part.content(usize::MAX / 8);
            let text = part.text(usize::MAX / 8);
            self.text(text.as_bytes())?;
            self.json(&text)?;
            let inner = part.media.essence().starts_with("message/");
            if inner || matches!(content, Cow::Owned(_)) {
                self.mail(&content)?;
            }
        }
        Some(())
    }

    /// Texts within JSON, whose long lines a relay may have broken, and mails in them in base64.
    fn json(&mut self, text: &str) -> Option<()> {
        let joined = text.replace(['\r', '\n', '!'], "");
        self.text(joined.replace(' ', "").as_bytes())?;
        let start = text.find('{').unwrap_or(text.len());
        let mut strings = Vec::new();
        if let Some(Ok(value)) = serde_json::Deserializer::from_str(text.get(start..)?)
            .into_iter::<serde_json::Value>()
            .next()
        {
            strings_in(&value, &mut strings);
        }
        for string in strings {
            self.text(string.as_bytes())?;
            let letters = string.bytes().filter(u8::is_ascii_graphic);
            let letters: Vec<u8> = letters.take_while(|byte| *byte != b'=').collect();
            let whole = letters.get(..letters.len() / 4 * 4).unwrap_or_default();
            if let Ok(mail) = data_encoding::BASE64.decode(whole) {
                self.mail(&mail)?;
            }
            self.mail(string.as_bytes())?;
        }
        Some(())
    }

    fn text(&mut self, text: &[u8]) -> Option<()> {
        self.left = self.left.checked_sub(text.len())?;
        let decoded = percent_decoded(text);
        for text in [text, &*decoded] {
            let mut finder = Finder::new(&self.world.keyring);
            finder.search(FoundIn::Text, text);
            let found = finder.finish();
            if found.exhausted.is_some() {
                return None;
            }
            let tokens = found.tokens.iter();
            self.named
                .extend(tokens.map(|(_, token)| token.fields.recipient));
        }
        Some(())
    }
}

fn strings_in(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(all) => all.iter().for_each(|one| strings_in(one, found)),
        serde_json::Value::Object(all) => all.values().for_each(|one| strings_in(one, found)),
        _ => {}
    }
}
