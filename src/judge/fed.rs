//! What a tenant's own systems tell of a delivery: the item of `POST /v1/events`, which is also the
//! receipt's raw bytes, so that it can be read again.

use super::Context;
use super::bounce_case::{detail, of_failure, provider_told};
use super::classify::Matter;
use super::identify;
use super::table::{Fate, What};
use crate::model::address::Address;
use crate::model::bounce::{Action, Stage};
use crate::model::event::Detail;
use crate::model::receipt::Envelope;
use crate::model::words::words;
use crate::report::status::{Delivery, Outcome};

words! {
    /// What became of a mail, as the tenant's own system knows it.
    pub enum ToldKind as "kind" {
        /// The recipient's server has taken it.
        Delivered = "delivered",
        /// It was given up, or refused for good.
        Bounce = "bounce",
    }
}

/// What a tenant's own system tells of one mail.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Told {
    /// What became of it.
    pub kind: ToldKind,
    /// Whom it was for; not if the envelope's token tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The enhanced status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The reply code of the server that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp_code: Option<u16>,
    /// At which step of the SMTP dialogue it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The server's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// The server that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_mta: Option<String>,
}

/// Reads what was told. What is no such item is unrecognised.
pub(super) fn matter(raw: &[u8], envelope: &Envelope, context: &Context<'_>) -> Matter {
    let identity = identify::by_envelope(envelope.token.as_deref(), context.keyring);
    let Ok(told) = serde_json::from_slice::<Told>(raw) else {
        return Matter {
            what: What::Unrecognised,
            identity,
            asserted: Vec::new(),
            detail: Detail::default(),
        };
    };
    let address = told
        .address
        .as_deref()
        .and_then(|text| Address::parse(text).ok());
    let provider = provider_told(told.remote_mta.as_deref(), address.as_ref());
    let outcome = Outcome {
        action: match told.kind {
            ToldKind::Delivered => Action::Delivered,
            ToldKind::Bounce => Action::Failed,
        },
        address: told.address,
        original: None,
        status: told.status,
        smtp_code: told.smtp_code,
        stage: told.stage,
        diagnostic: told.diagnostic,
        remote_mta: told.remote_mta,
    };
    let assessment = context
        .policy
        .rules()
        .assess(&outcome, &Delivery::default());
    let fate = match told.kind {
        ToldKind::Delivered => Fate::Delivered,
        ToldKind::Bounce => of_failure(&assessment, true),
    };
    Matter {
        what: What::Fate(fate),
        identity,
        asserted: address.into_iter().collect(),
        detail: detail(&outcome, assessment, provider),
    }
}
