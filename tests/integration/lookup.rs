//! A real Postfix asks a real server, as the recipe says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{Engine, Place, Running, Smtp};

const RECIPE: &str = include_str!("../../docs/recipes/postfix.md");

/// A server that mail servers may ask, for which bob gets nothing and news no newsletter.
fn server() -> (Running, SocketAddr) {
    let place = Place::new(Engine::Sqlite).unwrap();
    let settings = block("toml", "[lookup]").replace(":8026", ":0");
    let mut running = place.config(&settings).start();
    let lookup = running.listening("lookup");
    let item = |address: &str, scope: &str| json!({"address": address, "scope": scope, "reason": "manual", "note": "asked"});
    let items = [
        item("bob@example.net", "all"),
        item("news@example.net", "stream:1"),
    ];
    let (status, answer) = running.post("/v1/suppressions", &json!({"suppressions": items}));
    assert_eq!(
        (status, &answer["indexed"]),
        (200, &json!(true)),
        "{answer}"
    );
    (running, lookup)
}

/// What the recipe shows of that kind with that word in it.
fn block(kind: &str, word: &str) -> &'static str {
    let mut blocks = RECIPE.split("```").skip(1).step_by(2);
    let block = blocks.find(|block| block.starts_with(kind) && block.contains(word));
    let block = block.and_then(|block| block.strip_prefix(kind));
    let block = block.unwrap_or_else(|| panic!("the recipe shows no {kind} with {word}"));
    assert!(block.contains("127.0.0.1:8026"), "{block}");
    block
}

/// The settings of Postfix that the recipe shows with that word in them, for this server.
fn recipe(word: &str, lookup: SocketAddr) -> String {
    block("cf", word).replace("127.0.0.1:8026", &lookup.to_string())
}

/// Looks up one key in a table, as Postfix does.
fn postmap(table: &str, key: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").unwrap();
    Command::new("postmap")
        .arg("-c")
        .arg(folder.path())
        .args(["-q", key, table])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .expect("Postfix is installed (scripts/test installs it)")
}

#[test]
fn postmap_gets_the_answers() {
    let (running, lookup) = server();
    let table = |list: &str| format!("socketmap:inet:{lookup}:{list}");
    let found = |list: &str, key: &str| {
        let output = postmap(&table(list), key);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let (status, text) = found("1", "bob@example.net");
    assert_eq!(status, Some(0));
    assert!(
        text.starts_with("550 5.7.1 not to be mailed: manual, all, since 20"),
        "{text}"
    );
    assert_eq!(found("any", "news@example.net").0, Some(0));
    assert_eq!(found("1", "carol@example.net"), (Some(1), String::new()));
    // What cannot be answered is no "not found".
    let unknown = postmap(&table("7"), "carol@example.net");
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("no such list"), "{said}");
    let place = running.kill();
    let gone = postmap(&table("1"), "carol@example.net");
    let said = String::from_utf8(gone.stderr).unwrap();
    assert!(said.contains("query error"), "{said}");
    drop(place);
}

/// A Postfix with the recipe's settings, which takes root; ended with this.
struct Postfix {
    folder: tempfile::TempDir,
    at: SocketAddr,
}

impl Postfix {
    fn start(settings: &str) -> Self {
        // Its processes change to another user and read here.
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let here = folder.path().display();
        let shell = format!(
            "set -e; chmod 755 {here}; mkdir {here}/conf {here}/queue {here}/data; \
             chown postfix {here}/data"
        );
        assert!(
            Command::new("sh")
                .args(["-ec", &shell])
                .status()
                .unwrap()
                .success()
        );
        // Nobody takes the port between this and Postfix's start but by chance.
        let at = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {here}/queue\n\
             data_directory = {here}/data\ncommand_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n\
             setgid_group = postdrop\nmyhostname = mta.example.com\nmydestination =\n\
             mynetworks = 127.0.0.0/8\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             default_transport = discard\nalias_maps =\nlocal_recipient_maps =\n\
             smtpd_peername_lookup = no\nmaillog_file_prefixes = {here}\n\
             maillog_file = {here}/log\n{settings}"
        );
        let master = format!(
            "{at} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\n\
             qmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\n\
             discard unix - - n - - discard\nanvil unix - - n - 1 anvil\n\
             postlog unix-dgram n - n - 1 postlogd\n"
        );
        for (name, text) in [("main.cf", main), ("master.cf", master)] {
            std::fs::write(folder.path().join("conf").join(name), text).unwrap();
        }
        let postfix = Self { folder, at };
        assert!(postfix.command("start").success(), "{}", postfix.log());
        postfix
    }

    fn command(&self, command: &str) -> std::process::ExitStatus {
        Command::new("postfix")
            .arg("-c")
            .arg(self.folder.path().join("conf"))
            .arg(command)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("Postfix is installed (scripts/test installs it)")
            .status
    }

    fn log(&self) -> String {
        let file: PathBuf = self.folder.path().join("log");
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// The answers to these recipients, in one transaction.
    fn recipients(&self, recipients: &[&str]) -> Vec<String> {
        let mut smtp = Smtp::connect(self.at);
        assert!(smtp.reply().starts_with("220 "), "{}", self.log());
        assert!(smtp.ask("EHLO app.example.com").starts_with("250"));
        assert!(smtp.ask("MAIL FROM:<b@fb.example.com>").starts_with("250"));
        let replies = recipients
            .iter()
            .map(|to| smtp.ask(&format!("RCPT TO:<{to}>")));
        replies.collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.command("stop");
    }
}

