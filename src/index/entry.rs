//! One suppression as a number of 120 bits.
//!
//! From the highest bit: bits 19 to 63 of the recipient key (45), tenant (24), scope and reason in
//! the order of strength (19), seconds since the epoch (32, until the year 2106). The first 19 bits
//! of the recipient key are said by the place that the entry lies in; the last 16 of its 80 bits
//! are not kept.

use super::Hit;
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::stream::StreamNumber;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// A suppression. The order is by owner, then by strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u128);

/// Recipient and tenant within a place: the upper 69 bits of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(u128);

/// An entry in as many bytes as it has, the highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed([u8; 15]);

/// An entry with its cell before it: the order of a whole group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Celled(u128);

/// Where a recipient belongs: by the first 19 bits of the key, which are as good as random.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    shard: u8,
    cell: u16,
}

impl Place {
    /// Number of shards.
    pub(super) const SHARDS: usize = 64;
    /// Number of cells of a shard.
    pub(super) const CELLS: usize = Self::GROUPS * Self::GROUP;
    /// Number of groups of cells of a shard.
    pub(super) const GROUPS: usize = 128;
    /// Number of cells of a group.
    pub(super) const GROUP: usize = 64;

    pub(super) const fn of(recipient: &RecipientKey) -> Self {
        let [first, second, third, ..] = *recipient.as_bytes();
        let cell = u16::from_be_bytes([first << 3 | second >> 5, second << 3 | third >> 5]);
        Self {
            shard: first >> 2,
            cell: cell & 0x1fff,
        }
    }

    /// Below [`Self::SHARDS`].
    pub(super) fn shard(self) -> usize {
        usize::from(self.shard)
    }

    /// Below [`Self::CELLS`].
    pub(super) fn cell(self) -> usize {
        usize::from(self.cell)
    }

    /// Below [`Self::GROUPS`].
    pub(super) fn group(self) -> usize {
        self.cell() / Self::GROUP
    }

    /// The entry with its cell in the group.
    pub(super) fn celled(self, entry: Entry) -> Celled {
        Celled::new(self.cell() % Self::GROUP, entry)
    }
}

impl Owner {
    pub(super) fn new(tenant: TenantId, recipient: &RecipientKey) -> Self {
        let [compared @ .., _, _] = *recipient.as_bytes();
        let key = u64::from_be_bytes(compared) & ((1 << KEY_BITS) - 1);
        Self(u128::from(key) << TENANT_BITS | u128::from(tenant.get()))
    }
}

impl Entry {
    pub(super) fn new(key: &SuppressionKey, since: Timestamp) -> Self {
        let Owner(owner) = Owner::new(key.tenant, &key.recipient);
        let reason = reason_rank(key.reason);
        let strength = match key.scope {
            Scope::All => reason,
            Scope::Marketing => REASONS + reason,
            Scope::Stream(number) => 2 * REASONS + reason * STREAMS + u32::from(number),
        };
        let since = since.as_seconds().max(0);
        let since = u32::try_from(since).unwrap_or(u32::MAX);
        Self(owner << OWNER_SHIFT | u128::from(strength) << SINCE_BITS | u128::from(since))
    }

    /// The first entry that an owner could have.
    pub(super) const fn first_of(owner: Owner) -> Self {
        Self(owner.0 << OWNER_SHIFT)
    }

    /// Whose it is.
    pub(super) const fn owner(self) -> Owner {
        Owner(self.0 >> OWNER_SHIFT)
    }

    /// All but the time: what there is one entry of.
    pub(super) const fn identity(self) -> u128 {
        self.0 >> SINCE_BITS
    }

    /// Scope, reason, stream and time without the owner: smaller is stronger, across owners.
    pub(super) const fn strength(self) -> u128 {
        self.0 & ((1 << OWNER_SHIFT) - 1)
    }

    /// How far into its cell it can be expected, of 2^32 parts: keys are as good as random.
    pub(super) fn share(self) -> u32 {
        u32::try_from(self.0 >> (BITS - 32)).unwrap_or(u32::MAX)
    }

    /// What it says.
    pub(super) fn hit(self) -> Option<Hit> {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        let since = Timestamp::from_seconds(i64::from(u32::from_be_bytes([a, b, c, d])));
        let strength = u32::try_from(self.strength() >> SINCE_BITS).ok()?;
        let (scope, reason) = match strength.checked_sub(2 * REASONS) {
            None if strength < REASONS => (Scope::All, strength),
            None => (Scope::Marketing, strength - REASONS),
            Some(stream) => {
                let number = StreamNumber::try_from(stream % STREAMS).ok()?;
                (Scope::Stream(number), stream / STREAMS)
            }
        };
        let reason = *Reason::ALL.get(usize::try_from(reason).ok()?)?;
        Some(Hit {
            scope,
            reason,
            since,
        })
    }

