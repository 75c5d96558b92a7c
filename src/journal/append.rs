//! An arrival on its way into the file.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::AppendError;
use super::group;
use super::queue::Item;
use super::shared::Permit;
use super::tables::NewGroup;
use crate::model::receipt::Arrival;

/// An arrival that waits for its commit.
#[derive(Debug)]
pub(super) struct Append {
    arrival: Arrival,
    /// JSON of each receipt's envelope.
    envelopes: Vec<String>,
    permit: Permit,
    answer: Answer,
}

/// Who waits for the outcome.
pub(super) type Answer = oneshot::Sender<Result<(), AppendError>>;

impl Append {
    pub(super) fn new(
        arrival: Arrival,
        permit: Permit,
        answer: Answer,
    ) -> Result<Self, AppendError> {
        let envelopes = arrival
            .receipts
            .iter()
            .map(|it| serde_json::to_string(&it.envelope));
        let envelopes = envelopes
            .collect::<Result<_, _>>()
            .map_err(|_may_quote| AppendError::Failed("an envelope without JSON form".into()))?;
        Ok(Self {
            arrival,
            envelopes,
            permit,
            answer,
        })
    }

    /// Bytes that it is counted with while it waits.
    pub(super) const fn bytes(&self) -> u64 {
        self.permit.bytes()
    }

    /// Whoever asked may have gone away.
    pub(super) fn refuse(self, why: &AppendError) {
        self.answer.send(Err(why.clone())).ok();
    }

    /// Bytes that it takes in a group, about.
    fn size(&self) -> usize {
        let envelopes: usize = self.envelopes.iter().map(String::len).sum();
        let overhead = self.envelopes.len().saturating_mul(group::OVERHEAD);
        self.arrival
            .raw
            .len()
            .saturating_add(envelopes)
            .saturating_add(overhead)
    }

    /// Its receipts, the first of them at place `first`.
    fn into_items(self, first: u64) -> (impl Iterator<Item = Item>, Answer) {
        let raw = self.arrival.raw;
        let items = (first..)
            .zip(self.arrival.receipts)
            .map(move |(seq, receipt)| Item::new(seq, receipt, Arc::clone(&raw), seq == first));
        (items, self.answer)
    }
}

/// All of them in the form of the file, from place `first` on.
pub(super) fn write(appends: &[Append], first: u64) -> Option<NewGroup> {
    let size = appends.iter().map(Append::size).sum();
    let mut body = Vec::with_capacity(size);
    let mut count = 0_usize;
    for append in appends {
        let place = first.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        group::push(&mut body, place, &append.arrival, &append.envelopes);
        count = count.saturating_add(append.arrival.receipts.len());
    }
    (count > 0).then_some(NewGroup { first, count, body })
}

/// All of them in the form of memory, from place `first` on, and who waits for them.
pub(super) fn read(appends: Vec<Append>, first: u64) -> (Vec<Item>, Vec<Answer>) {
    let mut items = Vec::with_capacity(appends.len());
    let mut answers = Vec::with_capacity(appends.len());
    for append in appends {
        let place = first.saturating_add(u64::try_from(items.len()).unwrap_or(u64::MAX));
        let (more, answer) = append.into_items(place);
        items.extend(more);
        answers.push(answer);
    }
    (items, answers)
}
