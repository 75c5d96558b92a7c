//! The directory as the journal's file keeps it, so that the doors open while the store is away.

use std::collections::BTreeMap;

use super::JournalError;
use crate::model::directory::{
    Directory, DirectoryChange, Domains, KeyState, Mailboxes, SigningKey, TenantDomain,
};
use crate::model::mailbox::Mailbox;
use crate::model::secret::Secret;
use crate::model::stream::{Class, Stream};
use crate::model::tenant::{Tenant, TenantId};

/// The directory in stored form.
pub(super) struct Page {
    pub(super) root: Secret<32>,
    /// JSON of everything but the root secret, as it was mirrored whole.
    pub(super) body: String,
    /// What has changed since, by tenant.
    pub(super) parts: Vec<(u32, String)>,
    pub(super) seq: u64,
}

/// A change in stored form.
pub(super) struct Parts {
    /// JSON of all that is a tenant's, by its number. 0: of all that is no tenant's.
    pub(super) bodies: Vec<(u32, String)>,
    pub(super) seq: u64,
}

/// The part of what is no tenant's.
const NOBODYS: u32 = 0;

/// Brings a directory into stored form.
pub(super) fn encode(directory: &Directory) -> Result<Page, JournalError> {
    let body = Body {
        tenants: directory.tenants.iter().map(TenantRow::from).collect(),
        streams: directory.streams.iter().map(StreamRow::from).collect(),
        signing_keys: directory.signing_keys.iter().map(KeyRow::from).collect(),
        mailboxes: directory.mailboxes.as_slice().to_vec(),
        domains: directory
            .domains
            .as_slice()
            .iter()
            .map(DomainRow::from)
            .collect(),
    };
    Ok(Page {
        root: directory.root.clone(),
        body: body.json()?,
        parts: Vec::new(),
        seq: directory.seq,
    })
}

/// Brings a change into stored form.
pub(super) fn encode_change(change: &DirectoryChange) -> Result<Parts, JournalError> {
    let mut bodies: BTreeMap<u32, Body> = BTreeMap::new();
    for tenant in &change.tenants {
        part(&mut bodies, tenant.id).tenants.push(tenant.into());
    }
    for stream in &change.streams {
        part(&mut bodies, stream.tenant).streams.push(stream.into());
    }
    for key in &change.signing_keys {
        part(&mut bodies, key.tenant).signing_keys.push(key.into());
    }
    for domain in &change.domains {
        part(&mut bodies, domain.tenant).domains.push(domain.into());
    }
    for mailbox in &change.mailboxes {
        if let Some(tenant) = mailbox.tenant {
            part(&mut bodies, tenant).mailboxes.push(mailbox.clone());
        }
    }
    if let Some(shared) = &change.shared {
        let body = bodies.entry(NOBODYS).or_default();
        body.mailboxes.extend(shared.iter().cloned());
    }
    let bodies = bodies
        .into_iter()
        .map(|(tenant, body)| Ok((tenant, body.json()?)))
        .collect::<Result<_, JournalError>>()?;
    Ok(Parts {
        bodies,
        seq: change.seq,
    })
}

fn part(bodies: &mut BTreeMap<u32, Body>, tenant: TenantId) -> &mut Body {
    bodies.entry(tenant.get()).or_default()
}

/// Reads the stored form.
pub(super) fn decode(page: &Page) -> Result<Directory, JournalError> {
    let whole = Body::read(&page.body)?;
    let directory = Directory {
        root: page.root.clone(),
        tenants: read(whole.tenants, TenantRow::read)?,
        streams: read(whole.streams, StreamRow::read)?,
        signing_keys: read(whole.signing_keys, KeyRow::read)?,
        mailboxes: Mailboxes::from(whole.mailboxes),
        domains: Domains::from(read(whole.domains, DomainRow::read)?),
        seq: page.seq,
    };
    if page.parts.is_empty() {
        return Ok(directory);
    }
    let mut change = DirectoryChange {
        tenants: Vec::new(),
        streams: Vec::new(),
        signing_keys: Vec::new(),
        mailboxes: Vec::new(),
        domains: Vec::new(),
        shared: None,
        seq: page.seq,
    };
    for (tenant, body) in &page.parts {
        let part = Body::read(body)?;
        if *tenant == NOBODYS {
            change.shared = Some(part.mailboxes);
            continue;
        }
        change.tenants.extend(read(part.tenants, TenantRow::read)?);
        change.streams.extend(read(part.streams, StreamRow::read)?);
        let keys = read(part.signing_keys, KeyRow::read)?;
        change.signing_keys.extend(keys);
        change.mailboxes.extend(part.mailboxes);
        change.domains.extend(read(part.domains, DomainRow::read)?);
    }
    Ok(directory.after(&change))
}

fn read<R, T>(rows: Vec<R>, row: impl Fn(R) -> Option<T>) -> Result<Vec<T>, JournalError> {
    rows.into_iter()
        .map(row)
        .collect::<Option<_>>()
        .ok_or_else(damaged)
}

/// The parser's own error text could quote an address.
fn damaged() -> JournalError {
    JournalError::Inconsistent("the mirrored directory is damaged".to_owned())
}

/// Fields may be added with a default, never renamed.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Body {
    tenants: Vec<TenantRow>,
    streams: Vec<StreamRow>,
    signing_keys: Vec<KeyRow>,
    mailboxes: Vec<Mailbox>,
    #[serde(default)]
    domains: Vec<DomainRow>,
}

impl Body {
    fn json(&self) -> Result<String, JournalError> {
        serde_json::to_string(self).map_err(|_may_quote| {
            JournalError::Inconsistent("a directory without JSON form".to_owned())
        })
    }

    fn read(text: &str) -> Result<Self, JournalError> {
        serde_json::from_str(text).map_err(|_may_quote| damaged())
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct DomainRow {
    domain: String,
    tenant: u32,
}

impl From<&TenantDomain> for DomainRow {
    fn from(domain: &TenantDomain) -> Self {
        Self {
            domain: domain.domain.clone(),
            tenant: domain.tenant.get(),
        }
    }
}

impl DomainRow {
    fn read(self) -> Option<TenantDomain> {
        Some(TenantDomain {
            domain: self.domain,
            tenant: TenantId::new(self.tenant)?,
        })
    }
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
