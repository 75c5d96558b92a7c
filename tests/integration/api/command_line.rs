//! The command line's clients, as processes against a node that listens.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use desist::model::tenant::TenantId;
use desist::store::KeyScope;
use serde_json::{Value, json};

use super::evidence::held_complaint;
use super::node::Node;

/// A node that listens, and a data folder that names it.
struct Listening {
    node: Node,
    address: SocketAddr,
    data: tempfile::TempDir,
}

impl Listening {
    async fn start() -> Self {
        let node = Node::start().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = node.router();
        node.stop
            .spawn(async move { axum::serve(listener, router).await.unwrap() });
        let data = tempfile::tempdir().unwrap();
        std::fs::write(
            data.path().join("listening"),
            format!("listening api {address}\n"),
        )
        .unwrap();
        std::fs::write(data.path().join("admin.key"), format!("{}\n", node.admin)).unwrap();
        Self {
            node,
            address,
            data,
        }
    }

    /// What the command prints, and whether it succeeded.
    async fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = run(self.data.path(), arguments).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// What a command prints that must succeed.
    async fn prints(&self, arguments: &[&str]) -> String {
        let (success, out, err) = self.run(arguments).await;
        assert!(success, "{arguments:?}: {out}{err}");
        out
    }
}

async fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_desist"));
    command
        .args(arguments)
        .env("DESIST_DATA_DIR", data)
        .current_dir(data);
    for name in [
        "DESIST_URL",
        "DESIST_API_KEY",
        "DESIST_TENANT",
        "DESIST_CA_FILE",
    ] {
        command.env_remove(name);
    }
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_suppressed_checked_listed_and_lifted() {
    let here = Listening::start().await;
    let (failed, out, err) = here
        .run(&[
            "suppress",
            "a@example.com",
            "nobody",
            "--scope",
            "marketing",
        ])
        .await;
    assert!(
        !failed && out.contains("a@example.com  created") && out.contains("no address"),
        "{out}"
    );
    assert!(err.contains("1 of 2 items was refused"), "{err}");
    let line = "check a@example.com free@example.com bad --stream 1";
    let (_, out, _) = here.run(&line.split(' ').collect::<Vec<_>>()).await;
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].starts_with("a@example.com     suppressed  marketing  manual"),
        "{out}"
    );
    assert_eq!(lines[1], "free@example.com  allowed");
    assert!(lines[2].starts_with("bad               error"), "{out}");
    let json: Value =
        serde_json::from_str(&here.run(&["check", "a@example.com", "--json"]).await.1).unwrap();
    assert_eq!(json["suppressed"][0]["scope"], "marketing");
    let out = here.prints(&["list", "--reason", "manual"]).await;
    assert!(
        out.contains("a@example.com") && out.lines().count() == 2,
        "{out}"
    );
    let names: Vec<&str> = out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(names, ["RECIPIENT", "ADDRESS", "SCOPE", "REASON", "SINCE"]);
    let out = here
        .prints(&["lift", "a@example.com", "--note", "asked again"])
        .await;
    assert_eq!(out, "a@example.com  lifted marketing (manual)\n");
    assert_eq!(here.prints(&["list"]).await, "");
    assert_eq!(here.prints(&["held", "list"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_is_stopped_is_said() {
    let here = Listening::start().await;
    let (success, out, err) = here.run(&["suppress", "a@example.com"]).await;
    assert!(
        success && out.starts_with("a@example.com  created  all  "),
        "{out}"
    );
    assert!(
        err.starts_with("scope all: no mail at all is to be sent"),
        "{err}"
    );
    let line = "suppress a@example.com --scope stream:1";
    let (_, out, err) = here.run(&words(line)).await;
    assert!(
        out.starts_with("a@example.com  created  stream:1  "),
        "{out}"
    );
    assert_eq!(err, "");
    let (_, out, err) = here
        .run(&["suppress", "b@example.com", "--scope", "all"])
        .await;
    assert!(out.starts_with("b@example.com  created  all  "), "{out}");
    assert_eq!(err, "");
    let (_, json, err) = here.run(&["suppress", "c@example.com", "--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["items"][0]["result"].as_str(), err.as_str()),
        (Some("created"), "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_empty_is_said_beside_the_output() {
    let here = Listening::start().await;
    for (line, said) in [
        ("list", "nothing is suppressed"),
        (
            "list --reason bounce",
            "nothing is suppressed for that reason",
        ),
        ("list --scope all", "nothing is suppressed in that scope"),
        ("held list", "nothing is held"),
        ("held list --batch x", "nothing is held in that batch"),
        ("mail list", "no mail at postmaster and abuse"),
        ("mail list --mailbox help", "no mail at help"),
        (
            "stats",
            "nothing came in, of what is asked for, within that time",
        ),
        (
            "mailbox list --tenant other",
            "no mailboxes beside those that every served domain has",
        ),
        ("key list --tenant other", "no API keys of this tenant"),
        ("stream list --tenant other", "no streams"),
    ] {
        let (success, out, err) = here.run(&words(line)).await;
        assert!(success && out.is_empty(), "{line}: {out}");
        assert_eq!(err, format!("{said}\n"), "{line}");
        let (_, json, err) = here.run(&words(&format!("{line} --json"))).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["items"], err.as_str()), (&json!([]), ""), "{line}");
    }
    let out = here.prints(&["evidence", "nobody@example.com"]).await;
    assert!(
        out.ends_with("\nno events: nothing that came in is about this recipient\n"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens() {
    let here = Listening::start().await;
    let token = here
        .prints(&["token", "mint", "a@example.com", "--stream", "1"])
        .await;
    let token = token.strip_suffix('\n').unwrap();
    assert!(
        token.len() == 52 && token.bytes().all(|b| b.is_ascii_alphanumeric()),
        "{token}"
    );
    let out = here
        .prints(&["token", "inspect", token, "--address", "a@example.com"])
        .await;
    assert!(out.contains("stream name       newsletter"), "{out}");
    assert!(out.contains("for that address  true"), "{out}");
    assert!(!out.contains("--address"), "{out}");
    let out = here.prints(&["token", "inspect", token]).await;
    assert!(
        out.ends_with("address      no token holds it; --address ADDRESS says whether it was minted for that one\n"),
        "{out}"
    );
    let (valid, out, _) = here.run(&["token", "inspect", "nonsense"]).await;
    assert!(
        !valid && out.starts_with("not valid  this is no token"),
        "{out}"
    );
    for pasted in [
        format!("u-{token}"),
        format!("u-{}@fb.example.com", token.to_uppercase()),
        format!("https://u.example.com/u/{token}"),
    ] {
        let out = here.prints(&["token", "inspect", &pasted]).await;
        assert!(out.contains("newsletter"), "{out}");
    }
    let out = here
        .prints(&["token", "headers", "a@example.com", "--stream", "1"])
        .await;
    assert!(
        out.starts_with("MAIL FROM: <b-") && out.contains(&format!("X-Desist: {token}")),
        "{out}"
    );
    let (success, out, err) = here
        .run(&["token", "mint", "nobody", "--stream", "1"])
        .await;
    assert!(
        !success && out.is_empty() && err.contains("no address"),
        "{out}{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_keys() {
    let here = Listening::start().await;
    let line = "stream create --number 5 --name offers --class marketing";
    let out = here.prints(&line.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(row(&out), "created  5  offers  marketing  false  -");
    let line = "stream create --number 5 --name notices --class transactional --unsubscribe";
    here.prints(&line.split(' ').collect::<Vec<_>>()).await;
    let line = "stream create --number 5 --name digest --title Weekly";
    let out = here.prints(&line.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(row(&out), "updated  5  digest  transactional  true  Weekly");
    let line = "stream create --number 5 --name digest --unsubscribe=false";
    let out = here.prints(&line.split(' ').collect::<Vec<_>>()).await;
    assert_eq!(
        row(&out),
        "updated  5  digest  transactional  false  Weekly"
    );
    let out = here.prints(&["stream", "list"]).await;
    assert!(
        out.starts_with("NUMBER  NAME") && out.contains("5       digest"),
        "{out}"
    );
    let line = "key create --name campaigns --scope check,read";
    let key = here.prints(&line.split(' ').collect::<Vec<_>>()).await;
    let key = key.trim();
    let out = here
        .prints(&["check", "x@example.com", "--api-key", key])
        .await;
    assert_eq!(out, "x@example.com  allowed\n");
    let out = here.prints(&["key", "list"]).await;
    assert!(
        out.starts_with("PREFIX") && out.contains("check,read"),
        "{out}"
    );
    let out = here.prints(&["signing-key", "list"]).await;
    assert!(out.starts_with("SERIAL  STATE"), "{out}");
    let (success, _, err) = here.run(&["key", "list", "--api-key", key]).await;
    assert!(!success && err.contains("insufficient-scope"), "{err}");
}

/// The cells of the last line of a table of two, a header and one row.
fn row(table: &str) -> String {
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("RESULT "), "{table}");
    let cells = lines[1].split("  ").map(str::trim);
    let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
    cells.join("  ")
}

/// The words of a line; what stands in quotes is one.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants() {
    let here = Listening::start().await;
    let line = "tenant create --name shop --domain FB.shop.example --title 'Example Shop'";
    let out = here.prints(&words(line)).await;
    assert_eq!(
        row(&out),
        "created  3  shop  fb.shop.example  fb.shop.example  Example Shop"
    );
    let out = here
        .prints(&words(
            "tenant update shop --rename store --domain b.example",
        ))
        .await;
    assert_eq!(
        row(&out),
        "updated  3  store  b.example  b.example,fb.shop.example  Example Shop"
    );
    let out = here
        .prints(&words(
            "tenant update store --release fb.shop.example --title ''",
        ))
        .await;
    assert_eq!(row(&out), "updated  3  store  b.example  b.example  -");
    let out = here.prints(&words("tenant list")).await;
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("NUMBER  NAME"), "{out}");
    assert_eq!(lines.len(), 4, "{out}");
    let json = here.prints(&words("tenant list --json --limit 1")).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["items"][0]["name"], "default");
    // An update makes none.
    let (success, _, err) = here.run(&words("tenant update nobody --title x")).await;
    assert!(
        !success && err.contains("there is no tenant \"nobody\""),
        "{err}"
    );
    let (success, _, err) = here
        .run(&words("tenant create --name c --domain b.example"))
        .await;
    assert!(!success && err.contains("domain-taken, 409"), "{err}");
    let own = here.node.key(Some(2), &[KeyScope::Admin]).await;
    let create = ["tenant", "create", "--name", "c", "--api-key", &own];
    let (success, _, err) = here.run(&create).await;
    assert!(!success && err.contains("foreign-tenant, 403"), "{err}");
    let out = here.prints(&["tenant", "list", "--api-key", &own]).await;
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes() {
    let here = Listening::start().await;
    let line = "mailbox create --tenant other --address jmrp@fb.other.example --role complaint";
    let out = here.prints(&words(line)).await;
    assert_eq!(
        row(&out),
        "created  jmrp@fb.other.example  complaint  2  -  false"
    );
    let line = "mailbox create --tenant * --address yahoo@fb.example.com --role complaint";
    let out = here.prints(&words(line)).await;
    assert_eq!(
        row(&out),
        "created  yahoo@fb.example.com  complaint  -  -  false"
    );
    let line = "mailbox create --address leave@fb.example.com --role unsubscribe --stream 1";
    let out = here.prints(&words(line)).await;
    assert_eq!(
        row(&out),
        "created  leave@fb.example.com  unsubscribe  1  1  false"
    );
    let out = here.prints(&words("mailbox list")).await;
    assert!(
        out.starts_with("ADDRESS ") && out.lines().count() == 4,
        "{out}"
    );
    let out = here
        .prints(&words("mailbox list --tenant other --json"))
        .await;
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 1);
    let remove = "mailbox remove jmrp@fb.other.example";
    let (success, _, err) = here.run(&words(remove)).await;
    assert!(!success && err.contains("not-found, 404"), "{err}");
    let out = here
        .prints(&words(&format!("{remove} --tenant other")))
        .await;
    assert_eq!(
        row(&out),
        "removed  jmrp@fb.other.example  complaint  2  -  false"
    );
    assert_eq!(here.prints(&words("mailbox list --tenant other")).await, "");
    let line = "mailbox create --address a@nowhere.example --role human";
    let (success, _, err) = here.run(&words(line)).await;
    assert!(!success && err.contains("foreign-domain, 422"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_keys() {
    let here = Listening::start().await;
    let print = async |line: &str| here.prints(&words(line)).await;
    assert_eq!(
        row(&print("signing-key rotate").await),
        "created  2  active  1"
    );
    assert_eq!(
        row(&print("signing-key create --new-address-key").await),
        "created  3  active  2"
    );
    assert_eq!(
        row(&print("signing-key retire 2").await),
        "updated  2  retired  1"
    );
    let (success, _, err) = here.run(&words("signing-key revoke 3")).await;
    assert!(!success && err.contains("last-active-key, 409"), "{err}");
    assert_eq!(
        row(&print("signing-key revoke 3 --replace").await),
        "created  4  active  2"
    );
    assert_eq!(
        row(&print("signing-key activate 2").await),
        "updated  2  active  1"
    );
    let out = print("signing-key list").await;
    let rows: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [
            ["SERIAL", "STATE", "GENERATION"],
            ["1", "retired", "1"],
            ["2", "active", "1"],
            ["3", "revoked", "2"],
            ["4", "active", "2"],
        ]
    );
    let out = print("signing-key export").await;
    assert!(out.contains("serial       4\n"), "{out}");
    let out = print("signing-key rotate --json --tenant other").await;
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["signing_key"]["serial"], 2);
    let (success, _, err) = here.run(&words("signing-key retire 9")).await;
    assert!(!success && err.contains("not-found, 404"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_clearly() {
    let here = Listening::start().await;
    let (_, _, err) = here.run(&["check", "a@example.com", "--stream", "9"]).await;
    assert!(
        err.contains("unknown, do not send: the tenant has no stream 9 (unknown-stream, 422"),
        "{err}"
    );
    let (_, _, err) = here
        .run(&["check", "a@example.com", "--api-key", "wrong"])
        .await;
    assert!(err.contains("the API key is not valid"), "{err}");
    let other = here.node.key(Some(2), &[KeyScope::Check]).await;
    let (_, _, err) = here
        .run(&[
            "check",
            "a@example.com",
            "--api-key",
            &other,
            "--tenant",
            "default",
        ])
        .await;
    assert!(err.contains("belongs to another tenant"), "{err}");
    let closed = format!("http://{}/", here.address);
    let (success, _, err) = here
        .run(&["check", "a@example.com", "--url", &closed])
        .await;
    assert!(success, "a slash at the end does no harm: {err}");
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let (_, _, err) = here
        .run(&["check", "a@example.com", "--url", &nowhere])
        .await;
    assert!(err.contains("is the server running?"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let output = run(empty.path(), &["check", "a@example.com"]).await;
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && err.contains("desist serve"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_learn_the_answer_from_the_exit_code() {
    let here = Listening::start().await;
    here.prints(&["suppress", "gone@example.com"]).await;
    let mint = ["token", "mint", "a@example.com", "--stream", "1"];
    let token = here.prints(&mint).await;
    let token = token.trim();
    let wrong_key = ["check", "a@example.com", "--api-key", "wrong"];
    for (code, arguments) in [
        (0, &["check", "a@example.com", "b@example.com"][..]),
        (3, &["check", "a@example.com", "gone@example.com"]),
        (3, &["check", "gone@example.com", "--json"]),
        (1, &["check", "a@example.com", "nobody"]),
        (1, &["check", "gone@example.com", "nobody", "--json"]),
        (1, &wrong_key),
        (2, &["check"]),
        (0, &["token", "inspect", token]),
        (
            0,
            &["token", "inspect", token, "--address", "a@example.com"],
        ),
        (
            3,
            &["token", "inspect", token, "--address", "b@example.com"],
        ),
        (3, &["token", "inspect", "nonsense", "--json"]),
    ] {
        let output = run(here.data.path(), arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_decides_a_hold_says_which() {
    let empty = tempfile::tempdir().unwrap();
    let all = "<ID|--batch <BATCH>|--reporter <NAME>|--kind <KIND>|--because <REASON>|\
               --since <TIME>|--until <TIME>>";
    for (line, said) in [
        ("held dismiss", all),
        ("held approve --note x", all),
        ("held dismiss --dry-run --note x", all),
        ("held dismiss x --batch y", "cannot be used with"),
    ] {
        let output = run(empty.path(), &words(line)).await;
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {err}");
        assert!(err.contains(said), "{line}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_are_refused_by_the_name_of_their_option() {
    let empty = tempfile::tempdir().unwrap();
    for (line, option, why) in [
        (
            "list --scope everything",
            "--scope",
            "known are all, marketing",
        ),
        ("list --reason whim", "--reason", "known are complaint"),
        (
            "suppress a@example.com --scope x",
            "--scope",
            "unknown scope",
        ),
        (
            "lift a@example.com --note x --reason y",
            "--reason",
            "unknown reason",
        ),
        ("held approve x --scope y", "--scope", "unknown scope"),
        (
            "stream create --number 5 --name x --class y",
            "--class",
            "marketing, transactional",
        ),
        (
            "tenant create --name x --number 0",
            "--number",
            "0 is not in",
        ),
        (
            "mailbox create --address a@b.example --role postbox",
            "--role",
            "unknown role",
        ),
        (
            "key create --name x --scope check,y",
            "--scope",
            "check, read, write, admin",
        ),
        (
            "token mint a@example.com --stream newsletter",
            "--stream",
            "by its number",
        ),
        (
            "check a@example.com --stream newsletter",
            "--stream",
            "by its number",
        ),
    ] {
        let output = run(empty.path(), &line.split(' ').collect::<Vec<_>>()).await;
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {err}");
        assert!(err.contains(option) && err.contains(why), "{line}: {err}");
    }
    let line = "check a@example.com --url localhost:8080 --api-key x";
    let output = run(empty.path(), &line.split(' ').collect::<Vec<_>>()).await;
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        err.contains("has to begin with http:// or https://"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_of_every_tenant_and_of_none_are_reviewed() {
    let here = Listening::start().await;
    let of_none = held_complaint(&here.node, 1, None).await;
    let of_other = held_complaint(&here.node, 2, TenantId::new(2)).await;
    let ids = [of_none, of_other].map(|receipt| format!("{receipt}.0"));
    let out = here.prints(&["held", "list"]).await;
    assert!(out.starts_with("ID ") && out.lines().count() == 3, "{out}");
    assert!(ids.iter().all(|id| out.contains(id)), "{out}");
    let batch = out.lines().next().unwrap().ends_with("BATCH");
    assert!(batch, "{out}");
    let own = here.node.key(Some(2), &[KeyScope::Admin]).await;
    let out = here.prints(&["held", "list", "--api-key", &own]).await;
    assert!(!out.contains(&ids[0]) && out.contains(&ids[1]), "{out}");
    assert_eq!(
        here.prints(&["held", "list", "--tenant", "default"]).await,
        ""
    );
    let approve = ["held", "approve", &ids[0], "--address", "a@example.com"];
    let (success, _, err) = here.run(&approve).await;
    assert!(!success && err.contains("--tenant NAME"), "{err}");
    let out = here.prints(&["held", "dismiss", &ids[1]]).await;
    assert!(out.contains("dismissed"), "{out}");
    let named = [&approve[..], &["--tenant", "default"]].concat();
    assert!(here.prints(&named).await.contains("approved"));
    assert_eq!(here.prints(&["held", "list"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_are_decided_by_a_filter_in_one_command() {
    let here = Listening::start().await;
    held_complaint(&here.node, 1, None).await;
    held_complaint(&here.node, 2, TenantId::new(2)).await;
    let filter = ["--kind", "complaint", "--note", "not theirs"];
    let run = async |line: &[&str]| {
        let line = [line, &filter].concat();
        here.prints(&line).await
    };
    assert_eq!(
        run(&["held", "approve"]).await,
        "approved 0\n2 name nobody and are left: approve each by its id with --address, or \
         dismiss them\n"
    );
    assert_eq!(
        run(&["held", "dismiss", "--dry-run"]).await,
        "would dismiss 2\n"
    );
    assert_eq!(
        run(&["held", "dismiss", "--reporter", "nobody"]).await,
        "dismissed 0\n"
    );
    let told = run(&["held", "dismiss", "--tenant", "other", "--json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["decided"], &told["dry_run"]),
        (&1.into(), &false.into())
    );
    assert_eq!(run(&["held", "dismiss"]).await, "dismissed 1\n");
    assert_eq!(here.prints(&["held", "list"]).await, "");
    let (success, _, err) = here.run(&["held", "dismiss", "--kind", "complaint"]).await;
    assert!(!success && err.contains("note: 1 to"), "{err}");
    for wrong in [
        "held approve x --reporter y",
        "held dismiss",
        "held approve --batch b --kind complaint",
    ] {
        let line: Vec<&str> = wrong.split(' ').collect();
        let (success, _, err) = here.run(&line).await;
        assert!(!success && err.contains("Usage:"), "{wrong}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_by_what_they_say() {
    let here = Listening::start().await;
    let id = held_complaint(&here.node, 1, TenantId::new(1))
        .await
        .to_string();
    let events: Vec<Value> = (0..3)
        .map(|n| json!({"kind": "delivered", "address": format!("u{n}@one.example")}))
        .collect();
    here.node
        .post("/v1/events", &json!({"events": events}))
        .await;
    let out = here
        .prints(&[
            "events",
            "--kind",
            "complaint",
            "--proof",
            "none",
            "--reporter",
            "leak-loop",
        ])
        .await;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(
        lines[0].starts_with("AT ") && lines[0].ends_with("RECEIPT"),
        "{out}"
    );
    assert!(
        lines[1].contains(" none ") && lines[1].ends_with(&id),
        "{out}"
    );
    assert!(lines[2].starts_with("next: --after "), "{out}");
    let told = async |line: &[&str]| -> Value {
        let line = [&["events", "--json", "--proof", "operator"], line].concat();
        serde_json::from_str(&here.prints(&line).await).unwrap()
    };
    let first = told(&["--limit", "2"]).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let rest = told(&["--after", first["next"].as_str().unwrap()]).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "{rest}");
    let of_one = told(&["--recipient", "u1@one.example"]).await;
    assert_eq!(of_one["items"][0]["address"], "u1@one.example");
    let (success, _, err) = here.run(&["events", "--proof", "certain"]).await;
    assert!(
        !success && err.contains("token, authenticated, operator, none"),
        "{err}"
    );
    let (success, _, err) = here.run(&["events", "--reporter", "a@example.com"]).await;
    assert!(!success && err.contains("name of a program"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_printed_with_bars_as_json_and_as_csv() {
    let here = Listening::start().await;
    assert_eq!(here.prints(&["stats"]).await, "");
    let mut events: Vec<Value> = (0..40)
        .map(|n| json!({"kind": "delivered", "address": format!("u{n}@one.example")}))
        .collect();
    for (address, status) in [("a@one.example", "5.1.1"), ("b@two.example", "5.7.1")] {
        events.push(json!({"kind": "bounce", "address": address, "status": status}));
    }
    here.node
        .post("/v1/events", &json!({"events": events}))
        .await;
    let out = here
        .prints(&["stats", "--by", "provider", "--plot", "delivered"])
        .await;
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let full = "\u{2588}".repeat(30);
    assert_eq!(
        lines,
        [
            vec![
                "PROVIDER",
                "DELIVERED",
                "COMPLAINTS",
                "RATE",
                "UNMATCHED",
                "UNSUBSCRIBES",
                "BOUNCES",
                "HELD",
                "delivered"
            ],
            vec![
                "one.example",
                "40",
                "0",
                "0.000",
                "%",
                "0",
                "0",
                "1",
                "0",
                &full
            ],
            vec!["two.example", "0", "0", "-", "0", "0", "1", "0"],
        ]
    );
    sums_for_programs(&here).await;
}

async fn sums_for_programs(here: &Listening) {
    let json = here.prints(&["stats", "--by", "total", "--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["items"][0]["bounces"], 2);
    let csv = here
        .prints(&[
            "stats",
            "--by",
            "provider",
            "--provider",
            "two.example",
            "--csv",
        ])
        .await;
    assert_eq!(csv.lines().count(), 2);
    assert!(
        csv.lines()
            .nth(1)
            .unwrap()
            .starts_with("two.example,0,0,,0,1,0,"),
        "{csv}"
    );
    let (failed, _, err) = here.run(&["stats", "--by", "weather"]).await;
    assert!(
        !failed && err.contains("unknown dimension \"weather\""),
        "{err}"
    );
}

// Options stand where they stand: behind the text too.
#[tokio::test(flavor = "multi_thread")]
async fn an_option_behind_the_text_is_no_text() {
    let here = Listening::start().await;
    let out = here
        .prints(&["explain", "550 5.1.1 gone", "--lang", "ja", "--json"])
        .await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["text"], "550 5.1.1 gone");
    assert!(!told["meaning"].as_str().unwrap().is_ascii());
}
