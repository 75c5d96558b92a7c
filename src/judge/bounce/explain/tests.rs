//! What explanations say.

use super::*;

fn of(text: &str) -> Explanation {
    explain(text, Language::English, Rules::embedded())
}

#[test]
fn the_texts_are_whole() {
    let texts: Texts = toml::from_str(EMBEDDED).unwrap();
    for class in BounceClass::ALL {
        assert!(
            texts.class.iter().any(|own| own.class == class.as_str()),
            "{class}"
        );
    }
    for own in &texts.class {
        assert!(["recipient", "sender", "receiver", "nobody"].contains(&own.who.as_str()));
    }
    // The registry: details 0 to the last of each subject.
    for (subject, last) in [(1, 10), (2, 4), (3, 6), (4, 7), (5, 6), (6, 10), (7, 30)] {
        for detail in 0..=last {
            let code = format!("x.{subject}.{detail}");
            assert!(texts.code.iter().any(|own| own.code == code), "{code}");
        }
    }
    for own in &texts.code {
        assert!(CodePattern::parse(&own.code).is_ok(), "{}", own.code);
        assert!(!own.en.is_empty() && !own.ja.is_ascii());
    }
}

#[test]
fn codes_and_old_texts_are_explained() {
    for (text, class, permanent) in [
        (
            "550 5.1.1 User unknown",
            BounceClass::BadMailbox,
            Some(true),
        ),
        (
            "450 4.2.2 Mailbox full",
            BounceClass::MailboxFull,
            Some(false),
        ),
        ("5.7.26", BounceClass::Authentication, Some(true)),
        ("User unknown", BounceClass::BadMailbox, None),
        ("Host unknown", BounceClass::BadDomain, None),
        ("has not found", BounceClass::BadMailbox, None),
        (
            "Message size exceeds remaining quota",
            BounceClass::MailboxFull,
            None,
        ),
        ("with the virus", BounceClass::Virus, None),
        (
            "exceeds maximum fixed size",
            BounceClass::MessageTooBig,
            None,
        ),
        (
            "Fragmented emails are not permitted",
            BounceClass::Content,
            None,
        ),
        ("552", BounceClass::MessageTooBig, Some(true)),
    ] {
        let explanation = of(text);
        assert_eq!(
            (explanation.class, explanation.permanent),
            (class, permanent),
            "{text}: {}",
            explanation.rule
        );
        assert!(!explanation.meaning.is_empty() && !explanation.next.is_empty());
    }
}

// D-009, D-010
#[test]
fn what_to_do_agrees_with_what_the_pipeline_does() {
    let stop = "Stop mailing this address.";
    let again = "Let the mail be tried again.";
    let next_time = "Do not try this mail again; mail the address with the next mailing.";
    let as_it_is = "Do not try this mail again as it is.";
    let (suppress, count, signal) = ("suppress-unless-braked", "count-soft", "signal");
    for (text, effect, who, advice) in [
        ("550 5.1.1", suppress, "nobody", stop),
        ("User unknown", suppress, "nobody", stop),
        // A dead address that is said to be dead for now only is not dead.
        ("450 User unknown", count, "receiver", again),
        ("4.1.1", count, "receiver", again),
        ("550 5.2.2", count, "recipient", next_time),
        ("452 4.2.2", count, "recipient", again),
        ("4.4.7", count, "receiver", next_time),
        ("421", count, "receiver", again),
        ("550 spam", signal, "sender", as_it_is),
        ("450 4.7.1 greylisted", signal, "sender", again),
        ("250 2.0.0 queued", "-", "nobody", "Nothing."),
        ("354", "-", "nobody", "Nothing."),
        ("hello", "-", "nobody", "Give the whole answer"),
        ("", "-", "nobody", "Give the whole answer"),
    ] {
        let told = of(text);
        let found = (told.effect.unwrap_or("-"), told.who.as_str());
        assert_eq!(found, (effect, who), "{text}");
        assert!(told.next.starts_with(advice), "{text}: {}", told.next);
        let is_dead = effect == suppress;
        assert_eq!(told.severity == Severity::Hard, is_dead, "{text}");
        assert_eq!(told.follows.starts_with("dead"), is_dead, "{text}");
        assert_eq!(told.next.contains(stop), is_dead, "{text}");
        assert_eq!(told.follows.is_empty(), effect == "-", "{text}");
    }
}

