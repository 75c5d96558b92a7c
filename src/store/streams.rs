//! Streams.

use super::Store;
use super::directory::{
    STREAMS, changed, check_name, check_title, lock_tenant, refused, some, sql, stream_of,
};
use super::failure::{Failure, StoreError};
use super::pool::{Conn, write};
use super::sql::{execute, fetch_one, values};
use super::tenants::Put;
use crate::model::clock::Timestamp;
use crate::model::stream::{Class, Stream, StreamNumber};
use crate::model::tenant::TenantId;

/// A stream to create or to update. What is not given stays as it is.
#[derive(Debug, Clone)]
pub struct StreamChange {
    /// Its number, from 1.
    pub number: StreamNumber,
    /// Its name from now on.
    pub name: String,
    /// Its class; of a new stream, marketing.
    pub class: Option<Class>,
    /// Whether an opt-out ends it although it is transactional; of a new stream, `false`.
    pub unsubscribe: Option<bool>,
    /// What readers know it by; an empty text takes it away.
    pub title: Option<String>,
}

/// The name is that of the tenant's stream of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name belongs to stream {0}")]
pub struct StreamNameTaken(pub StreamNumber);

impl Store {
    /// Creates or updates a stream. Refused if the name is another stream's. A title that is not
    /// given stays.
    pub async fn put_stream(
        &self,
        stream: &Stream,
        _now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let change = StreamChange {
            number: stream.number,
            name: stream.name.clone(),
            class: Some(stream.class),
            unsubscribe: Some(stream.unsubscribe),
            title: stream.title.clone(),
        };
        match self.change_stream(stream.tenant, &change).await? {
            Ok(put) => Ok(put.seq),
            Err(taken) => Err(refused(&taken.to_string())),
        }
    }

    /// Creates or updates a stream of a tenant.
    pub async fn change_stream(
        &self,
        tenant: TenantId,
        change: &StreamChange,
    ) -> Result<Result<Put<Stream>, StreamNameTaken>, StoreError> {
        check_name(&change.name)?;
        check_title(change.title.as_deref())?;
        if change.number == 0 {
            return Err(refused("no stream has number 0"));
        }
        write!(self.pool, |conn| decide(conn, tenant, change).await)
    }
}

async fn decide(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    change: &StreamChange,
) -> Result<Result<Put<Stream>, StreamNameTaken>, Failure> {
    lock_tenant(conn, tenant).await?;
    let taken = fetch_one(
        conn,
        "streams",
        "select number from streams where tenant = $1 and name = $2 and number <> $3",
        values![tenant, change.name.as_str(), change.number],
    )
    .await?;
    if let Some(row) = taken {
        return Ok(Err(StreamNameTaken(row.number("number")?)));
    }
    let own = sql(STREAMS, "where tenant = $1 and number = $2");
    let given = values![tenant, change.number];
    let before = some(conn, "streams", &own, given, stream_of).await?;
    let before = before.into_iter().next();
    let was = before.as_ref();
    let title = change.title.clone();
    let title = title.or_else(|| was.and_then(|stream| stream.title.clone()));
    let now = Stream {
        tenant,
        number: change.number,
        name: change.name.clone(),
        class: change
            .class
            .or(was.map(|stream| stream.class))
            .unwrap_or(Class::Marketing),
        unsubscribe: change
            .unsubscribe
            .or(was.map(|stream| stream.unsubscribe))
            .unwrap_or(false),
        title: title.filter(|title| !title.is_empty()),
    };
    let seq = if was == Some(&now) {
        None
    } else {
        written(conn, &now).await?;
        Some(changed(conn, &[tenant], false).await?)
    };
    Ok(Ok(Put {
        created: before.is_none(),
        now,
        seq,
    }))
}

async fn written(conn: &mut Conn<'_>, stream: &Stream) -> Result<(), Failure> {
    execute(
        conn,
        "insert into streams (tenant, number, name, class, unsubscribe, title)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant, number) do update
         set name = excluded.name, class = excluded.class, unsubscribe = excluded.unsubscribe,
             title = excluded.title",
        values![
            stream.tenant,
            stream.number,
            stream.name.as_str(),
            stream.class.as_str(),
            i64::from(stream.unsubscribe),
            stream.title.as_deref(),
        ],
    )
    .await?;
    Ok(())
}
