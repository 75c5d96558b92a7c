//! Effects that depend on what was before: settled in the transaction that stores them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::DAY;
use super::alarms::{self, Alarm, AlarmKind};
use super::brake::{self, Braked, HardBounce};
use super::failure::Failure;
use super::lift;
use super::pool::Conn;
use super::record::Verdict;
use super::soft::{self, Step};
use super::sql::{ManyRows, fetch_many, month, values};
use super::suppressions::StoredSuppression;
use crate::judge::history::BouncePolicy;
use crate::model::clock::Timestamp;
use crate::model::event::{Effect, Event, EventId, EventKind, HoldReason};
use crate::model::receipt::{Door, ReceiptState};
use crate::model::recipient::RecipientKey;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// What settling came to, beside the effects that it has put into the events.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Which of the new holds belong to a batch.
    pub(super) batches: BTreeMap<EventId, String>,
    /// What had been suppressed in this hour and is held now.
    pub(super) lifted: Vec<StoredSuppression>,
    /// What was told for the first time.
    pub(super) alarms: Vec<Alarm>,
}

/// How long ago something is that alarms tell of (two days).
const NEWS: Duration = Duration::from_hours(48);

/// Why something braked was lifted.
pub(super) const BRAKED_NOTE: &str = "the brake: the provider called too many recipients dead";

/// Settles the effects of new events.
pub(super) async fn settle(
    conn: &mut Conn<'_>,
    new: &mut [Cow<'_, Verdict>],
    policy: &BouncePolicy,
    now: Timestamp,
) -> Result<Settled, Failure> {
    let mut settled = Settled::default();
    let mut waiting = BTreeSet::new();
    let counted = soft::count(conn, steps(new), policy, now).await?;
    for (place, effect) in counted {
        let Some(event) = event_at(new, place) else {
            continue;
        };
        event.effects.push(effect);
        if effect.because().is_some() {
            waiting.insert(event.id);
        }
    }
    let bounces = hard_bounces(new);
    let Braked {
        held,
        known,
        earlier,
        alarms,
    } = brake::brake(conn, &bounces, policy, now).await?;
    settled.alarms = alarms;
    let standing =
        standing_of(conn, bounces.iter().filter(|b| held.contains_key(&b.place))).await?;
    for bounce in &bounces {
        let braked = match held.get(&bounce.place) {
            // It stands since before: there is nothing to decide.
            Some(_) if standing.contains(&(bounce.tenant, bounce.recipient)) => Outcome::Nothing,
            Some(batch) => {
                waiting.insert(bounce.event);
                settled.batches.insert(bounce.event, batch.clone());
                Outcome::Held
            }
            None if known.contains(&bounce.place) => Outcome::Nothing,
            None => Outcome::Suppressed,
        };
        if let Some(event) = event_at(new, bounce.place) {
            apply(event, braked);
        }
    }
    settled.lifted = hold_earlier(conn, earlier).await?;
    settled
        .alarms
        .extend(signals(conn, new, policy, now).await?);
    settled.alarms.extend(revoked(new, now));
    settled.alarms = alarms::raise(conn, std::mem::take(&mut settled.alarms)).await?;
    mark_held(conn, new, &waiting).await?;
    Ok(settled)
}

fn event_at<'a>(
    new: &'a mut [Cow<'_, Verdict>],
    (verdict, event): (usize, usize),
) -> Option<&'a mut Event> {
    new.get_mut(verdict)?.to_mut().events.get_mut(event)
}

/// Each effect that is to be settled, with its event and its place in the batch.
fn open<'a>(
    new: &'a [Cow<'_, Verdict>],
) -> impl Iterator<Item = (&'a Verdict, &'a Event, Effect, (usize, usize))> {
    new.iter().enumerate().flat_map(|(at, verdict)| {
        verdict
            .events
            .iter()
            .enumerate()
            .flat_map(move |(index, event)| {
                let effects = event.effects.iter();
                effects.map(move |effect| (&**verdict, event, *effect, (at, index)))
            })
    })
}

