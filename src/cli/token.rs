//! `desist token`: tokens for outgoing mail.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::client::{
    Client, ClientArgs, ClientError, Outcome, cell, if_read, items, print_json, print_table,
    stream_number,
};
use super::suppress::refused;
use crate::token::wire::Use;

/// Mint and explain tokens.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TokenArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) command: TokenCommand,
    /// Where the API is
    #[command(flatten)]
    pub(super) client: ClientArgs,
}

/// What can be done with tokens.
#[derive(Debug, Clone, clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Mint a token and print it alone on a line
    Mint {
        /// Whom the mail is for
        address: String,
        /// The stream of the mail; 0 for none
        #[arg(long, value_name = "N", value_parser = stream_number)]
        stream: u16,
        /// Your own reference in hexadecimal, at most 16 bytes
        #[arg(long = "ref", value_name = "HEX", default_value = "")]
        reference: String,
        /// feedback, or bounce for MAIL FROM
        #[arg(long = "use", value_name = "USE", default_value = "feedback")]
        purpose: Use,
    },
    /// Explain a token. Exit codes: 0, it is valid, and for the address if one is given; 3, it is
    /// not; 1, it could not be told
    Inspect {
        /// The token, or an address or a URL that has it
        token: String,
        /// Say whether it was minted for this address
        #[arg(long)]
        address: Option<String>,
    },
    /// Print return path and header fields for one mail
    Headers {
        /// Whom the mail is for
        address: String,
        /// The stream of the mail; 0 for none
        #[arg(long, value_name = "N", value_parser = stream_number)]
        stream: u16,
        /// Your own reference in hexadecimal, at most 6 bytes
        #[arg(long = "ref", value_name = "HEX", default_value = "")]
        reference: String,
    },
}

impl TokenArgs {
    /// Does it and prints what became of it.
    pub(super) fn run(&self, data_dir: &Path, out: &mut dyn Write) -> Result<Outcome, ClientError> {
        let client = self.client.connect(data_dir)?;
        let done = match &self.command {
            TokenCommand::Mint {
                address,
                stream,
                reference,
                purpose,
            } => {
                let mut call = mint_call(address, *stream, reference);
                call.insert("use".to_owned(), purpose.as_str().into());
                mint(&client, out, call, |out, item| {
                    writeln!(out, "{}", cell(item, "/token"))?;
                    Ok(())
                })
            }
            TokenCommand::Headers {
                address,
                stream,
                reference,
            } => mint(
                &client,
                out,
                mint_call(address, *stream, reference),
                print_headers,
            ),
            TokenCommand::Inspect { token, address } => {
                return inspect(&client, out, token, address.as_deref());
            }
        };
        if_read(done).map(|()| Outcome::Yes)
    }
}

fn inspect(
    client: &Client,
    out: &mut dyn Write,
    token: &str,
    address: Option<&str>,
) -> Result<Outcome, ClientError> {
    let mut call = Map::new();
    call.insert("token".to_owned(), token.into());
    if let Some(address) = address {
        call.insert("address".to_owned(), address.into());
    }
    let answer = client.post("/v1/tokens/inspect", &Value::Object(call))?;
    let is_true = |member| answer.get(member) == Some(&Value::Bool(true));
    let matches = address.is_none() || is_true("address_matches");
    if_read(if client.json {
        print_json(out, &answer)
    } else {
        print_fields(out, &answer)
    })?;
    Ok(if is_true("valid") && matches {
        Outcome::Yes
    } else {
        Outcome::No
    })
}

fn mint_call(address: &str, stream: u16, reference: &str) -> Map<String, Value> {
    let mut call = Map::new();
    call.insert("stream".to_owned(), stream.into());
    call.insert(
        "recipients".to_owned(),
        json!([{"address": address, "ref": reference}]),
    );
    call
}

fn mint(
    client: &Client,
    out: &mut dyn Write,
    call: Map<String, Value>,
    print: impl FnOnce(&mut dyn Write, &Value) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let answer = client.post("/v1/tokens", &Value::Object(call))?;
    if client.json {
        print_json(out, &answer)?;
        return refused(&answer);
    }
    match items(&answer) {
        [item] if item.get("error").is_none() => print(out, item),
        [item, ..] => Err(ClientError::Item(cell(item, "/error"))),
        [] => Ok(()),
    }
}

fn print_headers(out: &mut dyn Write, item: &Value) -> Result<(), ClientError> {
    writeln!(out, "MAIL FROM: <{}>", cell(item, "/return_path"))?;
    let headers = item.get("headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        writeln!(out, "{name}: {}", value.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn print_fields(out: &mut dyn Write, answer: &Value) -> Result<(), ClientError> {
    let line = |name: &str, pointer: &str| vec![name.to_owned(), cell(answer, pointer)];
    if answer.get("valid") != Some(&Value::Bool(true)) {
        return print_table(out, &[line("not valid", "/detail")]);
    }
    let mut rows = vec![
        line("use", "/fields/use"),
        line("tenant", "/fields/tenant"),
        line("stream", "/fields/stream"),
        line("stream name", "/fields/stream_name"),
        line("recipient", "/fields/recipient"),
        line("ref", "/fields/ref"),
        line("key", "/fields/key"),
        line("key revoked", "/fields/revoked"),
    ];
    if answer.get("address_matches").is_some() {
        rows.push(line("for that address", "/address_matches"));
    } else {
        // A recipient key cannot be turned back.
        let hint = "no token holds it; --address ADDRESS says whether it was minted for that one";
        rows.push(vec!["address".to_owned(), hint.to_owned()]);
    }
    if answer.get("suppressed").is_some() {
        rows.push(line("suppressed", "/suppressed/scope"));
        rows.push(line("because", "/suppressed/reason"));
    }
    print_table(out, &rows)
}
