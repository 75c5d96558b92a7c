//! Mailboxes: local parts that the MX serves, and what each is for.

use super::stream::StreamNumber;
use super::tenant::TenantId;
use super::words::words;

words! {
    /// What a mailbox is for.
    pub enum Role as "role" {
        /// Reports of enrolled feedback loops.
        Complaint = "complaint",
        /// RFC 9477 reports.
        Cfbl = "cfbl",
        /// Unsubscribe mail.
        Unsubscribe = "unsubscribe",
        /// Bounces.
        Bounce = "bounce",
        /// DMARC reports.
        Dmarc = "dmarc",
        /// SMTP TLS reports.
        TlsReport = "tls-report",
        /// Mail for people; never parsed into effects.
        Human = "human",
    }
}

/// A local part of a served domain, beyond or instead of the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Mailbox {
    /// `local@domain`, lower-case, domain as A-labels.
    pub address: String,
    /// What it is for.
    pub role: Role,
    /// Whose it is, if it is one tenant's alone.
    #[serde(default, with = "tenant_number")]
    pub tenant: Option<TenantId>,
    /// Which stream an opt-out without token means, if one.
    #[serde(default)]
    pub stream: Option<StreamNumber>,
}

/// A tenant's number as serde sees it.
pub(crate) mod tenant_number {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::model::tenant::TenantId;

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde fixes it"
    )]
    pub(crate) fn serialize<S: Serializer>(
        tenant: &Option<TenantId>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        tenant.map(TenantId::get).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<TenantId>, D::Error> {
        Ok(Option::<u32>::deserialize(deserializer)?.and_then(TenantId::new))
    }
}
