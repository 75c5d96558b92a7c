//! Kept receipts are read again with today's reader and rules: what they would not do today is
//! undone, and what they would do is done.

use std::collections::BTreeMap;

use crate::app::App;
use crate::app::suppressions::indexed;
use crate::judge::replay::difference;
use crate::judge::{Context, Policy, judge};
use crate::model::authentication::Authentication;
use crate::model::event::{Effect, Event};
use crate::model::receipt::ReceiptId;
use crate::model::tenant::TenantId;
use crate::store::{Correction, KeptReceipt, REPLAY_NOTE, ReplayFilter, StoreError};

/// Receipts of one page.
const PAGE: u32 = 200;
/// Raw bytes of a page beyond which it ends early: they are read one by one, but time is bounded.
const PAGE_BYTES: u64 = 64 << 20;

/// One page of a replay.
#[derive(Debug, Clone, Copy)]
pub struct ReplayPage {
    /// Which receipts.
    pub filter: ReplayFilter,
    /// Those behind this one.
    pub after: Option<ReceiptId>,
    /// Only say what it would change.
    pub dry_run: bool,
}

/// What a page came to.
#[derive(Debug, Clone, Default)]
pub struct Replayed {
    /// Receipts that were read.
    pub read: u64,
    /// Those of them whose raw bytes are no longer kept.
    pub not_kept: u64,
    /// Those that say something else today.
    pub changed: u64,
    /// Suppressions that events had begun which would not begin them today.
    pub unmade: u64,
    /// Suppressions that events would begin today, unless the brake holds them.
    pub made: u64,
    /// How often one rule has become another; `-` for none.
    pub rules: BTreeMap<(String, String), u64>,
    /// What was really lifted; 0 on a dry run.
    pub lifted: u64,
    /// What was really begun; 0 on a dry run.
    pub begun: u64,
    /// The last receipt that was read; `None` at the end.
    pub next: Option<ReceiptId>,
    /// Whether this node's index shows it already.
    pub indexed: bool,
}

/// Reads a page of receipts again, and applies what it changes.
pub async fn replay(app: &App, policy: &Policy, page: ReplayPage) -> Result<Replayed, StoreError> {
    let kept = app
        .store
        .kept_receipts(page.filter, page.after, PAGE)
        .await?;
    let mut outcome = Replayed {
        indexed: true,
        ..Replayed::default()
    };
    let is_last = kept.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
    let mut bytes = 0;
    let mut corrections = Vec::new();
    for receipt in kept {
        if bytes > PAGE_BYTES {
            break;
        }
        bytes += receipt.stored.size;
        outcome.read += 1;
        outcome.next = Some(receipt.stored.receipt.id);
        let Some(raw) = app.store.raw(receipt.stored.receipt.id).await? else {
            outcome.not_kept += 1;
            continue;
        };
        corrections.extend(read_again(app, policy, page.filter.tenant, (receipt, raw)).await);
    }
    if is_last && bytes <= PAGE_BYTES {
        outcome.next = None;
    }
    for correction in &corrections {
        outcome.add(correction);
    }
    if !page.dry_run && !corrections.is_empty() {
        let now = app.clock.now();
        let corrected = app.store.correct(&corrections, REPLAY_NOTE, now).await?;
        corrected.recorded.tell(&app.metrics);
        outcome.lifted = corrected.lifted;
        let effects = corrected.recorded.effects.iter();
        let begun = effects.filter(|effect| matches!(effect, Effect::Suppress { .. }));
        outcome.begun = u64::try_from(begun.count()).unwrap_or(u64::MAX);
        outcome.indexed = indexed(app, corrected.recorded.seq).await;
    }
    Ok(outcome)
}

/// What is to be corrected about a receipt. Reading is no work for a thread that serves.
async fn read_again(
    app: &App,
    policy: &Policy,
    tenant: Option<TenantId>,
    (kept, raw): (KeptReceipt, Vec<u8>),
) -> Option<Correction> {
    let served = app.reception.served();
    let policy = policy.clone();
    let work = move || {
        let context = Context {
            keyring: &served.keyring,
            directory: &served.directory,
            policy: &policy,
        };
        correction(kept, &raw, tenant, &context)
    };
    // A panic of the reader changes nothing about what is stored.
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

fn correction(
    kept: KeptReceipt,
    raw: &[u8],
    tenant: Option<TenantId>,
    context: &Context<'_>,
) -> Option<Correction> {
    let authentication = kept
        .events
        .first()
        .map_or(Authentication::Failed, |event| event.authentication);
    // Whoever could not be asked then cannot be asked now.
    let authentication = match authentication {
        Authentication::NotAsked => Authentication::Failed,
        asked => asked,
    };
    let receipt = kept.stored.receipt;
    let judged = judge(&receipt, raw, authentication, context);
    let mut difference = difference(&kept.events, &judged.events)?;
    let others = |event: &Event| event.tenant.is_some() && event.tenant != tenant;
    if tenant.is_some() && kept.events.iter().chain(&judged.events).any(others) {
        // One mail about several tenants: what is another's is not this tenant's to correct.
        difference.withdrawn.retain(|event| event.tenant == tenant);
        difference.new.retain(|event| event.tenant == tenant);
        if difference.withdrawn.is_empty() && difference.new.is_empty() {
            return None;
        }
    }
    for (index, event) in (kept.next..).zip(&mut difference.new) {
        event.id.index = index;
    }
    Some(Correction {
        receipt,
        tenant: judged.tenant,
        withdrawn: difference.withdrawn,
        new: difference.new,
    })
}

impl Replayed {
    fn add(&mut self, correction: &Correction) {
        self.changed += 1;
        let suppresses = |event: &&Event| {
            event.effects.iter().any(|effect| {
                matches!(
                    effect,
                    Effect::Suppress { .. } | Effect::SuppressUnlessBraked { .. }
                )
            })
        };
        let count = |events: &[Event]| {
            u64::try_from(events.iter().filter(suppresses).count()).unwrap_or(u64::MAX)
        };
        self.unmade += count(&correction.withdrawn);
        self.made += count(&correction.new);
        let rule = |event: Option<&Event>| {
            let rule = event.and_then(|event| event.detail.rule.clone());
            rule.unwrap_or_else(|| "-".to_owned())
        };
        let pairs = correction.withdrawn.len().max(correction.new.len());
        for at in 0..pairs {
            let before = rule(correction.withdrawn.get(at));
            let today = rule(correction.new.get(at));
            *self.rules.entry((before, today)).or_default() += 1;
        }
    }
}
