//! What was given, before it means anything: the file's tables overlaid with the environment, each
//! value with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::mistake::{Mistake, Source};

/// What every variable begins with.
const PREFIX: &str = "DESIST_";

/// Between the section and the key in a variable's name.
const SEPARATOR: &str = "__";

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML float, as it was written.
    Fraction(String),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Self>),
    /// A TOML table.
    Table(Table),
    /// A TOML array of tables.
    Tables(Vec<Table>),
    /// The text of an environment variable, which can stand for any kind of value.
    Variable(String),
    /// A kind of value that no key takes, by its name.
    Other(&'static str),
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) given: Given,
    pub(super) source: Source,
}

/// A table and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) items: BTreeMap<String, Item>,
    pub(super) source: Source,
}

impl Table {
    /// A table in which nothing was written.
    pub(super) const fn empty() -> Self {
        Self {
            items: BTreeMap::new(),
            source: Source::Default,
        }
    }
}

/// Reads the file, as far as it can be read.
pub(super) fn from_file(path: &Path, mistakes: &mut Vec<Mistake>) -> Table {
    let file = Arc::new(path.to_path_buf());
    let whole = Source::File(Arc::clone(&file), 0);
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map_err(|error| format!("is not UTF-8: {}", error.utf8_error())),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    let text = match text {
        Ok(text) => text,
        Err(text) => {
            mistakes.push(Mistake {
                source: whole,
                key: String::new(),
                text,
            });
            return Table::empty();
        }
    };
    let lines = Lines { text: &text, file };
    let (table, mut errors) = DeTable::parse_recoverable(&text);
    // Where a value is left open, all that follows is guessed: what was first found is told, and
    // what is open. (A table's name ends with its line.)
    let is_open = |error: &toml::de::Error| {
        let open = ["unclosed array,", "unclosed inline table"];
        open.iter().any(|begin| error.message().starts_with(begin))
    };
    let is_guessed = errors.iter().any(is_open);
    if is_guessed {
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        let mut is_first = true;
        errors.retain(|error| std::mem::take(&mut is_first) || is_open(error));
    }
    mistakes.extend(errors.iter().map(|error| Mistake {
        source: lines.source(error.span().map_or(0, |span| span.start)),
        key: String::new(),
        text: error.message().to_owned(),
    }));
    if is_guessed {
        return Table::empty();
    }
    lines.table(table.get_ref(), whole)
}

/// Lays the environment over what the file says. Only names with a section are looked at (and
/// `DESIST_DATA_DIR`): others belong to the command line, or to the surroundings, as those that
/// Kubernetes makes for a service called `desist`.
pub(super) fn overlay(table: &mut Table, environment: impl Iterator<Item = (String, String)>) {
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let source = Source::Variable(name);
        let item = Item {
            given: Given::Variable(value),
            source: source.clone(),
        };
        match rest.split_once(SEPARATOR) {
            Some((section, key)) => put(table, section, key, item, source),
            None if rest == "data_dir" => drop(table.items.insert(rest, item)),
            None => {}
        }
    }
}

fn put(table: &mut Table, section: &str, key: &str, item: Item, source: Source) {
    let within = table
        .items
        .entry(section.to_owned())
        .or_insert_with(|| Item {
            given: Given::Table(Table {
                items: BTreeMap::new(),
                source: source.clone(),
            }),
            source: source.clone(),
        });
    match &mut within.given {
        Given::Table(table) => drop(table.items.insert(key.to_owned(), item)),
        // Entries of a list have no names by which a variable could mean one of them.
        _ => {
            *within = Item {
                given: Given::Other("a variable"),
                source,
            }
        }
    }
}

struct Lines<'a> {
    text: &'a str,
    file: Arc<PathBuf>,
}

impl Lines<'_> {
    fn source(&self, offset: usize) -> Source {
        let before = self
            .text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count();
        Source::File(Arc::clone(&self.file), before + 1)
    }

    fn table(&self, table: &DeTable<'_>, source: Source) -> Table {
        let items = table
            .iter()
            .map(|(key, value)| {
                let source = self.source(key.span().start);
                let given = self.given(value.get_ref(), &source);
                (key.get_ref().to_string(), Item { given, source })
            })
            .collect();
        Table { items, source }
    }

    fn given(&self, value: &DeValue<'_>, source: &Source) -> Given {
        match value {
            DeValue::String(text) => Given::Text(text.to_string()),
            DeValue::Integer(number) => integer(number),
            DeValue::Boolean(value) => Given::Boolean(*value),
            DeValue::Array(list) => self.list(list, source),
            DeValue::Table(table) => Given::Table(self.table(table, source.clone())),
            DeValue::Float(number) => Given::Fraction(number.as_str().to_owned()),
            DeValue::Datetime(_) => Given::Other("a date"),
        }
    }

    fn list(&self, list: &DeArray<'_>, source: &Source) -> Given {
        let tables: Option<Vec<Table>> = list
            .iter()
            .map(|entry| match entry.get_ref() {
                DeValue::Table(table) => Some(self.table(table, self.source(entry.span().start))),
                _ => None,
            })
            .collect();
        match tables {
            Some(tables) if !tables.is_empty() => Given::Tables(tables),
            _ => Given::List(
                list.iter()
                    .map(|v| self.given(v.get_ref(), source))
                    .collect(),
            ),
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Given {
    i64::from_str_radix(number.as_str(), number.radix())
        .map_or(Given::Other("too large a number"), Given::Integer)
}
