//! What the search for tokens costs: counted, not timed.

use desist::judge::identify;
use desist::judge::table::Token;
use desist::model::event::FoundIn;
use desist::report::{self, What};
use desist::token::finder::MAX_MACS;

use super::ALICE;
use crate::world::World;

/// Bob on stream 1 of tenant 1, of the published keys.
const BOB: &str = "ceaaaaiaahx3g3luylof42mqf7y3qvgvfsj257xxfaylhhtekvga";

/// One mail with a report for each of the returned mails.
fn mail(returned: &[String]) -> String {
    let report = |mail: &String| {
        format!(
            "--q\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n\n--q\nContent-Type: message/rfc822\n\n{mail}\n"
        )
    };
    let reports: String = returned.iter().map(report).collect();
    format!(
        "From: a@b.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=q\n\n{reports}--q--\n"
    )
}

fn search(raw: &str) -> (Vec<identify::Identity>, identify::Cost) {
    let reading = report::read(raw.as_bytes());
    let What::Feedback(reports) = &reading.what else {
        unreachable!("no report")
    };
    identify::in_reports(None, reports, &reading.hints, &World::new(&[1]).keyring)
}

/// A text that begins like a token; every one costs MACs of its own.
fn look_alike(number: usize) -> String {
    let mut bytes = [0; 25];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let end = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
    format!("ceaaaaiaag{end}aa")
}

// What one report brings back is not searched for the others.
#[test]
fn every_octet_of_a_mail_with_many_reports_is_searched_once() {
    let noise = "cccccccccccccccccccccccccccccccccccccccccccccc\n ".repeat(100);
    let returned = format!("Subject: News\nReferences: {noise}\n\n{noise}");
    for reports in [1, 10, 75] {
        let raw = mail(&vec![returned.clone(); reports]);
        let (found, cost) = search(&raw);
        assert_eq!(found.len(), reports);
        assert!(cost.octets > reports * 2 * noise.len(), "{cost:?}");
        assert!(cost.octets <= raw.len(), "{cost:?} in {}", raw.len());
    }
}

#[test]
fn all_reports_of_a_mail_share_one_budget() {
    let returned = |report: usize| {
        let fields = (0..10).map(|n| format!("X-{n}: {}\n", look_alike(report * 10 + n)));
        fields.collect::<String>() + "\nHello"
    };
    let returned: Vec<_> = (0..75).map(returned).collect();
    let (found, cost) = search(&mail(&returned));
    assert_eq!(cost.macs, MAX_MACS);
    let too_many = |identity: &&identify::Identity| identity.outcome == Token::TooMany;
    assert!(found.iter().filter(too_many).count() > 60, "{found:?}");
}

// The header of the last report is searched before the body of the first, and what has been
// verified for one report costs nothing for another.
#[test]
fn what_proves_is_searched_first() {
    let noise: String = (0..100).map(|n| look_alike(n) + "\n\n").collect();
    let returned: Vec<_> = (0..50)
        .map(|n| {
            let token = if n % 2 == 0 { ALICE } else { BOB };
            format!("X-Desist: {token}\n\n{noise}")
        })
        .collect();
    let (found, cost) = search(&mail(&returned));
    assert_eq!(cost.macs, MAX_MACS);
    assert!(found.iter().all(|identity| identity.outcome == Token::Valid
        && identity.found_in == Some(FoundIn::ReturnedHeader)));
    assert_ne!(found[0].recipient(), found[1].recipient());
    assert_eq!(found[0].recipient(), found[48].recipient());
}

// A token in what came back with one report says nothing about another.
#[test]
fn evidence_of_one_report_is_not_that_of_another() {
    let first = format!("Subject: News\n\n{ALICE}");
    let (found, _) = search(&mail(&[first, "Subject: News\n\nHello".to_owned()]));
    let places: Vec<_> = found.iter().map(|identity| identity.found_in).collect();
    assert_eq!(places, [Some(FoundIn::Unproven), None]);
}