    pub(super) const fn pack(self) -> Packed {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        Packed(bytes)
    }
}

impl Celled {
    /// `cell`: its number in the group.
    pub(super) fn new(cell: usize, entry: Entry) -> Self {
        let cell = u8::try_from(cell).unwrap_or(u8::MAX);
        Self(u128::from(cell) << BITS | entry.0)
    }

    pub(super) fn cell(self) -> usize {
        usize::from(self.cell_byte())
    }

    /// The number of the cell in the group.
    pub(super) const fn cell_byte(self) -> u8 {
        let [cell, ..] = self.0.to_be_bytes();
        cell
    }

    pub(super) const fn entry(self) -> Entry {
        Entry(self.0 & ((1 << BITS) - 1))
    }

    /// All but the time.
    pub(super) const fn identity(self) -> u128 {
        self.0 >> SINCE_BITS
    }
}

impl Packed {
    /// Bytes of an entry.
    pub(super) const BYTES: usize = size_of::<Self>();
    /// Stands where there is no entry.
    pub(super) const NONE: Self = Self([0; 15]);

    pub(super) fn unpack(self) -> Entry {
        // Two reads of eight bytes, which overlap by one.
        let [high @ .., _, _, _, _, _, _, _] = self.0;
        let [_, _, _, _, _, _, _, low @ ..] = self.0;
        let low = u64::from_be_bytes(low) & ((1 << LOW_BITS) - 1);
        Entry(u128::from(u64::from_be_bytes(high)) << LOW_BITS | u128::from(low))
    }

    pub(super) const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    pub(super) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }
}

/// The reason's place in the order of strength; below [`REASONS`].
fn reason_rank(reason: Reason) -> u32 {
    let rank = Reason::ALL.iter().position(|known| *known == reason);
    rank.and_then(|rank| u32::try_from(rank).ok()).unwrap_or(0)
}

/// How many reasons there is room for.
const REASONS: u32 = 7;
/// How many stream numbers there are, 0 included.
const STREAMS: u32 = 1 << 16;

const BITS: u32 = 120;
const LOW_BITS: u32 = 56;
const KEY_BITS: u32 = 45;
const TENANT_BITS: u32 = 24;
const SINCE_BITS: u32 = 32;
const STRENGTH_BITS: u32 = 19;
const OWNER_SHIFT: u32 = SINCE_BITS + STRENGTH_BITS;

const _: () = assert!(Reason::ALL.len() <= 7);
const _: () = assert!(2 * REASONS + REASONS * STREAMS <= 1 << STRENGTH_BITS);
const _: () = assert!(KEY_BITS + TENANT_BITS + OWNER_SHIFT == BITS);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scope: Scope, reason: Reason) -> SuppressionKey {
        SuppressionKey {
            tenant: TenantId::new(TenantId::MAX).unwrap(),
            recipient: RecipientKey::from_bytes([0xff; 10]),
            scope,
            reason,
        }
    }

    #[test]
    fn an_entry_says_what_was_entered() {
        let since = Timestamp::from_millis(1_795_000_000_999);
        for scope in [
            Scope::All,
            Scope::Marketing,
            Scope::Stream(1),
            Scope::Stream(u16::MAX),
        ] {
            for reason in Reason::ALL {
                let entry = Entry::new(&key(scope, *reason), since);
                let since = Timestamp::from_seconds(1_795_000_000);
                assert_eq!(
                    entry.hit(),
                    Some(Hit {
                        scope,
                        reason: *reason,
                        since
                    })
                );
                let owner = Owner::new(key(scope, *reason).tenant, &key(scope, *reason).recipient);
                assert_eq!(entry.owner(), owner);
                assert_eq!(entry.pack().unpack(), entry);
                assert_eq!(Packed::from_bytes(entry.pack().to_bytes()), entry.pack());
                assert_eq!(entry.share(), u32::MAX);
            }
        }
    }

    #[test]
    fn times_that_do_not_fit_are_the_nearest_that_do() {
        for (millis, seconds) in [(-1, 0), (i64::MAX, i64::from(u32::MAX))] {
            let entry = Entry::new(
                &key(Scope::All, Reason::Manual),
                Timestamp::from_millis(millis),
            );
            assert_eq!(entry.hit().unwrap().since, Timestamp::from_seconds(seconds));
        }
    }
}
