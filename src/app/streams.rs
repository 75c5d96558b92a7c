//! Streams of a tenant: what kinds of mail there are.

use crate::app::App;
use crate::app::suppressions::indexed;
use crate::model::stream::Stream;
use crate::model::tenant::{TenantId, is_name, is_title};
use crate::store::{StoreError, StreamNameTaken};

pub use crate::store::StreamChange;

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
    directory.streams_of(tenant).to_vec()
}

/// Creates a stream, or updates the one of that number; what is not given stays as it is.
pub async fn put(
    app: &App,
    tenant: TenantId,
    change: StreamChange,
) -> Result<PutStream, PutStreamError> {
    if change.number == 0 {
        return Err(PutStreamError::Zero);
    }
    if !is_name(&change.name) {
        return Err(PutStreamError::Name);
    }
    let mut titles = change.title.iter().filter(|title| !title.is_empty());
    if titles.any(|title| !is_title(title)) {
        return Err(PutStreamError::Title);
    }
    let put = app.store.change_stream(tenant, &change).await?;
    let put = put.map_err(|StreamNameTaken(other)| PutStreamError::NameTaken(other))?;
    Ok(PutStream {
        stream: put.now,
        created: put.created,
        indexed: indexed(app, put.seq).await,
    })
}
