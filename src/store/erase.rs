//! Erases who a recipient is: the address and the mail, and nothing of what stands against it.
//!
//! A recipient key stays, so that mail to an erased person goes on being stopped; so does the
//! evidence that names nobody.

use std::fmt;

use super::Store;
use super::events::{COLUMNS as EVENT_COLUMNS, event_of};
use super::failure::{Failure, StoreError};
use super::pool::{Conn, read, write};
use super::receipts::{self, StoredReceipt};
use super::sql::{Conditions, Row, Value, execute, fetch, month, values};
use crate::model::address::Address;
use crate::model::clock::Timestamp;
use crate::model::event::{Event, without_addresses};
use crate::model::receipt::{Envelope, ReceiptId};
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;

/// Receipts that one step looks at.
const STEP: u32 = 5_000;

/// Rows that are changed in one transaction.
const TOGETHER: u32 = 500;

/// Whose traces are erased.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// Whose recipient it is.
    pub tenant: TenantId,
    /// Its key under every generation of the address key.
    pub recipients: Vec<RecipientKey>,
    /// The canonical address; without it only what belongs to the keys is found.
    pub address: Option<String>,
}

/// What was erased: rows that had something of the recipient in them and have it no longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Suppressions, standing and lifted, that no longer name an address.
    pub suppressions: u64,
    /// Changes of the feed that no longer name one.
    pub changes: u64,
    /// Events that no longer name one.
    pub events: u64,
    /// Receipts whose envelopes no longer tell who wrote, from where, and with which program.
    pub receipts: u64,
    /// Messages whose raw bytes are gone.
    pub messages: u64,
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            suppressions,
            changes,
            events,
            receipts,
            messages,
        } = self;
        // By its whole name: `write` is a transaction here.
        std::write!(
            f,
            "{suppressions} suppressions, {changes} changes, {events} events, {receipts} receipts, \
             {messages} messages"
        )
    }
}

/// Runs work in a transaction in which what is deleted is written over in the file of SQLite, and
/// not only given free, whatever becomes of the work. On PostgreSQL that is for its vacuum.
macro_rules! write_over {
    ($pool:expr, |$conn:ident| $work:expr) => {
        write!($pool, |$conn| {
            secure_delete($conn, "on").await?;
            let done = $work.await;
            secure_delete($conn, "off").await?;
            done
        })
    };
}

async fn secure_delete(conn: &mut Conn<'_>, state: &'static str) -> Result<(), Failure> {
    if let Conn::Sqlite(_) = conn {
        let sql = format!("pragma secure_delete = {state}");
        fetch(conn, "store", sql, vec![]).await?;
    }
    Ok(())
}

impl Store {
    /// Erases an address, and all mail that is known to be of this recipient. What stands goes on
    /// standing. Takes several transactions; called again it goes on where it ended.
    pub async fn erase(&self, whose: &Erasure, now: Timestamp) -> Result<Erased, StoreError> {
        if whose.recipients.is_empty() {
            return Ok(Erased::default());
        }
        let mut erased = write_over!(self.pool, |conn| forget_address(conn, whose, now))?;
        erased.changes = self.erase_changes(whose).await?;
        let mut after = 0;
        loop {
            let rows = self.rows("events", those_events(whose, after)).await?;
            let Some(last) = rows.last() else {
                break;
            };
            after = last.number("seq")?;
            let events: Vec<Event> = rows.iter().map(event_of).collect::<Result<_, _>>()?;
            let (changed, of_mail) =
                write_over!(self.pool, |conn| forget_events(conn, whose.tenant, &events))?;
            erased.events += changed;
            erased.add_mail(of_mail);
        }
        if let Some(address) = &whose.address {
            erased.add_mail(self.erase_mail_from(whose.tenant, address).await?);
        }
        Ok(erased)
    }

    async fn rows(
        &self,
        table: &'static str,
        (sql, parameters): (String, Vec<Value>),
    ) -> Result<Vec<Row>, StoreError> {
        Ok(read!(self.pool, |conn| fetch(
            conn, table, sql, parameters
        )
        .await)?)
    }

    async fn erase_changes(&self, whose: &Erasure) -> Result<u64, StoreError> {
        let mut those = Conditions::behind(values![]);
        those.equal("tenant", whose.tenant);
        those.within("recipient", whose.keys());
        those.plain("address is not null");
        // Who reads does not keep others from writing; few are found.
        let sql = format!("select seq from changes {} order by seq", those.to_where());
        let rows = self.rows("changes", (sql, those.values)).await?;
        let places: Vec<u64> = rows
            .iter()
            .map(|row| row.number("seq"))
            .collect::<Result<_, _>>()?;
        for places in places.chunks(together()) {
            let mut those = Conditions::behind(values![]);
            those.within("seq", places.iter().map(|place| Value::from(*place)));
            let sql = format!("update changes set address = null {}", those.to_where());
            write_over!(self.pool, |conn| execute(
                conn,
                sql.clone(),
                those.values.clone()
            ))?;
        }
        Ok(u64::try_from(places.len()).unwrap_or(u64::MAX))
    }

