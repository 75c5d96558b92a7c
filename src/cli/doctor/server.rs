//! Whether the running server does its work: its own word for it, and a round trip of synthetic mail
//! through every door.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::finding::Finding;
use crate::cli::client::{Client, ClientArgs, ClientError, cell, encoded, items};
use crate::cli::door_client::{Delivery, Door, Tls, click, deliver};
use crate::config::{Config, TlsMode};
use crate::model::event::{EventKind, SYNTHETIC};
use crate::net::certificate::{ACME_FILE, SELF_MADE_FILE};
use crate::net::network::Network;

/// How long what was accepted may take to become an answer, in seconds.
const PATIENCE: u64 = 20;

/// Where everything synthetic is: no mail can go there.
const NOBODY: &str = "desist-doctor.invalid";

/// Asks the server how it is, and for the tenants' own domains.
pub(super) fn look(args: &ClientArgs, data_dir: &Path) -> (Vec<Finding>, Option<Client>) {
    let client = match args.connect(data_dir) {
        Ok(client) => client,
        Err(error) => {
            let finding = Finding::skip("server", error.to_string());
            return (
                vec![finding.advise("start `desist serve`, or give --url")],
                None,
            );
        }
    };
    let mut findings = Vec::new();
    for (what, path) in [
        ("server alive", "/livez"),
        ("doors take mail", "/readyz/doors"),
        ("check answers", "/readyz/check"),
    ] {
        findings.push(match client.text(path) {
            Ok(_) => Finding::ok(what, path),
            Err(error @ ClientError::Unreachable { .. }) => {
                findings.push(Finding::fail(what, error.to_string()));
                return (findings, None);
            }
            Err(error) => Finding::fail(what, error.to_string()),
        });
    }
    findings.push(match client.get("/v1/signing-keys") {
        Err(error) => Finding::fail("signing keys", error.to_string()),
        Ok(keys) => {
            let active = |key: &&Value| cell(key, "/state") == "active";
            let active = items(&keys).iter().filter(active).count();
            let says = format!("{active} active of {}", items(&keys).len());
            if active == 0 {
                Finding::fail("signing keys", says).advise("without one no token can be minted")
            } else {
                Finding::ok("signing keys", says)
            }
        }
    });
    (findings, Some(client))
}

/// Sends a complaint, an opt-out by mail, a bounce and a click for somebody who does not exist, waits
/// for their effect, and erases and lifts it again. No sum counts them.
pub(super) fn round_trip(client: &Client, config: &Config) -> Vec<Finding> {
    let data_dir = &config.data_dir;
    let listening = std::fs::read_to_string(data_dir.join("listening")).unwrap_or_default();
    let door = |name: &str, proxies: &Option<Vec<Network>>| -> Option<Door> {
        let line = listening.lines().find_map(|line| {
            line.strip_prefix("listening ")?
                .strip_prefix(name)?
                .strip_prefix(' ')
        })?;
        let at: SocketAddr = line.parse().ok()?;
        Some(Door::with_proxies(
            at,
            proxies.as_deref().unwrap_or_default(),
        ))
    };
    let smtp = door("smtp", &config.smtp.proxy_networks);
    let public = door("public", &config.public.proxy_networks);
    let tls = tls_of(config);
    let address = SYNTHETIC;
    let mut findings = Vec::new();
    for trip in TRIPS {
        let what = format!("round trip: {}", trip.name);
        let send = |minted: &Minted| match (trip.by, smtp, public) {
            (By::Mail(write), Some(smtp), _) => mailed(smtp, &write(minted)),
            (By::Click, _, Some(public)) => clicked(public, tls.as_ref(), minted),
            _ => Err("the data folder does not say where this door is".to_owned()),
        };
        let done = now(client).and_then(|begun| {
            send(&minted(client, address)?)?;
            effect(client, trip, address, begun)
        });
        findings.push(match done {
            Ok(says) => Finding::ok(what, says),
            Err(error) => Finding::fail(what, error),
        });
        if let Err(error) = cleared(client, address) {
            findings.push(Finding::warn(format!("after {}", trip.name), error));
        }
    }
    findings
}

#[derive(Clone, Copy)]
struct Trip {
    name: &'static str,
    /// What the event is that follows: that of a trip before may come late.
    kind: EventKind,
    by: By,
}

#[derive(Clone, Copy)]
enum By {
    Mail(fn(&Minted) -> Mail),
    Click,
}

const TRIPS: [Trip; 4] = [
    Trip {
        name: "complaint by mail",
        kind: EventKind::Complaint,
        by: By::Mail(complaint),
    },
    Trip {
        name: "opt-out by mail",
        kind: EventKind::Unsubscribe,
        by: By::Mail(opt_out),
    },
    Trip {
        name: "bounce by mail",
        kind: EventKind::Bounce,
        by: By::Mail(bounce),
    },
    Trip {
        name: "one-click",
        kind: EventKind::Unsubscribe,
        by: By::Click,
    },
];

struct Minted {
    address: String,
    token: String,
    return_path: String,
}

impl Minted {
    /// The feedback domain.
    fn domain(&self) -> &str {
        self.return_path
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain)
    }
}

struct Mail {
    from: String,
    to: String,
    text: String,
}

fn complaint(minted: &Minted) -> Mail {
    let to = format!("fbl@{}", minted.domain());
    let text = format!(
        "From: <fbl@{NOBODY}>\nTo: <{to}>\nSubject: complaint\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n\
         --b\n\nA synthetic complaint.\n--b\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nUser-Agent: desist-doctor/1\nVersion: 1\n\
         --b\nContent-Type: text/rfc822-headers\n\n\
         From: <news@{NOBODY}>\nX-Desist: {}\n--b--\n",
        minted.token
    );
    let from = format!("fbl@{NOBODY}");
    Mail { from, to, text }
}

