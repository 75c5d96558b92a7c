//! `/v1/signing-keys`: the keys that tokens are signed with, and what a sender needs to mint.

use axum::extract::State;
use axum::response::Response;
use data_encoding::HEXLOWER;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::caller::{Admin, May, Read};
use super::conditional::Had;
use super::problem::{Kind, Problem};
use super::wire::{Answer, Listing};
use crate::model::directory::KeyState;

/// A signing key, without the key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SigningKeyItem {
    /// Counts up from 1; modulo 16 it is in the token's first byte.
    serial: u32,
    /// `active` mints and verifies, `retired` verifies for ever, `revoked` proves nothing.
    #[schema(value_type = String)]
    state: KeyState,
    /// The generation of the address key that it mints with.
    generation: u32,
}

/// What a sender needs to mint by itself. Whoever has it can write tokens that are believed.
#[derive(Serialize, ToSchema)]
pub(super) struct Exported {
    /// The number of the tenant, as it stands in the token.
    tenant: u32,
    /// The signing key's serial.
    serial: u32,
    /// 32 bytes, hexadecimal: a secret.
    signing_key: String,
    /// The generation of the address key.
    generation: u32,
    /// 32 bytes, hexadecimal: a secret.
    address_key: String,
}

/// Lists the tenant's signing keys by serial.
#[utoipa::path(
    get,
    path = "/v1/signing-keys",
    tag = "management",
    security(("bearer" = ["read"])),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of what you have")),
    responses(
        (status = 200, description = "All of them", body = Listing<SigningKeyItem>,
            example = json!({"items": [{"serial": 1, "state": "active", "generation": 1}],
                "next": null})),
        (status = 304, description = "You have them"),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    had: Had,
) -> Result<Response, Problem> {
    let tenant = caller.one_tenant()?;
    let directory = api.app.reception.directory();
    let keys = directory
        .signing_keys
        .iter()
        .filter(|key| key.tenant == tenant);
    let items = keys.map(|key| SigningKeyItem {
        serial: key.serial,
        state: key.state,
        generation: key.generation,
    });
    let items: Vec<SigningKeyItem> = items.collect();
    Ok(had.or_else(&Listing { items, next: None }))
}

/// Gives a sender what minting needs: the active signing key of the highest serial and the address
/// key that belongs to it. Both are secrets; the call needs the scope `admin`.
#[utoipa::path(
    post,
    path = "/v1/signing-keys/export",
    tag = "management",
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "The keys", body = Exported, example = json!({
            "tenant": 1, "serial": 1, "signing_key": "3cff1d62…", "generation": 1,
            "address_key": "1434bdef…"})),
        (status = 404, description = "The tenant has no active signing key"),
    )
)]
pub(super) async fn export(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
) -> Result<Answer<Exported>, Problem> {
    let keyring = api.app.reception.keyring();
    let keys = keyring
        .export(caller.one_tenant()?)
        .map_err(|error| Problem::new(Kind::NotFound, error.to_string()))?;
    Ok(Answer(Exported {
        tenant: keys.tenant.get(),
        serial: keys.serial,
        signing_key: HEXLOWER.encode(keys.signing.expose()),
        generation: keys.generation,
        address_key: HEXLOWER.encode(keys.address.expose()),
    }))
}
