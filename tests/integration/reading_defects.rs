//! Defects of other readers, one test each: what this one makes of the same mail. The numbers are
//! those of one list; those that are not about reading are in `peers.rs`.

use std::fs;
use std::path::Path;

use desist::judge::summary;
use desist::report::{self, What};
use serde_json::{Value, json};

/// What `classify` says of a fixture.
fn told(name: &str) -> Value {
    serde_json::to_value(summary::of(&report::read(&raw(name)))).unwrap()
}

fn raw(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fs::read(fixtures.join(format!("{name}.eml"))).unwrap()
}

fn recipients(told: &Value, member: &str) -> Vec<Value> {
    let recipients = told["recipients"].as_array().unwrap().iter();
    recipients
        .map(|recipient| recipient[member].clone())
        .collect()
}

fn reports(name: &str) -> usize {
    match report::read(&raw(name)).what {
        What::Feedback(reports) => reports.len(),
        _ => 0,
    }
}

/// A test for each defect: fixture, and what has to stand at which place.
macro_rules! defects {
    ($( $(#[doc = $defect:literal])+ $name:ident: $( $fixture:literal { $( $pointer:literal == $value:tt ),+ $(,)? } )+ )+) => {
        $(
            $(#[doc = $defect])+
            #[test]
            fn $name() {
                $(
                    let said = told($fixture);
                    $(
                        let value = said.pointer($pointer).cloned().unwrap_or_default();
                        assert_eq!(value, json!($value), "{}: {}", $fixture, $pointer);
                    )+
                )+
            }
        )+
    };
}

defects! {
    /// A part `text/rfc822-headers` was refused.
    peers_01_returned_headers_are_enough:
        "report/arf-headers" { "/kind" == "complaint", "/original/subject" == "News",
            "/token/tenant" == 1, "/partial" == false }
        "report/arf-returned-as-text-rfc822-header" { "/kind" == "complaint", "/original/subject" == "News" }
    /// A missing User-Agent or Version was fatal.
    peers_02_a_report_needs_its_type_alone:
        "report/arf-only-type" { "/kind" == "complaint", "/feedback_type" == "abuse",
            "/reporter/user_agent" == null, "/token/tenant" == 1, "/notes" == [] }
    /// An absent or redacted Original-Rcpt-To lost the complaint.
    peers_03_nobody_has_to_be_named:
        "report/asserted-absent" { "/kind" == "complaint", "/recipients" == [] }
        "report/asserted-redacted" { "/kind" == "complaint", "/recipients" == [] }
        "report/aol-redacted" { "/kind" == "complaint", "/recipients" == [], "/token/tenant" == 1 }
    /// `not-spam` was taken for a complaint.
    peers_04_not_spam_is_no_complaint:
        "report/type-not-spam" { "/kind" == "not-spam", "/feedback_type" == "not-spam" }
    /// A wrong pattern made abuse an unknown type.
    peers_05_abuse_is_abuse:
        "report/arf-message" { "/feedback_type" == "abuse", "/kind" == "complaint" }
        "report/arf-type-comment" { "/feedback_type" == "abuse", "/kind" == "complaint" }
    /// Counts were clamped to one.
    peers_07_a_report_with_a_count_is_read:
        "report/spam-trap" { "/kind" == "complaint" }
    /// A notification about several recipients ended early, or was refused.
    peers_08_every_recipient_is_told:
        "bounce/dsn-two-recipients" { "/recipients/0/address" == "reader@b.example",
            "/recipients/1/address" == "c@b.example", "/recipients/2" == null }
    /// `delayed` and `relayed` were mixed with `failed`.
    peers_09_actions_are_told_apart:
        "bounce/dsn-delayed-5.1.1" { "/kind" == "delay", "/recipients/0/severity" == "none",
            "/recipients/0/permanent" == false }
        "bounce/dsn-relayed-expanded" { "/kind" == "delivered", "/recipients/0/action" == "relayed",
            "/recipients/1/action" == "expanded", "/recipients/2/action" == "delivered" }
    /// Status parts with a transfer encoding were not decoded.
    peers_11_an_encoded_status_part_is_read:
        "bounce/dsn-global-base64" { "/kind" == "bounce", "/recipients/0/action" == "failed",
            "/recipients/0/status" == "5.1.1" }
        "report/arf-report-base64" { "/kind" == "complaint", "/feedback_type" == "abuse" }
    /// A returned mail that is no UTF-8 broke the report.
    peers_13_a_returned_mail_of_any_charset:
        "report/arf-not-utf8" { "/kind" == "complaint", "/token/tenant" == 1 }
    /// A report with a null sender broke what was made of it.
    peers_14_the_null_sender_sends_reports_too:
        "report/arf-null-sender" { "/kind" == "complaint", "/token/tenant" == 1 }
    /// A status code was read out of quoted text.
    peers_15_codes_in_prose_are_no_status:
        "report/dsn-quoted" { "/kind" == "not-feedback", "/recipients" == [] }
        "bounce/not-forwarded" { "/kind" == "not-feedback" }
    /// An out-of-office reply was taken for a bounce.
    peers_16_who_is_away_has_not_bounced:
        "report/vacation-exchange" { "/kind" == "auto-reply", "/recipients" == [] }
        "bounce/not-out-of-office" { "/kind" == "auto-reply", "/recipients" == [] }
    /// Notices of SES by the name `eventType` were not known.
    peers_30_both_kinds_of_ses_notices:
        "report/ses-json-event" { "/kind" == "complaint", "/recipients/0/address" == "alice@example.com" }
        "report/ses-json" { "/kind" == "complaint", "/recipients/0/address" == "alice@example.com" }
        "bounce/ses-event" { "/kind" == "bounce", "/recipients/0/status" == "5.1.1" }
        "bounce/ses-sns" { "/kind" == "bounce", "/recipients/0/status" == "5.1.1" }
    /// A header beyond 998 octets ended the reading.
    peers_31_lines_of_any_length:
        "report/arf-long-header" { "/kind" == "complaint", "/token/tenant" == 1 }
    /// Fields of the report were looked for in one casing.
    peers_32_fields_in_any_casing:
        "report/arf-other-casing" { "/kind" == "complaint", "/feedback_type" == "abuse",
            "/original/subject" == "News" }
    /// `Version: 0.1` was refused.
    peers_33_any_version:
        "report/arf-version-0.1" { "/kind" == "complaint", "/notes" == [] }
        "report/arf-version-1.0" { "/kind" == "complaint", "/notes" == [] }
    /// A report with three fields was none.
    peers_34_three_fields_are_a_report:
        "report/jmrp-2026" { "/kind" == "complaint", "/feedback_type" == "abuse", "/token/tenant" == 1 }
    /// People write to the address of reports too.
    peers_35_people_are_no_reports:
        "report/plain-at-complaint" { "/kind" == "not-feedback", "/recipients" == [] }
        "report/quoted-report" { "/kind" == "not-feedback", "/recipients" == [] }
    /// Every type was a complaint.
    peers_added_1_types_are_told_apart:
        "report/type-opt-out" { "/kind" == "unsubscribe" }
        "report/type-auth-failure" { "/kind" == "dmarc-failure" }
    /// Original-Mail-From in angle brackets was not matched.
    peers_added_2_the_return_path_in_brackets:
        "report/token-in-original-mail-from" { "/kind" == "complaint", "/token/tenant" == 1 }
        "report/token-in-original-mail-from-bare" { "/token/tenant" == 1 }
    /// The sparse JMRP of 2026 was dropped.
    peers_added_3_the_token_of_the_returned_header:
        "report/jmrp-2026" { "/token/verified" == false, "/token/tenant" == 1 }
    /// CFBL-Feedback-ID in the third part, where the standard has it, was ignored.
    peers_added_4_the_id_of_the_returned_mail:
        "report/token-only-cfbl-feedback-id" { "/kind" == "complaint", "/token/tenant" == 1 }
    /// Folded fields of the report were missed.
    peers_added_6_folded_fields:
        "report/arf-folded-field" { "/kind" == "complaint", "/token/tenant" == 1 }
    /// "blocked due to spam complaints" in a notification was a complaint.
    peers_added_12_a_block_is_no_complaint:
        "report/dsn-blocked" { "/kind" == "bounce", "/recipients/0/severity" == "none" }
    /// The first status of a notification was that of all.
    peers_added_26_each_recipient_has_its_own_status:
        "bounce/dsn-two-recipients" { "/recipients/0/status" == "5.1.1",
            "/recipients/1/status" == "2.0.0" }
    /// XARF was dropped.
    peers_added_27_xarf_is_a_complaint:
        "report/xarf" { "/kind" == "complaint", "/feedback_type" == "xarf" }
        "report/xarf-announced" { "/recipients/0/address" == "alice@example.com" }
}

/// Only the first report of a mail was read.
#[test]
fn peers_06_every_report_of_a_mail() {
    assert_eq!(reports("report/arf-two-reports"), 2);
}

/// A count was clamped to one: it is kept, and never a reason to do more.
#[test]
fn peers_07_counts_are_kept() {
    let What::Feedback(reports) = report::read(&raw("report/spam-trap")).what else {
        panic!("no report");
    };
    assert_eq!(reports[0].incidents(), Some(3));
}

/// Line ends of one kind were expected.
#[test]
fn peers_10_line_ends_of_any_kind() {
    for name in ["report/arf-message", "bounce/dsn", "report/jmrp-2026"] {
        let raw = String::from_utf8(raw(name)).unwrap();
        let with_lf = told(name);
        for end in ["\r\n", "\r"] {
            let other = raw.replace('\n', end);
            let other = summary::of(&report::read(other.as_bytes()));
            assert_eq!(
                serde_json::to_value(other).unwrap(),
                with_lf,
                "{name} {end:?}"
            );
        }
    }
}

/// Time zones by their names were refused: nothing about a report hangs on its times.
#[test]
fn peers_12_times_in_any_words() {
    let text = String::from_utf8(raw("report/arf-message")).unwrap();
    let expected = told("report/arf-message");
    for date in ["Thu, 8 Mar 2005 14:00:00 UTC", "yesterday", ""] {
        let with = text.replace(
            "Feedback-Type:",
            &format!("Arrival-Date: {date}\nReceived-Date: {date}\nFeedback-Type:"),
        );
        assert_ne!(with, text);
        let said = serde_json::to_value(summary::of(&report::read(with.as_bytes()))).unwrap();
        assert_eq!(said, expected, "{date}");
    }
}

/// Two redacted reports with the same words were one.
#[test]
fn peers_added_15_the_same_words_are_two_reports() {
    let first = raw("report/arf-two-reports");
    let What::Feedback(reports) = report::read(&first).what else {
        panic!("no report");
    };
    assert_eq!(reports.len(), 2);
    let said = told("bounce/dsn-two-recipients");
    assert_eq!(
        recipients(&said, "action"),
        [json!("failed"), json!("delivered")]
    );
}
