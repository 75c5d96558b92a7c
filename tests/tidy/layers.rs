//! A file uses only lower layers, and within a layer only what stands left of it.

use crate::source::{File, Finding};

/// Modules from the lowest to the highest. Those of one entry do not use each other.
const ORDER: [&[&str]; 21] = [
    &["model"],
    &["token"],
    &["report"],
    &["smtp"],
    &["judge"],
    &["lint"],
    &["trust"],
    &["metrics"],
    &["traces"],
    &["store"],
    &["journal"],
    &["index"],
    &["auth"],
    &["app"],
    &["net"],
    &["acme"],
    &["mail_server", "lookup_server", "http"],
    &["config"],
    &["serve"],
    &["telemetry"],
    &["cli"],
];

/// The layers that take values and give values: no input, output, clock or runtime.
const PURE: [&str; 6] = ["model", "token", "report", "smtp", "judge", "lint"];

/// What pure layers do not name.
const IMPURE: [&[&str]; 22] = [
    &["axum"],
    &["getrandom"],
    &["hyper"],
    &["hyper_util"],
    &["ring"],
    &["rustix"],
    &["rustls"],
    &["sqlx"],
    &["tokio"],
    &["tokio_rustls"],
    &["tokio_util"],
    &["ureq"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "io", "stderr"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "UdpSocket"],
    &["std", "process"],
    &["std", "thread"],
];

/// What only the clock names among them.
const CLOCKS: [&[&str]; 2] = [&["std", "time", "Instant"], &["std", "time", "SystemTime"]];

pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let sources = files
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("src/"));
    sources
        .flat_map(|file| {
            let paths = paths(&file.code);
            [
                edges(file, &paths),
                purity(file, &paths),
                parser(file, &paths),
            ]
            .concat()
        })
        .collect()
}

fn edges(file: &File, paths: &[(usize, Vec<String>)]) -> Vec<Finding> {
    let Some(own) = module(&file.path) else {
        return Vec::new();
    };
    let Some(rank) = rank(own) else {
        return vec![file.finding(
            1,
            "layers",
            format!("module {own} is in no layer: add it to ORDER"),
        )];
    };
    let used = paths
        .iter()
        .filter_map(|(line, path)| Some((*line, own_module(&file.path, path)?)));
    used.filter_map(|(line, used)| {
        let above = self::rank(&used)? > rank || (self::rank(&used)? == rank && used != own);
        let reason = format!("{own} must not use {used}, which is not below it");
        above.then(|| file.finding(line, "layers", reason))
    })
    .collect()
}

fn purity(file: &File, paths: &[(usize, Vec<String>)]) -> Vec<Finding> {
    if !module(&file.path).is_some_and(|own| PURE.contains(&own)) {
        return Vec::new();
    }
    let clock = file.path == "src/model/clock.rs";
    let forbidden = |path: &[String]| {
        let begins = |with: &&[&str]| {
            path.len() >= with.len() && path.iter().zip(*with).all(|(a, b)| a == b)
        };
        IMPURE.iter().any(begins) || (!clock && CLOCKS.iter().any(begins))
    };
    paths
        .iter()
        .filter(|(line, path)| !file.is_test(*line) && forbidden(path))
        .map(|(line, path)| {
            let reason = format!("{} in a pure layer: values in, values out", path.join("::"));
            file.finding(*line, "purity", reason)
        })
        .collect()
}

fn parser(file: &File, paths: &[(usize, Vec<String>)]) -> Vec<Finding> {
    if file.path == "src/report/mime.rs" || file.path.starts_with("src/report/mime/") {
        return Vec::new();
    }
    paths
        .iter()
        .filter(|(_, path)| path.first().is_some_and(|first| first == "mail_parser"))
        .map(|(line, _)| {
            file.finding(
                *line,
                "parser",
                "only src/report/mime names the MIME parser",
            )
        })
        .collect()
}

/// The top module of a file below `src/`; none for the crate's roots.
fn module(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/")?;
    let first = inner.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|name| !["lib", "main"].contains(name))
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|modules| modules.contains(&module))
}

/// The top module of this crate that a path begins with.
fn own_module(file: &str, path: &[String]) -> Option<String> {
    if path.first()? == "crate" {
        return path.get(1).cloned();
    }
    // As many `super` as the file is deep lead to the root.
    let supers = path
        .iter()
        .take_while(|segment| *segment == "super")
        .count();
    let depth = file.trim_end_matches(".rs").matches('/').count();
    (supers > 0 && supers >= depth)
        .then(|| path.get(supers).cloned())
        .flatten()
}

/// All paths of two segments or more, groups unfolded, with their lines.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut scanner = Scanner {
        code,
        at: 0,
        found: Vec::new(),
    };
    while scanner.at < code.len() {
        let before = code[..scanner.at].trim_end();
        let begins = !before.ends_with("::") && !before.ends_with('.');
        match scanner.identifier() {
            Some(first) if begins => scanner.path(vec![first]),
            Some(_) => {}
            None => scanner.skip(),
        }
    }
    let (mut line, mut counted) = (1, 0);
    let with_line = |(at, path): (usize, Vec<String>)| {
        line += code[counted..at].matches('\n').count();
        counted = at;
        (line, path)
    };
    scanner.found.into_iter().map(with_line).collect()
}

