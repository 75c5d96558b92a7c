//! The account at the authority: made once, kept with its key.

use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};

use super::{AcmeError, Keeper, content, on_disk};
use crate::net::certificate::{self, ACME_ACCOUNT_FILE};

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whose account it is.
    directory: String,
    credentials: AccountCredentials,
}

impl Keeper {
    /// The account of before, or a new one at another authority or the first time.
    pub(super) async fn account(&self) -> Result<Account, AcmeError> {
        let file = self.file(ACME_ACCOUNT_FILE);
        let unreadable = |cause| AcmeError::File {
            file: ACME_ACCOUNT_FILE,
            cause,
        };
        if let Some(read) = content(&file).await?.map(zeroize::Zeroizing::new) {
            let kept: Kept = serde_json::from_slice(&read).map_err(unreadable)?;
            if kept.directory == self.settings.directory {
                return Ok(self.builder()?.from_credentials(kept.credentials).await?);
            }
        }
        let (account, credentials) = self.new_account().await?;
        let kept = Kept {
            directory: self.settings.directory.clone(),
            credentials,
        };
        let text = serde_json::to_string(&kept).map_err(unreadable)?;
        let text = zeroize::Zeroizing::new(text);
        on_disk(move || Ok(certificate::keep(&file, &text)?)).await?;
        Ok(account)
    }

    /// Forgets the account: the authority does not know it any more. The next attempt makes a new one.
    pub(super) async fn forget_account(&self) {
        let file = self.file(ACME_ACCOUNT_FILE);
        let removed = on_disk(move || Ok(std::fs::remove_file(file).is_ok())).await;
        tracing::warn!(
            removed = matches!(removed, Ok(true)),
            "the certificate authority does not know this account"
        );
    }

    async fn new_account(&self) -> Result<(Account, AccountCredentials), AcmeError> {
        let contact: Vec<&str> = self.settings.contacts.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            // Nothing is ordered otherwise.
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = self.settings.external.as_ref();
        let external = external
            .map(|external| ExternalAccountKey::new(external.key_id.clone(), &external.key));
        let directory = self.settings.directory.clone();
        let builder = self.builder()?;
        Ok(builder
            .create(&wanted, directory, external.as_ref())
            .await?)
    }

    fn builder(&self) -> Result<AccountBuilder, AcmeError> {
        Ok(match &self.settings.ca_file {
            Some(file) => Account::builder_with_root(file)?,
            None => Account::builder()?,
        })
    }
}