    /// Mail that the person wrote and that no event says of whom it is: to people, for instance.
    async fn erase_mail_from(&self, tenant: TenantId, address: &str) -> Result<Mail, StoreError> {
        let mut mail = Mail::default();
        let mut from: Option<ReceiptId> = None;
        loop {
            let end = self.rows("receipts", end_of_step(tenant, from)).await?;
            let end = match end.first() {
                Some(row) => Some(ReceiptId::from_bytes(row.array("id")?)),
                None => None,
            };
            let naming = naming(tenant, address, (from, end));
            let mut found = Vec::new();
            for row in self.rows("receipts", naming).await? {
                let receipt = StoredReceipt::of(&row)?.receipt;
                let from = receipt.envelope.mail_from.as_deref();
                if from.is_some_and(|from| is(from, address)) {
                    found.push(receipt.id);
                }
            }
            for ids in found.chunks(together()) {
                mail.add(write_over!(self.pool, |conn| forget_mail(
                    conn, tenant, ids
                ))?);
            }
            match end {
                Some(_) => from = end,
                None => return Ok(mail),
            }
        }
    }
}

impl Erasure {
    fn keys(&self) -> impl Iterator<Item = Value> {
        self.recipients.iter().map(|key| Value::from(*key))
    }
}

impl Erased {
    fn add_mail(&mut self, mail: Mail) {
        self.receipts += mail.receipts;
        self.messages += mail.messages;
    }
}

/// What was erased of mail.
#[derive(Debug, Clone, Copy, Default)]
struct Mail {
    receipts: u64,
    messages: u64,
}

impl Mail {
    fn add(&mut self, other: Self) {
        self.receipts += other.receipts;
        self.messages += other.messages;
    }
}

fn together() -> usize {
    usize::try_from(TOGETHER).unwrap_or(1)
}

/// Whether a reverse-path is the canonical address.
fn is(path: &str, address: &str) -> bool {
    Address::parse(path).is_ok_and(|path| path.as_str() == address)
}

/// The statement that finds the recipient's events behind a place of the feed.
fn those_events(whose: &Erasure, after: u64) -> (String, Vec<Value>) {
    let mut those = Conditions::behind(values![TOGETHER]);
    those.equal("e.tenant", whose.tenant);
    those.within("e.recipient", whose.keys());
    those.beyond("e.seq >", values![after]);
    let sql = format!(
        "select {EVENT_COLUMNS} from events e {} order by e.seq + 0 limit $1",
        those.to_where()
    );
    (sql, those.values)
}

/// The statement that finds the last receipt of a step; none if fewer are left.
fn end_of_step(tenant: TenantId, from: Option<ReceiptId>) -> (String, Vec<Value>) {
    let mut those = Conditions::behind(values![STEP - 1]);
    those.equal("tenant", tenant);
    if let Some(id) = from {
        those.beyond("(month, id) >", values![month(id), id]);
    }
    let sql = format!(
        "select id from receipts {} order by month, id limit 1 offset $1",
        those.to_where()
    );
    (sql, those.values)
}

/// What every spelling of an address has in it, whatever its quoting, case and domain: each envelope
/// that has it is looked at.
fn piece_of(address: &str) -> &str {
    let (local, _) = address.rsplit_once('@').unwrap_or((address, ""));
    local
        .split(|c: char| !c.is_ascii_alphanumeric())
        .max_by_key(|piece| piece.len())
        .unwrap_or_default()
}

/// The statement that finds the receipts of a step whose envelope has the address somewhere.
fn naming(
    tenant: TenantId,
    address: &str,
    (from, end): (Option<ReceiptId>, Option<ReceiptId>),
) -> (String, Vec<Value>) {
    let piece = piece_of(address);
    let mut those = Conditions::behind(values![]);
    if !piece.is_empty() {
        those.values.push(piece.into());
        those.plain("length(replace(lower(envelope), $1, '')) < length(envelope)");
    }
    those.equal("tenant", tenant);
    if let Some(id) = from {
        those.beyond("(month, id) >", values![month(id), id]);
    }
    if let Some(id) = end {
        those.beyond("(month, id) <=", values![month(id), id]);
    }
    let sql = format!(
        "select {} from receipts {} order by month, id",
        receipts::COLUMNS,
        those.to_where()
    );
    (sql, those.values)
}

/// Takes the address out of what stands and of what stood, and out of the notes beside it.
async fn forget_address(
    conn: &mut Conn<'_>,
    whose: &Erasure,
    now: Timestamp,
) -> Result<Erased, Failure> {
    let mut erased = Erased::default();
    for (table, notes) in [
        ("suppressions", &["note"][..]),
        ("history", &["note", "lift_note"]),
    ] {
        for column in notes {
            mask_notes(conn, whose, table, column).await?;
        }
        let mut those = Conditions::behind(values![now]);
        those.equal("tenant", whose.tenant);
        those.within("recipient", whose.keys());
        those.plain("erased is null");
        let sql = format!(
            "update {table} set address = null, erased = $1 {}",
            those.to_where()
        );
        erased.suppressions += execute(conn, sql, those.values).await?;
    }
    Ok(erased)
}

