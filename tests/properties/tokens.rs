//! Finding tokens: bounded, and nothing is found that does not stand there.

use desist::model::event::FoundIn;
use desist::token::finder::{Finder, Found, MAX_MACS, Verdict, find_any, percent_decoded};
use serde_json::Value;

use super::world::{World, fixtures};

/// H-002, H-010: at most so many MACs, and every token found is written in the text.
pub(crate) fn check(text: &[u8]) {
    let world = World::new(&[1]);
    let found = search(&world, text);
    assert!(found.macs <= MAX_MACS, "{}", found.macs);
    assert_eq!(
        found.exhausted.is_some(),
        matches!(found.verdict, Verdict::Exhausted(_))
    );
    let dense = dense(text);
    for (place, token) in &found.tokens {
        assert_eq!(*place, FoundIn::ReturnedHeader);
        assert!(contains(&dense, token.text.as_bytes()), "{}", token.text);
        let verified = world.keyring.verify(&token.text);
        assert_eq!(verified.as_ref(), Ok(token));
    }
    // Case and what stands around say nothing.
    let shouted = text.to_ascii_uppercase();
    assert_eq!(search(&world, &shouted), found);
    let framed = [b"!", text, b"!"].concat();
    assert_eq!(search(&world, &framed), found);
    let decoded = percent_decoded(text);
    assert!(decoded.len() <= text.len());
    if let Ok(token) = find_any(&world.keyring, text) {
        let written = contains(&dense, token.text.as_bytes())
            || contains(&self::dense(&decoded), token.text.as_bytes());
        assert!(written, "{}", token.text);
    }
}

fn search(world: &World, text: &[u8]) -> Found {
    let mut finder = Finder::new(&world.keyring);
    finder.search(FoundIn::ReturnedHeader, text);
    finder.finish()
}

/// Without what may stand within a token: folds and soft breaks.
fn dense(text: &[u8]) -> Vec<u8> {
    text.iter()
        .filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=' && **byte != 0x0b)
        .map(u8::to_ascii_lowercase)
        .collect()
}

fn contains(text: &[u8], token: &[u8]) -> bool {
    text.windows(token.len()).any(|window| window == token)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let vectors: Value =
        serde_json::from_slice(&super::file("fixtures/token/vectors.json")).unwrap();
    let mut seeds = Vec::new();
    texts(&vectors, &mut seeds);
    seeds.extend(fixtures().into_iter().map(|fixture| fixture.raw));
    seeds
}

/// Every text that may hold a token.
fn texts(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.len() >= 30 => into.push(text.as_bytes().to_vec()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(members) => members.values().for_each(|member| texts(member, into)),
        _ => {}
    }
}
