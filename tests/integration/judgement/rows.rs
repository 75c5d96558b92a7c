//! The table row by row, and what holds for every combination.

use std::collections::BTreeSet;

use desist::judge::table::{Case, Decision, Fate, Stream, Token, What, Witness, decide};
use desist::model::authentication::Authentication;
use desist::model::event::{Effect, Proof, SoftFailure};
use desist::model::mailbox::Role;

use crate::reading::tell_effect;

/// What happened and how it is proven, by the words that `case` knows, then the row that decides,
/// the proof and the effects.
const ROWS: &str = "
# complaint `abuse` (B-030, B-031)
abuse valid                          -> complaint-token: token: suppress marketing complaint
abuse valid not-asked                -> complaint-token: token: suppress marketing complaint
abuse valid stream-unknown           -> complaint-token: token: suppress marketing complaint
abuse valid stream-transactional     -> complaint-token-transactional: token: suppress marketing complaint, hold stream:2 complaint transactional
abuse valid stream-unsubscribe       -> complaint-token-transactional: token: suppress marketing complaint, hold stream:3 complaint transactional
abuse missing passed                 -> complaint-authenticated: authenticated: suppress marketing complaint
abuse missing not-asked              -> complaint-not-asked: needs authentication
abuse missing                        -> complaint-unproven: none: hold marketing complaint unproven
abuse missing passed nobody          -> complaint-unproven: none: hold marketing complaint unproven
abuse missing not-asked nobody       -> complaint-unproven: none: hold marketing complaint unproven
abuse revoked passed                 -> complaint-revoked-key: none: hold marketing complaint revoked-key
abuse conflicting passed             -> complaint-conflicting-tokens: none: hold marketing complaint conflicting-tokens
abuse too-many passed                -> complaint-too-many-candidates: none: hold marketing complaint too-many-candidates

# a token alone is not enough at a `cfbl` mailbox (B-031)
abuse valid cfbl                     -> complaint-cfbl-unauthenticated: none: hold marketing complaint unproven
abuse valid cfbl not-asked           -> complaint-not-asked: needs authentication
abuse valid cfbl passed              -> complaint-token: token: suppress marketing complaint
abuse missing cfbl passed            -> complaint-authenticated: authenticated: suppress marketing complaint
abuse missing cfbl                   -> complaint-cfbl-unauthenticated: none: hold marketing complaint unproven
abuse revoked cfbl not-asked         -> complaint-revoked-key: none: hold marketing complaint revoked-key
opt-out valid cfbl                   -> unsubscribe-cfbl-unauthenticated: none: hold marketing unsubscribe unproven
opt-out valid cfbl passed            -> unsubscribe-token: token: suppress stream:1 unsubscribe

# complaint `fraud`, `virus`, `other` (B-020)
other valid                          -> complaint-other-token: token: signal
other valid cfbl                     -> complaint-other-unproven: none: 
other missing passed                 -> complaint-other-authenticated: authenticated: signal
other missing not-asked              -> complaint-other-not-asked: needs authentication
other missing                        -> complaint-other-unproven: none: 
other revoked                        -> complaint-other-unproven: none: 
other valid raised                   -> complaint-token: token: suppress marketing complaint
other missing raised                 -> complaint-unproven: none: hold marketing complaint unproven

# a type that nobody knows is never raised (B-009)
unknown valid raised                 -> complaint-unknown-type: token: 
unknown missing                      -> complaint-unknown-type: none: 

# unsubscribe mail
mail valid                           -> unsubscribe-token: token: suppress stream:1 unsubscribe
mail valid not-asked                 -> unsubscribe-token: token: suppress stream:1 unsubscribe
mail valid stream-unknown            -> unsubscribe-token-no-stream: token: suppress marketing unsubscribe
mail valid stream-transactional      -> unsubscribe-token-transactional: token: suppress marketing unsubscribe
mail valid stream-unsubscribe        -> unsubscribe-token-transactional-stream: token: suppress stream:3 unsubscribe
mail missing passed                  -> unsubscribe-authenticated: authenticated: suppress marketing unsubscribe
mail missing passed mailbox=4        -> unsubscribe-authenticated: authenticated: suppress stream:4 unsubscribe
mail missing not-asked               -> unsubscribe-not-asked: needs authentication
mail missing                         -> unsubscribe-unproven: none: hold marketing unsubscribe unproven
mail missing not-asked nobody        -> unsubscribe-unproven: none: hold marketing unsubscribe unproven
mail missing mailbox=4               -> unsubscribe-unproven: none: hold stream:4 unsubscribe unproven
mail missing mailbox=0               -> unsubscribe-unproven: none: hold marketing unsubscribe unproven
mail revoked                         -> unsubscribe-revoked-key: none: hold stream:1 unsubscribe revoked-key
mail conflicting                     -> unsubscribe-conflicting-tokens: none: hold marketing unsubscribe conflicting-tokens
mail too-many                        -> unsubscribe-too-many-candidates: none: hold marketing unsubscribe too-many-candidates

