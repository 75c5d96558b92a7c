//! What it costs to read a mail and to assess a bounce, over all fixtures, or over the folder of
//! mails that `DESIST_CORPUS` names. `cargo bench --bench reading`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a measurement: it prints, and may stop at any surprise"
)]

#[path = "measure/timing.rs"]
mod timing;

use std::fs;
use std::path::{Path, PathBuf};

use desist::judge::summary;
use desist::report::{What, read};

use self::timing::measure;

#[expect(
    clippy::disallowed_methods,
    reason = "only this measurement knows where mails lie"
)]
fn folders() -> Vec<PathBuf> {
    match std::env::var("DESIST_CORPUS") {
        Ok(folder) => vec![Path::new(&folder).join("mails")],
        Err(_) => ["fixtures/bounce", "fixtures/report"]
            .map(PathBuf::from)
            .to_vec(),
    }
}

fn mails(folder: &Path, found: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            mails(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            found.push(fs::read(path).unwrap());
        }
    }
}

fn main() {
    let mut all = Vec::new();
    for folder in folders() {
        mails(&folder, &mut all);
    }
    let octets: usize = all.iter().map(Vec::len).sum();
    println!(
        "{} mails of {} octets",
        all.len(),
        octets / all.len().max(1)
    );
    measure("read all and tell what each is", octets, || {
        all.iter()
            .map(|raw| summary::of(&read(raw)).recipients.len())
            .sum::<usize>()
    });
    measure("read all", octets, || {
        all.iter()
            .filter(|raw| matches!(read(raw).what, What::Delivery(_)))
            .count()
    });
}
