//! Rows of events.

use serde_json::Value as Json;

use super::Addresses;
use super::failure::Failure;
use super::pool::Conn;
use super::record::Verdict;
use super::sql::{ManyRows, Row, Value, fetch_many, month, to_json, values};
use crate::model::authentication::Authentication;
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::event::{
    Effect, Event, EventId, EventKind, FoundIn, HoldReason, Proof, SoftFailure,
};
use crate::model::receipt::{Door, ReceiptId};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::Reason;

/// An event as stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its place in the feed.
    pub seq: u64,
    /// When its receipt was accepted.
    pub at: Timestamp,
    /// By which door.
    pub door: Door,
    /// The event.
    pub event: Event,
}

/// What [`event_of`] reads, of the table `events e`, and the place in the feed.
pub(super) const COLUMNS: &str = "e.seq, e.at, e.receipt, e.idx, e.tenant, e.kind, e.proof, \
    e.authentication, e.recipient, e.address, e.stream, e.reference, e.found_in, e.effects, \
    e.detail";

/// What [`StoredEvent::of`] reads beside: the door is the receipt's, and is looked up only for those
/// to whom the event is shown.
pub(super) const DOOR: &str =
    "(select door from receipts r where r.month = e.month and r.id = e.receipt) as door";

/// An event alone.
pub(super) fn event_of(row: &Row) -> Result<Event, Failure> {
    let effects: Vec<Json> = row.json("effects")?;
    Ok(Event {
        id: EventId {
            receipt: ReceiptId::from_bytes(row.array("receipt")?),
            index: row.number("idx")?,
        },
        tenant: row.opt_tenant("tenant")?,
        kind: row.word("kind")?,
        proof: row.word("proof")?,
        authentication: row.word("authentication")?,
        recipient: row.opt_array("recipient")?.map(RecipientKey::from_bytes),
        address: row.opt_text("address")?,
        stream: row.number("stream")?,
        reference: row.bytes("reference")?,
        found_in: row.opt_word("found_in")?,
        effects: effects
            .iter()
            .map(|effect| {
                effect_of(effect).ok_or_else(|| row.broken("effects", &"no effect is so"))
            })
            .collect::<Result<_, _>>()?,
        detail: row.json("detail")?,
    })
}

impl StoredEvent {
    pub(super) fn of(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            seq: row.number("seq")?,
            at: row.time("at")?,
            door: row.word("door")?,
            event: event_of(row)?,
        })
    }
}

/// Writes the events of new receipts; their places begin with `first`.
pub(super) async fn insert(
    conn: &mut Conn<'_>,
    new: &[&Verdict],
    addresses: Addresses,
    first: u64,
) -> Result<(), Failure> {
    let rows = new
        .iter()
        .flat_map(|verdict| verdict.events.iter().map(|event| (*verdict, event)))
        .zip(first..)
        .map(|((verdict, event), seq)| row(verdict, event, addresses, seq))
        .collect::<Result<_, _>>()?;
    let statement = ManyRows {
        table: "events",
        head: "insert into events (month, receipt, idx, seq, at, tenant, kind, proof, \
               authentication, recipient, address, stream, reference, found_in, effects, detail)",
        tail: "",
    };
    fetch_many(conn, statement, rows).await?;
    Ok(())
}

fn row(
    verdict: &Verdict,
    event: &Event,
    addresses: Addresses,
    seq: u64,
) -> Result<Vec<Value>, Failure> {
    let effects: Vec<EffectText> = event.effects.iter().copied().map(Into::into).collect();
    let mut row = values![
        month(event.id.receipt),
        event.id.receipt,
        event.id.index,
        seq,
        verdict.receipt.at,
        event.tenant,
        event.kind.as_str(),
        event.proof.as_str(),
        event.authentication.as_str(),
        event.recipient,
        addresses.kept(event.address.as_deref()),
        event.stream,
        event.reference.as_slice(),
        event.found_in.map(FoundIn::as_str),
    ];
    row.push(Value::json(&effects)?);
    row.push(match addresses {
        Addresses::Keep => Value::json(&event.detail)?,
        Addresses::Forget => Value::json(&event.detail.without_addresses())?,
    });
    Ok(row)
}

/// An effect as it is stored.
#[derive(serde::Serialize)]
struct EffectText {
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<HoldReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<SoftFailure>,
}

impl From<Effect> for EffectText {
    fn from(effect: Effect) -> Self {
        let stops = effect.stops();
        Self {
            effect: effect.as_str(),
            scope: stops.map(|(scope, _)| scope.to_string()),
            reason: stops.map(|(_, reason)| reason),
            because: effect.because(),
            failure: effect.failure(),
        }
    }
}

fn effect_of(json: &Json) -> Option<Effect> {
    let word = |name: &str| json.get(name).and_then(Json::as_str);
    Some(match word("effect")? {
        "suppress" => Effect::Suppress {
            scope: word("scope")?.parse().ok()?,
            reason: word("reason")?.parse().ok()?,
        },
        "hold" => Effect::Hold {
            scope: word("scope")?.parse().ok()?,
            reason: word("reason")?.parse().ok()?,
            because: word("because")?.parse().ok()?,
        },
        "signal" => Effect::Signal,
        "suppress-unless-braked" => Effect::SuppressUnlessBraked {
            scope: word("scope")?.parse().ok()?,
            reason: word("reason")?.parse().ok()?,
        },
        "count-soft" => Effect::CountSoft(word("failure")?.parse().ok()?),
        "reset-soft" => Effect::ResetSoft,
        "undo" => Effect::Undo,
        _ => return None,
    })
}

/// Where an event comes from, as far as its receipt says.
pub(super) struct Source {
    pub(super) at: Timestamp,
    pub(super) door: Door,
    pub(super) digest: Digest,
}

/// What is kept for ever about why a suppression stands, whatever becomes of receipt and event.
#[derive(serde::Serialize)]
struct Evidence<'a> {
    at: Timestamp,
    door: Door,
    kind: EventKind,
    reporter: Option<&'a str>,
    authentication: Authentication,
    proof: Proof,
    rule: Option<&'a str>,
    found_in: Option<FoundIn>,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<BounceClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bounce_rule: Option<&'a str>,
}

/// The evidence of a suppression that an event began, as JSON.
pub(super) fn evidence(event: &Event, proof: Proof, source: &Source) -> Result<String, Failure> {
    to_json(&Evidence {
        at: source.at,
        door: source.door,
        kind: event.kind,
        reporter: event.detail.reporter.as_deref(),
        authentication: event.authentication,
        proof,
        rule: event.detail.rule.as_deref(),
        found_in: event.found_in,
        sha256: source.digest.to_string(),
        status: event.detail.status.as_deref(),
        class: event.detail.class,
        provider: event.detail.provider.as_deref(),
        bounce_rule: event.detail.bounce_rule.as_deref(),
    })
}
