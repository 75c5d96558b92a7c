//! Bounce notices that Amazon SES writes as JSON, bare or within an SNS notification, under either
//! of its two names for the kind (`notificationType`, `eventType`).

use serde_json::Value;

use super::header::Header;
use super::mime::Entity;
use super::status::{Delivery, MAX_RECIPIENTS, Outcome};
use super::{reply, ses};
use crate::model::bounce::Action;

/// Octets of a notice that are read.
const MAX_NOTICE: usize = 256 * 1024;

/// Fields of the original mail that are kept.
const MAX_HEADERS: usize = 200;

/// The bounce or delay that `root` tells; `None` if it is no such notice.
pub fn delivery_in(root: &Entity<'_>) -> Option<Delivery> {
    let part = root.walk().into_iter().find(|part| {
        part.parts.is_empty()
            && matches!(part.media.essence(), "text/plain" | "application/json")
            && part.content(64).trim_ascii_start().starts_with(b"{")
    })?;
    let notice = notice(&part.text(MAX_NOTICE))?;
    let kind = ["notificationType", "eventType"]
        .iter()
        .find_map(|name| text(&notice, name))?;
    let (about, recipients, action) = match kind.as_str() {
        "Bounce" => ("bounce", "bouncedRecipients", Action::Failed),
        "DeliveryDelay" => ("deliveryDelay", "delayedRecipients", Action::Delayed),
        _ => return None,
    };
    let about = notice.get(about)?;
    let listed = about.get(recipients)?.as_array()?;
    let subtype = text(about, "bounceSubType").or_else(|| text(about, "delayType"));
    let outcomes = listed
        .iter()
        .take(MAX_RECIPIENTS)
        .map(|one| outcome(one, action, subtype.as_deref()))
        .collect();
    let reporting = text(about, "reportingMTA");
    Some(Delivery {
        format: "ses".to_owned(),
        reporting_mta: reporting.map(|mta| match mta.split_once(';') {
            Some((_, name)) => name.trim().to_owned(),
            None => mta,
        }),
        envelope_id: None,
        outcomes,
        returned: returned(&notice),
    })
}

/// The notice itself, unwrapped.
fn notice(text: &str) -> Option<Value> {
    let outer: Value = ses::json_in(text)?;
    match outer.get("Message").and_then(Value::as_str) {
        Some(inner) => ses::json_in(inner),
        None => Some(outer),
    }
}

fn outcome(recipient: &Value, action: Action, subtype: Option<&str>) -> Outcome {
    let diagnostic = text(recipient, "diagnosticCode").map(|text| {
        let bare = text.strip_prefix("smtp;").unwrap_or(&text).trim();
        reply::cut(bare)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    });
    let diagnostic = diagnostic.or_else(|| subtype.map(str::to_owned));
    let said = diagnostic.as_deref().unwrap_or_default();
    let codes = reply::codes(said);
    let given = text(recipient, "status").and_then(|text| reply::enhanced(&text));
    let action = text(recipient, "action")
        .and_then(|word| word.to_ascii_lowercase().parse().ok())
        .unwrap_or(action);
    Outcome {
        address: text(recipient, "emailAddress"),
        original: None,
        action,
        status: super::dsn::more_telling(given, codes.enhanced),
        smtp_code: codes.reply,
        stage: reply::stage(said),
        remote_mta: reply::host(said),
        diagnostic,
    }
}

/// The header of the mail that it is about.
fn returned(notice: &Value) -> Header {
    let mail = notice.get("mail");
    let headers = mail
        .and_then(|mail| mail.get("headers"))
        .and_then(Value::as_array);
    let mut lines = String::new();
    let mut add = |name: &str, value: &str| {
        let value = value.chars().filter(|c| !c.is_control());
        lines.extend(name.chars().chain(": ".chars()).chain(value).chain(['\n']));
    };
    for field in headers.into_iter().flatten().take(MAX_HEADERS) {
        if let (Some(name), Some(value)) = (text(field, "name"), text(field, "value")) {
            add(&name, &value);
        }
    }
    if headers.is_none_or(Vec::is_empty) {
        let common = mail.and_then(|mail| mail.get("commonHeaders"));
        let known = [
            ("Message-ID", "messageId"),
            ("Subject", "subject"),
            ("Date", "date"),
        ];
        for (name, member) in known {
            if let Some(value) = common.and_then(|common| text(common, member)) {
                add(name, &value);
            }
        }
    }
    Header::scan(lines.as_bytes()).0
}

fn text(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
