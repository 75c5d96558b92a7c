//! Forms, limits and chunks.

use proptest::prelude::*;

use super::*;
use crate::index::Hit;
use crate::model::address::AddressError;
use crate::model::clock::Timestamp;
use crate::model::suppression::{Reason, Scope};

type Asked = (Form, Vec<u8>, Vec<u8>);

/// What is asked by these octets, coming in pieces of that length.
fn asked(octets: &[u8], piece: usize) -> (Vec<Asked>, Option<Malformed>) {
    let (mut asker, mut found) = (Asker::default(), Vec::new());
    for piece in octets.chunks(piece.max(1)) {
        asker.take(piece);
        loop {
            match asker.next() {
                Ok(Some(question)) => {
                    found.push((question.form, question.list.to_vec(), question.key.to_vec()));
                }
                Ok(None) => break,
                Err(why) => return (found, Some(why)),
            }
        }
    }
    (found, None)
}

fn question(form: Form, list: &str, key: &str) -> Asked {
    (form, list.into(), key.into())
}

#[test]
fn every_form_is_told_by_its_first_octets() {
    let policy = "request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=a=b@example.net\n";
    for (octets, wanted) in [
        (
            "19:3 alice@example.net,6:3 b@c.,".to_owned(),
            vec![
                question(Form::Socketmap, "3", "alice@example.net"),
                question(Form::Socketmap, "3", "b@c."),
            ],
        ),
        (
            "6:any a@,".to_owned(),
            vec![question(Form::Socketmap, "any", "a@")],
        ),
        ("2:3 ,".to_owned(), vec![question(Form::Socketmap, "3", "")]),
        (
            format!("{policy}policy_context=2/3\n\n{policy}\nsender=\n\n"),
            vec![
                question(Form::Policy, "2/3", "a=b@example.net"),
                question(Form::Policy, "any", "a=b@example.net"),
                question(Form::Policy, "any", ""),
            ],
        ),
        (
            "check any al ice@example.net\ncheck 3 b@c\r\n".to_owned(),
            vec![
                question(Form::Line, "any", "al ice@example.net"),
                question(Form::Line, "3", "b@c"),
            ],
        ),
        ("check".to_owned(), vec![]),
        ("check 3 a@b".to_owned(), vec![]),
        ("request".to_owned(), vec![]),
        ("19:3 alice".to_owned(), vec![]),
        (String::new(), vec![]),
    ] {
        for piece in 1..=octets.len().max(1) {
            let (found, why) = asked(octets.as_bytes(), piece);
            assert_eq!((&found, why), (&wanted, None), "{octets:?} by {piece}");
        }
    }
}

#[test]
fn what_is_no_question_ends_the_session_and_is_never_kept() {
    let long = "x".repeat(MAX_QUESTION);
    for (octets, why) in [
        ("GET / HTTP/1.1\r\n".to_owned(), Malformed::Form),
        ("\n".to_owned(), Malformed::Form),
        ("checking\n".to_owned(), Malformed::Form),
        ("x".repeat(65), Malformed::Form),
        (":".to_owned(), Malformed::Form),
        ("5;3 a@b,".to_owned(), Malformed::Netstring),
        ("5:3 a@b;".to_owned(), Malformed::Netstring),
        ("3:abc,".to_owned(), Malformed::Netstring),
        ("999999:".to_owned(), Malformed::Long),
        ("99999:".to_owned(), Malformed::Long),
        ("check 3\n".to_owned(), Malformed::Line),
        ("check 3 a@b\nquit\n".to_owned(), Malformed::Line),
        ("request=x\nnonsense\n\n".to_owned(), Malformed::Line),
        (format!("check 3 {long}"), Malformed::Long),
        (format!("sender={long}"), Malformed::Long),
    ] {
        for piece in [1, 7, octets.len()] {
            assert_eq!(asked(octets.as_bytes(), piece).1, Some(why), "{octets:.20}");
        }
    }
}

#[test]
fn answers_are_written_in_each_form() {
    let hit = Answer::Suppressed(Hit {
        scope: Scope::Stream(3),
        reason: Reason::Complaint,
        since: Timestamp::from_seconds(1_800_000_000),
    });
    for (answer, socketmap, policy, line) in [
        (
            Answer::Allowed,
            "9:NOTFOUND ,",
            "action=DUNNO\n\n",
            "allowed\n",
        ),
        (
            hit,
            "78:OK 550 5.7.1 not to be mailed: complaint, stream:3, since 2027-01-15T08:00:00Z,",
            "action=550 5.7.1 not to be mailed: complaint, stream:3, since 2027-01-15T08:00:00Z\n\n",
            "suppressed complaint stream:3 2027-01-15T08:00:00Z\n",
        ),
        (
            Answer::NoAddress(AddressError::Literal),
            "51:OK 550 5.1.3 an address literal instead of a domain,",
            "action=550 5.1.3 an address literal instead of a domain\n\n",
            "invalid an address literal instead of a domain\n",
        ),
        (
            Answer::Temporary("later"),
            "10:TEMP later,",
            "action=451 4.3.0 later\n\n",
            "temporary later\n",
        ),
    ] {
        for (form, wanted) in [
            (Form::Socketmap, socketmap),
            (Form::Policy, policy),
            (Form::Line, line),
        ] {
            let mut out = Vec::new();
            write(form, &answer, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }
}

proptest! {
    #[test]
    fn any_octets_in_any_pieces_ask_the_same(
        octets in "([0-9]{1,2}:|check |recipient=|[a-z@. =]|\n\n?|,|[3a] ){0,40}",
        piece in 1..20_usize,
    ) {
        let octets = octets.as_bytes();
        prop_assert_eq!(asked(octets, piece), asked(octets, octets.len()));
    }
}
