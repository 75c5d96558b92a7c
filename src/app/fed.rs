//! What a tenant's own systems know of deliveries: judged at once, and stored as receipts of the
//! door `api`, in one transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::app::suppressions::{ItemError, Written, indexed, whom};
use crate::judge::fed::Told;
use crate::judge::{Context, judge};
use crate::model::authentication::Authentication;
use crate::model::clock::Timestamp;
use crate::model::digest::Digest;
use crate::model::mailbox::{Mailbox, Role};
use crate::model::receipt::{Door, Envelope, Receipt, ReceiptId};
use crate::model::tenant::TenantId;
use crate::store::{StoreError, Verdict};

/// How old may be what is told: no failure counts longer than 90 days by default.
const OLDEST: Duration = Duration::from_hours(90 * 24);
/// How far the clock of who tells it may go ahead.
const AHEAD: Duration = Duration::from_hours(1);
/// Longest text that is taken, in bytes.
const LONGEST_TEXT: usize = 2_000;

/// One thing that is told.
#[derive(Debug, Clone)]
pub struct Item {
    /// The token of the envelope, instead of an address.
    pub token: Option<String>,
    /// The teller's own name for it: told again, it changes nothing.
    pub id: Option<String>,
    /// When it happened; now if not given.
    pub at: Option<Timestamp>,
    /// What happened.
    pub told: Told,
}

/// Why an item was not taken. The others of the same call were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// It names nobody, or an address that is none.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// It names neither or both.
    #[error("give either an address or a token")]
    Whom,
    /// The token does not verify.
    #[error("the token is not valid")]
    Token,
    /// The token is another tenant's.
    #[error("the token is another tenant's")]
    OtherTenant,
    /// What was told once can be known again only by its time.
    #[error("an item with an id needs `at`: both together say that it was told before")]
    IdWithoutTime,
    /// It lies ahead, or too far back.
    #[error("`at` lies more than an hour ahead or more than 90 days back")]
    Time,
    /// A text is too long.
    #[error("a text has at most 2000 bytes")]
    LongText,
    /// The reply code is none.
    #[error("smtp_code: from 200 to 599")]
    Code,
}

/// What was stored of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its receipt.
    pub receipt: ReceiptId,
    /// Whether it had not been told before.
    pub new: bool,
}

/// Stores what is told in one transaction; bad items are named and the others stored.
pub async fn tell(
    app: &App,
    tenant: TenantId,
    (agent, items): (&str, Vec<Item>),
) -> Result<Written<Taken, TellError>, StoreError> {
    let now = app.clock.now();
    let served = app.reception.served();
    let context = Context {
        keyring: &served.keyring,
        directory: &served.directory,
        policy: &app.settings.policy,
    };
    let mut verdicts = Vec::with_capacity(items.len());
    let mut plan = Vec::with_capacity(items.len());
    for item in items {
        let receipt = match receipt(app, tenant, (agent, &item), now) {
            Ok(id) => id?,
            Err(error) => {
                plan.push(Err(error));
                continue;
            }
        };
        let (receipt, raw) = receipt;
        plan.push(Ok(receipt.id));
        let judged = judge(&receipt, &raw, Authentication::Failed, &context);
        verdicts.push(Verdict {
            receipt,
            tenant: judged.tenant,
            state: judged.state,
            raw,
            events: judged.events,
        });
    }
    let recorded = app.store.record(&verdicts, now).await?;
    let mut new: HashSet<ReceiptId> = recorded.new.iter().copied().collect();
    for verdict in verdicts.iter().filter(|v| new.contains(&v.receipt.id)) {
        app.metrics.receipt(Door::Api, Role::Bounce);
        for event in &verdict.events {
            app.metrics.event(event.kind, event.proof);
        }
    }
    recorded.tell(&app.metrics);
    let indexed = verdicts.is_empty() || indexed(app, recorded.seq).await;
    let items = plan
        .into_iter()
        .map(|item| {
            item.map(|receipt| Taken {
                receipt,
                new: new.remove(&receipt),
            })
        })
        .collect();
    Ok(Written { items, indexed })
}

type Made = Result<Result<(Receipt, Arc<[u8]>), StoreError>, TellError>;

/// The receipt of an item with its raw bytes.
fn receipt(app: &App, tenant: TenantId, (agent, item): (&str, &Item), now: Timestamp) -> Made {
    check(item, now)?;
    let token = match (&item.told.address, &item.token) {
        (Some(address), None) => {
            whom(app, tenant, address)?;
            None
        }
        (None, Some(token)) => {
            let token = app
                .reception
                .keyring()
                .verify(&token.to_ascii_lowercase())
                .map_err(|_wrong| TellError::Token)?;
            if token.fields.tenant != tenant {
                return Err(TellError::OtherTenant);
            }
            Some(token.text)
        }
        (Some(_), Some(_)) | (None, None) => return Err(TellError::Whom),
    };
    let Ok(raw) = serde_json::to_vec(&item.told) else {
        return Err(TellError::LongText);
    };
    let id = match id(tenant, item, now) {
        Ok(id) => id,
        Err(error) => return Ok(Err(error)),
    };
    let receipt = Receipt {
        id,
        at: now,
        door: Door::Api,
        envelope: Envelope {
            peer: None,
            hello: agent.to_owned(),
            protocol: "HTTPS".to_owned(),
            mail_from: None,
            recipient: String::new(),
            mailbox: Mailbox {
                address: String::new(),
                role: Role::Bounce,
                tenant: Some(tenant),
                stream: None,
            },
            token,
            content_type: Some("application/json".to_owned()),
        },
        digest: Digest::of(&raw),
    };
    Ok(Ok((receipt, raw.into())))
}

fn check(item: &Item, now: Timestamp) -> Result<(), TellError> {
    if item.id.is_some() && item.at.is_none() {
        return Err(TellError::IdWithoutTime);
    }
    let at = item.at.unwrap_or(now);
    if at > now.after(AHEAD) || at < now.before(OLDEST) {
        return Err(TellError::Time);
    }
    let told = &item.told;
    let texts = [&item.id, &told.status, &told.diagnostic, &told.remote_mta];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.len() > LONGEST_TEXT)
    {
        return Err(TellError::LongText);
    }
    if told
        .smtp_code
        .is_some_and(|code| !(200..600).contains(&code))
    {
        return Err(TellError::Code);
    }
    Ok(())
}

/// The receipt's id begins with the time that it happened at, by which it counts. With the teller's
/// own id it is always the same, so that nothing is counted twice.
fn id(tenant: TenantId, item: &Item, now: Timestamp) -> Result<ReceiptId, StoreError> {
    let mut random = [0; 10];
    match &item.id {
        Some(id) => {
            let hash = Sha256::new()
                .chain_update(tenant.get().to_be_bytes())
                .chain_update(id.as_bytes())
                .finalize();
            for (to, from) in random.iter_mut().zip(hash) {
                *to = from;
            }
        }
        None => getrandom::fill(&mut random)
            .map_err(|error| StoreError::Unavailable(format!("no randomness: {error}")))?,
    }
    Ok(ReceiptId::from_parts(item.at.unwrap_or(now), &random))
}
