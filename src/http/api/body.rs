//! Request bodies: read within limits of size, time and memory, then as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::problem::{Kind, Problem};
use crate::http::connection::timer::Patience;

/// Bytes that one permit of the budget stands for.
const PERMIT_BYTES: usize = 1024;

/// A body up to this length is small (64 KiB): a check of one address, for instance.
pub(super) const SMALL: usize = 64 * 1024;
/// The part of the budget that is kept for small bodies: an eighth.
const SMALL_PART: usize = 8;
/// Octets of a media type that are looked at, and repeated to the caller.
const LONGEST_MEDIA_TYPE: usize = 100;
/// The least that is taken for a body whose length is not announced.
const STEP: usize = 4 * 1024;
/// Up to this a body's share doubles when it is used up; beyond, it grows by a quarter.
const DOUBLING: usize = 1024 * 1024;

/// The memory that bodies may hold at the same time. Cheap to clone.
///
/// Shares are taken as the bytes arrive, so that announcing a large body costs nobody anything,
/// and small bodies have a part of their own, so that large ones cannot keep them out.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    any: Arc<Semaphore>,
    small: Arc<Semaphore>,
    /// Permits of `any` when nobody has taken one.
    everybodys: usize,
    largest: usize,
    patience: Duration,
}

impl Budget {
    /// From the limits of the listener.
    pub(super) fn new(limits: &super::Limits) -> Self {
        let permits = (limits.bodies / PERMIT_BYTES).min(Semaphore::MAX_PERMITS);
        let small = permits / SMALL_PART;
        Self {
            any: Arc::new(Semaphore::new(permits - small)),
            small: Arc::new(Semaphore::new(small)),
            everybodys: permits - small,
            largest: limits.body,
            patience: limits.patience,
        }
    }

    /// Takes `bytes` of the budget, at once or not at all: waiting would hold what others need.
    fn take(&self, bytes: usize, of: Part) -> Result<OwnedSemaphorePermit, Problem> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let from = |part: &Arc<Semaphore>| Arc::clone(part).try_acquire_many_owned(permits);
        let taken = match of {
            Part::Small => from(&self.small).or_else(|_none_left| from(&self.any)),
            Part::Any => from(&self.any),
        };
        taken.map_err(|_none_left| {
            Problem::later(
                Kind::Overloaded,
                "too many large bodies are being read or sent",
                1,
            )
        })
    }

    /// A share for an answer of that length, held until it is sent; the whole of what everybody
    /// shares if it is longer than that.
    pub(super) fn hold(&self, bytes: u64) -> Result<Share, Problem> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let bytes = bytes.min(self.everybodys.saturating_mul(PERMIT_BYTES));
        let part = if bytes <= SMALL {
            Part::Small
        } else {
            Part::Any
        };
        Ok(Share {
            _permit: Some(self.take(bytes, part)?),
        })
    }

    /// Longest body, in octets.
    pub(super) const fn largest(&self) -> usize {
        self.largest
    }

    fn too_large(&self) -> Problem {
        let detail = format!("a body has at most {} bytes", self.largest);
        Problem::new(Kind::TooLarge, detail).with("limit", self.largest)
    }
}

/// A share of the budget; dropping it gives it back. None for what has to be said in any case.
#[derive(Debug)]
pub(super) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Counts nothing.
    pub(super) const fn none() -> Self {
        Self { _permit: None }
    }
}

/// Which part of the budget a body may take from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What is kept for small bodies, and what everybody shares.
    Small,
    /// What everybody shares.
    Any,
}

/// A body while it arrives: never more room than its share of the budget.
struct Arriving<'a> {
    budget: &'a Budget,
    announced: Option<usize>,
    bytes: Vec<u8>,
    share: Option<OwnedSemaphorePermit>,
    shared: usize,
}