# `opt-out` report (B-023)
opt-out valid                        -> unsubscribe-token: token: suppress stream:1 unsubscribe
opt-out missing passed               -> unsubscribe-authenticated: authenticated: suppress marketing unsubscribe
opt-out missing not-asked            -> unsubscribe-not-asked: needs authentication
opt-out missing                      -> unsubscribe-unproven: none: hold marketing unsubscribe unproven

# one-click POST: nothing about it can be authenticated
one-click valid                      -> unsubscribe-token: token: suppress stream:1 unsubscribe
one-click valid not-asked            -> unsubscribe-token: token: suppress stream:1 unsubscribe
one-click revoked not-asked          -> unsubscribe-revoked-key: none: hold stream:1 unsubscribe revoked-key
one-click missing passed             -> unsubscribe-unproven: none: hold marketing unsubscribe unproven
one-click missing not-asked          -> unsubscribe-unproven: none: hold marketing unsubscribe unproven

# the page's undo: its nonce is the proof, and without it nothing follows (C-047)
undo valid                           -> undo: token: undo
undo revoked not-asked               -> undo: token: undo
undo-unproven valid                  -> undo-unproven: token: 
undo-unproven missing passed         -> undo-unproven: none: 

# recorded without effect, whatever the proof (B-021, B-022, C-042)
not-spam valid                       -> not-spam: token: 
not-spam missing passed              -> not-spam: none: 
auth-failure valid                   -> auth-failure: token: 
disposition valid                    -> disposition: token: 
auto-reply valid                     -> auto-reply: token: 
dmarc-aggregate missing              -> dmarc-aggregate: none: 
tls-report missing                   -> tls-report: none: 
human missing                        -> human: none: 
unrecognised valid                   -> unrecognised: token: 
unrecognised missing not-asked       -> unrecognised: none: 

# what became of a mail: only the token of the envelope, or the tenant itself, proves it (D-015)
hard valid secret                    -> bounce-hard: token: suppress-unless-braked all bounce
hard valid secret not-asked          -> bounce-hard: token: suppress-unless-braked all bounce
hard missing operator                -> bounce-hard: operator: suppress-unless-braked all bounce
hard valid                           -> bounce-hard-unproven: none: 
hard valid passed                    -> bounce-hard-unproven: none: 
hard missing                         -> bounce-hard-unproven: none: 
hard missing passed nobody           -> bounce-hard-unproven: none: 
hard missing not-asked               -> bounce-hard-not-asked: needs authentication
hard missing passed                  -> bounce-hard-authenticated: authenticated: hold all bounce unproven
hard revoked secret passed           -> bounce-hard-revoked-key: none: hold all bounce revoked-key
elsewhere valid secret               -> bounce-hard-elsewhere: token: count-soft failed
elsewhere missing passed             -> bounce-hard-authenticated: authenticated: hold all bounce unproven
elsewhere revoked secret             -> bounce-hard-unproven: none: 
soft valid secret                    -> bounce-soft: token: count-soft failed
full valid secret                    -> bounce-soft: token: count-soft mailbox-full
soft missing operator                -> bounce-soft: operator: count-soft failed
soft valid                           -> bounce-soft-unproven: none: 
soft missing passed                  -> bounce-soft-unproven: none: 
full revoked secret                  -> bounce-soft-unproven: none: 

# our own problem never touches the recipient (D-061)
ours valid secret                    -> bounce-ours: token: signal
ours missing operator                -> bounce-ours: operator: signal
ours missing passed                  -> bounce-ours-unproven: none: 

# a notification about the recipient names others too (D-009)
aside valid secret                   -> bounce-aside: token: 
aside missing                        -> bounce-aside: none: 

# a mail at a bounce address that nobody can read (D-020)
unread valid secret                  -> bounce-unread: token: count-soft unread
unread valid                         -> bounce-unread-unproven: none: 
unread missing                       -> bounce-unread-unproven: none: 

