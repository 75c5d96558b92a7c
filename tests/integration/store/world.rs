//! A store of its own for each test, and the values that tests put into it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use desist::model::authentication::Authentication;
use desist::model::clock::Timestamp;
use desist::model::digest::Digest;
use desist::model::event::{Detail, Effect, Event, EventId, EventKind, FoundIn, HoldReason, Proof};
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Door, Envelope, Receipt, ReceiptId, ReceiptState};
use desist::model::recipient::RecipientKey;
use desist::model::secret::Secret;
use desist::model::suppression::{Change, Reason, Scope, SuppressionKey};
use desist::model::tenant::TenantId;
use desist::store::{Addresses, NewSuppression, Store, StoreConfig, StoreError, Verdict};

use crate::postgres::Database;

/// 2026-11-21T12:00:00Z
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_795_262_400);
pub(super) const TENANT: TenantId = TenantId::DEFAULT;

/// Where a store can be opened any number of times.
pub(super) struct World {
    place: Place,
    drawn: AtomicU64,
}

enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(Box<Database>),
}

impl World {
    pub(super) fn sqlite() -> Self {
        Self {
            place: Place::Sqlite(tempfile::tempdir().unwrap()),
            drawn: AtomicU64::new(0),
        }
    }

    pub(super) async fn postgres() -> Option<Self> {
        let database = Database::create().await?;
        Some(Self {
            place: Place::Postgres(Box::new(database)),
            drawn: AtomicU64::new(0),
        })
    }

    pub(super) async fn remove(self) {
        match self.place {
            Place::Sqlite(_) => {}
            Place::Postgres(database) => database.remove().await,
        }
    }

    pub(super) fn url(&self) -> String {
        match &self.place {
            Place::Sqlite(folder) => format!("sqlite:{}", folder.path().join("s.db").display()),
            Place::Postgres(database) => database.url.clone(),
        }
    }

    pub(super) fn config(&self) -> StoreConfig {
        StoreConfig {
            url: self.url(),
            addresses: Addresses::Keep,
            seal_key: None,
        }
    }

    pub(super) async fn open(&self) -> Store {
        self.open_with(&self.config()).await.unwrap()
    }

    pub(super) async fn open_with(&self, config: &StoreConfig) -> Result<Store, StoreError> {
        Store::open(config, Secret::new([1; 32]), NOW).await
    }

    /// Runs a statement beside the store, and returns the number in its first row.
    pub(super) async fn number(&self, sql: &'static str) -> i64 {
        use sqlx::Connection as _;
        match &self.place {
            Place::Sqlite(_) => {
                let mut conn = sqlx::SqliteConnection::connect(&self.url()).await.unwrap();
                let found = sqlx::query_scalar(sql)
                    .fetch_optional(&mut conn)
                    .await
                    .unwrap();
                conn.close().await.unwrap();
                found.unwrap_or_default()
            }
            Place::Postgres(_) => {
                let mut conn = sqlx::PgConnection::connect(&self.url()).await.unwrap();
                let found = sqlx::query_scalar(sql)
                    .fetch_optional(&mut conn)
                    .await
                    .unwrap();
                conn.close().await.unwrap();
                found.unwrap_or_default()
            }
        }
    }

    /// A receipt id that no other has; a later one is greater.
    pub(super) fn id(&self) -> ReceiptId {
        self.id_at(NOW)
    }

    /// The same, drawn at that time.
    pub(super) fn id_at(&self, at: Timestamp) -> ReceiptId {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        ReceiptId::from_parts(at, &random)
    }

    /// A receipt with one event.
    pub(super) fn verdict(&self, recipient: u64, effects: &[Effect]) -> Verdict {
        let id = self.id();
        let raw: Arc<[u8]> = format!("Subject: {id}\r\n\r\n").into_bytes().into();
        let held = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Hold { .. }));
        Verdict {
            receipt: Receipt {
                id,
                at: NOW,
                door: Door::Smtp,
                envelope: envelope("u@fb.example.com"),
                digest: Digest::of(&raw),
            },
            tenant: Some(TENANT),
            state: if held {
                ReceiptState::Held
            } else {
                ReceiptState::Done
            },
            raw,
            events: vec![event(id, 0, recipient, effects)],
        }
    }

    /// A receipt that suppresses `marketing` by complaint.
    pub(super) fn complaint(&self, recipient: u64) -> Verdict {
        self.verdict(recipient, &[SUPPRESS])
    }
}

pub(super) const SUPPRESS: Effect = Effect::Suppress {
    scope: Scope::Marketing,
    reason: Reason::Complaint,
};
pub(super) const HOLD: Effect = Effect::Hold {
    scope: Scope::Stream(3),
    reason: Reason::Unsubscribe,
    because: HoldReason::Unproven,
};

pub(super) fn envelope(mailbox: &str) -> Envelope {
    Envelope {
        peer: Some("192.0.2.1".parse().unwrap()),
        hello: "mx.example.net".to_owned(),
        protocol: "ESMTPS".to_owned(),
        mail_from: Some(String::new()),
        recipient: mailbox.to_owned(),
        mailbox: Mailbox {
            address: mailbox.to_owned(),
            role: Role::Unsubscribe,
            tenant: None,
            stream: Some(3),
        },
        token: None,
        content_type: None,
    }
}

pub(super) fn event(receipt: ReceiptId, index: u16, recipient: u64, effects: &[Effect]) -> Event {
    Event {
        id: EventId { receipt, index },
        tenant: Some(TENANT),
        kind: EventKind::Complaint,
        proof: Proof::Token,
        authentication: Authentication::NotAsked,
        recipient: Some(recipient_key(recipient)),
        address: None,
        stream: 3,
        reference: vec![],
        found_in: Some(FoundIn::Envelope),
        effects: effects.to_vec(),
        detail: Detail {
            reporter: Some("fbl.example.net".to_owned()),
            rule: Some("complaint-token".to_owned()),
            ..Detail::default()
        },
    }
}

/// The recipient of that number, spread over all of the key's range.
pub(super) fn recipient_key(number: u64) -> RecipientKey {
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&Digest::of(&number.to_be_bytes()).as_bytes()[..10]);
    RecipientKey::from_bytes(bytes)
}

pub(super) fn key(recipient: u64, scope: Scope, reason: Reason) -> SuppressionKey {
    SuppressionKey {
        tenant: TENANT,
        recipient: recipient_key(recipient),
        scope,
        reason,
    }
}

pub(super) fn manual(recipient: u64) -> NewSuppression {
    NewSuppression {
        key: key(recipient, Scope::All, Reason::Manual),
        address: None,
        note: "asked by phone".to_owned(),
    }
}

/// The whole feed of changes.
pub(super) async fn all_changes(store: &Store) -> Vec<Change> {
    store.changes(None, 0, 10_000).await.unwrap().0
}

/// All that stands, by key.
pub(super) async fn standing(store: &Store) -> Vec<SuppressionKey> {
    scanned(store).await.into_keys().collect()
}

/// All that stands, by key, and since when.
pub(super) async fn scanned(store: &Store) -> BTreeMap<SuppressionKey, Timestamp> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&found);
    let taker = move |entries| taken.lock().unwrap().extend::<Vec<_>>(entries);
    store.scan(Arc::new(taker)).await.unwrap();
    let found = std::mem::take(&mut *found.lock().unwrap());
    let count = found.len();
    let found: BTreeMap<_, _> = found.into_iter().collect();
    assert_eq!(found.len(), count, "each once");
    found
}
