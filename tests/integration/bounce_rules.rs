//! An operator's own bounce rules, wherever bounces are judged or explained.

use std::process::Output;

use serde_json::{Value, json};

use crate::bounces::notification;
use crate::harness::{Engine, Place, desist};

/// By the rules that desist comes with this is the sender's own trouble.
const ANSWER: &str = "550 5.7.1 closed for ever, says the house";

const RULES: &str = r#"version = 1

[[rule]]
id = "house-closed"
class = "inactive"
severity = "hard"
provider = ["house"]
text = ["closed for ever"]
why = "The house says so when a mailbox has been given up."
ja = "このメールボックスは廃止されている。"
example = { text = "550 5.7.1 closed for ever, says the house" }

[[provider]]
id = "house"
name = "The House"
hosts = ["house.example"]
says = ["says the house"]
help = "https://house.example/postmaster"
"#;

fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

// D-076
fn a_local_rule_decides_at_every_door(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let folder = place.folder.path().to_owned();
    let running = place.start();
    let names = ["early@example.net", "late@example.net", "told@example.net"];
    let tokens = running.mint(1, &names);
    let bounce = |index: usize| notification(names[index], "5.7.1", ANSWER);
    let delivered = |running: &crate::harness::Running, index: usize| {
        let reply = running.deliver("", &tokens[index].1, &bounce(index));
        assert!(reply.starts_with("250"), "{reply}");
    };
    delivered(&running, 0);
    let events = running.events(1);
    assert_eq!(events[0]["detail"]["rule"], "bounce-ours");
    running.drained();
    assert_eq!(running.check(names[0], None), None);

    let rules = folder.join("bounces.toml");
    std::fs::write(&rules, RULES).unwrap();
    let setting = format!("\n[policy]\nbounce_rules_file = '{}'\n", rules.display());
    let running = running.kill().config(&setting).start();
    delivered(&running, 1);
    let told = json!({"kind": "bounce", "address": names[2], "diagnostic": ANSWER});
    let (status, answer) = running.post("/v1/events", &json!({"events": [told]}));
    assert_eq!(status, 200, "{answer}");
    running.events(3);
    running.drained();
    for (name, expected) in names.iter().zip([None, Some("bounce"), Some("bounce")]) {
        let hit = running.check(name, None);
        assert_eq!(
            hit.as_ref().map(|hit| hit["reason"].as_str().unwrap()),
            expected,
            "{name}"
        );
    }
    let (_, shown) = running.get(&format!("/v1/suppressions/{}", names[1]));
    assert_eq!(shown["items"][0]["evidence"]["class"], "inactive");

    let (_, told) =
        running.get("/v1/explain?text=550%205.7.1%20closed%20for%20ever,%20says%20the%20house");
    for (member, value) in [
        ("rule", "house-closed"),
        ("class", "inactive"),
        ("severity", "hard"),
        ("why", "The house says so when a mailbox has been given up."),
        ("provider", "The House"),
        ("help", "https://house.example/postmaster"),
    ] {
        assert_eq!(told[member], value, "{member}");
    }
    let (_, same) = running.get("/v1/explain?text=550%205.1.1%20User%20unknown");
    assert_eq!(same["class"], "bad-mailbox");

    // What came before the rule is mended by it.
    let (_, replayed) = running.post("/v1/replay", &json!({}));
    assert_eq!(
        (&replayed["made"], &replayed["begun"]),
        (&json!(1), &json!(1)),
        "{replayed}"
    );
    assert!(running.check(names[0], None).is_some());

    let config = folder.join("desist.toml");
    let told = printed(&desist(&config, &["explain", "--json", ANSWER]));
    assert_eq!(told["rule"], "house-closed");
    let mail = folder.join("bounce.eml");
    std::fs::write(&mail, bounce(0)).unwrap();
    let told = printed(&desist(
        &config,
        &["classify", "--json", mail.to_str().unwrap()],
    ));
    assert_eq!(told["recipients"][0]["rule"], "house-closed");
}

crate::on_both_engines! { a_local_rule_decides_at_every_door }

#[test]
fn a_wrong_rules_file_is_found_with_its_line_before_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("bounces.toml");
    let config = folder.path().join("desist.toml");
    std::fs::write(
        &config,
        format!("policy.bounce_rules_file = '{}'\n", rules.display()),
    )
    .unwrap();
    let missing = String::from_utf8(desist(&config, &["config", "check"]).stdout).unwrap();
    assert!(
        missing.contains("desist.toml:1: policy.bounce_rules_file:"),
        "{missing}"
    );
    assert!(missing.contains("bounces.toml: No such file"), "{missing}");
    for (from, to, why) in [
        ("", "", "ok"),
        (
            "inactive",
            "asleep",
            "bounces.toml: bounce rule house-closed (line 3): ",
        ),
        (
            "provider = [\"house\"]",
            "provider = [\"home\"]",
            "unknown provider \"home\"",
        ),
        (
            "text = \"550 5.7.1 closed",
            "text = \"550 5.7.1 shut",
            "its example is decided by",
        ),
        ("[[provider]]", "[[provider", "line 13"),
    ] {
        std::fs::write(&rules, RULES.replacen(from, to, 1)).unwrap();
        let checked = desist(&config, &["config", "check"]);
        let text = String::from_utf8(checked.stdout).unwrap();
        assert!(text.contains(why), "{to}: {text}");
        assert_eq!(checked.status.success(), why == "ok", "{text}");
        let explained = desist(&config, &["explain", "550"]);
        assert_eq!(explained.status.success(), why == "ok");
    }
    let large = format!("{RULES}#{}", " ".repeat(256 * 1024));
    std::fs::write(&rules, large).unwrap();
    let text = String::from_utf8(desist(&config, &["config", "check"]).stdout).unwrap();
    assert!(text.contains("larger than"), "{text}");
}
