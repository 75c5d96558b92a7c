//! Signing keys: the next one, and what those before may still do.

use super::Store;
use super::directory::{KEYS, changed, lock_tenant, signing_key_of, some, sql};
use super::failure::{Failure, StoreError};
use super::pool::{Conn, write};
use super::sql::{execute, values};
use super::tenants::Put;
use crate::model::directory::{KeyState, SigningKey};
use crate::model::tenant::TenantId;

/// Signing keys that a tenant may have in all. One token in sixteen that is none makes the MACs of
/// four of them be computed.
pub const MOST_KEYS: usize = 64;
/// Address keys that a tenant may have in all: a check makes one recipient key under each.
pub const MOST_GENERATIONS: usize = 8;

/// The next signing key, and what becomes of others in the same step.
#[derive(Debug, Clone, Default)]
pub struct NextKey {
    /// Whether it mints with a new address key.
    pub new_address_key: bool,
    /// Serials of keys that mint no longer, if they still do.
    pub retire: Vec<u32>,
    /// Serials of keys that prove nothing any longer.
    pub revoke: Vec<u32>,
}

/// Why a signing key was not made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// There is no such key.
    #[error("the tenant has no signing key {0}")]
    Unknown(u32),
    /// Nothing could be minted any longer.
    #[error("signing key {0} is the last active one: nothing could be minted any longer")]
    LastActive(u32),
    /// There are as many as there may be.
    #[error("a tenant has at most {MOST_KEYS} signing keys")]
    TooManyKeys,
    /// There are as many as there may be.
    #[error("a tenant has at most {MOST_GENERATIONS} address keys")]
    TooManyGenerations,
}

impl Store {
    /// Makes the tenant's next signing key, which is active at once; serials count up from 1 and are
    /// never reused.
    pub async fn add_signing_key(
        &self,
        tenant: TenantId,
        next: &NextKey,
    ) -> Result<Result<Put<SigningKey>, KeyRefusal>, StoreError> {
        write!(self.pool, |conn| add(conn, tenant, next).await)
    }

    /// Says what a signing key may do from now on.
    pub async fn set_key_state(
        &self,
        tenant: TenantId,
        serial: u32,
        state: KeyState,
    ) -> Result<Result<Put<SigningKey>, KeyRefusal>, StoreError> {
        write!(self.pool, |conn| set(conn, (tenant, serial), state).await)
    }
}

async fn add(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    next: &NextKey,
) -> Result<Result<Put<SigningKey>, KeyRefusal>, Failure> {
    let keys = keys_of(conn, tenant).await?;
    let named = next.retire.iter().chain(&next.revoke);
    for serial in named {
        if !keys.iter().any(|key| key.serial == *serial) {
            return Ok(Err(KeyRefusal::Unknown(*serial)));
        }
    }
    if keys.len() >= MOST_KEYS {
        return Ok(Err(KeyRefusal::TooManyKeys));
    }
    let last = keys.iter().map(|key| key.serial).max().unwrap_or(0);
    // Minting goes on with the address key of the newest key.
    let mut generation = keys.last().map_or(1, |key| key.generation);
    if next.new_address_key && !keys.is_empty() {
        let mut generations: Vec<u32> = keys.iter().map(|key| key.generation).collect();
        generations.sort_unstable();
        generations.dedup();
        if generations.len() >= MOST_GENERATIONS {
            return Ok(Err(KeyRefusal::TooManyGenerations));
        }
        generation = generations
            .last()
            .map_or(1, |newest| newest.saturating_add(1));
    }
    let key = SigningKey {
        tenant,
        serial: last.saturating_add(1),
        state: KeyState::Active,
        generation,
    };
    execute(
        conn,
        "insert into signing_keys (tenant, serial, state, generation) values ($1, $2, $3, $4)",
        values![tenant, key.serial, key.state.as_str(), key.generation],
    )
    .await?;
    for old in &keys {
        let state = if next.revoke.contains(&old.serial) {
            KeyState::Revoked
        } else if next.retire.contains(&old.serial) && old.state == KeyState::Active {
            KeyState::Retired
        } else {
            continue;
        };
        written(conn, SigningKey { state, ..*old }).await?;
    }
    Ok(Ok(Put {
        now: key,
        created: true,
        seq: Some(changed(conn, &[tenant], false).await?),
    }))
}

async fn set(
    conn: &mut Conn<'_>,
    (tenant, serial): (TenantId, u32),
    state: KeyState,
) -> Result<Result<Put<SigningKey>, KeyRefusal>, Failure> {
    let keys = keys_of(conn, tenant).await?;
    let Some(key) = keys.iter().find(|key| key.serial == serial) else {
        return Ok(Err(KeyRefusal::Unknown(serial)));
    };
    let mut active = keys.iter().filter(|key| key.state == KeyState::Active);
    let others = active.any(|key| key.serial != serial);
    if key.state == KeyState::Active && state != KeyState::Active && !others {
        return Ok(Err(KeyRefusal::LastActive(serial)));
    }
    let now = SigningKey { state, ..*key };
    let seq = if now == *key {
        None
    } else {
        written(conn, now).await?;
        Some(changed(conn, &[tenant], false).await?)
    };
    Ok(Ok(Put {
        now,
        created: false,
        seq,
    }))
}

/// The keys of a tenant, which is locked, by serial.
async fn keys_of(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<SigningKey>, Failure> {
    lock_tenant(conn, tenant).await?;
    let sql = sql(KEYS, "where tenant = $1");
    some(conn, "signing_keys", &sql, values![tenant], signing_key_of).await
}

async fn written(conn: &mut Conn<'_>, key: SigningKey) -> Result<(), Failure> {
    let sql = "update signing_keys set state = $1 where tenant = $2 and serial = $3";
    let given = values![key.state.as_str(), key.tenant, key.serial];
    execute(conn, sql, given).await?;
    Ok(())
}
