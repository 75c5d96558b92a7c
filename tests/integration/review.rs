//! What an operator sees of what came in through the doors: the same in every list.

use serde_json::{Value, json};

use crate::harness::{Running, complaint, desist};

fn prints(running: &Running, arguments: &[&str]) -> String {
    let output = desist(&running.place().config_file(), arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The cells of the first row of a table, by the names of the columns.
fn first_row(table: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = table
        .lines()
        .skip_while(|line| !line.contains("  REPORTER"))
        .collect();
    let (names, cells) = (lines[0], lines[1]);
    let begins: Vec<usize> = names
        .match_indices(|c: char| c != ' ')
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || names.get(..*at).unwrap().ends_with("  "))
        .collect();
    let ends = begins[1..].iter().copied().chain([usize::MAX]);
    let cell = |line: &str, begin: usize, end: usize| {
        line.get(begin..end.min(line.len()))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    begins
        .iter()
        .zip(ends)
        .map(|(begin, end)| (cell(names, *begin, end), cell(cells, *begin, end)))
        .collect()
}

fn of<'a>(row: &'a [(String, String)], name: &str) -> &'a str {
    let found = row.iter().find(|(own, _)| own == name);
    &found.unwrap_or_else(|| panic!("{name} in {row:?}")).1
}

#[test]
fn a_second_server_says_who_has_the_data_folder() {
    let running = Running::sqlite();
    let place = running.place();
    let second = desist(&place.config_file(), &["serve"]);
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8(second.stderr).unwrap();
    let told = format!(
        "desist: the data folder {} is in use by another desist, process {}: use that one, or end it \
         before another is started; a second server needs a data folder of its own\n",
        place.data_dir().display(),
        running.pid()
    );
    assert!(error.ends_with(&told), "{error}");
    assert!(
        running.check("a@example.com", None).is_none(),
        "the first goes on"
    );
}

// B-031
#[test]
fn a_hold_shows_its_token_and_the_rule_for_which_it_is_not_enough() {
    let running = Running::sqlite();
    let (token, _) = running.mint(1, &["reader@example.net"]).remove(0);
    let reply = running.deliver("fbl@example.org", "cfbl@fb.example.com", &complaint(&token));
    assert!(reply.starts_with("250"), "{reply}");
    running.drained();
    let held = first_row(&prints(&running, &["held", "list"]));
    assert_eq!(of(&held, "BECAUSE"), "unproven");
    assert_eq!(of(&held, "FOUND IN"), "returned-header");
    assert_eq!(of(&held, "RULE"), "complaint-cfbl-unauthenticated");
    let evidence = first_row(&prints(&running, &["evidence", "reader@example.net"]));
    for name in ["FOUND IN", "RULE", "REPORTER", "AT"] {
        assert_eq!(of(&held, name), of(&evidence, name), "{name}");
    }
    assert_ne!(of(&held, "REPORTER"), "-");
}

#[test]
fn a_click_is_no_mail() {
    let running = Running::sqlite();
    let address = "reader@example.net";
    let (token, _) = running.mint(1, &[address]).remove(0);
    let click = ["--data", "List-Unsubscribe=One-Click"];
    assert_eq!(running.curl(&format!("/u/{token}"), &click).0, 200);
    running.drained();
    let evidence = prints(&running, &["evidence", address, "--json"]);
    let evidence: Value = serde_json::from_str(&evidence).unwrap();
    let event = &evidence["events"][0];
    assert_eq!(event["door"], "one-click");
    assert_eq!(event["authentication"], "not-asked", "{event}");
    let stands = &evidence["about"]["items"][0]["evidence"];
    assert_eq!(stands["authentication"], "not-asked", "{stands}");
    let receipt = event["receipt"].as_str().unwrap();
    let shown = prints(&running, &["mail", "show", receipt]);
    assert_eq!(shown, "List-Unsubscribe=One-Click\n");
    assert_eq!(event["kind"], json!("unsubscribe"));
}
