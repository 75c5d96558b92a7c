//! The directory as the journal's file keeps it, so that the doors open while the store is away.

use super::JournalError;
use crate::model::directory::{Directory, KeyState, Mailboxes, SigningKey};
use crate::model::secret::Secret;
use crate::model::stream::{Class, Stream};
use crate::model::tenant::{Tenant, TenantId};

/// The directory in stored form.
pub(super) struct Page {
    pub(super) root: Secret<32>,
    /// JSON of everything but the root secret.
    pub(super) body: String,
    pub(super) seq: u64,
}

/// Brings a directory into stored form.
pub(super) fn encode(directory: &Directory) -> Result<Page, JournalError> {
    let body = Body {
        tenants: directory.tenants.iter().map(TenantRow::from).collect(),
        streams: directory.streams.iter().map(StreamRow::from).collect(),
        signing_keys: directory.signing_keys.iter().map(KeyRow::from).collect(),
        mailboxes: directory.mailboxes.clone(),
    };
    let body = serde_json::to_string(&body).map_err(|_may_quote| {
        JournalError::Inconsistent("a directory without JSON form".to_owned())
    })?;
    Ok(Page {
        root: directory.root.clone(),
        body,
        seq: directory.seq,
    })
}

/// Reads the stored form.
pub(super) fn decode(page: &Page) -> Result<Directory, JournalError> {
    // The parser's own error text could quote an address.
    let damaged = || JournalError::Inconsistent("the mirrored directory is damaged".to_owned());
    let body: Body = serde_json::from_str(&page.body).map_err(|_may_quote| damaged())?;
    let read = || {
        Some(Directory {
            root: page.root.clone(),
            tenants: body
                .tenants
                .into_iter()
                .map(TenantRow::read)
                .collect::<Option<_>>()?,
            streams: body
                .streams
                .into_iter()
                .map(StreamRow::read)
                .collect::<Option<_>>()?,
            signing_keys: body
                .signing_keys
                .into_iter()
                .map(KeyRow::read)
                .collect::<Option<_>>()?,
            mailboxes: body.mailboxes,
            seq: page.seq,
        })
    };
    read().ok_or_else(damaged)
}

/// Fields may be added with a default, never renamed.
#[derive(serde::Serialize, serde::Deserialize)]
struct Body {
    tenants: Vec<TenantRow>,
    streams: Vec<StreamRow>,
    signing_keys: Vec<KeyRow>,
    mailboxes: Mailboxes,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct TenantRow {
    number: u32,
    name: String,
    domain: Option<String>,
    #[serde(default)]
    title: Option<String>,
}

impl From<&Tenant> for TenantRow {
    fn from(tenant: &Tenant) -> Self {
        Self {
            number: tenant.id.get(),
            name: tenant.name.clone(),
            domain: tenant.domain.clone(),
            title: tenant.title.clone(),
        }
    }
}

impl TenantRow {
    fn read(self) -> Option<Tenant> {
        Some(Tenant {
            id: TenantId::new(self.number)?,
            name: self.name,
            domain: self.domain,
            title: self.title,
        })
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StreamRow {
    tenant: u32,
    number: u16,
    name: String,
    class: Class,
    unsubscribe: bool,
    #[serde(default)]
    title: Option<String>,
}

impl From<&Stream> for StreamRow {
    fn from(stream: &Stream) -> Self {
        Self {
            tenant: stream.tenant.get(),
            number: stream.number,
            name: stream.name.clone(),
            class: stream.class,
            unsubscribe: stream.unsubscribe,
            title: stream.title.clone(),
        }
    }
}

impl StreamRow {
    fn read(self) -> Option<Stream> {
        Some(Stream {
            tenant: TenantId::new(self.tenant)?,
            number: self.number,
            name: self.name,
            class: self.class,
            unsubscribe: self.unsubscribe,
            title: self.title,
        })
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct KeyRow {
    tenant: u32,
    serial: u32,
    state: KeyState,
    generation: u32,
}

impl From<&SigningKey> for KeyRow {
    fn from(key: &SigningKey) -> Self {
        Self {
            tenant: key.tenant.get(),
            serial: key.serial,
            state: key.state,
            generation: key.generation,
        }
    }
}

impl KeyRow {
    fn read(self) -> Option<SigningKey> {
        Some(SigningKey {
            tenant: TenantId::new(self.tenant)?,
            serial: self.serial,
            state: self.state,
            generation: self.generation,
        })
    }
}