#[test]
fn what_an_answer_is_is_told() {
    for (text, answer) in [
        ("550 5.1.1", AnswerKind::Refusal),
        ("4.2.2", AnswerKind::Refusal),
        ("421", AnswerKind::Refusal),
        ("mailbox is full", AnswerKind::Words),
        ("250 OK", AnswerKind::Success),
        ("2.0.0", AnswerKind::Success),
        ("hello", AnswerKind::None),
        ("999", AnswerKind::None),
        ("", AnswerKind::None),
    ] {
        assert_eq!(of(text).answer, answer, "{text}");
    }
}

#[test]
fn a_class_says_nothing_of_the_address() {
    let texts: Texts = toml::from_str(EMBEDDED).unwrap();
    for own in &texts.class {
        for word in ["mailing", "tried", "alive", "dead", "fine", "again with"] {
            assert!(!own.next_en.contains(word), "{}: {word}", own.class);
        }
    }
    for effect in ["suppress-unless-braked", "count-soft", "signal", "none"] {
        assert!(
            texts.effect.iter().any(|own| own.effect == effect),
            "{effect}"
        );
    }
}

#[test]
fn of_a_whole_bounce_each_answer_is_explained() {
    let each = |text| explain_each(text, Language::English, Rules::embedded());
    let bounce = include_str!("../../../../fixtures/bounce/docomo-recipients.eml");
    let told = each(bounce);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].class, BounceClass::RateLimited);
    assert!(
        told[0].text.starts_with("a@docomo.ne.jp"),
        "{}",
        told[0].text
    );
    // What is delayed is tried on, whatever its code says.
    let told = each(include_str!(
        "../../../../fixtures/bounce/dsn-delayed-5.1.1.eml"
    ));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].permanent, told[0].effect), (Some(false), None));
    assert!(told[0].follows.starts_with("still tried"), "{:?}", told[0]);
    assert!(told[0].next.starts_with("Let the mail"), "{:?}", told[0]);
    let told = each("From: a@example.com\nSubject: 550 5.1.1 User unknown\n\nHello\n");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].answer, AnswerKind::None);
    for answer in [
        "host mx.example.net said:\n550 5.1.1 User unknown",
        "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 User unknown",
        "550-5.1.1 From: is wrong\n550 5.1.1 gone",
    ] {
        let told = each(answer);
        assert_eq!(
            (told.len(), told[0].class),
            (1, BounceClass::BadMailbox),
            "{answer}"
        );
    }
}

#[test]
fn an_unknown_detail_is_told_by_its_subject() {
    let explanation = of("550 5.7.606 Access denied, banned sending IP [192.0.2.1]");
    assert_eq!(
        explanation.status_meaning.as_deref(),
        Some("Other or undefined security status")
    );
    let explanation = of("550-5.1.1 gone - gsmtp");
    assert_eq!(
        explanation.provider.as_deref(),
        Some("Gmail, Google Workspace")
    );
    assert!(explanation.help.is_some());
    let explanation = of("550 Unknown user <a@docomo.ne.jp> (in reply to end of DATA command)");
    assert_eq!(explanation.class, BounceClass::Filtered);
}

#[test]
fn the_language_is_chosen() {
    for (field, language) in [
        ("ja", Language::Japanese),
        ("ja-JP,ja;q=0.9,en;q=0.8", Language::Japanese),
        ("de, en;q=0.5", Language::English),
        ("fr", Language::English),
        ("", Language::English),
    ] {
        assert_eq!(Language::accepted(field), language, "{field}");
    }
    let explanation = explain("550 5.1.1", Language::Japanese, Rules::embedded());
    assert!(!explanation.meaning.is_ascii() && !explanation.next.is_ascii());
}