fn steps(new: &[Cow<'_, Verdict>]) -> Vec<Step> {
    open(new)
        .filter_map(|(verdict, event, effect, place)| {
            let failure = match effect {
                Effect::CountSoft(failure) => Some(failure),
                Effect::ResetSoft => None,
                _ => return None,
            };
            Some(Step {
                at: event.id.receipt.at(),
                whose: (event.tenant?, event.recipient?),
                failure,
                fed: failure.is_none() && verdict.receipt.door == Door::Api,
                place,
            })
        })
        .collect()
}

fn hard_bounces(new: &[Cow<'_, Verdict>]) -> Vec<HardBounce> {
    open(new)
        .filter(|(_, _, effect, _)| matches!(effect, Effect::SuppressUnlessBraked { .. }))
        .filter_map(|(_, event, _, place)| {
            Some(HardBounce {
                at: event.id.receipt.at(),
                tenant: event.tenant?,
                provider: event.detail.provider.clone().unwrap_or_default(),
                recipient: event.recipient?,
                event: event.id,
                place,
            })
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Outcome {
    Suppressed,
    Held,
    Nothing,
}

fn apply(event: &mut Event, outcome: Outcome) {
    let effects = std::mem::take(&mut event.effects).into_iter();
    event.effects = effects
        .filter_map(|effect| {
            let Effect::SuppressUnlessBraked { scope, reason } = effect else {
                return Some(effect);
            };
            match outcome {
                Outcome::Suppressed => Some(Effect::Suppress { scope, reason }),
                Outcome::Held => Some(Effect::Hold {
                    scope,
                    reason,
                    because: HoldReason::Braked,
                }),
                Outcome::Nothing => None,
            }
        })
        .collect();
}

/// Those of the recipients that are suppressed by a bounce already.
async fn standing_of(
    conn: &mut Conn<'_>,
    bounces: impl Iterator<Item = &HardBounce>,
) -> Result<BTreeSet<(TenantId, RecipientKey)>, Failure> {
    let wanted: BTreeSet<_> = bounces.map(|b| (b.tenant, b.recipient)).collect();
    let rows = wanted.iter().map(|(tenant, recipient)| {
        values![
            *tenant,
            *recipient,
            Scope::All.to_string().as_str(),
            Reason::Bounce.as_str()
        ]
    });
    let statement = ManyRows {
        table: "suppressions",
        head: "select s.tenant, s.recipient from (",
        tail: ") k join suppressions s on s.tenant = k.column1 and s.recipient = k.column2
               and s.scope = k.column3 and s.reason = k.column4",
    };
    let found = fetch_many(conn, statement, rows.collect()).await?;
    found
        .iter()
        .map(|row| {
            let recipient = RecipientKey::from_bytes(row.array("recipient")?);
            Ok((row.tenant("tenant")?, recipient))
        })
        .collect()
}

/// Ends what bounces of this hour have begun, and holds them with the others.
async fn hold_earlier(
    conn: &mut Conn<'_>,
    mut earlier: Vec<brake::Earlier>,
) -> Result<Vec<StoredSuppression>, Failure> {
    earlier.sort_by_key(|one| (one.tenant, one.recipient));
    let begun: Vec<(SuppressionKey, EventId)> = earlier
        .iter()
        .map(|one| {
            let key = SuppressionKey {
                tenant: one.tenant,
                recipient: one.recipient,
                scope: Scope::All,
                reason: Reason::Bounce,
            };
            (key, one.event)
        })
        .collect();
    let lifted = lift::remove_begun(conn, &begun).await?;
    let ended: BTreeSet<EventId> = lifted.iter().filter_map(|stood| stood.event).collect();
    let mut rows: Vec<_> = earlier
        .iter()
        .filter(|one| ended.contains(&one.event))
        .collect();
    rows.sort_by_key(|one| one.event);
    let rows = rows.into_iter().map(|one| {
        values![
            month(one.event.receipt),
            one.event.receipt,
            one.event.index,
            one.tenant,
            one.batch.as_str(),
            Scope::All.to_string().as_str(),
            Reason::Bounce.as_str(),
            HoldReason::Braked.as_str(),
        ]
    });
    let statement = ManyRows {
        table: "holds",
        head: "insert into holds (month, receipt, idx, tenant, batch, scope, reason, because)",
        tail: "on conflict (month, receipt, idx) do nothing",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    set_held(conn, &ended).await?;
    Ok(lifted)
}

/// Counts what we are to blame for; an alarm for each provider and cause that gets too many a day.
async fn signals(
    conn: &mut Conn<'_>,
    new: &[Cow<'_, Verdict>],
    policy: &BouncePolicy,
    now: Timestamp,
) -> Result<Vec<Alarm>, Failure> {
    let mut counts: BTreeMap<(TenantId, &str, &str, i64), u64> = BTreeMap::new();
    for (_, event, effect, _) in open(new) {
        let (Effect::Signal, EventKind::Bounce, Some(tenant)) = (effect, event.kind, event.tenant)
        else {
            continue;
        };
        let at = event.id.receipt.at();
        // What is read again raises no alarm about days that are over.
        if at < now.before(NEWS) {
            continue;
        }
        let day = at.as_millis().div_euclid(DAY);
        let provider = event.detail.provider.as_deref().unwrap_or_default();
        let class = event.detail.class.map_or("", |class| class.as_str());
        *counts.entry((tenant, provider, class, day)).or_default() += 1;
    }
    let rows = counts
        .iter()
        .map(|((tenant, provider, class, day), count)| {
            values![*tenant, *provider, *class, *day, *count]
        });
    let statement = ManyRows {
        table: "bounce_signals",
        head: "insert into bounce_signals (tenant, provider, class, day, bounces)",
        tail: "on conflict (tenant, provider, class, day) do update
               set bounces = bounce_signals.bounces + excluded.bounces
               returning tenant, provider, class, day, bounces",
    };
    let mut alarms = Vec::new();
    for row in fetch_many(conn, statement, rows.collect()).await? {
        let bounces: u64 = row.number("bounces")?;
        if bounces < u64::from(policy.signal_bounces) {
            continue;
        }
        let (tenant, day) = (row.tenant("tenant")?, row.int("day")?);
        let (provider, class) = (row.text("provider")?, row.text("class")?);
        alarms.push(Alarm {
            id: format!("signal-{}-{provider}-{class}-{day}", tenant.get()),
            at: now,
            tenant: Some(tenant),
            kind: AlarmKind::Signal,
            detail: json!({"provider": provider, "class": class, "bounces": bounces}),
        });
    }
    Ok(alarms)
}

/// One alarm a day for a tenant whose revoked tokens come back.
fn revoked(new: &[Cow<'_, Verdict>], now: Timestamp) -> Vec<Alarm> {
    let is_revoked = |effect: &Effect| effect.because() == Some(HoldReason::RevokedKey);
    let tenants: BTreeSet<_> = open(new)
        .filter(|(_, _, effect, _)| is_revoked(effect))
        .map(|(_, event, _, _)| event.tenant)
        .collect();
    let day = now.as_millis().div_euclid(DAY);
    tenants
        .into_iter()
        .map(|tenant| Alarm {
            id: format!("revoked-key-{}-{day}", tenant.map_or(0, TenantId::get)),
            at: now,
            tenant,
            kind: AlarmKind::RevokedKey,
            detail: json!({}),
        })
        .collect()
}

/// Says of the receipts too that something of them waits.
async fn mark_held(
    conn: &mut Conn<'_>,
    new: &mut [Cow<'_, Verdict>],
    held: &BTreeSet<EventId>,
) -> Result<(), Failure> {
    for verdict in new.iter_mut() {
        if verdict.events.iter().any(|event| held.contains(&event.id)) {
            verdict.to_mut().state = ReceiptState::Held;
        }
    }
    set_held(conn, held).await
}

async fn set_held(conn: &mut Conn<'_>, held: &BTreeSet<EventId>) -> Result<(), Failure> {
    let receipts: BTreeSet<_> = held.iter().map(|event| event.receipt).collect();
    let rows = receipts.into_iter().map(|id| values![month(id), id]);
    let statement = ManyRows {
        table: "receipts",
        head: "update receipts set state = 'held' from (",
        tail: ") as k where receipts.month = k.column1 and receipts.id = k.column2
               and receipts.state <> 'pending'",
    };
    fetch_many(conn, statement, rows.collect()).await?;
    Ok(())
}
