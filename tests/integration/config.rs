//! The settings: the file, the environment over it, the manual, and every mistake at once.
#![expect(clippy::unwrap_in_result, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use desist::config::{Config, LogFormat, Size, TlsMode, example};
use desist::model::mailbox::Role;
use desist::model::stream::Class;
use desist::store::Addresses;

/// Loads a file of that text, with that environment.
fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    load_in(folder.path(), text, environment)
}

/// The mistakes lose the folder's name, which is another in each run.
fn load_in(folder: &Path, text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let file = folder.join("desist.toml");
    fs::write(&file, text).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&file), environment).map_err(|errors| {
        let short = format!("{}/", folder.display());
        errors
            .0
            .iter()
            .map(|mistake| mistake.to_string().replace(&short, ""))
            .collect()
    })
}

fn mistakes(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    load(text, environment).unwrap_err()
}

#[test]
fn without_a_file_the_promised_defaults_hold() {
    let config = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("data"));
    assert_eq!(config.domains(), ["localhost"]);
    assert_eq!(config.hostname(), "localhost");
    assert_eq!(config.smtp.listen, ["127.0.0.1:2525".parse().unwrap()]);
    assert_eq!(config.public.listen, ["127.0.0.1:8443".parse().unwrap()]);
    assert_eq!(config.public.tls, TlsMode::SelfMade);
    assert_eq!(config.api.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.store_config().url, "sqlite:data/desist.db");
    assert_eq!(config.store_config().addresses, Addresses::Keep);
    assert_eq!(config.journal_config().disk_floor, 1 << 30);
    assert_eq!(config.journal_config().keep, Duration::ZERO);
}

#[test]
fn without_a_file_there_is_one_tenant_with_one_stream() {
    let config = Config::load(None, std::iter::empty()).unwrap();
    assert!(!config.policy.raise_other_complaints);
    assert!(config.mailboxes().is_empty());
    assert!(config.warnings().is_empty());
    assert_eq!(config.log.format, LogFormat::Text);
    let tenants = config.tenants();
    assert_eq!(
        (tenants[0].id.get(), tenants[0].name.as_str(), tenants.len()),
        (1, "default", 1)
    );
    let streams = config.streams();
    assert_eq!(
        (streams[0].number, streams[0].name.as_str(), streams.len()),
        (1, "default", 1)
    );
    assert_eq!(streams[0].class, Class::Marketing);
}

#[test]
fn limits_have_the_promised_defaults() {
    let limits = Config::load(None, std::iter::empty()).unwrap().limits;
    assert_eq!(limits.message, Size::from_mib(50));
    assert_eq!(limits.report, Size::from_mib(25));
    assert_eq!(limits.message_memory, Size::from_mib(256));
    assert_eq!(limits.message_memory_share, 8);
    assert_eq!(limits.command_line.bytes(), 4096);
    assert_eq!(
        (limits.recipients, limits.sessions, limits.sessions_per_ip),
        (1000, 1000, 100)
    );
    assert_eq!(limits.errors, 20);
}

#[test]
fn limits_of_time_and_content_have_the_promised_defaults() {
    let limits = Config::load(None, std::iter::empty()).unwrap().limits;
    assert_eq!(limits.idle, Duration::from_mins(5));
    assert_eq!(limits.data_inactivity, Duration::from_mins(3));
    assert_eq!(limits.transaction, Duration::from_mins(30));
    assert_eq!(
        (limits.handshakes, limits.handshake),
        (200, Duration::from_secs(30))
    );
    assert_eq!((limits.mime_depth, limits.mime_parts), (20, 1000));
    assert_eq!(limits.one_click_body, Size::from_kib(8));
    assert_eq!(limits.one_click_memory, Size::from_mib(64));
    assert_eq!(limits.api_body, Size::from_mib(64));
    assert_eq!(limits.api_memory, Size::from_mib(256));
    assert_eq!(limits.token_receipts_per_hour.limit(), Some(100));
}