/// Notes are free text: words of theirs that are addresses go.
async fn mask_notes(
    conn: &mut Conn<'_>,
    whose: &Erasure,
    table: &'static str,
    column: &str,
) -> Result<(), Failure> {
    let mut those = Conditions::behind(values![]);
    those.equal("tenant", whose.tenant);
    those.within("recipient", whose.keys());
    those.plain(&format!("{column} like '%@%'"));
    let sql = format!(
        "select distinct {column} as note from {table} {}",
        those.to_where()
    );
    for row in fetch(conn, table, sql, those.values).await? {
        let note = row.text("note")?;
        let mut those = Conditions::behind(values![without_addresses(&note).as_str()]);
        those.equal("tenant", whose.tenant);
        those.within("recipient", whose.keys());
        those.equal(column, note.as_str());
        let sql = format!("update {table} set {column} = $1 {}", those.to_where());
        execute(conn, sql, those.values).await?;
    }
    Ok(())
}

/// Takes the addresses out of events, and out of the mail that they were read from.
async fn forget_events(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    events: &[Event],
) -> Result<(u64, Mail), Failure> {
    let mut changed = 0;
    for event in events {
        let detail = event.detail.without_addresses();
        if event.address.is_none() && detail == event.detail {
            continue;
        }
        let id = event.id;
        let mut parameters = values![month(id.receipt), id.receipt, id.index];
        parameters.push(Value::json(&detail)?);
        changed += execute(
            conn,
            "update events set address = null, detail = $4
             where month = $1 and receipt = $2 and idx = $3",
            parameters,
        )
        .await?;
    }
    let mut ids: Vec<ReceiptId> = events.iter().map(|event| event.id.receipt).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok((changed, forget_mail(conn, tenant, &ids).await?))
}

/// Takes the people out of the envelopes of receipts, and forgets their raw bytes; other receipts of
/// the same message lose them too, whoever's they are: the bytes name the person. The envelopes of
/// another tenant's receipts stay: they are its evidence.
async fn forget_mail(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    ids: &[ReceiptId],
) -> Result<Mail, Failure> {
    let mut mail = Mail::default();
    for id in ids {
        let Some(stored) = receipts::one(conn, *id).await? else {
            continue;
        };
        let receipt = stored.receipt;
        let anonymous = of_nobody(&receipt.envelope);
        let is_anothers = stored.tenant.is_some_and(|of| of != tenant);
        if !is_anothers && anonymous != receipt.envelope {
            let mut parameters = values![month(*id), *id];
            parameters.push(Value::json(&anonymous)?);
            mail.receipts += execute(
                conn,
                "update receipts set envelope = $3 where month = $1 and id = $2",
                parameters,
            )
            .await?;
        }
        mail.messages += execute(
            conn,
            "delete from raw where at = $1 and sha256 = $2",
            values![receipt.at, receipt.digest],
        )
        .await?;
    }
    Ok(mail)
}

/// An envelope without what tells of a person: who wrote, from where, with which program. The
/// token stays; it names the recipient's key alone.
fn of_nobody(envelope: &Envelope) -> Envelope {
    let untokened = envelope.token.is_none();
    Envelope {
        peer: None,
        hello: String::new(),
        mail_from: None,
        recipient: if untokened {
            envelope.mailbox.address.clone()
        } else {
            envelope.recipient.clone()
        },
        ..envelope.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_sought_by_what_all_its_spellings_have() {
        for (address, piece) in [
            ("bob.forgotten@b.example", "forgotten"),
            ("\"johnny doe\"@b.example", "johnny"),
            ("bücher@xn--bcher-kva.example", "cher"),
            ("日本@b.example", ""),
        ] {
            assert_eq!(piece_of(address), piece, "{address}");
        }
        let (sql, parameters) = naming(TenantId::DEFAULT, "日本@b.example", (None, None));
        assert!(!sql.contains("replace") && parameters.len() == 1, "{sql}");
    }

    #[test]
    fn an_envelope_of_nobody_keeps_what_proves() {
        let json = serde_json::json!({
            "peer": "192.0.2.1", "hello": "laptop", "protocol": "ESMTP",
            "mail_from": "bob@b.example", "recipient": "u+bob=b.example@fb.example.com",
            "mailbox": {"address": "u@fb.example.com", "role": "unsubscribe"},
        });
        let envelope: Envelope = serde_json::from_value(json).unwrap();
        let anonymous = of_nobody(&envelope);
        assert_eq!(anonymous.recipient, "u@fb.example.com");
        let told = serde_json::to_string(&anonymous).unwrap();
        assert!(
            !told.contains("bob") && !told.contains("192.0.2.1"),
            "{told}"
        );
        let proven = Envelope {
            token: Some("token".to_owned()),
            ..envelope
        };
        assert_eq!(of_nobody(&proven).recipient, proven.recipient);
    }
}
