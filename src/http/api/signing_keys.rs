//! `/v1/signing-keys`: the keys that tokens are signed with, and what a sender needs to mint.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::body::{Json, JsonOrNothing};
use super::caller::{Admin, May, Read};
use super::conditional::Had;
use super::problem::{Kind, Problem};
use super::wire::{Answer, Bounded, Listing, Segment};
use crate::app::signing_keys::{NextKey, PutKeyError, add, list as list_keys, set};
use crate::model::directory::{KeyState, SigningKey};
use crate::store::{KeyRefusal, MOST_KEYS};

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

impl From<SigningKey> for SigningKeyItem {
    fn from(key: SigningKey) -> Self {
        let SigningKey {
            serial,
            state,
            generation,
            ..
        } = key;
        Self {
            serial,
            state,
            generation,
        }
    }
}

/// The next signing key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"retire\": […], \"revoke\": […]}")]
pub(super) struct NextKeyRequest {
    /// Whether it mints with a new address key too: recipients are then another 10 bytes in its
    /// tokens. What is suppressed stays so.
    #[serde(default)]
    new_address_key: bool,
    /// Serials that mint no longer, in the same step; what they have signed is good for ever.
    #[serde(default)]
    #[schema(value_type = Vec<u32>)]
    retire: Bounded<u32, MOST_KEYS>,
    /// Serials that prove nothing any longer, in the same step: what a leaked key has signed is
    /// held for an operator.
    #[serde(default)]
    #[schema(value_type = Vec<u32>)]
    revoke: Bounded<u32, MOST_KEYS>,
}

/// What a signing key may do from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "{\"state\": …}")]
pub(super) struct KeyStateRequest {
    /// `active`, `retired` or `revoked`.
    #[schema(value_type = String)]
    state: KeyState,
}

/// A signing key that was made or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SigningKeyAnswer {
    /// As it is now.
    signing_key: SigningKeyItem,
    /// `created` or `updated`.
    #[schema(value_type = String)]
    result: &'static str,
    /// Whether this node knows it already; it will, if not.
    indexed: bool,
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
    let keys = list_keys(&api.app, caller.one_tenant()?);
    let items: Vec<SigningKeyItem> = keys.into_iter().map(SigningKeyItem::from).collect();
    Ok(had.or_else(&Listing { items, next: None }))
}

/// Makes the next signing key, which is active at once.
///
/// From now on tokens are minted here with it. A sender that mints by itself exports it, switches,
/// and retires the old one afterwards: retired keys verify for ever. A key that has leaked is named
/// in `revoke`, so that there is one to mint with at every moment. A tenant has at most 64 signing
/// keys and 8 address keys in all.
#[utoipa::path(
    post,
    path = "/v1/signing-keys",
    tag = "management",
    security(("bearer" = ["admin"])),
    request_body(content = Option<NextKeyRequest>, example = json!({"retire": [1]})),
    responses((status = 201, description = "Made", body = SigningKeyAnswer, example = json!({
        "signing_key": {"serial": 2, "state": "active", "generation": 1},
        "result": "created", "indexed": true})))
)]
pub(super) async fn create(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    JsonOrNothing(request): JsonOrNothing<NextKeyRequest>,
) -> Result<Response, Problem> {
    let NextKeyRequest {
        new_address_key,
        retire,
        revoke,
    } = request;
    let next = NextKey {
        new_address_key,
        retire: retire.within()?,
        revoke: revoke.within()?,
    };
    let made = add(&api.app, caller.one_tenant()?, &next).await?;
    let answer = SigningKeyAnswer {
        signing_key: made.key.into(),
        result: "created",
        indexed: made.indexed,
    };
    Ok((StatusCode::CREATED, Answer(answer)).into_response())
}

/// Says what a signing key may do: `active` mints and verifies, `retired` verifies for ever,
/// `revoked` proves nothing.
///
/// The last active key stays active until there is another.
#[utoipa::path(
    post,
    path = "/v1/signing-keys/{serial}",
    tag = "management",
    security(("bearer" = ["admin"])),
    params(("serial" = u32, Path, description = "The key's serial", example = 1)),
    request_body(content = KeyStateRequest, example = json!({"state": "retired"})),
    responses((status = 200, description = "Changed", body = SigningKeyAnswer, example = json!({
        "signing_key": {"serial": 1, "state": "retired", "generation": 1},
        "result": "updated", "indexed": true})))
)]
pub(super) async fn change(
    State(api): State<Api>,
    May { caller, .. }: May<Admin>,
    Segment(serial): Segment<u32>,
    Json(KeyStateRequest { state }): Json<KeyStateRequest>,
) -> Result<Answer<SigningKeyAnswer>, Problem> {
    let done = set(&api.app, caller.one_tenant()?, serial, state).await?;
    Ok(Answer(SigningKeyAnswer {
        signing_key: done.key.into(),
        result: "updated",
        indexed: done.indexed,
    }))
}

impl From<PutKeyError> for Problem {
    fn from(error: PutKeyError) -> Self {
        let detail = error.to_string();
        match error {
            PutKeyError::Refused(KeyRefusal::Unknown(serial)) => {
                Self::new(Kind::NotFound, detail).with("serial", serial)
            }
            PutKeyError::Refused(KeyRefusal::LastActive(serial)) => {
                Self::new(Kind::LastActiveKey, detail).with("serial", serial)
            }
            PutKeyError::Refused(KeyRefusal::TooManyKeys | KeyRefusal::TooManyGenerations) => {
                Self::new(Kind::LimitReached, detail)
            }
            PutKeyError::Store(error) => error.into(),
        }
    }
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
