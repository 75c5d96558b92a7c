//! Every reader gets the page in his language.

use super::{TITLED, path_for, titled};
use crate::harness::{Engine, Place, Running};

/// What a browser says, the language of the answer, and the word on the button.
const READERS: [(&str, &str, &str); 18] = [
    ("en-US,en;q=0.9", "en", "Unsubscribe"),
    ("ja", "ja", "配信を停止する"),
    ("de-CH,de;q=0.9,en;q=0.8", "de", "Abmelden"),
    ("fr-CA", "fr", "Se désabonner"),
    ("es-MX,es", "es", "Darse de baja"),
    ("pt-BR,pt;q=0.9", "pt", "Deixar de receber"),
    ("it-IT", "it", "Annulla l’iscrizione"),
    ("nl-BE", "nl", "Afmelden"),
    ("pl", "pl", "Zrezygnuj z subskrypcji"),
    ("ko-KR,ko;q=0.9", "ko", "수신 거부"),
    ("zh-CN,zh;q=0.9", "zh-Hans", "退订"),
    ("zh-TW,zh;q=0.9", "zh-Hant", "取消訂閱"),
    ("zh-HK", "zh-Hant", "取消訂閱"),
    ("zh", "zh-Hans", "退订"),
    ("xx, nl;q=0.1, de;q=0.2", "de", "Abmelden"),
    ("xx", "en", "Unsubscribe"),
    ("*", "en", "Unsubscribe"),
    ("", "en", "Unsubscribe"),
];

/// An answer's head in lower case, and its body.
fn answer(running: &Running, path: &str, arguments: &[&str]) -> (u16, String, String) {
    let arguments: Vec<&str> = ["--include"].iter().chain(arguments).copied().collect();
    let (status, text) = running.curl(path, &arguments);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

// C-007; RFC 9110 §12.5.4, §12.5.5 and §8.5, RFC 4647 §3.4.
#[test]
fn every_reader_is_asked_in_his_language() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let path = path_for(&running, 1, "reader@example.net");
    for (accept, tag, button) in READERS {
        let header = format!("Accept-Language: {accept}");
        let (status, head, body) = answer(&running, &path, &["--header", &header]);
        assert_eq!(status, 200);
        let language = format!("content-language: {}", tag.to_lowercase());
        assert!(head.contains(&language), "{accept}: {head}");
        assert!(head.contains("vary: accept, accept-language"), "{head}");
        assert!(
            body.contains(&format!("<html lang=\"{tag}\">")),
            "{accept}: {body}"
        );
        let on_button = format!("<button type=\"submit\">{button}</button>");
        assert!(body.contains(&on_button), "{accept}: {body}");
        for name in [
            "Ann &amp; Bob&#39;s &lt;Shop&gt;",
            "Weekly &quot;news&quot;",
        ] {
            assert!(
                body.contains(&format!("<bdi>{name}</bdi>")),
                "{accept}: {body}"
            );
        }
    }
}

// C-010, G-011: every 4xx and 5xx of the door, in a language that the reader knows.
#[test]
fn what_goes_wrong_is_said_in_the_reader_s_language_too() {
    let full = format!("{TITLED}[journal]\ndisk_floor = \"1000000 GiB\"\n");
    let running = Place::new(Engine::Sqlite).unwrap().config(&full).start();
    let path = path_for(&running, 1, "reader@example.net");
    let german = ["--header", "Accept-Language: de"];
    let with = |more: &[&'static str]| [&german[..], more].concat();
    for (path, arguments, status, said) in [
        ("/u/nonsense", with(&[]), 404, "Seite nicht gefunden"),
        (
            "/u/nonsense",
            with(&["--data", "x"]),
            404,
            "Seite nicht gefunden",
        ),
        ("/", with(&[]), 404, "Seite nicht gefunden"),
        (&path, with(&["--request", "PUT"]), 405, "Nicht möglich"),
        (
            &path,
            with(&["--data", "undo=00"]),
            410,
            "Das lässt sich nicht mehr rückgängig machen",
        ),
        (
            &path,
            with(&["--data", "x"]),
            503,
            "Bitte versuchen Sie es gleich noch einmal",
        ),
    ] {
        let (found, head, body) = answer(&running, path, &arguments);
        assert_eq!(found, status, "{path} {arguments:?}");
        assert!(head.contains("content-language: de") && head.contains("content-type: text/html"));
        assert!(body.contains(&format!("<title>{said}</title>")), "{body}");
        assert_eq!(body.matches("<form").count(), 0);
    }
}

// The scope and the names as they stand now, and what a revoked key means.
#[test]
fn what_the_button_will_do_is_said_before_it_is_pressed() {
    let running = titled(Place::new(Engine::Sqlite).unwrap());
    let shop = "<bdi>Ann &amp; Bob&#39;s &lt;Shop&gt;</bdi>";
    for (stream, will, did) in [
        (
            1,
            format!("you will no longer receive “<bdi>Weekly &quot;news&quot;</bdi>” from {shop}."),
            format!("You will no longer receive “<bdi>Weekly &quot;news&quot;</bdi>” from {shop}."),
        ),
        (
            2,
            format!("{shop} will send you no more marketing mail."),
            format!("<p>{shop} will send you no more marketing mail."),
        ),
    ] {
        let path = path_for(&running, stream, "reader@example.net");
        let (_, question) = super::show(&running, &path);
        assert!(question.contains(&will), "{question}");
        assert!(question.contains("Nothing happens until you do."));
        let (_, done) = super::press(&running, &path, &super::fields(&question));
        assert!(done.contains(&did), "{done}");
    }
    let (status, stream) = running.post(
        "/v1/streams",
        &serde_json::json!({"number": 1, "name": "news", "title": "Neu"}),
    );
    assert_eq!(
        (status, &stream["stream"]["title"]),
        (200, &serde_json::json!("Neu"))
    );
    let path = path_for(&running, 1, "reader@example.net");
    let (_, question) = super::show(&running, &path);
    assert!(question.contains("“<bdi>Neu</bdi>”"), "{question}");
    let (status, tenants) = running.get("/v1/tenants");
    assert_eq!(status, 200);
    assert_eq!(
        tenants["items"][0]["title"],
        serde_json::json!("Ann & Bob's <Shop>")
    );
    for title in ["a\nb", &"x".repeat(101)] {
        let call = serde_json::json!({"number": 1, "name": "news", "title": title});
        let (status, problem) = running.post("/v1/streams", &call);
        assert_eq!(
            (status, &problem["code"]),
            (400, &serde_json::json!("invalid-request"))
        );
    }
}
