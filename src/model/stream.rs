//! The stream: a kind of mail of a tenant.

use super::tenant::TenantId;
use super::words::words;

/// Number of a stream, 1 to 65535; 0 means that no stream is named.
pub type StreamNumber = u16;

words! {
    /// What kind of mail a stream carries; decides the scope of an opt-out.
    pub enum Class as "class" {
        /// Mail that people may opt out of.
        Marketing = "marketing",
        /// Receipts, passwords, notices: an opt-out from elsewhere does not stop it.
        Transactional = "transactional",
    }
}

/// A kind of mail of a tenant, for instance a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its number within the tenant, never 0.
    pub number: StreamNumber,
    /// Its unique name within the tenant, 1 to 64 characters of `a-z0-9._-`.
    pub name: String,
    /// Marketing or transactional.
    pub class: Class,
    /// Whether an opt-out by its token ends this stream itself although it is transactional.
    pub unsubscribe: bool,
    /// What readers know it by, 1 to 100 characters; `None`: its name. Put as `None` it stays as it
    /// is, put as an empty text it is forgotten.
    pub title: Option<String>,
}

impl Stream {
    /// What readers know it by.
    pub fn shown(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}