# neither is a failure (D-009)
delay valid secret                   -> delay: token: 
delay missing                        -> delay: none: 
delivered valid secret               -> delivered: token: reset-soft
delivered missing operator           -> delivered: operator: reset-soft
delivered valid                      -> delivered-unproven: none: 
delivered missing passed             -> delivered-unproven: none: 
relayed valid secret                 -> relayed: token: 
relayed missing                      -> relayed: none: 
";

const WHATS: [(&str, What); 26] = [
    ("abuse", What::Abuse),
    ("other", What::OtherComplaint),
    ("unknown", What::UnknownComplaint),
    ("not-spam", What::NotSpam),
    ("opt-out", What::OptOutReport),
    ("mail", What::UnsubscribeMail),
    ("one-click", What::OneClick),
    ("undo", What::Undo { is_proven: true }),
    ("undo-unproven", What::Undo { is_proven: false }),
    ("auth-failure", What::AuthFailure),
    ("hard", What::Fate(Fate::Hard)),
    ("elsewhere", What::Fate(Fate::HardElsewhere)),
    ("soft", What::Fate(Fate::Soft(SoftFailure::Failed))),
    ("full", What::Fate(Fate::Soft(SoftFailure::MailboxFull))),
    ("ours", What::Fate(Fate::Ours)),
    ("aside", What::Fate(Fate::Aside)),
    ("unread", What::Fate(Fate::Unread)),
    ("delay", What::Fate(Fate::Delayed)),
    ("delivered", What::Fate(Fate::Delivered)),
    ("relayed", What::Fate(Fate::Relayed)),
    ("disposition", What::Disposition),
    ("auto-reply", What::AutoReply),
    ("dmarc-aggregate", What::DmarcAggregate),
    ("tls-report", What::TlsReport),
    ("human", What::Human),
    ("unrecognised", What::Unrecognised),
];

const TOKENS: [(&str, Token); 5] = [
    ("valid", Token::Valid),
    ("revoked", Token::Revoked),
    ("conflicting", Token::Conflicting),
    ("too-many", Token::TooMany),
    ("missing", Token::Missing),
];

const STREAMS: [(&str, Stream); 4] = [
    ("stream-unknown", Stream::Unknown),
    ("stream-marketing", Stream::Marketing(1)),
    (
        "stream-transactional",
        Stream::Transactional {
            number: 2,
            unsubscribe: false,
        },
    ),
    (
        "stream-unsubscribe",
        Stream::Transactional {
            number: 3,
            unsubscribe: true,
        },
    ),
];

fn named<T: Copy>(list: &[(&str, T)], word: &str) -> Option<T> {
    list.iter()
        .find(|(name, _)| *name == word)
        .map(|(_, value)| *value)
}

fn case(text: &str) -> Case {
    let mut words = text.split_whitespace();
    let mut case = Case {
        what: named(&WHATS, words.next().unwrap()).unwrap(),
        token: named(&TOKENS, words.next().unwrap()).unwrap(),
        authentication: Authentication::Failed,
        names_somebody: true,
        role: Role::Complaint,
        stream: Stream::Marketing(1),
        mailbox_stream: None,
        raise_other_complaints: false,
        witness: Witness::Nobody,
    };
    for word in words {
        match word {
            "cfbl" => case.role = Role::Cfbl,
            "nobody" => case.names_somebody = false,
            "raised" => case.raise_other_complaints = true,
            "secret" => case.witness = Witness::BounceToken,
            "operator" => case.witness = Witness::Operator,
            word if word.starts_with("mailbox=") => case.mailbox_stream = word[8..].parse().ok(),
            word if word.starts_with("stream") => case.stream = named(&STREAMS, word).unwrap(),
            word => case.authentication = word.parse().unwrap(),
        }
    }
    case
}

#[test]
fn every_row_says_what_follows() {
    let rows = ROWS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for row in rows {
        let (given, expected) = row.split_once("->").unwrap();
        let told = match decide(&case(given)) {
            Decision::NeedsAuthentication { rule, .. } => format!("{rule}: needs authentication"),
            Decision::Verdict(verdict) => {
                let effects: Vec<_> = verdict.effects.iter().copied().map(tell_effect).collect();
                format!(
                    "{}: {}: {}",
                    verdict.rule,
                    verdict.proof,
                    effects.join(", ")
                )
            }
        };
        assert_eq!(told.trim(), expected.trim(), "{given}");
    }
}