#[test]
fn a_whole_file_is_read() {
    let config = load(
        r#"
data_dir = "/var/lib/desist"
[smtp]
listen = ["192.0.2.1:25", "[2001:db8::1]:25"]
hostname = "MX.Example.COM"
domains = ["FB.Example.com", "fb.bücher.example"]
[public]
listen = "127.0.0.1:0"
url = "https://u.example.com/"
tls = "off"
[store]
url = "postgres://desist:secret@db/desist"
addresses = "forget"
[journal]
keep = "20 min"
[limits]
message = "60 MiB"
token_receipts_per_hour = 0
[[tenant]]
name = "shop"
number = 7
domain = "fb.xn--bcher-kva.example"
[[tenant.stream]]
number = 3
name = "receipts"
class = "transactional"
unsubscribe = true
[[tenant.stream]]
number = 4
name = "news"
[[mailbox]]
address = "Loop@FB.example.com"
role = "complaint"
tenant = "shop"
stream = 4
"#,
        &[],
    )
    .unwrap();
    assert_eq!(
        config.domains(),
        ["fb.example.com", "fb.xn--bcher-kva.example"]
    );
    assert_eq!(config.hostname(), "mx.example.com");
    assert_eq!(config.smtp.listen[1], "[2001:db8::1]:25".parse().unwrap());
    assert_eq!(config.public.listen[0].port(), 0);
    assert_eq!(
        config.public_url("127.0.0.1:1234".parse().unwrap()),
        "https://u.example.com"
    );
    assert_eq!(config.store_config().addresses, Addresses::Forget);
    assert_eq!(config.journal_config().keep, Duration::from_mins(20));
    assert_eq!(config.limits.message, Size::from_mib(60));
    assert_eq!(config.limits.token_receipts_per_hour.limit(), None);
    assert_eq!(
        config.tenants()[0].domain.as_deref(),
        Some("fb.xn--bcher-kva.example")
    );
    assert_eq!(config.streams().len(), 2);
    assert!(config.streams()[0].unsubscribe);
    let mailbox = &config.mailboxes()[0];
    assert_eq!(
        (mailbox.address.as_str(), mailbox.role),
        ("loop@fb.example.com", Role::Complaint)
    );
    assert_eq!(
        (mailbox.tenant.unwrap().get(), mailbox.stream),
        (7, Some(4))
    );
}

