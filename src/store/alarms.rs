//! Alarms: what somebody should look at soon.

use super::Store;
use super::failure::{Failure, StoreError};
use super::paging::{Page, Paging, foreign_cursor};
use super::pool::{Conn, read, write};
use super::sql::{Conditions, ManyRows, Row, Value, fetch, fetch_many, values};
use crate::metrics::Metrics;
use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;
use crate::model::words::words;

words! {
    /// What an alarm is about.
    pub enum AlarmKind as "alarm" {
        /// A provider calls too many recipients dead at once: they are held.
        Brake = "brake",
        /// A provider refuses our mail for a cause of ours.
        Signal = "signal",
        /// A token of a revoked key came back.
        RevokedKey = "revoked-key",
        /// A receipt cannot be stored, and stays in the journal of its node.
        NotStorable = "not-storable",
        /// A certificate will end soon and could not be renewed.
        Certificate = "certificate",
    }
}

/// Something that somebody should look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// What is told once, however often it happens, has one id.
    pub id: String,
    /// When it was raised.
    pub at: Timestamp,
    /// Whose it is, if it is one tenant's.
    pub tenant: Option<TenantId>,
    /// What it is about.
    pub kind: AlarmKind,
    /// What is known; an object.
    pub detail: serde_json::Value,
}

impl Alarm {
    /// Tells whoever watches: a line of the log and a metric. Its entry is in the store.
    pub fn tell(&self, metrics: &Metrics) {
        metrics.alarm(self.kind.as_str());
        let tenant = self.tenant.map_or(0, TenantId::get);
        tracing::error!(id = self.id, tenant, detail = %self.detail, "alarm: {}", self.kind.about());
    }
}

impl AlarmKind {
    /// In words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Brake => "a provider calls too many recipients dead at once: they are held",
            Self::Signal => "a provider refuses mail for a cause of ours",
            Self::RevokedKey => "a token of a revoked key came back and is held",
            Self::NotStorable => "a receipt cannot be stored and stays in the journal of its node",
            Self::Certificate => "a certificate ends soon and could not be renewed",
        }
    }
}

const COLUMNS: &str = "id, at, tenant, kind, detail";

impl Alarm {
    fn of(row: &Row) -> Result<Self, Failure> {
        Ok(Self {
            id: row.text("id")?,
            at: row.time("at")?,
            tenant: row.opt_tenant("tenant")?,
            kind: row.word("kind")?,
            detail: row.json("detail")?,
        })
    }
}

/// Writes alarms; returns those that had not been raised before.
pub(super) async fn raise(
    conn: &mut Conn<'_>,
    mut alarms: Vec<Alarm>,
) -> Result<Vec<Alarm>, Failure> {
    alarms.sort_by(|a, b| a.id.cmp(&b.id));
    alarms.dedup_by(|a, b| a.id == b.id);
    let mut rows = Vec::new();
    for alarm in &alarms {
        let mut row = values![
            alarm.id.as_str(),
            alarm.at,
            alarm.tenant,
            alarm.kind.as_str()
        ];
        row.push(Value::json(&alarm.detail)?);
        rows.push(row);
    }
    let statement = ManyRows {
        table: "alarms",
        head: "insert into alarms (id, at, tenant, kind, detail)",
        tail: "on conflict (id) do nothing returning id",
    };
    let new = fetch_many(conn, statement, rows).await?;
    let new: Vec<String> = new
        .iter()
        .map(|row| row.text("id"))
        .collect::<Result<_, _>>()?;
    alarms.retain(|alarm| new.contains(&alarm.id));
    Ok(alarms)
}

impl Store {
    /// Keeps an alarm that no transaction of its own has raised. One that is there stays as it is.
    pub async fn keep_alarm(&self, alarm: &Alarm) -> Result<(), StoreError> {
        write!(self.pool, |conn| raise(conn, vec![alarm.clone()]).await)?;
        Ok(())
    }

    /// Alarms, the newest first. `tenant` `None`: all.
    pub async fn alarms(
        &self,
        tenant: Option<TenantId>,
        paging: &Paging,
    ) -> Result<Page<Alarm>, StoreError> {
        let mut those = Conditions::behind(values![paging.rows()]);
        if let Some(tenant) = tenant {
            those.equal("tenant", tenant);
        }
        if let Some([at, id]) = paging.cursor()? {
            let at: i64 = at.parse().map_err(|_no_number| foreign_cursor())?;
            those.beyond("(at, id) <", values![at, id.as_str()]);
        }
        let sql = format!(
            "select {COLUMNS} from alarms {} order by at desc, id desc limit $1",
            those.to_where()
        );
        let rows = read!(self.pool, |conn| fetch(conn, "alarms", sql, those.values)
            .await)?;
        let items = rows.iter().map(Alarm::of).collect::<Result<_, _>>()?;
        Ok(paging.page(items, |alarm: &Alarm| {
            [alarm.at.as_millis().to_string(), alarm.id.clone()]
        }))
    }
}