struct Scanner<'a> {
    code: &'a str,
    at: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.code[self.at..]
    }

    fn skip(&mut self) {
        self.at += self.rest().chars().next().map_or(1, char::len_utf8);
    }

    fn spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, text: &str) -> bool {
        self.spaces();
        let there = self.rest().starts_with(text);
        self.at += if there { text.len() } else { 0 };
        there
    }

    fn identifier(&mut self) -> Option<String> {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        let length = self
            .rest()
            .find(|c| !inside(c))
            .unwrap_or(self.rest().len());
        let word = self.rest()[..length].to_owned();
        self.at += length;
        (length > 0).then_some(word)
    }

    /// Goes on behind the segments in `path`.
    fn path(&mut self, mut path: Vec<String>) {
        let start = self.at;
        while self.eat("::") {
            self.spaces();
            if self.eat("{") {
                return self.group(&path);
            }
            let Some(segment) = self.identifier() else {
                break;
            };
            path.push(segment);
        }
        if path.len() > 1 {
            self.found.push((start, path));
        } else {
            self.at = start;
        }
    }

    fn group(&mut self, path: &[String]) {
        while self.at < self.code.len() && !self.eat("}") {
            self.spaces();
            match self.identifier() {
                Some(first) if first == "as" => {
                    self.spaces();
                    self.identifier();
                }
                Some(first) => self.path([path, &[first]].concat()),
                None => self.skip(),
            }
        }
    }
}

mod tests {
    use super::*;

    fn reasons(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&[File::new(path, text)])
            .into_iter()
            .map(|f| (f.line, f.reason))
            .collect()
    }

    fn is_clean(path: &str, text: &str) {
        assert_eq!(reasons(path, text), []);
    }

    #[test]
    fn paths_are_unfolded() {
        let text = "use a::{b::{c, d as e}, self, f::*};\nx.y::<G>(); h::\n i(); j";
        let found: Vec<(usize, String)> = paths(text)
            .into_iter()
            .map(|(line, path)| (line, path.join("::")))
            .collect();
        let wanted = ["a::b::c", "a::b::d", "a::self", "a::f"].map(|path| (1, path.to_owned()));
        assert_eq!(found[..4], wanted);
        assert_eq!(found[4], (2, "h::i".to_owned()));
        assert_eq!(found.len(), 5);
    }

    #[test]
    fn upward_and_sideways_edges_are_found() {
        let found = reasons(
            "src/smtp/session.rs",
            "use crate::token::wire;\nuse crate::judge::Rule;\n",
        );
        assert_eq!(
            found,
            [(
                2,
                "smtp must not use judge, which is not below it".to_owned()
            )]
        );
        assert_eq!(
            reasons("src/token/wire.rs", "use crate::{model::x, smtp::y};").len(),
            1
        );
        assert_eq!(
            reasons("src/http/api.rs", "fn a() { crate::mail_server::run() }").len(),
            1
        );
        assert_eq!(reasons("src/store.rs", "use super::app::App;").len(), 1);
        assert_eq!(
            reasons("src/net/tls.rs", "use super::super::http::api;").len(),
            1
        );
        is_clean(
            "src/http/api.rs",
            "use crate::http::public; use crate::app::App; use super::super::net;",
        );
        is_clean(
            "src/app.rs",
            "// crate::http\nconst A: &str = \"crate::http\";",
        );
        is_clean("src/lib.rs", "pub use crate::cli::run;");
        assert!(reasons("src/other.rs", "")[0].1.contains("in no layer"));
    }

    #[test]
    fn pure_layers_stay_pure() {
        for text in [
            "use tokio::net::TcpStream;",
            "use std::{fs, fmt};",
            "fn a() { std::env::var(b) }",
            "use std::net::{IpAddr, TcpStream};",
            "use std::time::{Duration, Instant};",
            "fn a() { sqlx::query(b) }",
        ] {
            assert_eq!(reasons("src/smtp/session.rs", text).len(), 1, "{text}");
            is_clean("src/net/accept.rs", text);
        }
        is_clean(
            "src/smtp/session.rs",
            "use std::net::IpAddr; use std::time::Duration; use std::{fmt, io};",
        );
        is_clean(
            "src/model/clock.rs",
            "use std::time::{Instant, SystemTime};",
        );
        is_clean(
            "src/report/arf.rs",
            "#[cfg(test)]\nmod tests {\n use std::fs;\n}",
        );
    }

    #[test]
    fn the_mime_parser_is_named_in_one_place() {
        assert_eq!(
            reasons("src/report/arf.rs", "use mail_parser::Message;").len(),
            1
        );
        is_clean("src/report/mime.rs", "use mail_parser::Message;");
    }
}
