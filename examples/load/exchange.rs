//! Requests that are made once, and their answers read as little as it takes.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::Result;

/// A request, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Prepared(Vec<u8>);

impl Prepared {
    pub(crate) fn get(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n").into_bytes())
    }

    pub(crate) fn check(key: &str, json: &str) -> Self {
        let fields = format!("Authorization: Bearer {key}\r\nContent-Type: application/json");
        Self::post("/v1/check", &fields, json)
    }

    pub(crate) fn post(path: &str, fields: &str, body: &str) -> Self {
        let length = body.len();
        Self(
            format!(
                "POST {path} HTTP/1.1\r\nHost: bench.example\r\n{fields}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where an answer of a kept connection lies in what was read.
#[derive(Debug, Clone, Copy)]
struct Answer {
    head: usize,
    length: usize,
    is_ok: bool,
}

/// Reads the head, if it is there whole.
fn answer(read: &[u8]) -> Result<Option<Answer>> {
    let Some(end) = memchr::memmem::find(read, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(read.get(..end).unwrap_or_default())?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or("an answer without its length")?;
    Ok(Some(Answer {
        head: end + 4,
        length: length.1.trim().parse()?,
        is_ok: head.starts_with("HTTP/1.1 200"),
    }))
}

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Kept<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Kept<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Writes a request and reads its answer's body. Anything but `200` is an error.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.read.clear();
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut head: Option<Answer> = None;
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the connection was closed".into());
            }
            if head.is_none() {
                head = answer(&self.read)?;
            }
            if let Some(Answer {
                head,
                length,
                is_ok,
            }) = head
                && self.read.len() >= head + length
            {
                if is_ok {
                    return Ok(self.read.get(head..head + length).unwrap_or_default());
                }
                return Err(String::from_utf8_lossy(&self.read).into_owned().into());
            }
        }
    }
}
