//! Streams of a tenant: what kinds of mail there are.

use crate::app::App;
use crate::app::suppressions::indexed;
use crate::model::stream::{Class, Stream, StreamNumber};
use crate::model::tenant::{TenantId, is_name, is_title};
use crate::store::StoreError;

/// A stream to create or to update.
#[derive(Debug, Clone)]
pub struct StreamChange {
    /// Its number, from 1.
    pub number: StreamNumber,
    /// Its name from now on.
    pub name: String,
    /// Its class; where it is not given, what it was, or marketing.
    pub class: Option<Class>,
    /// Whether an opt-out ends it although it is transactional; where it is not given, what it
    /// was, or `false`.
    pub unsubscribe: Option<bool>,
    /// What readers know it by; where it is not given, what it was; an empty text takes it away.
    pub title: Option<String>,
}

/// What became of a stream that was put.
#[derive(Debug, Clone)]
pub struct PutStream {
    /// The stream as it is now.
    pub stream: Stream,
    /// Whether its number was new.
    pub created: bool,
    /// Whether this node knows it already.
    pub indexed: bool,
}

/// Why a stream was not put.
#[derive(Debug, thiserror::Error)]
pub enum PutStreamError {
    /// 0 means that no stream is named.
    #[error("a stream's number is from 1 to 65535")]
    Zero,
    /// The name does not fit a log field or a command line.
    #[error("a stream's name is 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")]
    Name,
    /// The title cannot be shown.
    #[error("a stream's title is 1 to 100 characters, none of them a control character")]
    Title,
    /// Names are unique within a tenant.
    #[error("the name belongs to stream {0}")]
    NameTaken(u16),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All streams of a tenant, as this node knows them, by number.
pub fn list(app: &App, tenant: TenantId) -> Vec<Stream> {
    let directory = app.reception.directory();
    directory
        .streams
        .iter()
        .filter(|stream| stream.tenant == tenant)
        .cloned()
        .collect()
}

/// Creates a stream, or updates the one of that number; what is not given stays as it is.
pub async fn put(
    app: &App,
    tenant: TenantId,
    change: StreamChange,
) -> Result<PutStream, PutStreamError> {
    let StreamChange {
        number,
        name,
        class,
        unsubscribe,
        title,
    } = change;
    if number == 0 {
        return Err(PutStreamError::Zero);
    }
    if !is_name(&name) {
        return Err(PutStreamError::Name);
    }
    if title
        .as_ref()
        .is_some_and(|title| !title.is_empty() && !is_title(title))
    {
        return Err(PutStreamError::Title);
    }
    // The store's own: what another node has just put must stay as well.
    let known = app.store.directory().await?;
    let mut others = known.streams.iter().filter(|other| other.tenant == tenant);
    if let Some(other) = others.find(|other| other.name == name && other.number != number) {
        return Err(PutStreamError::NameTaken(other.number));
    }
    let before = known.stream(tenant, number);
    let created = before.is_none();
    let stream = Stream {
        tenant,
        number,
        name,
        class: class
            .or(before.map(|stream| stream.class))
            .unwrap_or(Class::Marketing),
        unsubscribe: unsubscribe
            .or(before.map(|stream| stream.unsubscribe))
            .unwrap_or(false),
        title: title.or_else(|| before.and_then(|stream| stream.title.clone())),
    };
    let seq = app.store.put_stream(&stream, app.clock.now()).await?;
    let stream = Stream {
        title: stream.title.filter(|title| !title.is_empty()),
        ..stream
    };
    Ok(PutStream {
        stream,
        created,
        indexed: indexed(app, seq).await,
    })
}
