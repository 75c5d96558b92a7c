//! One suppression as a number of 128 bits.
//!
//! From the highest bit: tenant (24), bits 16 to 63 of the recipient key (48), scope and reason
//! (8), stream (16), seconds since the epoch (32). The first 16 bits of the recipient key are said
//! by the bucket that the entry lies in; the last 16 of its 80 bits are not kept.

use super::Hit;
use crate::model::clock::Timestamp;
use crate::model::recipient::RecipientKey;
use crate::model::stream::StreamNumber;
use crate::model::suppression::{Reason, Scope, SuppressionKey};
use crate::model::tenant::TenantId;

/// A suppression. The order is by owner, then by strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u128);

/// Tenant and recipient within a bucket: the upper 72 bits of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner(u128);

/// Which shard and which bucket in it a recipient belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    shard: u8,
    bucket: u8,
}

impl Place {
    /// Number of shards.
    pub(super) const SHARDS: usize = 256;
    /// Number of buckets of a shard.
    pub(super) const BUCKETS: usize = 256;

    /// By the first two bytes of the key, which are as good as random.
    pub(super) const fn of(recipient: &RecipientKey) -> Self {
        let [shard, bucket, ..] = *recipient.as_bytes();
        Self { shard, bucket }
    }

    /// Below [`Self::SHARDS`].
    pub(super) fn shard(self) -> usize {
        usize::from(self.shard)
    }

    /// Below [`Self::BUCKETS`].
    pub(super) fn bucket(self) -> usize {
        usize::from(self.bucket)
    }
}

impl Owner {
    pub(super) fn new(tenant: TenantId, recipient: &RecipientKey) -> Self {
        let [_, _, kept @ .., _, _] = recipient.as_bytes();
        let owner = u128::from(tenant.get());
        Self(
            kept.iter()
                .fold(owner, |bits, byte| bits << 8 | u128::from(*byte)),
        )
    }
}

impl Entry {
    /// Bytes of an entry.
    pub(super) const BYTES: usize = size_of::<Self>();

    pub(super) fn new(key: &SuppressionKey, since: Timestamp) -> Self {
        let Owner(owner) = Owner::new(key.tenant, &key.recipient);
        let (scope, stream) = match key.scope {
            Scope::All => (ALL, 0),
            Scope::Marketing => (MARKETING, 0),
            Scope::Stream(number) => (STREAM, number),
        };
        let since = since.as_seconds().max(0);
        let since = u32::try_from(since).unwrap_or(u32::MAX);
        let mut bits = owner << OWNER_SHIFT;
        bits |= u128::from(scope << 4 | reason_rank(key.reason)) << WHAT_SHIFT;
        bits |= u128::from(stream) << SINCE_BITS;
        bits |= u128::from(since);
        Self(bits)
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

    /// What it says.
    pub(super) fn hit(self) -> Option<Hit> {
        let [.., what, high, low, a, b, c, d] = self.0.to_be_bytes();
        let scope = match what >> 4 {
            ALL => Scope::All,
            MARKETING => Scope::Marketing,
            _ => Scope::Stream(StreamNumber::from_be_bytes([high, low])),
        };
        let reason = *Reason::ALL.get(usize::from(what & 0x0f))?;
        let since = Timestamp::from_seconds(i64::from(u32::from_be_bytes([a, b, c, d])));
        Some(Hit {
            scope,
            reason,
            since,
        })
    }
}

/// The reason's place in the order of strength; never above 15.
fn reason_rank(reason: Reason) -> u8 {
    let rank = Reason::ALL.iter().position(|known| *known == reason);
    rank.and_then(|rank| u8::try_from(rank).ok())
        .unwrap_or(0x0f)
}

/// Ranks of scopes, the widest first.
const ALL: u8 = 0;
const MARKETING: u8 = 1;
const STREAM: u8 = 2;

const SINCE_BITS: u32 = 32;
const WHAT_SHIFT: u32 = SINCE_BITS + 16;
const OWNER_SHIFT: u32 = WHAT_SHIFT + 8;

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
            }
        }
        assert_eq!(Entry::BYTES, 16);
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
