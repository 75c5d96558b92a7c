//! `GET /v1/stats`: sums of what came in, for people and for their programs.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

mod csv;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::accept::takes;
use super::caller::{May, Read};
use super::problem::{Kind, Problem};
use super::wire::{self, Answer, Listing, Parameters};
use crate::model::clock::Timestamp;
use crate::store::{Dimension, Paging, Span, Stats, StatsFilter};

/// How far back it reaches if nobody says.
const HOURS: Duration = Duration::from_hours(24);
const DAYS: Duration = Duration::from_hours(30 * 24);

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    /// Comma-separated values (RFC 4180).
    Csv,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            _ => Err("format: json or csv".to_owned()),
        }
    }
}

/// Which sums.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsParameters {
    /// What the sums are told apart by, separated by commas: `time`, `tenant`, `stream`,
    /// `provider`, `reporter`; `total` alone for one sum of all. `time` if not given.
    by: Option<String>,
    /// Of what `time` is made: `hour` (kept for 14 days) or `day` (kept for three years); `day` if
    /// not given.
    #[param(value_type = Option<String>)]
    per: Option<Span>,
    /// Hours or days that begin then or later; 30 days ago if not given, of hours one day.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Hours or days that begin before; now if not given.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only this stream; 0 is what names none.
    stream: Option<u16>,
    /// Only this provider: the organisational domain of whoever refused, or whose users complain.
    provider: Option<String>,
    /// Only this reporter.
    reporter: Option<String>,
    /// `json` or `csv`; not given, what Accept says.
    #[serde(default, deserialize_with = "wire::optional_word")]
    #[param(value_type = Option<String>)]
    format: Option<Form>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 1,000; 100 if not given. CSV has no pages.
    limit: Option<u32>,
}

/// Sums. What they are not told apart by is left out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsItem {
    /// When the hour or the day began, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    time: Option<Timestamp>,
    /// Number of the tenant; 0 is what belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<u32>,
    /// Number of the stream; 0 is what names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u16>,
    /// The organisational domain of whoever refused, or whose users complain; empty where none is
    /// named, `other` beyond the first 500 names of a day (50 of what is unproven).
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// Who reports; empty and `other` as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    reporter: Option<String>,
    /// Complaints.
    complaints: u64,
    /// Complaints that match no recipient: nothing proves whom they are about.
    unmatched_complaints: u64,
    /// Complaints for each delivered mail; null if nobody told what was delivered.
    #[schema(required = true)]
    complaint_rate: Option<f64>,
    /// Opt-outs.
    unsubscribes: u64,
    /// Bounces.
    bounces: u64,
    /// Bounces by class.
    bounces_by_class: BTreeMap<&'static str, u64>,
    /// Mails that have arrived, as `POST /v1/events` and notifications told.
    delivered: u64,
    /// Complaints, opt-outs and bounces that match no recipient.
    unmatched: u64,
    /// Events that were held for an operator when they came.
    held: u64,
    /// What nobody could read.
    unrecognised: u64,
    /// Events of all kinds.
    events: u64,
}

impl From<Stats> for StatsItem {
    fn from(stats: Stats) -> Self {
        let classes = stats.bounce_classes.into_iter();
        Self {
            time: stats.begins,
            tenant: stats.tenant,
            stream: stats.stream,
            provider: stats.provider,
            reporter: stats.reporter,
            complaint_rate: rate(stats.complaints, stats.delivered),
            complaints: stats.complaints,
            unmatched_complaints: stats.unmatched_complaints,
            unsubscribes: stats.unsubscribes,
            bounces: stats.bounces,
            bounces_by_class: classes.map(|(class, n)| (class.as_str(), n)).collect(),
            delivered: stats.delivered,
            unmatched: stats.unmatched,
            held: stats.held,
            unrecognised: stats.unrecognised,
            events: stats.events,
        }
    }
}

/// In millionths, which is finer than anybody can act on.
fn rate(complaints: u64, delivered: u64) -> Option<f64> {
    let millionths = complaints
        .saturating_mul(1_000_000)
        .checked_div(delivered)?;
    let millionths = u32::try_from(millionths).unwrap_or(u32::MAX);
    Some(f64::from(millionths) / 1_000_000.0)
}