/// Every combination.
fn every_case() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, _) in WHATS {
        for (token, _) in TOKENS {
            for authentication in Authentication::ALL {
                for (stream, _) in STREAMS {
                    for rest in ["", "nobody", "raised", "nobody raised"] {
                        let case =
                            case(&format!("{what} {token} {authentication} {stream} {rest}"));
                        let witnesses = [Witness::BounceToken, Witness::Operator, Witness::Nobody];
                        cases.extend(Role::ALL.iter().flat_map(|role| {
                            witnesses.map(|witness| Case {
                                role: *role,
                                witness,
                                ..case
                            })
                        }));
                    }
                }
            }
        }
    }
    cases
}

// B-020, B-021, B-022, B-030, C-042; the rows that only record.
#[test]
fn no_case_suppresses_without_proof_and_most_kinds_never() {
    let cases = every_case();
    for case in cases
        .iter()
        .filter(|case| !matches!(case.what, What::Fate(_)))
    {
        let Decision::Verdict(verdict) = decide(case) else {
            assert_eq!(case.authentication, Authentication::NotAsked, "{case:?}");
            continue;
        };
        let suppresses = verdict
            .effects
            .iter()
            .any(|e| matches!(e, Effect::Suppress { .. }));
        let holds = verdict
            .effects
            .iter()
            .filter(|e| matches!(e, Effect::Hold { .. }))
            .count();
        assert!(holds <= 1, "{case:?}");
        if suppresses {
            assert_ne!(verdict.proof, Proof::None, "{case:?}");
            let proven =
                case.token == Token::Valid || case.authentication == Authentication::Passed;
            assert!(proven, "{case:?}");
            if case.role == Role::Cfbl {
                let authenticated = case.authentication == Authentication::Passed;
                assert!(authenticated, "{case:?}");
            }
        }
        let may_act = match case.what {
            What::Abuse | What::OptOutReport | What::UnsubscribeMail | What::OneClick => true,
            What::OtherComplaint => case.raise_other_complaints,
            _ => false,
        };
        assert!(may_act || !(suppresses || holds > 0), "{case:?}");
    }
}

// D-015, D-061: no unproven bounce changes anything but what an operator decides; nothing that is
// our own fault, delayed or delivered ever stops mail.
#[test]
fn no_unproven_bounce_suppresses_or_counts() {
    for case in every_case() {
        let (What::Fate(fate), Decision::Verdict(verdict)) = (case.what, decide(&case)) else {
            continue;
        };
        let secret = case.witness == Witness::BounceToken && case.token == Token::Valid;
        let proven = secret || case.witness == Witness::Operator;
        let bad = matches!(
            fate,
            Fate::Hard | Fate::HardElsewhere | Fate::Soft(_) | Fate::Unread
        );
        for effect in &verdict.effects {
            match effect {
                Effect::SuppressUnlessBraked { .. } => assert!(proven && fate == Fate::Hard),
                Effect::CountSoft(_) => assert!(proven && bad, "{case:?}"),
                Effect::ResetSoft => assert!(proven && fate == Fate::Delivered, "{case:?}"),
                Effect::Hold { .. } => assert!(bad && !proven, "{case:?}"),
                Effect::Signal => assert!(proven && fate == Fate::Ours, "{case:?}"),
                Effect::Suppress { .. } | Effect::Undo => panic!("{case:?}"),
            }
        }
    }
}

// The names of rules are kept with every event, so they must tell rows apart.
#[test]
fn every_row_has_its_own_name() {
    let mut rows = BTreeSet::new();
    for case in every_case() {
        rows.insert(match decide(&case) {
            Decision::NeedsAuthentication { kind, rule } => (rule, kind.as_str()),
            Decision::Verdict(verdict) => (verdict.rule, verdict.kind.as_str()),
        });
    }
    let names: BTreeSet<_> = rows.iter().map(|(rule, _)| rule).collect();
    assert_eq!(names.len(), rows.len(), "one name for two kinds");
    assert!(names.iter().all(|name| name.len() <= 64));
    let told: BTreeSet<_> = ROWS
        .lines()
        .filter_map(|row| row.split_once("->")?.1.split_once(':'))
        .map(|(rule, _)| rule.trim())
        .collect();
    for name in names {
        assert!(told.contains(name), "{name} is in no row");
    }
}
