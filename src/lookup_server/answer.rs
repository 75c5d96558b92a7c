//! What a question means and what the index says.

use super::wire::{ANY, Question};
use crate::app::App;
use crate::app::check::{Check, CheckError};
use crate::index::Hit;
use crate::metrics::LookupAnswer;
use crate::model::address::{Address, AddressError};
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;

/// The answer to one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing stops this mail, or nobody was named.
    Allowed,
    /// This stops it.
    Suppressed(Hit),
    /// What was named is no address: never mail it.
    NoAddress(AddressError),
    /// Ask again later.
    Temporary(&'static str),
    /// The tenant or the stream does not exist: an answer would be a guess.
    UnknownList,
}

impl Answer {
    /// As it is counted.
    pub(super) const fn counted(&self) -> LookupAnswer {
        match self {
            Self::Allowed => LookupAnswer::Allowed,
            Self::Suppressed(_) => LookupAnswer::Suppressed,
            Self::NoAddress(_) => LookupAnswer::Invalid,
            Self::Temporary(_) => LookupAnswer::Temporary,
            Self::UnknownList => LookupAnswer::Unknown,
        }
    }
}

/// Answers from the index, if it is there and fresh.
pub(super) fn answer(app: Option<&App>, question: &Question<'_>) -> Answer {
    let Some(app) = app else {
        return Answer::Temporary("the store is not there yet");
    };
    let Some((tenant, stream)) = list(app, question.list) else {
        return Answer::UnknownList;
    };
    let check = match Check::new(app, tenant, stream) {
        Ok(check) => check,
        Err(CheckError::UnknownStream(_)) => return Answer::UnknownList,
        Err(CheckError::NotLoaded) => return Answer::Temporary("the index is still being loaded"),
    };
    if !app.is_fresh() {
        return Answer::Temporary("the index is too old");
    }
    match address(question.key) {
        Ok(address) => check
            .address(&address)
            .map_or(Answer::Allowed, Answer::Suppressed),
        // Postfix also asks about the domain alone and about `local@`: of them nothing is kept.
        Err(AddressError::Empty | AddressError::NoAt | AddressError::EmptyDomain) => {
            Answer::Allowed
        }
        Err(error) => Answer::NoAddress(error),
    }
}

/// `STREAM`, `any`, or one of them behind `TENANT/`: which tenant's, and which stream's.
fn list(app: &App, text: &[u8]) -> Option<(TenantId, Option<StreamNumber>)> {
    let text = std::str::from_utf8(text).ok()?;
    let directory = app.reception.directory();
    let (tenant, stream) = match text.split_once('/') {
        Some((tenant, stream)) => (TenantId::new(tenant.parse().ok()?)?, stream),
        None => (directory.only_tenant()?, text),
    };
    directory.tenant(tenant)?;
    if stream.as_bytes() == ANY {
        return Some((tenant, None));
    }
    Some((tenant, Some(stream.parse().ok()?)))
}

/// Mail servers give the local part as it is meant, without the quotes that it would be written
/// with.
fn address(key: &[u8]) -> Result<Address, AddressError> {
    let given = Address::parse_bytes(key);
    if !matches!(given, Err(AddressError::Space | AddressError::NeedsQuotes)) {
        return given;
    }
    let text = std::str::from_utf8(key).map_err(|_error| AddressError::NotUtf8)?;
    let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
    let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
    Address::parse(&format!("\"{escaped}\"@{domain}")).or(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_come_with_and_without_their_quotes() {
        // F-004
        for (given, wanted) in [
            ("Alice@Example.net", "alice@example.net"),
            ("al ice@example.net", "\"al ice\"@example.net"),
            ("\"al ice\"@example.net", "\"al ice\"@example.net"),
            ("a@b@example.net", "\"a@b\"@example.net"),
            ("a\"b\\c@example.net", "\"a\\\"b\\\\c\"@example.net"),
        ] {
            let read = address(given.as_bytes());
            assert_eq!(read.unwrap().as_str(), wanted, "{given}");
        }
        for (given, why) in [
            ("", AddressError::Empty),
            ("example.net", AddressError::NoAt),
            ("alice@", AddressError::EmptyDomain),
            ("alice@exam ple.net", AddressError::Space),
            ("alice@[192.0.2.1]", AddressError::Literal),
        ] {
            assert_eq!(address(given.as_bytes()), Err(why), "{given}");
        }
        assert_eq!(address(b"\xff@example.net"), Err(AddressError::NotUtf8));
    }
}
