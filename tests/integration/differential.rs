//! The reader of reports beside another one: mail-auth's. What both read is the same, or the
//! difference has one of the explanations below; each of those occurs in the fixtures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use desist::report::arf::Feedback as Ours;
use desist::report::header::Header;
use desist::report::{What, read};
use mail_auth::report::{Feedback as Theirs, FeedbackType as TheirType};

use crate::corpus;

/// What a reader makes of one field.
type Told = Option<String>;

/// One field, as each reader sees it.
#[derive(Debug)]
struct Difference {
    field: &'static str,
    ours: Told,
    theirs: Told,
}

/// All that explanations look at.
struct Case<'a> {
    difference: &'a Difference,
    reports: &'a [Ours],
    raw: &'a [u8],
}

impl Case<'_> {
    fn is(&self, field: &str) -> bool {
        self.difference.field == field
    }

    fn ours(&self) -> &str {
        self.difference.ours.as_deref().unwrap_or_default()
    }

    fn theirs(&self) -> &str {
        self.difference.theirs.as_deref().unwrap_or_default()
    }

    /// The field of the only report, as it was given.
    fn given(&self, name: &str) -> String {
        self.reports
            .last()
            .and_then(|report| report.fields.first(name))
            .unwrap_or_default()
    }

    /// Whether only this project's reader finds a report.
    fn only_ours(&self) -> bool {
        self.is("report") && !self.reports.is_empty()
    }

    fn has(&self, text: &str) -> bool {
        self.place(text) < usize::MAX
    }

    /// Where a text stands in the mail, in lower case; behind everything if nowhere.
    fn place(&self, text: &str) -> usize {
        let raw = String::from_utf8_lossy(self.raw).to_ascii_lowercase();
        raw.find(text).unwrap_or(usize::MAX)
    }
}

struct Explanation {
    why: &'static str,
    fits: fn(&Case<'_>) -> bool,
}

const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        why: "of the types it knows six, and a comment makes one unknown; then there is no report",
        fits: |case| {
            let known = [
                "abuse",
                "auth-failure",
                "fraud",
                "not-spam",
                "other",
                "virus",
            ];
            let given = case.given("feedback-type").to_ascii_lowercase();
            case.only_ours() && case.has("feedback-report") && !known.contains(&given.as_str())
        },
    },
    Explanation {
        why: "what is no ARF is no report: old JMRP, notices of SES, XARF without its announcement",
        fits: |case| case.only_ours() && !case.has("message/feedback-report"),
    },
    Explanation {
        why: "a report within a forwarded mail is not looked for",
        fits: |case| {
            let forwarded = case.place("message/rfc822");
            case.only_ours() && forwarded < case.place("message/feedback-report")
        },
    },
    Explanation {
        why: "blank lines in front of the header end it",
        fits: |case| case.only_ours() && case.raw.first().is_some_and(u8::is_ascii_whitespace),
    },
    Explanation {
        why: "of several reports it gives the last",
        fits: |case| case.is("reports") && case.reports.len() > 1,
    },
    Explanation {
        why: "two types that contradict each other are none; it takes the last",
        fits: |case| {
            let types = |report: &Ours| report.fields.all("feedback-type").count();
            case.is("type") && case.ours() == "unknown" && case.reports.last().map(types) > Some(1)
        },
    },
    Explanation {
        why: "hashes and redactions look like addresses to it",
        fits: |case| {
            let local = case.theirs().split('@').next().unwrap();
            let is_hash = local.len() >= 32 && local.bytes().all(|byte| byte.is_ascii_hexdigit());
            case.is("recipient")
                && case.ours().is_empty()
                && (is_hash || ["redacted", "hashed"].contains(&local))
        },
    },
    Explanation {
        why: "a field that may be there once counts the first time; it takes the last",
        fits: |case| {
            let twice = |report: &Ours| report.fields.all("source-ip").count() > 1;
            case.is("source-ip") && case.reports.iter().any(twice)
        },
    },
    Explanation {
        why: "a port beyond 65535 is none",
        fits: |case| case.is("source-port") && case.theirs().parse::<u32>().unwrap() > 65_535,
    },
    Explanation {
        why: "Received-Date is an Arrival-Date to it",
        fits: |case| case.is("arrival-date") && case.has("\nreceived-date:"),
    },
    Explanation {
        why: "a returned mail under another label than the usual two is not seen",
        fits: |case| {
            let labels = [
                "message/global",
                "message/rfc822-headers",
                "application/octet-stream",
                "text/plain",
                "text/rfc822",
            ];
            case.is("message-id")
                && case.theirs().is_empty()
                && labels.iter().any(|label| case.has(label))
        },
    },
];

fn type_of(report: &Ours) -> &'static str {
    report.feedback_type.as_str()
}

