//! Sums as comma-separated values (RFC 4180).

use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::{longest, rate};
use crate::http::api::problem::{Kind, Problem};
use crate::model::bounce::BounceClass;
use crate::store::{Dimension, Stats, StatsFilter, Store};

/// Rows of one file.
const MOST: usize = 50_000;

/// All rows in one answer.
pub(super) async fn all(store: &Store, filter: &StatsFilter) -> Result<Response, Problem> {
    let mut text = names(&filter.by);
    let mut rows = 0;
    let mut after = None;
    loop {
        let page = store.stats(filter, &longest(after)).await?;
        rows += page.items.len();
        if rows > MOST {
            let detail = format!("more than {MOST} rows: ask for less time, or tell less apart");
            return Err(Problem::new(Kind::InvalidRequest, detail));
        }
        for stats in &page.items {
            text.push_str(&row(stats));
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
        (CONTENT_DISPOSITION, "attachment; filename=\"stats.csv\""),
    ];
    Ok((headers, text).into_response())
}

fn names(by: &[Dimension]) -> String {
    let dimensions = Dimension::ALL
        .iter()
        .filter(|dimension| by.contains(dimension));
    let mut names: Vec<String> = dimensions.map(|name| name.as_str().to_owned()).collect();
    let sums = [
        "complaints",
        "unmatched_complaints",
        "complaint_rate",
        "unsubscribes",
        "bounces",
        "delivered",
        "unmatched",
        "held",
        "unrecognised",
        "events",
    ];
    names.extend(sums.map(str::to_owned));
    names.extend(
        BounceClass::ALL
            .iter()
            .map(|class| format!("bounces_{class}")),
    );
    line(&names)
}

fn row(stats: &Stats) -> String {
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let mut cells: Vec<String> = [
        stats.begins.map(|begins| begins.to_string()),
        number(stats.tenant),
        number(stats.stream.map(u32::from)),
        stats.provider.clone(),
        stats.reporter.clone(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let rate = rate(stats.complaints, stats.delivered);
    cells.extend([
        stats.complaints.to_string(),
        stats.unmatched_complaints.to_string(),
        rate.map(|rate| rate.to_string()).unwrap_or_default(),
        stats.unsubscribes.to_string(),
        stats.bounces.to_string(),
        stats.delivered.to_string(),
        stats.unmatched.to_string(),
        stats.held.to_string(),
        stats.unrecognised.to_string(),
        stats.events.to_string(),
    ]);
    cells.extend(BounceClass::ALL.iter().map(|class| {
        let found = stats.bounce_classes.iter().find(|(name, _)| name == class);
        found.map_or(0, |(_, bounces)| *bounces).to_string()
    }));
    line(&cells)
}

/// Names have letters, digits, dots, hyphens and underscores alone: nothing needs quotes.
fn line(cells: &[String]) -> String {
    format!("{}\r\n", cells.join(","))
}
