//! Calls of the API: what is sent, and how answers and problems are read.

use std::io::{self, Read};

use data_encoding::HEXUPPER;
use serde_json::Value;
use ureq::{Agent, Body, SendBody};

use super::ClientError;

/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: u64 = 256 * 1024 * 1024;

/// The tenant of calls for all of them and for what belongs to none.
const EVERY_TENANT: &str = "*";

/// A caller of the API.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    pub(super) agent: Agent,
    pub(super) base: String,
    pub(super) key: String,
    pub(super) tenant: Option<String>,
    /// Whether a call that names no tenant is for all of them, where the key may do that.
    pub(super) everywhere: bool,
    /// Whether answers are printed as they are.
    pub(in crate::cli) json: bool,
}

impl Client {
    /// The same for all tenants and for what belongs to none, unless one was named.
    pub(in crate::cli) fn everywhere(self) -> Self {
        Self {
            everywhere: true,
            ..self
        }
    }

    /// `GET`, with path and query already encoded.
    pub(in crate::cli) fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(&http::Method::GET, path, None)
    }

    /// `GET` of what is no JSON.
    pub(in crate::cli) fn text(&self, path: &str) -> Result<String, ClientError> {
        self.asked(&http::Method::GET, path, None, Self::read_text)
    }

    /// `GET` of how something is, ready (200) or not (503): both answers have members that say more.
    pub(in crate::cli) fn state(&self, path: &str) -> Result<Value, ClientError> {
        self.asked(&http::Method::GET, path, None, Self::read_state)
    }

    /// `GET` of bytes: at most `limit` of them from the beginning.
    pub(in crate::cli) fn beginning(
        &self,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let body = self.asked(&http::Method::GET, path, None, Self::open)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        body.into_reader()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|cause| ClientError::Unreachable {
                url: self.base.clone(),
                cause: ureq::Error::Io(cause),
            })?;
        Ok(bytes)
    }

    fn open(&self, response: http::Response<Body>) -> Result<Body, ClientError> {
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        self.read(response)?;
        Err(self.stranger())
    }

    /// `POST` of JSON.
    pub(in crate::cli) fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(&http::Method::POST, path, Some(body))
    }

    /// `DELETE`.
    pub(in crate::cli) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        self.call(&http::Method::DELETE, path, None)
    }

    fn call(
        &self,
        method: &http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        self.asked(method, path, body, Self::read)
    }

    /// Asks for the tenant of this client and reads the answer.
    fn asked<T>(
        &self,
        method: &http::Method,
        path: &str,
        body: Option<&Value>,
        read: fn(&Self, http::Response<Body>) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        if self.everywhere && self.tenant.is_none() {
            let response = self.call_for(Some(EVERY_TENANT), method, path, body)?;
            let done = read(self, response);
            // A tenant's own key is for that tenant alone.
            if !matches!(&done, Err(ClientError::Refused { code, .. }) if code == "foreign-tenant")
            {
                return done;
            }
        }
        read(
            self,
            self.call_for(self.tenant.as_deref(), method, path, body)?,
        )
    }

    fn call_for(
        &self,
        tenant: Option<&str>,
        method: &http::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<http::Response<Body>, ClientError> {
        let url = format!("{}{path}", self.base);
        let unreachable = |cause| ClientError::Unreachable {
            url: self.base.clone(),
            cause,
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(&url)
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Accept", "application/json");
        if let Some(tenant) = tenant {
            request = request.header("Desist-Tenant", tenant);
        }
        let sent = match body {
            None => request.body(SendBody::none()),
            Some(json) => request.header("Content-Type", "application/json").body(
                SendBody::from_owned_reader(io::Cursor::new(json.to_string())),
            ),
        };
        let request = sent.map_err(|error| unreachable(ureq::Error::Http(error)))?;
        self.agent.run(request).map_err(unreachable)
    }

    /// `POST` of lines that are read while they are sent; the lines of the answer.
    pub(in crate::cli) fn post_lines(
        &self,
        path: &str,
        lines: &mut dyn Read,
    ) -> Result<impl Read + use<>, ClientError> {
        let unreachable = |cause| ClientError::Unreachable {
            url: self.base.clone(),
            cause,
        };
        let media_type = if self.json {
            "application/x-ndjson"
        } else {
            "text/plain"
        };
        let mut request = http::Request::builder()
            .method(http::Method::POST)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.key))
            .header("Content-Type", media_type);
        if let Some(tenant) = &self.tenant {
            request = request.header("Desist-Tenant", tenant);
        }
        let request = request
            .body(SendBody::from_reader(lines))
            .map_err(|error| unreachable(ureq::Error::Http(error)))?;
        // However long the list is: what does not go on is ended by the server.
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(None)
            .build();
        let response = self.agent.run(request).map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        match self.read(response) {
            Err(error) => Err(error),
            Ok(_answer) => Err(self.stranger()),
        }
    }

    fn bytes(&self, response: &mut http::Response<Body>) -> Result<Vec<u8>, ClientError> {
        response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()
            .map_err(|cause| ClientError::Unreachable {
                url: self.base.clone(),
                cause,
            })
    }

    fn read_state(&self, mut response: http::Response<Body>) -> Result<Value, ClientError> {
        if response.status() != http::StatusCode::SERVICE_UNAVAILABLE {
            return self.read(response);
        }
        let text = self.bytes(&mut response)?;
        serde_json::from_slice(&text).map_err(|_no_json| self.stranger())
    }

    fn read_text(&self, mut response: http::Response<Body>) -> Result<String, ClientError> {
        if !response.status().is_success() {
            self.read(response)?;
            return Err(self.stranger());
        }
        String::from_utf8(self.bytes(&mut response)?).map_err(|_no_text| self.stranger())
    }

    fn read(&self, mut response: http::Response<Body>) -> Result<Value, ClientError> {
        let status = response.status();
        if status == http::StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let text = self.bytes(&mut response)?;
        let stranger = || ClientError::Stranger {
            url: self.base.clone(),
            status: status.as_u16(),
        };
        let answer: Value = serde_json::from_slice(&text).map_err(|_no_json| stranger())?;
        if status.is_success() {
            return Ok(answer);
        }
        let member = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        if member("code").as_deref() == Some("no-tenant") {
            return Err(ClientError::NoTenant);
        }
        Err(ClientError::Refused {
            url: self.base.clone(),
            status: status.as_u16(),
            code: member("code").ok_or_else(stranger)?,
            title: member("title").unwrap_or_default(),
            detail: member("detail").unwrap_or_default(),
        })
    }

    /// What answers with success, but not what was asked.
    pub(in crate::cli) fn stranger(&self) -> ClientError {
        ClientError::Stranger {
            url: self.base.clone(),
            status: http::StatusCode::OK.as_u16(),
        }
    }

    /// All items of a list, page by page, at most `most`.
    pub(in crate::cli) fn pages(&self, path: &str, most: usize) -> Result<Vec<Value>, ClientError> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let limit = most.saturating_sub(items.len()).min(1000);
            if limit == 0 {
                return Ok(items);
            }
            let page = self.get(&format!("{path}{join}limit={limit}{after}"))?;
            if let Some(Value::Array(found)) = page.get("items") {
                items.extend(found.iter().cloned());
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = format!("&after={}", encoded(next)),
                None => return Ok(items),
            }
        }
    }
}

/// Percent-encodes a path segment or a query value (RFC 3986 §2.1, §2.3).
pub(in crate::cli) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&HEXUPPER.encode(&[byte]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_for_a_path() {
        assert_eq!(encoded("a+b/ü@example.com"), "a%2Bb%2F%C3%BC%40example.com");
    }
}