#[test]
fn links_name_the_port_that_was_bound() {
    let url = |text: &str, bound: &str| load(text, &[]).unwrap().public_url(bound.parse().unwrap());
    assert_eq!(url("", "127.0.0.1:8443"), "https://localhost:8443");
    assert_eq!(
        url("smtp.domains = 'fb.example.com'", "0.0.0.0:443"),
        "https://fb.example.com"
    );
    assert_eq!(
        url("public.tls = 'off'", "127.0.0.1:81"),
        "http://localhost:81"
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load(
        "[smtp]\nlisten = '192.0.2.1:25'\n[limits]\nerrors = 3\n",
        &[
            ("DESIST_DATA_DIR", "/srv/desist"),
            ("DESIST_SMTP__LISTEN", "127.0.0.1:0, *:25"),
            ("DESIST_LIMITS__ERRORS", "9"),
            ("DESIST_LIMITS__IDLE", "90 s"),
            ("DESIST_POLICY__RAISE_OTHER_COMPLAINTS", "true"),
            ("DESIST_LOG__FORMAT", "json"),
            // Nothing given is nothing said.
            ("DESIST_STORE__URL", ""),
            // Made by the surroundings, or meant for the command line.
            ("DESIST_PORT", "tcp://10.0.0.1:25"),
            ("OTHER_SMTP__LISTEN", "nonsense"),
        ],
    )
    .unwrap();
    assert_eq!(config.data_dir, PathBuf::from("/srv/desist"));
    assert_eq!(
        config.smtp.listen,
        ["127.0.0.1:0".parse().unwrap(), "[::]:25".parse().unwrap()]
    );
    assert_eq!(config.limits.errors, 9);
    assert_eq!(config.limits.idle, Duration::from_secs(90));
    assert!(config.policy.raise_other_complaints);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn all_mistakes_are_found_at_once_each_with_key_and_place() {
    let found = mistakes(
        "data_dri = 'x'\n\
         [smtp]\n\
         listne = '127.0.0.1:25'\n\
         listen = 'mx.example.com:25'\n\
         domains = []\n\
         [limits]\n\
         idle = 300\n\
         errors = 0\n\
         [pubic]\n\
         [[tenant]]\n\
         number = 16777216\n",
        &[
            ("DESIST_LOG__LEVEL", "loud=="),
            ("DESIST_SMPT__LISTEN", "127.0.0.1:25"),
        ],
    );
    let begins = [
        "desist.toml:1: data_dri: unknown key; known here are data_dir, smtp, public,",
        "desist.toml:3: smtp.listne: unknown key; known here are listen, hostname,",
        "desist.toml:4: smtp.listen: \"mx.example.com:25\" is not IP:PORT",
        "desist.toml:5: smtp.domains: wants at least one",
        "desist.toml:7: limits.idle: wants its unit too",
        "desist.toml:8: limits.errors: wants a whole number from 1",
        "desist.toml:9: pubic: unknown key",
        "desist.toml:10: tenant[0].name: is missing",
        "desist.toml:11: tenant[0].number: a tenant's number is from 1 to 16777215",
        "DESIST_LOG__LEVEL: log.level: \"loud==\" is not",
        "DESIST_SMPT__LISTEN: smpt: unknown key",
    ];
    assert_eq!(found.len(), begins.len(), "{found:#?}");
    for (found, begin) in found.iter().zip(begins) {
        assert!(
            found.starts_with(begin),
            "{found}\nshould begin with\n{begin}"
        );
    }
}

#[test]
fn what_is_left_open_is_one_mistake_and_not_all_that_follows() {
    let text = "[smtp]\ndomains = [\"fb.example.com\"\nhostname = \"fb.example.com\"\n\n\
        [public]\nlisten = [\"127.0.0.1:0\"]\nurl = 7\n";
    assert_eq!(
        mistakes(text, &[]),
        [
            "desist.toml:3: missing comma between array elements, expected `,`",
            "desist.toml:7: unclosed array, expected `]`",
        ]
    );
}

#[test]
fn a_table_s_name_that_is_left_open_hides_no_other_mistake() {
    let text = "[smtp\nhostname = 7\n\n[public]\nport = 1\n";
    let found = mistakes(text, &[]);
    assert_eq!(found[0], "desist.toml:1: unclosed table, expected `]`");
    assert!(found.len() > 1, "{found:?}");
}

#[test]
fn rules_between_settings_are_checked() {
    let cases = [
        (
            "public.tls = 'files'",
            "desist.toml:1: public.tls: \"files\" needs",
        ),
        (
            "public.url = 'http://u.example.com'",
            "desist.toml:1: public.url: begins with http:",
        ),
        (
            "public.url = 'https://u.example.com/x'",
            "desist.toml:1: public.url: \"https",
        ),
        (
            "limits.report = '51 MiB'",
            "desist.toml:1: limits.report: is above",
        ),
        (
            "limits.message = '300 MiB'",
            "default: journal.queue_bytes: is below",
        ),
        (
            "limits.api_memory = '1 MiB'",
            "desist.toml:1: limits.api_memory: is below",
        ),
        (
            "limits.mime_depth = 101",
            "desist.toml:1: limits.mime_depth: is above 100",
        ),
        (
            "limits.command_line = '511 B'",
            "desist.toml:1: limits.command_line: must be",
        ),
        (
            "limits.recipients = 99",
            "desist.toml:1: limits.recipients: must be",
        ),
        (
            "smtp.domains = ['a.example', 'A.example.']",
            "desist.toml:1: smtp.domains: names",
        ),
        (
            "smtp.domains = 'a@b.example'",
            "desist.toml:1: smtp.domains: \"a@b.example\" is not",
        ),
        (
            "smtp.tls_cert = '/nonexistent'",
            "desist.toml:1: smtp.tls_cert: /nonexistent: No such",
        ),
        (
            "smtp = 5",
            "desist.toml:1: smtp: is a section, written [smtp]",
        ),
        ("tenant = 5", "desist.toml:1: tenant: is a list of tables"),
    ];
    each_is_found(&cases);
}

#[test]
fn rules_between_entries_are_checked() {
    let cases = [
        (
            "[[mailbox]]\naddress = 'a@b.example'\nrole = 'human'\n\
             [[tenant]]\nname = 'a'\nnumber = 1\ndomain = 'c.example'\n\
             [[mailbox]]\naddress = 'a@c.example'\nrole = 'human'",
            "desist.toml:2: mailbox[0].address: its",
        ),
        (
            "[[mailbox]]\naddress = 'a@localhost'\nrole = 'x'",
            "desist.toml:3: mailbox[0].role: unknown",
        ),
        (
            "[[mailbox]]\naddress = 'a@localhost'\nrole = 'human'\ntenant = 'x'",
            "desist.toml:4: mailbox[0].tenant: no [[tenant]]",
        ),
        (
            "[[tenant]]\nname = 'a'\nnumber = 1\ndomain = 'x.example'\n\
             [[tenant]]\nname = 'b'\nnumber = 2\ndomain = 'X.example.'",
            "desist.toml:8: tenant[1].domain: is another tenant's too",
        ),
        (
            "[[tenant]]\nname = 'a'\nnumber = 1\n[[tenant]]\nname = 'b'\nnumber = 1",
            "desist.toml:6: tenant[1].number: is another tenant's too",
        ),
        (
            "tenant = [{name = 'a', number = 1, stream = [{number = 1, name = 'x'}, {number = 2, name = 'x'}]}]",
            "desist.toml:1: tenant[0].stream[1].name: is another stream's too",
        ),
        ("log.level = ''", "desist.toml:1: log.level:"),
        ("[smtp\nlisten = 3", "desist.toml:1: "),
    ];
    each_is_found(&cases);
}

fn each_is_found(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        let found = mistakes(text, &[]);
        assert!(
            found.iter().any(|found| found.starts_with(wanted)),
            "{text}: {found:#?}"
        );
    }
}

#[test]
fn a_variable_that_means_a_list_of_tables_is_a_mistake() {
    let found = mistakes(
        "[[tenant]]\nname = 'a'\nnumber = 1",
        &[("DESIST_TENANT__NAME", "b")],
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("DESIST_TENANT__NAME: tenant: is a list of tables"),
        "{found:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake() {
    let missing = Config::load(
        Some(Path::new("/nonexistent/desist.toml")),
        std::iter::empty(),
    );
    let text = missing.unwrap_err().to_string();
    assert!(
        text.contains("/nonexistent/desist.toml: cannot be read: No such file"),
        "{text}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desist.toml");
    fs::write(&file, b"data_dir = '\xff'").unwrap();
    let text = Config::load(Some(&file), std::iter::empty())
        .unwrap_err()
        .to_string();
    assert!(text.contains("is not UTF-8"), "{text}");
}

#[test]
fn secrets_come_from_files_and_are_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (seal, url) = (folder.path().join("seal"), folder.path().join("url"));
    let text = format!("[store]\nseal_key_file = {seal:?}\nurl_file = {url:?}\n");
    fs::write(&url, "postgres://desist:hunter2@db.example.com/desist\n").unwrap();
    for (content, key) in [
        (vec![0xab; 32], [0xab; 32]),
        (format!("{}\n", "cd".repeat(32)).into_bytes(), [0xcd; 32]),
        ("EF".repeat(32).into_bytes(), [0xef; 32]),
    ] {
        fs::write(&seal, content).unwrap();
        let config = load_in(folder.path(), &text, &[]).unwrap();
        assert_eq!(config.store_config().seal_key.unwrap().expose(), &key);
        assert_eq!(
            config.store_config().url,
            "postgres://desist:hunter2@db.example.com/desist"
        );
        assert_eq!(config.journal_config().keep, Duration::from_mins(15));
        let printed = format!("{config:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(
            !printed.contains("171, 171") && !printed.contains("abab"),
            "{printed}"
        );
    }
    fs::write(&seal, [7; 31]).unwrap();
    let found = load_in(folder.path(), &text, &[]).unwrap_err();
    assert_eq!(
        found,
        [
            "desist.toml:2: store.seal_key_file: seal holds neither 32 bytes nor 64 hexadecimal digits"
        ]
    );
}

#[test]
fn a_wrong_store_url_is_not_repeated() {
    for (text, environment) in [
        ("store.url = 'mysql://desist:hunter2@db/desist'", None),
        (
            "",
            Some(("DESIST_STORE__URL", "mysql://desist:hunter2@db/desist")),
        ),
    ] {
        let found = mistakes(text, environment.as_slice());
        assert!(
            found.len() == 1 && found[0].contains("store.url: wants sqlite:PATH"),
            "{found:?}"
        );
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
}

#[test]
fn files_with_secrets_that_others_can_read_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let seal = folder.path().join("seal");
    fs::write(&seal, [7; 32]).unwrap();
    let text = format!("store.seal_key_file = {seal:?}");
    for (mode, warnings) in [(0o600, 0), (0o640, 1), (0o604, 1)] {
        fs::set_permissions(&seal, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            load_in(folder.path(), &text, &[]).unwrap().warnings().len(),
            warnings,
            "{mode:o}"
        );
    }
    assert_eq!(
        load("api.listen = '*:8080'", &[]).unwrap().warnings().len(),
        1
    );
}

#[test]
fn the_example_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/example.toml");
    let kept = fs::read_to_string(path).unwrap();
    assert_eq!(
        kept,
        example(),
        "write `desist config example` into config/example.toml"
    );
}

