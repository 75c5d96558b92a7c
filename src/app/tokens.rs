//! Tokens for outgoing mail: minting, the header fields that carry them, and reading one.

use std::time::Duration;

use crate::app::App;
use crate::app::check::{Check, CheckError};
use crate::index::{Asked, Hit};
use crate::model::address::{Address, AddressError};
use crate::model::recipient::RecipientKey;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;
use crate::store::Addresses;
use crate::token::carriers::{self, CarrierError, Places, Sending};
use crate::token::finder::find_any;
use crate::token::keyring::{Keyring, Mint, MintError};
use crate::token::wire::{Token, TokenError, Use};

/// How long minting waits for the store, which it can do without.
const FILLING: Duration = Duration::from_millis(500);

/// What tokens are minted for: one stream of one tenant.
#[derive(Debug, Clone)]
pub struct Minter {
    keyring: Keyring,
    tenant: TenantId,
    stream: StreamNumber,
    domain: String,
    public_url: String,
}

/// One recipient to mint for.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Whom the mail is for.
    pub address: Address,
    /// The sender's own reference, 0 to 16 bytes.
    pub reference: Vec<u8>,
}

/// All that one mail needs.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The feedback token.
    pub token: Token,
    /// The MAIL FROM, with a bounce token that has no ref: forwarders add to its length.
    pub return_path: String,
    /// Names and values of header fields.
    pub headers: Vec<(&'static str, String)>,
}

/// Why nothing was minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// The stream does not exist.
    #[error("the tenant has no stream {0}")]
    UnknownStream(StreamNumber),
    /// The server serves no domain.
    #[error("no domain is served, so there is no address to return to")]
    NoDomain,
    /// The address is none.
    #[error("no address: {0}")]
    Address(#[from] AddressError),
    /// The ref is not hexadecimal.
    #[error("a ref is written in hexadecimal, two digits a byte")]
    Hexadecimal,
    /// The keyring refuses.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The token does not fit one of its places.
    #[error(transparent)]
    Carrier(#[from] CarrierError),
    /// The operating system gave no randomness for a Message-ID.
    #[error("no random bytes for a Message-ID")]
    Random,
}

impl Minter {
    /// For a stream that exists; 0 for no stream.
    pub fn new(app: &App, tenant: TenantId, stream: StreamNumber) -> Result<Self, TokensError> {
        let directory = app.reception.directory();
        if stream != 0 && directory.stream(tenant, stream).is_none() {
            return Err(TokensError::UnknownStream(stream));
        }
        let own = directory
            .tenant(tenant)
            .and_then(|tenant| tenant.domain.clone());
        let domain = own.or_else(|| app.settings.domains.first().cloned());
        Ok(Self {
            keyring: app.reception.keyring(),
            tenant,
            stream,
            domain: domain.ok_or(TokensError::NoDomain)?,
            public_url: app.settings.public_url.clone(),
        })
    }

    /// A bare token, of any length that a token may have.
    pub fn token(&self, recipient: &Recipient, purpose: Use) -> Result<Token, TokensError> {
        let mint = Mint {
            tenant: self.tenant,
            stream: self.stream,
            address: &recipient.address,
            reference: &recipient.reference,
            purpose,
        };
        Ok(self.keyring.mint(&mint)?)
    }

    /// Everything for one mail; refused if the token does not fit one of its places.
    pub fn mail(&self, recipient: &Recipient) -> Result<Minted, TokensError> {
        let Self {
            domain, public_url, ..
        } = self;
        let carriers = carriers::compose(
            &self.keyring,
            &Sending {
                tenant: self.tenant,
                stream: self.stream,
                address: &recipient.address,
                reference: &recipient.reference,
                places: Places {
                    domain,
                    url: public_url,
                },
            },
        )?;
        // A Message-ID must be unique (RFC 5322 §3.6.4); the token alone is the same for each mail
        // to this recipient.
        let mut unique = [0; 8];
        getrandom::fill(&mut unique).map_err(|_no_source| TokensError::Random)?;
        let mut headers = carriers.headers;
        headers.push((
            "Message-ID",
            carriers::message_id(&carriers.token, unique, domain)?,
        ));
        Ok(Minted {
            token: carriers.token,
            return_path: carriers.return_path,
            headers,
        })
    }

    /// Where addresses are kept: fills in those of standing suppressions that have none. Minting
    /// does not depend on it, so a store that is away is no error and is not waited for: what is
    /// not filled in within half a second is at the next mail.
    pub async fn fill_in(&self, app: &App, addresses: &[Address]) {
        if app.settings.addresses == Addresses::Forget {
            return;
        }
        let mut known = Vec::new();
        for address in addresses {
            for key in self.keyring.recipient_keys(self.tenant, address) {
                if app.index.look_up(self.tenant, &[key], Asked::Any).is_some() {
                    known.push((key, address.as_str().to_owned()));
                }
            }
        }
        if known.is_empty() {
            return;
        }
        let filling = app.store.fill_addresses(self.tenant, &known);
        match tokio::time::timeout(FILLING, filling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "addresses of suppressions not filled in"),
            Err(_elapsed) => tracing::debug!("no time to fill in addresses of suppressions"),
        }
    }
}

