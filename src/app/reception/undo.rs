//! Taking an opt-out back, on the page where it was made.

use super::{Click, Reception};
use crate::journal::AppendError;
use crate::metrics::Refusal;
use crate::model::mailbox::Role;
use crate::model::receipt::Door;
use crate::token::undo::{UndoError, Visit};
use crate::token::wire::Token;
use crate::traces::Span;

/// Why nothing was taken back.
#[derive(Debug, thiserror::Error)]
pub enum UndoRefusal {
    /// `410`: its nonce is none, or too old.
    #[error(transparent)]
    Gone(#[from] UndoError),
    /// `503`: it could not be committed.
    #[error(transparent)]
    NotNow(#[from] AppendError),
}

impl Reception {
    /// What takes back, within the hour, what this visit has done by this token. To be given out
    /// only for a visit that was kept: the undo of any other would find nothing.
    pub fn undo_nonce(&self, token: &Token, visit: Visit) -> Option<String> {
        let at = self.0.clock.now();
        self.keyring().undo_nonce(token, visit, at)
    }

    /// Commits that what one visit has done is taken back. Durable when it returns `Ok`. The wait
    /// for the journal is a part of `span`.
    pub async fn receive_undo(
        &self,
        click: Click,
        nonce: &str,
        span: &Span,
    ) -> Result<(), UndoRefusal> {
        let at = self.0.clock.now();
        self.keyring().undone(&click.token, nonce, at)?;
        // Beyond the hour's share only what may change something is kept. What was unsubscribed a
        // moment ago may not be in the index yet: so this is no success.
        let role = Role::Unsubscribe;
        let is_much = self.0.rate.exceeded(&click.token.text, role, at);
        if is_much && !self.stands(&click.token.fields, role) {
            self.0.metrics.refusal(Door::OneClick, Refusal::TokenRate);
            return Err(AppendError::Overloaded.into());
        }
        Ok(self.commit_click(click, at, span).await?)
    }
}
