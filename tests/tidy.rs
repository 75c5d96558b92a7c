//! House rules as tests: what a review would say twice, each with its reason.
#![expect(
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "tidy/citations.rs"]
mod citations;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/settings.rs"]
mod settings;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/style.rs"]
mod style;

use std::path::Path;

#[test]
fn the_project_is_tidy() {
    let files = source::project(Path::new(env!("CARGO_MANIFEST_DIR")));
    for line in style::long(&files) {
        println!("long, to look at: {line}");
    }
    let rules = [
        layers::check,
        style::check,
        citations::check,
        papers::check,
        limits::check,
        settings::check,
    ];
    let mut found: Vec<source::Finding> = rules.iter().flat_map(|rule| rule(&files)).collect();
    found.sort();
    let lines: Vec<String> = found
        .iter()
        .map(|f| format!("{}:{}: {}: {}", f.file, f.line, f.rule, f.reason))
        .collect();
    assert!(
        lines.is_empty(),
        "{} breaches of house rules:\n{}",
        lines.len(),
        lines.join("\n")
    );
}