/// Reads a ref.
pub fn reference(text: &str) -> Result<Vec<u8>, TokensError> {
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_place| TokensError::Hexadecimal)
}

/// What a token says, and what holds for its recipient now.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The verified token.
    pub token: Token,
    /// The stream's name, if it exists.
    pub stream_name: Option<String>,
    /// Whether it was minted for the address that was asked about.
    pub matches: Option<bool>,
    /// What stops mail to its recipient on its stream now.
    pub suppressed: Option<Hit>,
}

/// Why a text is no token of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// It does not verify.
    #[error("{}", unverified(*.0))]
    Token(#[from] TokenError),
    /// It is another tenant's: nothing of it is told.
    #[error("the token was minted for another tenant")]
    Foreign,
    /// The address asked about is none.
    #[error("no address: {0}")]
    Address(#[from] AddressError),
    /// What stands cannot be told now.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// What an operator is told of a token that does not verify.
const fn unverified(error: TokenError) -> &'static str {
    match error {
        TokenError::Malformed => {
            "this is no token: its length, its characters or its version are wrong"
        }
        TokenError::UnknownKey => {
            "the token names a tenant or a signing key that this installation does not have"
        }
        TokenError::BadMac => {
            "the token was not made with this installation's keys, or was changed on its way"
        }
    }
}

/// Verifies a token and explains it, bare or within what carries it: a local part, an address, a
/// URL. `tenant` `None`: a token of any tenant.
pub fn inspect(
    app: &App,
    tenant: Option<TenantId>,
    text: &str,
    address: Option<&str>,
) -> Result<Inspected, InspectError> {
    let keyring = app.reception.keyring();
    let token = find_any(&keyring, text.as_bytes())?;
    let minted_by = token.fields.tenant;
    if tenant.is_some_and(|tenant| tenant != minted_by) {
        return Err(InspectError::Foreign);
    }
    let matches = match address {
        None => None,
        Some(address) => {
            let keys = keyring.recipient_keys(minted_by, &Address::parse(address)?);
            Some(keys.contains(&token.fields.recipient))
        }
    };
    let directory = app.reception.directory();
    let stream = directory.stream(minted_by, token.fields.stream);
    let stream_name = stream.map(|stream| stream.name.clone());
    let asked = stream.map(|stream| stream.number);
    let recipient: RecipientKey = token.fields.recipient;
    let suppressed = Check::new(app, minted_by, asked)?.recipient(&[recipient]);
    Ok(Inspected {
        token,
        stream_name,
        matches,
        suppressed,
    })
}
