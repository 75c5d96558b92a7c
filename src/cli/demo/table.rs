//! The demo's table, as text.

use super::Outcome;
use crate::model::bounce::BounceClass;
use crate::model::event::{Effect, Proof};
use crate::store::StoredEvent;

pub(super) fn taken_for(events: &[StoredEvent]) -> String {
    let Some(first) = events.first() else {
        return "refused at the door".to_owned();
    };
    let event = &first.event;
    let class = event.detail.class.map(BounceClass::as_str);
    match event.detail.feedback_type.as_deref().or(class) {
        Some(more) => format!("{} ({more})", event.kind),
        None => event.kind.to_string(),
    }
}

pub(super) fn proof(events: &[StoredEvent]) -> String {
    let Some(first) = events.first() else {
        return "-".to_owned();
    };
    match (first.event.proof, first.event.found_in) {
        (Proof::Token, Some(place)) => format!("token in {place}"),
        (proof, _) => proof.to_string(),
    }
}

pub(super) fn changed(events: &[StoredEvent]) -> String {
    let changes: Vec<String> = events
        .iter()
        .flat_map(|event| &event.event.effects)
        .map(|effect| match effect {
            Effect::Suppress { scope, .. } => format!("suppressed {scope}"),
            Effect::Hold { scope, because, .. } => format!("held {scope} ({because})"),
            Effect::Signal => "signal".to_owned(),
            Effect::SuppressUnlessBraked { scope, .. } => format!("suppresses {scope}"),
            Effect::CountSoft(failure) => format!("counted ({failure})"),
            Effect::ResetSoft => "count begins anew".to_owned(),
            Effect::Undo => "takes back".to_owned(),
        })
        .collect();
    if changes.is_empty() {
        "nothing".to_owned()
    } else {
        changes.join(", ")
    }
}

pub(super) fn render(outcomes: &[Outcome]) -> String {
    let head = [
        "what came in",
        "answer",
        "taken for",
        "proof",
        "what changed",
        "check says now",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(outcomes.iter().map(|outcome| {
        [
            outcome.came_in.to_owned(),
            outcome.answer.clone(),
            outcome.taken_for.clone(),
            outcome.proof.clone(),
            outcome.changed.clone(),
            outcome.check.clone(),
        ]
    }));
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&rules.join("  "));
            text.push('\n');
        }
    }
    text
}