fn opt_out(minted: &Minted) -> Mail {
    let from = minted.address.clone();
    let to = format!("u-{}@{}", minted.token, minted.domain());
    let text = format!("From: <{from}>\nTo: <{to}>\nSubject: unsubscribe\n\nunsubscribe\n");
    Mail { from, to, text }
}

fn bounce(minted: &Minted) -> Mail {
    let to = minted.return_path.clone();
    let text = format!(
        "From: <mailer-daemon@{NOBODY}>\nTo: <{to}>\nSubject: undeliverable\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
         --b\n\nA synthetic bounce.\n--b\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; {NOBODY}\n\nFinal-Recipient: rfc822; {}\nAction: failed\n\
         Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n--b--\n",
        minted.address
    );
    let from = String::new();
    Mail { from, to, text }
}

/// A token for somebody who does not exist, on the tenant's first stream.
fn minted(client: &Client, address: &str) -> Result<Minted, String> {
    let told = |error: ClientError| error.to_string();
    let streams = client.get("/v1/streams").map_err(told)?;
    let stream = items(&streams)
        .first()
        .and_then(|stream| stream["number"].as_u64());
    let call = json!({"stream": stream.unwrap_or(0), "recipients": [{"address": address}]});
    let answer = client.post("/v1/tokens", &call).map_err(told)?;
    let item = items(&answer).first().cloned().unwrap_or_default();
    if item.get("token").is_none() {
        return Err(cell(&item, "/error"));
    }
    Ok(Minted {
        address: address.to_owned(),
        token: cell(&item, "/token"),
        return_path: cell(&item, "/return_path"),
    })
}

fn mailed(door: Door, mail: &Mail) -> Result<(), String> {
    match deliver(door, &mail.from, &mail.to, &mail.text) {
        Ok(Delivery::Accepted(_)) => Ok(()),
        Ok(Delivery::Refused(reply)) => Err(format!("refused: {reply}")),
        Err(error) => Err(format!("{}: {error}", door.at())),
    }
}

/// How the HTTPS door of this config is called. A chain of files is trusted if it is whole, as far
/// as its own certificates reach: whether the world trusts them is the world's to say.
fn tls_of(config: &Config) -> Result<Tls, String> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    // Until the first one is issued the door has a self-made one.
    let issued = Some(config.data_file(ACME_FILE)).filter(|file| file.exists());
    let chain = match config.public.tls {
        TlsMode::Off => return Ok(Tls::Off),
        TlsMode::Files => config.public.tls_cert.clone(),
        TlsMode::Acme => issued,
        TlsMode::SelfMade => None,
    };
    let (host, roots) = match chain {
        Some(chain) => (config.public_host(), read(&chain)?),
        None => (
            "localhost".to_owned(),
            read(&config.data_file(SELF_MADE_FILE))?,
        ),
    };
    Ok(Tls::Trusting { host, roots })
}

fn clicked(door: Door, tls: Result<&Tls, &String>, minted: &Minted) -> Result<(), String> {
    let status = click(
        door,
        &format!("/u/{}", minted.token),
        tls.map_err(Clone::clone)?,
    )?;
    if status == 200 {
        Ok(())
    } else {
        Err(format!("answered {status}"))
    }
}

/// Where the feed ends now: an earlier trip had the same recipients.
fn now(client: &Client) -> Result<String, String> {
    let end = client.get("/v1/events?after=head");
    end.map(|end| encoded(&cell(&end, "/next")))
        .map_err(|error| error.to_string())
}

/// Waits for the trip's event behind that place of the feed, and for what stands then.
fn effect(client: &Client, trip: Trip, address: &str, begun: String) -> Result<String, String> {
    let told = |error: ClientError| error.to_string();
    let (whom, kind) = (encoded(address), trip.kind);
    let door = match trip.by {
        By::Mail(_) => "smtp",
        By::Click => "one-click",
    };
    let mut place = begun;
    let event = loop {
        let path = format!("/v1/events?recipient={whom}&kind={kind}&wait={PATIENCE}&after={place}");
        let found = client.get(&path).map_err(told)?;
        let events = items(&found);
        if events.is_empty() {
            return Err(format!("accepted, but no {kind} within {PATIENCE} s"));
        }
        // That of an earlier trip may come late.
        if let Some(event) = events.iter().find(|event| cell(event, "/door") == door) {
            break event.clone();
        }
        place = encoded(&cell(&found, "/next"));
    };
    let proof = cell(&event, "/proof");
    let about = client
        .get(&format!("/v1/suppressions/{whom}"))
        .map_err(told)?;
    let mut all = items(&about).iter();
    match all.find(|one| one.get("lifted").is_some_and(Value::is_null)) {
        Some(stands) => Ok(format!(
            "{kind}, proof {proof}: suppressed {} ({})",
            cell(stands, "/scope"),
            cell(stands, "/reason")
        )),
        None => Err(format!("{kind}, proof {proof}, suppressed nothing")),
    }
}

/// Lifts what the trip has suppressed, and erases who it was.
fn cleared(client: &Client, address: &str) -> Result<(), String> {
    let told = |error: ClientError| error.to_string();
    let lift = json!({"items": [{"address": address}], "note": "round trip of desist doctor"});
    client.post("/v1/suppressions/lift", &lift).map_err(told)?;
    client
        .post("/v1/erase", &json!({"address": address}))
        .map_err(told)?;
    Ok(())
}
