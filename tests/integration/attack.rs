//! What a hostile peer can send, and that it costs bounded memory and stops nobody else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Engine, Place, Running, Smtp, complaint, dotted, other_than};

/// Resident memory of the process now, in bytes.
pub(crate) fn resident(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn a_021_a_line_of_50_mb_without_end() {
    let running = Running::sqlite();
    let before = resident(&running);
    let mut session = running.smtp();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..50 {
        if !session.try_send(&chunk) {
            break;
        }
    }
    let grown = resident(&running).saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown}");
    session.try_send(b"\r\n");
    // One reply for the whole line, and the session is in step or closed.
    let reply = session.reply();
    assert!(
        reply.starts_with("500 5.5.6") || reply.starts_with("421 "),
        "{reply}"
    );
    let token = &running.mint(1, &["other@example.net"])[0].0;
    let reply = running.deliver("", "fbl@fb.example.com", &complaint(token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
}

#[test]
fn a_130_a_thousand_half_open_handshakes_on_both_doors() {
    let running = Running::sqlite();
    let token = &running.mint(1, &["served@example.net"])[0].0;
    let before = resident(&running);
    let (mut silent, mut shaking) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        silent.push(TcpStream::connect(running.public).unwrap());
    }
    // On the MX one address may hold a hundred sessions: the rest is told so.
    for _ in 0..90 {
        let mut session = running.smtp();
        if session.ask("STARTTLS").starts_with("220") {
            shaking.push(session);
        }
    }
    for _ in 0..500 {
        silent.push(TcpStream::connect(running.public).unwrap());
    }
    let (status, _) = running.curl(
        &format!("/u/{token}"),
        &["--data", "List-Unsubscribe=One-Click"],
    );
    assert_eq!(status, 200);
    let reply = running.deliver("", "fbl@fb.example.com", &complaint(token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let grown = resident(&running).saturating_sub(before);
    assert!(grown < 100 << 20, "grew by {grown}");
}

#[test]
fn h_002_fifty_mib_of_look_alike_tokens() {
    let running = Running::sqlite();
    let token = running.mint(1, &["flood@example.net"])[0].0.clone();
    // Each begins a version, a known tenant and key, and none verifies.
    let mut fake = token.clone();
    fake.replace_range(
        40..44,
        if token.get(40..44) == Some("aaaa") {
            "bbbb"
        } else {
            "aaaa"
        },
    );
    let mut line = String::new();
    while line.len() < 900 {
        line.push_str(&fake);
    }
    line.push('\n');
    let mut message = String::from("Subject: x\n\n");
    while message.len() < 24 << 20 {
        message.push_str(&line);
    }
    let before = resident(&running);
    for _ in 0..2 {
        let to = format!("u-{token}@fb.example.com");
        let reply = running.deliver("x@example.net", &to, &message);
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
    }
    running.events(2);
    // That it came at all within the harness's patience is the bound in time.
    let grown = resident(&running).saturating_sub(before);
    assert!(grown < 512 << 20, "grew by {grown}");
}

#[test]
fn a_017_http_and_tls_at_the_mx() {
    let running = Running::sqlite();
    for hello in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut stream = TcpStream::connect(running.smtp).unwrap();
        stream
            .set_read_timeout(Some(crate::harness::PATIENCE))
            .unwrap();
        stream.write_all(hello).unwrap();
        let mut answer = Vec::new();
        // The end may come as a reset: there was unread input.
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer);
        let replies = answer.lines().count();
        assert!(replies <= 2, "{answer}");
    }
}

#[test]
fn a_038_no_relay() {
    let running = Running::sqlite();
    let mut session = running.smtp();
    session.ask("MAIL FROM:<a@example.org>");
    for path in [
        "u@foreign.example",
        "u%foreign.example@fb.example.com",
        "foreign.example!u@fb.example.com",
        "\"u@foreign.example\"@fb.example.com",
        "u@[203.0.113.9]",
        "u@foreign.example.",
        "u@fb.example.com@foreign.example",
    ] {
        let reply = session.ask(&format!("RCPT TO:<{path}>"));
        assert!(reply.starts_with('5'), "{path}: {reply}");
    }
    assert!(session.ask("DATA").starts_with("503 5.5.1"));
}

#[test]
fn a_042_a_wrong_token_looks_like_an_unknown_mailbox() {
    let running = Running::sqlite();
    let mut token = running.mint(1, &["x@example.net"])[0].0.clone();
    token.replace_range(45..46, other_than(token.as_bytes()[45]));
    let mut session = running.smtp();
    session.ask("MAIL FROM:<>");
    let wrong = session.ask(&format!("RCPT TO:<u-{token}@fb.example.com>"));
    let unknown = session.ask("RCPT TO:<nobody@fb.example.com>");
    assert!(wrong.starts_with("550 5.1.1 "), "{wrong}");
    assert_eq!(wrong, unknown);
}

#[test]
fn a_086_a_stop_lets_the_message_in_flight_finish() {
    let running = Running::sqlite();
    let token = running.mint(1, &["stop@example.net"])[0].0.clone();
    let mut busy = running.smtp();
    let mut idle = running.smtp();
    assert!(busy.ask("MAIL FROM:<>").starts_with("250"));
    assert!(busy.ask("RCPT TO:<fbl@fb.example.com>").starts_with("250"));
    assert!(busy.ask("DATA").starts_with("354"));
    let message = dotted(&complaint(&token));
    let (head, tail) = message.split_at(100);
    busy.send(head.as_bytes());
    running.terminate();
    let goodbye = idle.reply();
    assert!(goodbye.starts_with("421 4.3.2"), "{goodbye}");
    busy.send(tail.as_bytes());
    assert!(
        busy.reply().starts_with("250 2.0.0"),
        "the message in flight is accepted"
    );
    let (status, place) = running.ended();
    assert_eq!(status.code(), Some(0));
    let running = place.start();
    running.events(1);
    running.drained();
    assert!(running.check("stop@example.net", Some(1)).is_some());
}

#[test]
fn a_157_logs_hold_no_address_token_or_secret() {
    let running = Running::sqlite();
    let token = running.mint(1, &["private@example.net"])[0].0.clone();
    running.deliver(
        "someone@example.org",
        &format!("u-{token}@fb.example.com"),
        "Subject: x\n\n",
    );
    let mut session = running.smtp();
    session.ask("EHLO evil%0d%0a.example");
    session.ask("MAIL FROM:<leak@example.org>");
    session.ask("RCPT TO:<leak@fb.example.com>");
    running.curl(&format!("/u/{token}"), &["--data", "x"]);
    running.curl("/u/nonsense", &["--data", "x"]);
    running.check("private@example.net", None);
    running.events(2);
    let log = running.log();
    for secret in [
        "private@",
        "someone@",
        "leak@",
        token.as_str(),
        running.key.as_str(),
    ] {
        assert!(!log.contains(secret), "{secret} in\n{log}");
    }
    let (_, metrics) = running.get("/metrics");
    for secret in ["private", "leak", token.as_str()] {
        assert!(!metrics.as_str().unwrap().contains(secret), "{secret}");
    }
}

#[test]
fn a_069_a_connection_cut_in_the_middle_leaves_nothing() {
    let running = Running::sqlite();
    let token = running.mint(1, &["cut@example.net"])[0].0.clone();
    let message = dotted(&complaint(&token));
    for cut in [1, 50, message.len() - 5, message.len() - 1] {
        let mut session: Smtp = running.smtp();
        session.ask("MAIL FROM:<>");
        session.ask("RCPT TO:<fbl@fb.example.com>");
        session.ask("DATA");
        session.send(&message.as_bytes()[..cut]);
    }
    running.drained();
    let (_, receipts) = running.get("/v1/receipts?limit=10");
    assert_eq!(receipts["items"].as_array().unwrap().len(), 0);
    assert!(running.check("cut@example.net", None).is_none());
}

#[test]
fn a_025_large_messages_and_those_beyond_the_mailbox_s_limit() {
    let running = Running::sqlite();
    let token = running.mint(1, &["large@example.net"])[0].0.clone();
    let line = format!("{}\n", "x".repeat(998));
    let padded = |octets: usize| {
        let mut message = complaint(&token);
        while message.len() < octets {
            message.push_str(&line);
        }
        message
    };
    let mut session = running.smtp();
    // 25 MiB is the limit of a report: neither said in advance nor at the end is more taken.
    let reply = session.deliver("", &["fbl@fb.example.com"], &padded(26 << 20));
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    assert!(
        session.ask("NOOP").starts_with("250"),
        "the session goes on"
    );
    let said = session.ask(&format!("MAIL FROM:<> SIZE={}", 26 << 20));
    let to = session.ask("RCPT TO:<fbl@fb.example.com>");
    assert!(
        said.starts_with("250") && to.starts_with("552 5.3.4"),
        "{said}\n{to}"
    );
    session.ask("RSET");
    let reply = session.deliver("", &["fbl@fb.example.com"], &padded(24 << 20));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.events(1);
    running.drained();
    assert!(running.check("large@example.net", Some(1)).is_some());
    let (_, receipts) = running.get("/v1/receipts?limit=10");
    assert_eq!(receipts["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_031_c_037_nothing_is_ever_sent() {
    let place = Place::new(Engine::Sqlite).unwrap();
    let trace = place.folder.path().join("trace");
    let place = place.under(&[
        "strace",
        "-f",
        "-e",
        "trace=connect,accept4",
        "-o",
        trace.to_str().unwrap(),
    ]);
    let running = place.start();
    let names = [
        "loop@example.net",
        "gone@example.net",
        "writes@example.net",
        "clicks@example.net",
    ];
    let tokens = running.mint(1, &names);
    let bounce = "From: MAILER-DAEMON@example.net\nTo: <x@fb.example.com>\nSubject: failed\n\
        MIME-Version: 1.0\n\
        Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
        --b\n\nIt did not arrive.\n\n--b\nContent-Type: message/delivery-status\n\n\
        Reporting-MTA: dns; mx.example.net\n\n\
        Final-Recipient: rfc822; gone@example.net\nAction: failed\nStatus: 5.1.1\n\n--b--\n";
    let unsubscribe = "From: writes@example.net\nDisposition-Notification-To: writes@example.net\n\
        Return-Receipt-To: writes@example.net\nSubject: unsubscribe\n\n";
    let mailbox = format!("u-{}@fb.example.com", tokens[2].0);
    let mails = [
        (
            "staff@fbl.example",
            "fbl@fb.example.com",
            complaint(&tokens[0].0),
        ),
        ("", tokens[1].1.as_str(), bounce.to_owned()),
        (
            "writes@example.net",
            mailbox.as_str(),
            unsubscribe.to_owned(),
        ),
        (
            "writes@example.net",
            mailbox.as_str(),
            unsubscribe.to_owned(),
        ),
        (
            "somebody@example.org",
            "postmaster@fb.example.com",
            "Subject: hello\n\nYou?\n".to_owned(),
        ),
    ];
    for (from, to, message) in &mails {
        let reply = running.deliver(from, to, message);
        assert!(reply.starts_with("250 2.0.0"), "{to}: {reply}");
    }
    let (status, _) = running.curl(&format!("/u/{}", tokens[3].0), &["--data", "x"]);
    assert_eq!(status, 200);
    running.events(6);
    running.drained();
    // Complaint, bounce, opt-out, click; the second mail of the same recipient changed nothing more.
    assert_eq!(running.changes().len(), 4);
    running.terminate();
    let (_, place) = running.ended();
    let calls = std::fs::read_to_string(place.folder.path().join("trace")).unwrap();
    assert!(calls.contains("accept4("), "the trace sees sockets");
    assert!(!calls.contains("connect("), "{calls}");
}

#[test]
fn a_093_hello_and_mail_in_one_segment() {
    let running = Running::sqlite();
    let mut session = Smtp::connect(running.smtp);
    assert!(session.reply().starts_with("220 "));
    // Not allowed by RFC 2920 §3.1, and harmless: every command has its answer, in order.
    session.send(b"EHLO mta.example.org\r\nMAIL FROM:<>\r\nRCPT TO:<fbl@fb.example.com>\r\n");
    assert!(session.reply().starts_with("250-mx.example.com"));
    assert!(session.reply().starts_with("250 2.1.0"));
    assert!(session.reply().starts_with("250 2.1.5"));
}

#[test]
fn a_120_a_session_without_tls() {
    let running = Running::sqlite();
    let token = running.mint(1, &["plain@example.net"])[0].0.clone();
    let mut session = Smtp::connect(running.smtp);
    assert!(session.reply().starts_with("220 "));
    assert!(session.ask("HELO old.example.org").starts_with("250 "));
    let reply = session.deliver("", &["fbl@fb.example.com"], &complaint(&token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    assert!(session.ask("QUIT").starts_with("221 2.0.0"));
    running.events(1);
    running.drained();
    assert!(running.check("plain@example.net", Some(1)).is_some());
}

#[test]
fn a_145_authentication_results_that_came_along_prove_nothing() {
    let running = Running::sqlite();
    let results = "Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=example.net;\n \
        dkim=pass header.d=example.net; dmarc=pass header.from=example.net\n";
    let mail = format!(
        "{results}ARC-{results}From: victim@example.net\nTo: u@fb.example.com\n\
         Subject: unsubscribe\n\nunsubscribe\n"
    );
    let reply = running.deliver("victim@example.net", "u@fb.example.com", &mail);
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    let events = running.events(1);
    assert_eq!(
        (&events[0]["kind"], &events[0]["proof"]),
        (&"unsubscribe".into(), &"none".into()),
        "{events:#?}"
    );
    running.drained();
    assert!(running.check("victim@example.net", None).is_none());
    let (_, held) = running.get("/v1/held");
    assert_eq!(held["items"].as_array().unwrap().len(), 1, "{held}");
}

#[test]
fn a_153_a_client_that_talks_first() {
    let running = Running::sqlite();
    let token = running.mint(1, &["early@example.net"])[0].0.clone();
    let mut session = Smtp::connect(running.smtp);
    session.send(b"EHLO early.example.org\r\n");
    assert!(session.reply().starts_with("220 "));
    assert!(session.reply().starts_with("250-"));
    let reply = session.deliver("", &["fbl@fb.example.com"], &complaint(&token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
}

#[test]
fn a_154_a_complaint_holds_spam_and_is_taken_at_first_contact() {
    let running = Running::sqlite();
    let token = running.mint(1, &["spam@example.net"])[0].0.clone();
    // The test text at which content filters must refuse.
    let spam = [
        "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
        "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
    ]
    .concat();
    let mail = complaint(&token)
        .replace("Subject: News", &format!("Subject: {spam}"))
        .replace("This is a report.", &format!("{spam}\n\nThis is a report."));
    let reply = running.deliver("never-seen@fbl.example", "fbl@fb.example.com", &mail);
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.events(1);
    running.drained();
    assert!(running.check("spam@example.net", Some(1)).is_some());
}

#[test]
fn a_156_health_checks_that_connect_and_close_are_no_warnings() {
    let running = Running::sqlite();
    let before = running.log();
    // Below `sessions_per_ip`: the server may take all of them before it sees that one has gone.
    for _ in 0..90 {
        drop(TcpStream::connect(running.smtp).unwrap());
        drop(TcpStream::connect(running.public).unwrap());
    }
    // Whatever they did is over when the stopped process has ended.
    let token = running.mint(1, &["after@example.net"])[0].0.clone();
    let reply = running.deliver("", "fbl@fb.example.com", &complaint(&token));
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    running.terminate();
    let (status, place) = running.ended();
    assert_eq!(status.code(), Some(0));
    let log = std::fs::read_to_string(place.folder.path().join("log")).unwrap();
    let since = log.strip_prefix(&before).unwrap();
    assert!(
        !since.contains("WARN") && !since.contains("ERROR"),
        "{since}"
    );
    assert!(log.contains("INFO"), "levels are written so: {log}");
}