#[test]
fn the_example_changes_nothing() {
    let config = load(&example(), &[]).unwrap();
    let defaults = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(format!("{config:?}"), format!("{defaults:?}"));
}

/// What the manual says must be true: with every `#` before a key taken away, the file is valid, and
/// the defaults are still the defaults.
#[test]
fn every_line_of_the_example_is_valid() {
    let elsewhere = [
        "tls_cert",
        "tls_key",
        "seal_key_file",
        "url_file",
        "eab_key",
        "bounce_rules_file",
        "templates",
        "headers_file",
        "ca_file",
        // Not every program takes it.
        if cfg!(feature = "otel") {
            "-"
        } else {
            "endpoint"
        },
    ];
    let uncommented: Vec<String> = example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest)
                if !rest.starts_with(' ') && !elsewhere.iter().any(|key| rest.starts_with(key)) =>
            {
                rest.to_owned()
            }
            _ => line.to_owned(),
        })
        .collect();
    let text = uncommented
        .join("\n")
        .replace("\"fb.example.com\"", "\"localhost\"");
    let config = load(&text, &[]).unwrap();
    let defaults = Config::load(None, std::iter::empty()).unwrap();
    assert_eq!(
        format!("{:?}", config.limits),
        format!("{:?}", defaults.limits)
    );
    assert_eq!(
        format!("{:?}", config.journal),
        format!("{:?}", defaults.journal)
    );
    assert_eq!(
        (
            config.tenants().len(),
            config.streams().len(),
            config.mailboxes().len()
        ),
        (1, 1, 1)
    );
    for line in example().lines() {
        assert!(line.len() <= 100, "too long a line: {line}");
    }
}

