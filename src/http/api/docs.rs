//! `GET /docs`: the API for people, made from the OpenAPI document. One page without scripts.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::Value;

use super::Api;
use super::caller::LocalOrRead;
use super::problem::{Kind, Problem};
use super::wire::Segment;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;\
    padding:0 1rem;color:#222;background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}\
    pre{background:#f4f4f4;padding:.7rem;overflow:auto}h3 code{font-size:1em}\
    td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}\
    a{color:#8bf}}";

/// Gives this page.
///
/// Without a key on loopback only; otherwise with the scope `read`.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    security((), ("bearer" = ["read"])),
    responses((status = 200, description = "A page", body = String,
        content_type = "text/html", example = "<!doctype html>…"))
)]
pub(super) async fn page(State(api): State<Api>, _: LocalOrRead) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ];
    (headers, api.documents.docs.clone()).into_response()
}

/// `GET /problems/{code}`: where a problem's `type` leads.
pub(super) async fn problem(Segment(code): Segment<String>) -> Result<Redirect, Problem> {
    if Kind::ALL.iter().any(|kind| kind.code() == code) {
        Ok(Redirect::to(&format!("/docs#problem-{code}")))
    } else {
        Err(Problem::new(
            Kind::NotFound,
            "there is no such kind of problem",
        ))
    }
}

/// The page of an OpenAPI document.
pub(super) fn render(openapi: &str) -> String {
    let document: Value = serde_json::from_str(openapi).unwrap_or_default();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>desist API</title>\
         <style>{STYLE}</style><h1>desist API</h1>{}\
         <p>For programs: <a href=\"/openapi.json\">openapi.json</a>.</p>",
        prose(text(&document, "/info/description"))
    );
    let tags = list(&document, "/tags");
    for tag in tags {
        let name = text(tag, "/name");
        push(
            &mut page,
            format_args!("<h2>{}</h2>", escape(text(tag, "/description"))),
        );
        for (path, method, operation) in operations(&document) {
            if text(operation, "/tags/0") == name {
                call(
                    &mut page,
                    &format!("{} {path}", method.to_uppercase()),
                    operation,
                );
            }
        }
    }
    page.push_str("<h2>Problems</h2><table><tr><th>code<th>status<th>what to do");
    for kind in Kind::ALL {
        push(
            &mut page,
            format_args!(
                "<tr id=\"problem-{code}\"><td><code>{code}</code><td>{status}<td>{title}. {advice}",
                code = kind.code(),
                status = kind.status().as_u16(),
                title = escape(kind.title()),
                advice = code_spans(&escape(kind.advice())),
            ),
        );
    }
    page.push_str("</table></html>");
    page
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document.get("paths").and_then(Value::as_object);
    paths.into_iter().flatten().flat_map(|(path, methods)| {
        let methods = methods.as_object();
        methods
            .into_iter()
            .flatten()
            .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn call(page: &mut String, title: &str, operation: &Value) {
    push(
        page,
        format_args!("<h3><code>{}</code></h3>", escape(title)),
    );
    push(
        page,
        format_args!(
            "<p>{}</p>",
            code_spans(&escape(text(operation, "/summary")))
        ),
    );
    page.push_str(&prose(text(operation, "/description")));
    let scope = text(operation, "/security/0/bearer/0");
    if !scope.is_empty() {
        push(
            page,
            format_args!("<p>Scope of the key: <code>{scope}</code></p>"),
        );
    }
    let parameters = list(operation, "/parameters");
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>parameter<th>in<th>meaning");
        for parameter in parameters {
            push(
                page,
                format_args!(
                    "<tr><td><code>{}</code><td>{}<td>{}",
                    escape(text(parameter, "/name")),
                    escape(text(parameter, "/in")),
                    code_spans(&escape(text(parameter, "/description"))),
                ),
            );
        }
        page.push_str("</table>");
    }
    example(page, "Request", operation.pointer("/requestBody/content"));
    let responses = operation.get("responses").and_then(Value::as_object);
    for (status, response) in responses.into_iter().flatten() {
        example(page, &format!("Answer {status}"), response.get("content"));
    }
}

fn example(page: &mut String, title: &str, content: Option<&Value>) {
    let kinds = content.and_then(Value::as_object);
    for (media, content) in kinds.into_iter().flatten() {
        let Some(example) = content.get("example") else {
            continue;
        };
        let shown = match example {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        push(
            page,
            format_args!(
                "<p>{title} ({})</p><pre>{}</pre>",
                escape(media),
                escape(&shown)
            ),
        );
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Paragraphs of a description.
fn prose(description: &str) -> String {
    description
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
        .flat_map(|paragraph| {
            [
                "<p>".to_owned(),
                code_spans(&escape(paragraph)),
                "</p>".to_owned(),
            ]
        })
        .collect()
}

/// Text between backticks as code.
fn code_spans(escaped: &str) -> String {
    let mut spans = String::with_capacity(escaped.len());
    for (place, part) in escaped.split('`').enumerate() {
        if place % 2 == 1 {
            spans.push_str("<code>");
            spans.push_str(part);
            spans.push_str("</code>");
        } else {
            spans.push_str(part);
        }
    }
    spans
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Writing to a string cannot fail.
fn push(page: &mut String, what: std::fmt::Arguments<'_>) {
    if page.write_fmt(what).is_err() {
        tracing::debug!("a piece of the page could not be formatted");
    }
}
