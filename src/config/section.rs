//! Declares sections: a struct whose fields, keys, defaults and manual are written down once.

use std::collections::BTreeMap;

use super::given::{Given, Item, Table};
use super::mistake::{Mistake, Source};
use super::setting::Setting;

/// A table of settings.
pub(super) trait Section: Sized {
    /// Its parts, in order, with what the manual says about them.
    fn parts() -> Vec<Part>;

    /// Reads it; `None` if a key that has no default is missing or wrong.
    fn read(reader: Reader<'_>) -> Option<Self>;
}

/// A part of a section, as the manual shows it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) kind: PartKind,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum PartKind {
    /// A key with its default.
    Key(String),
    /// A key without default, with a sample.
    Unset(&'static str),
    /// A table below.
    Section(Vec<Part>),
    /// A list of tables below.
    Tables(Vec<Part>),
}

/// What has been found while reading: places of keys, and mistakes.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Findings {
    /// Reports a key, at the place where it was written.
    pub(super) fn mistake(&mut self, key: &str, text: impl Into<String>) {
        let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
        self.mistakes.push(Mistake {
            source,
            key: key.to_owned(),
            text: text.into(),
        });
    }
}

/// Takes a table apart, key by key.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    path: String,
    table: Table,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    /// Reads the outermost table.
    pub(super) const fn root(table: Table, findings: &'a mut Findings) -> Self {
        Self {
            path: String::new(),
            table,
            findings,
        }
    }

    /// The value of a key that may be left out.
    pub(super) fn optional<T: Setting>(&mut self, name: &str) -> Option<T> {
        let Item { given, source } = self.table.items.remove(name)?;
        let key = self.key(name);
        self.findings.sources.insert(key.clone(), source);
        T::read(&given)
            .map_err(|text| self.findings.mistake(&key, text))
            .ok()
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Setting>(&mut self, name: &str) -> Option<T> {
        if !self.table.items.contains_key(name) {
            let source = self.table.source.clone();
            let text = "is missing".to_owned();
            self.findings.mistakes.push(Mistake {
                source,
                key: self.key(name),
                text,
            });
        }
        self.optional(name)
    }

    /// A table below; all defaults if it was not written.
    pub(super) fn section<T: Section>(&mut self, name: &str) -> Option<T> {
        let path = self.key(name);
        let table = match self.table.items.remove(name) {
            None => Table::empty(),
            Some(Item {
                given: Given::Table(table),
                ..
            }) => table,
            Some(Item { source, .. }) => {
                self.findings.sources.insert(path.clone(), source);
                self.findings
                    .mistake(&path, format!("is a section, written [{path}]"));
                Table::empty()
            }
        };
        T::read(Reader {
            path,
            table,
            findings: self.findings,
        })
    }

    /// A list of tables below.
    pub(super) fn tables<T: Section>(&mut self, name: &str) -> Vec<T> {
        let path = self.key(name);
        let Some(Item { given, source }) = self.table.items.remove(name) else {
            return Vec::new();
        };
        let Given::Tables(tables) = given else {
            self.findings.sources.insert(path.clone(), source);
            let text = format!("is a list of tables, each written [[{name}]], in the file alone");
            self.findings.mistake(&path, text);
            return Vec::new();
        };
        let read = |(index, table): (usize, Table)| {
            let path = format!("{path}[{index}]");
            self.findings
                .sources
                .insert(path.clone(), table.source.clone());
            T::read(Reader {
                path,
                table,
                findings: self.findings,
            })
        };
        tables.into_iter().enumerate().filter_map(read).collect()
    }

    /// Reports what nobody took.
    pub(super) fn finish(self, known: &[&str]) {
        for (name, item) in &self.table.items {
            let text = format!("unknown key; known here are {}", known.join(", "));
            let source = item.source.clone();
            self.findings.mistakes.push(Mistake {
                source,
                key: self.key(name),
                text,
            });
        }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

/// Declares a section. Each field is a key with its manual and one of
/// `default(VALUE)`, `unset` (an `Option`) or `required`, both with a sample as TOML has it,
/// `section` or `tables`.
macro_rules! section {
    (
        $(#[$about:meta])+
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $kind:ident $(($value:expr))?;
            )+
        }
    ) => {
        $(#[$about])+
        #[derive(Debug, Clone)]
        pub struct $name { $( $(#[doc = $doc])+ pub $field: $type, )+ }

        impl $crate::config::section::Section for $name {
            fn parts() -> Vec<$crate::config::section::Part> {
                vec![$(
                    $crate::config::section::Part {
                        name: stringify!($field),
                        about: &[$($doc),+],
                        kind: $crate::config::section::part!($type, $kind $(($value))?),
                    }
                ),+]
            }

            fn read(mut reader: $crate::config::section::Reader<'_>) -> Option<Self> {
                $(
                    let $field = $crate::config::section::field!(
                        reader, stringify!($field), $kind $(($value))?
                    );
                )+
                reader.finish(&[$(stringify!($field)),+]);
                Some(Self { $($field: $field?),+ })
            }
        }
    };
}

/// What the manual shows of a field.
macro_rules! part {
    ($type:ty, default($value:expr)) => {{
        let value: $type = $value;
        let written = $crate::config::setting::Setting::written(&value).unwrap_or_default();
        $crate::config::section::PartKind::Key(written)
    }};
    ($type:ty, unset($sample:expr)) => {
        $crate::config::section::PartKind::Unset($sample)
    };
    ($type:ty, required($sample:expr)) => {
        $crate::config::section::PartKind::Unset($sample)
    };
    ($type:ty, section) => {
        $crate::config::section::PartKind::Section(
            <$type as $crate::config::section::Section>::parts(),
        )
    };
    ($type:ty, tables) => {
        $crate::config::section::PartKind::Tables($crate::config::section::parts_of_entry(
            std::marker::PhantomData::<$type>,
        ))
    };
}

/// How a field is read: `None` if there is no value for it.
macro_rules! field {
    ($reader:ident, $key:expr, default($value:expr)) => {
        Some($reader.optional($key).unwrap_or_else(|| $value))
    };
    ($reader:ident, $key:expr, unset($sample:expr)) => {
        Some($reader.optional($key))
    };
    ($reader:ident, $key:expr, required($sample:expr)) => {
        $reader.required($key)
    };
    ($reader:ident, $key:expr, section) => {
        $reader.section($key)
    };
    ($reader:ident, $key:expr, tables) => {
        Some($reader.tables($key))
    };
}

/// The parts of the entries of a list.
pub(super) fn parts_of_entry<T: Section>(_: std::marker::PhantomData<Vec<T>>) -> Vec<Part> {
    T::parts()
}

pub(super) use {field, part, section};