#[test]
fn postfix_refuses_who_is_suppressed_and_defers_without_a_server() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: Postfix (needs root)");
        return;
    }
    for word in ["socketmap", "policy_context=1 }", "default_action=DUNNO"] {
        let (running, lookup) = server();
        let postfix = Postfix::start(&recipe(word, lookup));
        let replies =
            postfix.recipients(&["bob@example.net", "carol@example.net", "news@example.net"]);
        let [bob, carol, news] = &replies[..] else {
            unreachable!()
        };
        for (reply, scope) in [(bob, "all"), (news, "stream:1")] {
            assert!(
                reply.starts_with("550 5.7.1 "),
                "{word}: {reply}\n{}",
                postfix.log()
            );
            assert!(
                reply.contains(&format!("not to be mailed: manual, {scope}, since 20")),
                "{reply}"
            );
        }
        assert!(
            carol.starts_with("250 "),
            "{word}: {carol}\n{}",
            postfix.log()
        );
        let place = running.kill();
        let [reply] = &postfix.recipients(&["carol@example.net"])[..] else {
            unreachable!()
        };
        let passes = word.contains("DUNNO");
        let expected = if passes { "250 " } else { "451 4.3." };
        assert!(
            reply.starts_with(expected),
            "{word}: {reply}\n{}",
            postfix.log()
        );
        drop(place);
    }
}

/// What Haraka gives a plugin, and what the plugin did with each address: the code and the text.
const HARAKA: &str = r"
global.DENY = 'DENY'; global.DENYSOFT = 'DENYSOFT';
const [file, ini, ...addresses] = process.argv.slice(1);
const plugin = require(file);
plugin.config = { get: () => ({ main: JSON.parse(ini) }) };
const hooks = [];
plugin.register_hook = (hook, method) => hooks.push([hook, method]);
plugin.register();
const connection = { logerror: () => {} };
const run = ([hook, method], recipient) => new Promise((done) => plugin[method](
  (...said) => done(said), connection, hook === 'rcpt' ? [recipient] : recipient));
(async () => {
  for (const address of addresses) {
    const recipient = { address: address.length % 2 ? address : () => address };
    for (const hook of hooks) console.log(JSON.stringify([hook[0], address, ...await run(hook, recipient)]));
  }
})();
";

fn haraka(lookup: SocketAddr, pass: bool, addresses: &[&str]) -> Vec<serde_json::Value> {
    let ini =
        json!({"host": "127.0.0.1", "port": lookup.port().to_string(), "list": "1", "pass": pass});
    let output = Command::new("node")
        .args(["-e", HARAKA])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/haraka/desist.js"
        ))
        .arg(ini.to_string())
        .args(addresses)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[test]
fn the_plugin_for_haraka_refuses_who_is_suppressed_and_defers_without_a_server() {
    if Command::new("node").arg("--version").output().is_err() {
        // scripts/test says so.
        println!("not run: the plugin for Haraka (no `node`)");
        return;
    }
    let (running, lookup) = server();
    let asked = ["alice@example.net", "BOB@example.net", "alice@exa mple"];
    let told = haraka(lookup, false, &asked);
    let said: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|line| {
            let text = |at: usize| line[at].as_str().unwrap_or_default();
            (text(0), text(2), text(3))
        })
        .collect();
    assert_eq!(said.len(), 6, "{told:?}");
    assert_eq!(said[0], ("rcpt", "", ""));
    assert_eq!((said[2].0, said[2].1), ("rcpt", "DENY"));
    assert!(
        said[2].2.starts_with("not to be mailed: manual all "),
        "{told:?}"
    );
    assert_eq!(said[4].1, "DENY", "{told:?}");
    // Once a recipient.
    assert!(
        [1, 3, 5]
            .iter()
            .all(|at: &usize| said[*at] == ("rcpt_ok", "", "")),
        "{told:?}"
    );
    // A question is one line, whatever the address.
    let forged = haraka(lookup, false, &["alice@example.net\ncheck 1 x@example.net"]);
    assert_eq!(forged[0][2], "DENY", "{forged:?}");

    running.terminate();
    drop(running.ended());
    let told = haraka(lookup, false, &["alice@example.net"]);
    assert_eq!(told[0][2], "DENYSOFT", "{told:?}");
    let told = haraka(lookup, true, &["alice@example.net"]);
    assert_eq!(told[0].as_array().unwrap().len(), 2, "{told:?}");
}