/// What the command prints on standard output, and whether it says that all is well.
fn command(arguments: &[&str]) -> (String, bool) {
    let program = env!("CARGO_BIN_EXE_desist");
    let output = Command::new(program)
        .arg("config")
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.success(),
    )
}

#[test]
fn the_command_prints_and_checks() {
    assert_eq!(command(&["example"]), (example(), true));
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (
        folder.path().join("good.toml"),
        folder.path().join("bad.toml"),
    );
    fs::write(&good, "[smtp]\n").unwrap();
    fs::write(&bad, "[smtpd]\n").unwrap();
    assert_eq!(
        command(&["check", good.to_str().unwrap()]),
        ("ok\n".to_owned(), true)
    );
    for arguments in [
        ["check", bad.to_str().unwrap()].as_slice(),
        &["check", "--config", bad.to_str().unwrap()],
    ] {
        let (text, ok) = command(arguments);
        assert!(text.starts_with("1 mistake in the settings:\n"), "{text}");
        assert!(
            text.contains("bad.toml:1: smtpd: unknown key") && !ok,
            "{text}"
        );
    }
}

#[cfg(feature = "acme")]
#[test]
fn what_an_authority_would_refuse_is_refused_before() {
    let terms = "acme.terms_agreed: must be true: read the terms of service of your certificate authority first";
    let found = mistakes(
        "[public]\ntls = \"acme\"\n[acme]\neab_key_id = \"kid\"\n",
        &[],
    );
    let expected = [
        "default: acme.names: \"localhost\" is no name that an authority certifies".to_owned(),
        format!("default: {terms}"),
        "desist.toml:4: acme.eab_key_id: needs eab_key_file beside it".to_owned(),
    ];
    assert_eq!(found, expected);
    let text = "[smtp]\ndomains = [\"fb.example.com\"]\n[public]\ntls = \"acme\"\n\
         url = \"https://192.0.2.1\"\n[acme]\nterms_agreed = true\n\
         directory = \"http://ca.example.com/directory\"\nca_file = \"nowhere.pem\"\n";
    let found = mistakes(text, &[]);
    let wanted = "acme.directory: \"http://ca.example.com/directory\" is not a URL";
    assert!(found.iter().any(|one| one.contains(wanted)), "{found:?}");
    let address = text.replace("http:", "https:");
    let found = mistakes(&address, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].contains("acme.names: \"192.0.2.1\" is no name"),
        "{found:?}"
    );
    assert!(found[1].contains("acme.ca_file"), "{found:?}");
    let names = (0..101)
        .map(|n| format!("\"n{n}.example.com\""))
        .collect::<Vec<_>>()
        .join(", ");
    let many =
        format!("[public]\ntls = \"acme\"\n[acme]\nterms_agreed = true\nnames = [{names}]\n");
    let found = mistakes(&many, &[]);
    assert!(found[0].contains("are 101 names"), "{found:?}");
}

