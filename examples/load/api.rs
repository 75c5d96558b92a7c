//! desist's API, for what is prepared before and looked up after a measurement.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Result;

/// One after the other is enough here.
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

impl Api {
    /// `url` as `http://HOST:PORT`; the file holds an API key.
    pub(crate) fn new(url: &str, key_file: &Path) -> Result<Self> {
        let key = fs::read_to_string(key_file)?;
        Ok(Self {
            agent: ureq::agent(),
            url: url.to_owned(),
            authorization: format!("Bearer {}", key.trim()),
        })
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let mut answer = request
            .header("Authorization", &self.authorization)
            .send_json(body)?;
        Ok(answer.body_mut().with_config().limit(1 << 30).read_json()?)
    }

    /// A token for each of the first `count` readers.
    pub(crate) fn mint(&self, count: usize) -> Result<Vec<String>> {
        let addresses: Vec<String> = (0..count).map(reader).collect();
        let mut tokens = Vec::with_capacity(count);
        for some in addresses.chunks(1000) {
            let recipients: Vec<Value> = some.iter().map(|a| json!({"address": a})).collect();
            let answer = self.post(
                "/v1/tokens",
                &json!({"stream": 1, "recipients": recipients}),
            )?;
            let items = answer
                .get("items")
                .and_then(Value::as_array)
                .ok_or("no items")?;
            let minted = items.iter().filter_map(|item| item.get("token")?.as_str());
            tokens.extend(minted.map(str::to_owned));
        }
        if tokens.len() == count {
            Ok(tokens)
        } else {
            Err("not every token was minted".into())
        }
    }

    /// How many of these readers are suppressed.
    pub(crate) fn suppressed(&self, readers: &[String]) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        for (chunk, some) in readers.chunks(CHECKED).enumerate() {
            let answer = self.post("/v1/check", &json!({"stream": 1, "addresses": some}))?;
            let items = answer
                .get("suppressed")
                .and_then(Value::as_array)
                .ok_or("no answer of check")?;
            for item in items {
                let index = item
                    .get("index")
                    .and_then(Value::as_u64)
                    .ok_or("no index")?;
                found.push(chunk * CHECKED + usize::try_from(index)?);
            }
        }
        Ok(found)
    }
}

/// Addresses of one check.
const CHECKED: usize = 100_000;

/// Somebody who gets mail.
pub(crate) fn reader(index: usize) -> String {
    format!("reader{index}@mail.example")
}
