//! The landing page through the real door: languages, what it says and does, its undo, and how it
//! looks to a browser and to those who cannot see it.

mod browser;
mod languages;
mod templates;
mod undo;

use serde_json::{Value, json};

use crate::harness::{Place, Running};

/// A tenant and streams with titles that would be markup if they were not escaped.
const TITLED: &str = "\
[[tenant]]\nname = \"default\"\nnumber = 1\ntitle = \"Ann & Bob's <Shop>\"\n\
[[tenant.stream]]\nnumber = 1\nname = \"news\"\ntitle = \"Weekly \\\"news\\\"\"\n\
[[tenant.stream]]\nnumber = 2\nname = \"receipts\"\nclass = \"transactional\"\n";

const HTML: [&str; 2] = ["--header", "Accept: text/html"];

fn titled(place: Place) -> Running {
    place.config(TITLED).start()
}

fn path_for(running: &Running, stream: u16, address: &str) -> String {
    format!("/u/{}", running.mint(stream, &[address])[0].0)
}

/// What a browser sends when the button of this page is pressed: the fields of its only form.
fn fields(page: &str) -> String {
    let inputs = page.split("<input ").skip(1).map(|input| {
        let value = |name: &str| {
            let behind = input.split_once(&format!(" {name}=\"")).unwrap().1;
            behind.split_once('"').unwrap().0.to_owned()
        };
        format!("{}={}", value("name"), value("value"))
    });
    inputs.collect::<Vec<_>>().join("&")
}

/// GET of a page.
fn show(running: &Running, path: &str) -> (u16, String) {
    running.curl(path, &HTML)
}

/// POST of a page's form.
fn press(running: &Running, path: &str, body: &str) -> (u16, String) {
    running.curl(path, &[HTML[0], HTML[1], "--data", body])
}

/// The events of that kind, once so many events are stored in all.
fn events_of(running: &Running, all: usize, kind: &str) -> Vec<Value> {
    let mut events = running.events(all);
    events.retain(|event| event["kind"] == json!(kind));
    events
}