#[cfg(feature = "acme")]
#[test]
fn the_names_of_a_certificate_are_those_that_the_doors_answer_for() {
    let text = "[smtp]\nhostname = \"MX.example.com\"\ndomains = [\"fb.example.com\"]\n\
         [public]\ntls = \"acme\"\nurl = \"https://u.example.com:8443\"\nmta_sts = \"testing\"\n\
         [acme]\nterms_agreed = true\n\
         [[tenant]]\nname = \"shop\"\nnumber = 2\ndomain = \"fb.example.org\"\n";
    let names = load(text, &[]).unwrap().acme_names();
    let expected = [
        "mx.example.com",
        "u.example.com",
        "mta-sts.fb.example.com",
        "mta-sts.fb.example.org",
    ];
    assert_eq!(names, expected);
    let one = load(
        text,
        &[("DESIST_ACME__NAMES", "u.example.com,U.example.com")],
    )
    .unwrap();
    assert_eq!(one.acme_names(), ["u.example.com"]);
}

#[cfg(feature = "otel")]
#[test]
fn what_no_collector_could_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let headers = folder.path().join("headers");
    fs::write(&headers, "X-Key: open-sesame\nnot a header\n").unwrap();
    let text = format!(
        "[traces]\nendpoint = \"http://127.0.0.1:4318/v1/traces\"\nsample = 1.5\n\
         headers_file = \"{}\"\nca_file = \"/nowhere\"\nqueue = 0\ntimeout = 5\n",
        headers.display()
    );
    let found = mistakes(&text, &[]);
    let wanted = [
        "desist.toml:2: traces.endpoint: wants the collector's base: /v1/traces is appended",
        "desist.toml:3: traces.sample: wants a number from 0 to 1, such as 0.05",
        "traces.headers_file",
        "desist.toml:5: traces.ca_file",
        "desist.toml:6: traces.queue: wants a whole number",
        "desist.toml:7: traces.timeout: wants its unit too",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(
            found.contains(wanted) && !found.contains("sesame"),
            "{found}"
        );
    }
    let good = format!(
        "[traces]\nendpoint = \"https://otel.example.com/\"\nsample = 0.25\nheaders_file = \"{}\"\n",
        headers.display()
    );
    fs::write(&headers, "X-Key: open-sesame\n").unwrap();
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o644)).unwrap();
    let config = load(&good, &[("DESIST_TRACES__SAMPLE", "0.5")]).unwrap();
    let warnings = config.warnings();
    assert!(
        warnings[0].contains("can be read by others"),
        "{warnings:?}"
    );
    let collector = config.collector().unwrap();
    assert_eq!(collector.endpoint, "https://otel.example.com/v1/traces");
    assert_eq!(collector.sample.millionths(), 500_000);
    assert!(!format!("{config:?}").contains("sesame"));
    assert!(load("", &[]).unwrap().collector().is_none());
    assert!(mistakes("[traces]\nqueue = 1000000000\n", &[])[0].contains("is above 100000"));
    let nowhere = "[traces]\nca_file = \"/nowhere\"\n";
    assert!(mistakes(nowhere, &[])[0].starts_with("desist.toml:2: traces.ca_file: "));
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_program_without_opentelemetry_says_how_to_build_one_with_it() {
    let found = mistakes("[traces]\nendpoint = \"http://127.0.0.1:4318\"\n", &[]);
    assert_eq!(
        found,
        [
            "desist.toml:2: traces.endpoint: this program is built without OpenTelemetry. To have it: cargo build --release --features otel"
        ]
    );
}

#[cfg(not(feature = "acme"))]
#[test]
fn a_program_without_acme_says_how_to_build_one_with_it() {
    let found = mistakes(
        "[smtp]\ndomains = [\"fb.example.com\"]\n[public]\ntls = \"acme\"\n[acme]\nterms_agreed = true\n",
        &[],
    );
    assert_eq!(
        found,
        [
            "desist.toml:4: public.tls: this program is built without ACME. To have it: cargo build --release --features acme"
        ]
    );
}