fn dimensions(by: Option<&str>) -> Result<Vec<Dimension>, Problem> {
    match by {
        None => Ok(vec![Dimension::Time]),
        Some("total") => Ok(Vec::new()),
        Some(by) => by
            .split(',')
            .map(|word| word.trim().parse::<Dimension>())
            .collect::<Result<_, _>>()
            .map_err(|error| Problem::new(Kind::InvalidRequest, format!("by: {error}"))),
    }
}

/// Sums what came in: complaints, opt-outs, bounces, what was delivered, what matches nobody, what
/// was held.
///
/// Counted when it is stored, by the time at which it was accepted or is told to have happened. What
/// is read again or decided later is not counted anew. With `format=csv` or `Accept: text/csv` as CSV.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "evidence",
    security(("bearer" = ["read"])),
    params(StatsParameters),
    responses((status = 200, description = "Sums, in the order of time, tenant, stream, provider, reporter",
        content(
            (Listing<StatsItem> = "application/json",
                example = json!({"items": [{"time": "2026-11-21T00:00:00Z", "complaints": 3,
                    "unmatched_complaints": 1, "complaint_rate": 0.000_75, "unsubscribes": 12,
                    "bounces": 7, "bounces_by_class": {"bad-mailbox": 5, "mailbox-full": 2},
                    "delivered": 4000, "unmatched": 1, "held": 1, "unrecognised": 0,
                    "events": 4023}], "next": null})),
            (String = "text/csv", example = "time,complaints,unsubscribes\r\n2026-11-21T00:00:00Z,3,12\r\n"),
        )))
)]
pub(super) async fn sums(
    State(api): State<Api>,
    May { caller, .. }: May<Read>,
    Parameters(asked): Parameters<StatsParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = form(asked.format, &headers)?;
    let now = api.app.clock.now();
    let span = asked.per.unwrap_or(Span::Day);
    let back = match span {
        Span::Hour => HOURS,
        Span::Day => DAYS,
    };
    let filter = StatsFilter {
        tenant: caller.tenant,
        span,
        since: asked.since.unwrap_or_else(|| now.before(back)),
        until: asked
            .until
            .unwrap_or_else(|| now.after(Duration::from_millis(1))),
        by: dimensions(asked.by.as_deref())?,
        stream: asked.stream,
        provider: asked.provider.map(|name| name.to_ascii_lowercase()),
        reporter: asked.reporter.map(|name| name.to_ascii_lowercase()),
    };
    match form {
        Form::Json => {
            let paging = wire::paging(asked.after, asked.limit)?;
            let page = api.app.store.stats(&filter, &paging).await?;
            Ok(Answer(Listing::of(page, StatsItem::from)).into_response())
        }
        Form::Csv if asked.after.is_some() || asked.limit.is_some() => Err(Problem::new(
            Kind::InvalidRequest,
            "CSV has no pages: leave out after and limit",
        )),
        Form::Csv => csv::all(&api.app.store, &filter).await,
    }
}

fn form(asked: Option<Form>, headers: &HeaderMap) -> Result<Form, Problem> {
    if let Some(form) = asked {
        return Ok(form);
    }
    if takes(headers, "application/json") {
        return Ok(Form::Json);
    }
    if takes(headers, "text/csv") {
        return Ok(Form::Csv);
    }
    Err(Problem::new(
        Kind::NotAcceptable,
        "this call answers application/json or text/csv",
    ))
}

/// The longest pages, for those who want all.
fn longest(after: Option<String>) -> Paging {
    Paging {
        after,
        limit: wire::LARGEST_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_what_it_is_of() {
        assert_eq!(rate(3, 4_000), Some(0.000_75));
        assert_eq!(rate(0, 7), Some(0.0));
        assert_eq!(rate(9, 3), Some(3.0));
        assert_eq!(rate(3, 0), None);
    }

    #[test]
    fn dimensions_are_words() {
        let by = |text| dimensions(Some(text)).ok();
        assert_eq!(dimensions(None).ok(), Some(vec![Dimension::Time]));
        assert_eq!(by("total"), Some(vec![]));
        let both = vec![Dimension::Reporter, Dimension::Time];
        assert_eq!(by("reporter, time"), Some(both));
        assert_eq!(by("weather"), None);
        assert_eq!(by(""), None);
        assert_eq!(by("total,time"), None);
    }
}
