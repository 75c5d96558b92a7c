//! May this be sent? Answered from the index alone, without the store.

use std::sync::Arc;

use crate::app::App;
use crate::index::{Asked, Batch, Hit, Index};
use crate::model::address::{Address, AddressError, AddressReader};
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;
use crate::token::keyring::AddressKeys;

/// One question about any number of addresses, with all that its answer rests on. It owns what it
/// needs, so that a long list can be answered on another thread.
#[derive(Debug, Clone)]
pub struct Check {
    index: Arc<Index>,
    keys: AddressKeys,
    tenant: TenantId,
    asked: Asked,
    as_of: Timestamp,
}

/// Why nothing can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// An answer for a stream that does not exist would be a guess.
    #[error("the tenant has no stream {0}")]
    UnknownStream(StreamNumber),
    /// An index that is not filled would allow everything.
    #[error("the index is still being loaded")]
    NotLoaded,
}

/// Answers about a list of addresses. Those that are not named may be mailed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// What stops mail, by the place in the list.
    pub suppressed: Vec<(usize, Hit)>,
    /// What is no address, by the place in the list.
    pub errors: Vec<(usize, AddressError)>,
}

/// Addresses that are looked up together.
const TOGETHER: usize = 4096;

/// Up to so many are looked up one by one: to go through all parts of the index takes longer.
const FEW: usize = 16;

impl Check {
    /// Prepares the question: `stream` `None` counts every scope.
    pub fn new(
        app: &App,
        tenant: TenantId,
        stream: Option<StreamNumber>,
    ) -> Result<Self, CheckError> {
        let as_of = app.follower.position().as_of.ok_or(CheckError::NotLoaded)?;
        let asked = match stream {
            None => Asked::Any,
            Some(number) => {
                let directory = app.reception.directory();
                let stream = directory
                    .stream(tenant, number)
                    .ok_or(CheckError::UnknownStream(number))?;
                Asked::Stream {
                    number,
                    class: stream.class,
                }
            }
        };
        let keys = app.reception.keyring().address_keys(tenant);
        Ok(Self {
            index: Arc::clone(&app.index),
            keys,
            tenant,
            asked,
            as_of,
        })
    }

    /// What stops mail to each of these, by their places in the list, ascending.
    pub fn addresses<T: AsRef<str>>(&self, texts: &[T]) -> Answers {
        if texts.len() <= FEW {
            self.one_by_one(texts)
        } else {
            self.together(texts)
        }
    }

    fn one_by_one<T: AsRef<str>>(&self, texts: &[T]) -> Answers {
        let mut answers = Answers::default();
        let mut reader = AddressReader::default();
        for (index, text) in texts.iter().enumerate() {
            match reader.read(text.as_ref()) {
                Ok(address) => {
                    let hit = self.address(address);
                    answers.suppressed.extend(hit.map(|hit| (index, hit)));
                }
                Err(error) => answers.errors.push((index, error)),
            }
        }
        answers
    }

    fn together<T: AsRef<str>>(&self, texts: &[T]) -> Answers {
        let mut answers = Answers::default();
        let mut batch = Batch::default();
        let mut reader = AddressReader::default();
        let mut begins = 0;
        // In pieces that stay in the processor's cache.
        for piece in texts.chunks(TOGETHER) {
            for (index, text) in (begins..).zip(piece) {
                match reader.read(text.as_ref()) {
                    Ok(address) => {
                        for key in self.keys.recipient_keys(address) {
                            batch.ask(index, key);
                        }
                    }
                    Err(error) => answers.errors.push((index, error)),
                }
            }
            let found = self
                .index
                .look_up_batch(self.tenant, &mut batch, self.asked);
            answers.suppressed.extend(found);
            begins += piece.len();
        }
        answers
    }

    /// What stops mail to one address.
    pub fn address(&self, address: &Address) -> Option<Hit> {
        let keys: Vec<RecipientKey> = self.keys.recipient_keys(address).collect();
        self.recipient(&keys)
    }

    /// What stops mail to this recipient, given under every address-key generation.
    pub fn recipient(&self, keys: &[RecipientKey]) -> Option<Hit> {
        self.index.look_up(self.tenant, keys, self.asked)
    }

    /// The store's clock when the index was last complete.
    pub const fn as_of(&self) -> Timestamp {
        self.as_of
    }
}