const fn their_type(theirs: &Theirs<'_>) -> &'static str {
    match theirs.feedback_type {
        TheirType::Abuse => "abuse",
        TheirType::AuthFailure => "auth-failure",
        TheirType::Fraud => "fraud",
        TheirType::NotSpam => "not-spam",
        TheirType::Other => "other",
        TheirType::Virus => "virus",
    }
}

fn message_id(text: Option<&str>) -> Told {
    let (header, _) = Header::scan(text?.as_bytes());
    header.first("message-id")
}

/// Where the readers differ; empty if they agree, or if neither finds a report.
#[expect(clippy::too_many_lines, reason = "one comparison a field")]
fn differences(raw: &[u8]) -> (Vec<Ours>, Vec<Difference>) {
    let reading = read(raw);
    let reports = match reading.what {
        What::Feedback(reports) => reports,
        _ => Vec::new(),
    };
    let theirs = Theirs::parse_rfc5322(raw).ok();
    let number = |found: bool| Some(if found { "a report" } else { "none" }.to_owned());
    let mut found = Vec::new();
    let mut compare = |field, ours: Told, theirs: Told| {
        if ours != theirs {
            found.push(Difference {
                field,
                ours,
                theirs,
            });
        }
    };
    compare(
        "report",
        number(!reports.is_empty()),
        number(theirs.is_some()),
    );
    // Of several reports the other reader gives the last.
    if let (Some(ours), Some(theirs)) = (reports.last(), &theirs) {
        compare(
            "reports",
            Some(reports.len().to_string()),
            Some("1".to_owned()),
        );
        compare(
            "type",
            Some(type_of(ours).to_owned()),
            Some(their_type(theirs).to_owned()),
        );
        let text = |text: Option<&str>| {
            let unfolded = text?.replace(['\r', '\n'], "");
            Some(unfolded).filter(|text| !text.is_empty())
        };
        let field = |name| ours.fields.first(name);
        compare("user-agent", field("user-agent"), text(theirs.user_agent()));
        compare(
            "original-mail-from",
            field("original-mail-from"),
            text(theirs.original_mail_from()),
        );
        compare(
            "original-envelope-id",
            field("original-envelope-id"),
            text(theirs.original_envelope_id()),
        );
        let mta = field("reporting-mta").map(|mta| {
            let name = mta.rsplit_once(';').map_or(mta.as_str(), |(_, name)| name);
            name.trim().to_owned()
        });
        compare("reporting-mta", mta, text(theirs.reporting_mta()));
        let last = ours.fields.all("original-rcpt-to").last();
        compare(
            "original-rcpt-to",
            last.map(desist::report::header::Field::value),
            text(theirs.original_rcpt_to()),
        );
        let recipients = |report: &Ours| -> Told {
            let all = report.recipients();
            all.last().map(|address| address.as_str().to_owned())
        };
        let named = theirs
            .original_rcpt_to()
            .map(|text| text.trim_matches(['<', '>', ' ']).to_ascii_lowercase());
        compare(
            "recipient",
            recipients(ours),
            named.filter(|text| !text.is_empty()),
        );
        let ip = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string());
        compare("source-ip", ip(ours.source_ip()), ip(theirs.source_ip()));
        compare(
            "source-port",
            Some(ours.source_port().unwrap_or(0).to_string()),
            Some(theirs.source_port().to_string()),
        );
        compare(
            "incidents",
            Some(ours.incidents().unwrap_or(1).to_string()),
            Some(theirs.incidents().to_string()),
        );
        let count = |name| Some(ours.fields.all(name).count().to_string());
        compare(
            "reported-domain",
            count("reported-domain"),
            Some(theirs.reported_domain().len().to_string()),
        );
        compare(
            "reported-uri",
            count("reported-uri"),
            Some(theirs.reported_uri().len().to_string()),
        );
        compare(
            "arrival-date",
            Some(field("arrival-date").is_some().to_string()),
            Some(theirs.arrival_date().is_some().to_string()),
        );
        let returned = message_id(theirs.message()).or_else(|| message_id(theirs.headers()));
        compare("message-id", ours.original_message_id(), returned);
    }
    (reports, found)
}

fn mails_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "json") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// How often each explanation was needed, what has none, and how many reports both have read.
fn compared(folder: &Path) -> (BTreeMap<&'static str, usize>, Vec<String>, usize) {
    let (mut needed, mut unexplained, mut both) = (BTreeMap::new(), Vec::new(), 0);
    for path in mails_in(folder) {
        let raw = fs::read(&path).unwrap();
        let (reports, differences) = differences(&raw);
        let agreed = !reports.is_empty() && differences.iter().all(|one| one.field != "report");
        both += usize::from(agreed);
        for difference in &differences {
            let case = Case {
                difference,
                reports: &reports,
                raw: &raw,
            };
            match EXPLANATIONS.iter().find(|one| (one.fits)(&case)) {
                Some(one) => *needed.entry(one.why).or_default() += 1,
                None => unexplained.push(format!("{}: {difference:?}", path.display())),
            }
        }
    }
    (needed, unexplained, both)
}

#[test]
fn what_both_read_is_the_same_or_explained() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (needed, unexplained, both) = compared(&fixtures);
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    let listed: BTreeSet<&str> = EXPLANATIONS.iter().map(|one| one.why).collect();
    let occurring: BTreeSet<&str> = needed.keys().copied().collect();
    assert_eq!(
        occurring, listed,
        "each explanation is of something that occurs"
    );
    assert!(both > 50, "{both} reports were read by both");
}

#[test]
fn real_mail_is_read_alike_too() {
    let Some(folder) = corpus::folder() else {
        return;
    };
    let (needed, unexplained, both) = compared(&folder.join("mails"));
    println!("{both} reports read by both; {needed:#?}");
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}