impl Arriving<'_> {
    fn push(&mut self, data: &[u8]) -> Result<(), Problem> {
        let length = self.bytes.len().saturating_add(data.len());
        if length > self.budget.largest {
            return Err(self.budget.too_large());
        }
        if length > self.shared {
            let room = self.room(length);
            self.grow(room)?;
            self.bytes
                .reserve_exact(room.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// How much room to make for `length` bytes.
    fn room(&self, length: usize) -> usize {
        let more = if self.shared < DOUBLING {
            self.shared.saturating_mul(2)
        } else {
            self.shared.saturating_add(self.shared / 4)
        };
        // No more than is still to come.
        let end = self.announced.unwrap_or(self.budget.largest);
        length.max(more.max(STEP).min(end))
    }

    fn grow(&mut self, room: usize) -> Result<(), Problem> {
        let announced = self.announced.unwrap_or(0);
        let part = |room: usize| {
            if room.max(announced) <= SMALL {
                Part::Small
            } else {
                Part::Any
            }
        };
        let of = part(room);
        match &mut self.share {
            Some(share) if of == Part::Any && part(self.shared) == Part::Any => {
                share.merge(self.budget.take(room - self.shared, of)?);
            }
            // The new share replaces the old one, which may be of another part.
            share => *share = Some(self.budget.take(room, of)?),
        }
        self.shared = room;
        Ok(())
    }
}

/// A whole body. Its share of the budget returns when it is dropped.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as a JSON object.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        // A list of values in the order of the members would be read too, which nobody means.
        if self.bytes.trim_ascii_start().first() == Some(&b'[') {
            let problem = Problem::new(Kind::InvalidJson, "the body is a list, not an object");
            return Err(problem.with("line", 1).with("column", 1));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| Problem::json(&error))
    }

    async fn read(request: Request, budget: &Budget) -> Result<Self, Problem> {
        let announced = announced(request.headers());
        Self::collect(request.into_body(), announced, budget).await
    }

    /// Reads a body that may be announced to have so many octets.
    pub(super) async fn collect<B>(
        mut body: B,
        announced: Option<usize>,
        budget: &Budget,
    ) -> Result<Self, Problem>
    where
        B: HttpBody<Data = Bytes> + Unpin,
    {
        if announced.is_some_and(|announced| announced > budget.largest) {
            return Err(budget.too_large());
        }
        let mut arriving = Arriving {
            budget,
            announced,
            bytes: Vec::new(),
            share: None,
            shared: 0,
        };
        let mut patience = Patience::new(budget.patience);
        loop {
            let frame = patience.within(body.frame()).await.ok_or_else(|| {
                Problem::new(Kind::Timeout, "no more of the body came for too long")
            })?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_broken| {
                Problem::new(
                    Kind::InvalidRequest,
                    "the body could not be read to its end",
                )
            })?;
            if let Ok(data) = frame.into_data() {
                arriving.push(&data)?;
            }
        }
        Ok(Self {
            bytes: arriving.bytes,
            _share: arriving.share,
        })
    }
}

/// The length that a body is announced to have, in octets.
pub(super) fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that is announced as JSON.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Body);

impl FromRequest<Api> for JsonBody {
    type Rejection = Problem;

    async fn from_request(req: Request, state: &Api) -> Result<Self, Problem> {
        match media_type(req.headers()).as_deref() {
            Some("application/json") => Body::read(req, &state.budget).await.map(Self),
            Some(other) => {
                let detail = format!("this call takes application/json, not {other}");
                Err(Problem::new(Kind::UnsupportedMediaType, detail))
            }
            None => Err(Problem::new(
                Kind::UnsupportedMediaType,
                "the body needs the header Content-Type: application/json",
            )),
        }
    }
}

/// A body read as `T`.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(req: Request, state: &Api) -> Result<Self, Problem> {
        JsonBody::from_request(req, state).await?.0.json().map(Self)
    }
}

/// A body read as `T`, or its default where there is none.
#[derive(Debug)]
pub(super) struct JsonOrNothing<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Api> for JsonOrNothing<T> {
    type Rejection = Problem;

    async fn from_request(req: Request, state: &Api) -> Result<Self, Problem> {
        if req.headers().contains_key(CONTENT_TYPE) {
            let body = JsonBody::from_request(req, state).await?.0;
            if body.bytes().is_empty() {
                Ok(Self(T::default()))
            } else {
                body.json().map(Self)
            }
        } else if Body::read(req, &state.budget).await?.bytes().is_empty() {
            Ok(Self(T::default()))
        } else {
            Err(Problem::new(
                Kind::UnsupportedMediaType,
                "the body needs the header Content-Type: application/json",
            ))
        }
    }
}

/// A body without members: `{}`. Any member is refused with its place.
#[derive(Debug, Default)]
pub(super) struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = BTreeMap::<String, IgnoredAny>::deserialize(deserializer)?;
        match members.into_keys().next() {
            None => Ok(Self),
            Some(member) => Err(serde::de::Error::unknown_field(&member, &[])),
        }
    }
}

/// The type and subtype, lower-case, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or(text).trim();
    let essence = essence.get(..LONGEST_MEDIA_TYPE).unwrap_or(essence);
    Some(if essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(essence.to_ascii_lowercase())
    } else {
        Cow::Borrowed(essence)
    })
}
