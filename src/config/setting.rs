//! Kinds of values: how each is read from what was given, and how it is written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::given::Given;
use super::quantity::{self, Size};
use super::values::Rate;
use crate::model::mailbox::Role;
use crate::model::stream::Class;
use crate::model::tenant::TenantId;
use crate::net::network::{Network, NetworkError};
use crate::store::Addresses;

/// A kind of value.
pub(super) trait Setting: Sized {
    /// Reads it, or says what is wanted. The text must not repeat what may be a secret.
    fn read(given: &Given) -> Result<Self, String>;

    /// The way it is written in TOML; `None` if there is nothing to write.
    fn written(&self) -> Option<String>;
}

/// The text of a value that is one.
pub(super) fn text(given: &Given) -> Result<&str, String> {
    match given {
        Given::Text(text) | Given::Variable(text) => Ok(text.trim()),
        other => Err(format!("wants a text in quotes, not {}", kind(other))),
    }
}

/// A text as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl<T: Setting> Setting for Vec<T> {
    /// A list; a single value is a list of one; in a variable commas separate.
    fn read(given: &Given) -> Result<Self, String> {
        let list: Self = match given {
            Given::List(list) => list.iter().map(T::read).collect::<Result<_, _>>()?,
            Given::Variable(list) => list
                .split(',')
                .map(|one| T::read(&Given::Variable(one.to_owned())))
                .collect::<Result<_, _>>()?,
            single => vec![T::read(single)?],
        };
        if list.is_empty() {
            Err("wants at least one".to_owned())
        } else {
            Ok(list)
        }
    }

    fn written(&self) -> Option<String> {
        let list: Vec<String> = self.iter().filter_map(Setting::written).collect();
        Some(format!("[{}]", list.join(", ")))
    }
}

impl Setting for bool {
    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Boolean(value) => Ok(*value),
            Given::Variable(text) if text == "true" => Ok(true),
            Given::Variable(text) if text == "false" => Ok(false),
            other => Err(format!("wants true or false, not {}", kind(other))),
        }
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Whole numbers for which 0 would mean that nothing works.
macro_rules! counts {
    ($($number:ty),+) => { $(
        impl Setting for $number {
            fn read(given: &Given) -> Result<Self, String> {
                match number(given)?.try_into() {
                    Ok(0) | Err(_) => Err(format!("wants a whole number from 1 to {}", Self::MAX)),
                    Ok(number) => Ok(number),
                }
            }

            fn written(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )+ };
}

counts!(u16, u32, usize);

impl Setting for Rate {
    fn read(given: &Given) -> Result<Self, String> {
        let wanted = || format!("wants a whole number from 0 (no limit) to {}", u32::MAX);
        number(given)?
            .try_into()
            .ok()
            .map(Self::per_period)
            .ok_or_else(wanted)
    }

    fn written(&self) -> Option<String> {
        Some(self.limit().unwrap_or(0).to_string())
    }
}

impl Setting for TenantId {
    fn read(given: &Given) -> Result<Self, String> {
        Self::try_from(number(given)?).map_err(|error| error.to_string())
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for Size {
    fn read(given: &Given) -> Result<Self, String> {
        let size = match given {
            Given::Integer(bytes) => Self::from_bytes(u64::try_from(*bytes).unwrap_or(0)),
            other => quantity::size(text(other)?)?,
        };
        if size.bytes() == 0 {
            Err("must be more than 0".to_owned())
        } else {
            Ok(size)
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for Duration {
    fn read(given: &Given) -> Result<Self, String> {
        let duration = match given {
            Given::Integer(_) => return Err("wants its unit too, such as \"5 min\"".to_owned()),
            other => quantity::duration(text(other)?)?,
        };
        if duration.is_zero() {
            Err("must be more than 0".to_owned())
        } else {
            Ok(duration)
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&quantity::duration_text(*self)))
    }
}

impl Setting for PathBuf {
    fn read(given: &Given) -> Result<Self, String> {
        match text(given)? {
            "" => Err("wants a path".to_owned()),
            path => Ok(Self::from(path)),
        }
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.display().to_string()))
    }
}

impl Setting for SocketAddr {
    /// `HOST:PORT`. Names other than `localhost` are not looked up: to start must not depend on
    /// DNS.
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        let named = |(host, port): (&str, &str)| {
            let host: IpAddr = match host {
                "localhost" => Ipv4Addr::LOCALHOST.into(),
                "*" | "" => Ipv6Addr::UNSPECIFIED.into(),
                _ => return None,
            };
            Some(Self::new(host, port.parse().ok()?))
        };
        text.parse()
            .ok()
            .or_else(|| text.rsplit_once(':').and_then(named))
            .ok_or_else(|| {
                format!(
                    "{text:?} is not IP:PORT, such as \"192.0.2.1:25\", \"[::]:25\" or \"*:25\""
                )
            })
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for Network {
    fn read(given: &Given) -> Result<Self, String> {
        let text = text(given)?;
        text.parse()
            .map_err(|error: NetworkError| format!("{text:?} {error}"))
    }

    fn written(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// Enums that are read and written by their fixed words.
macro_rules! words_settings {
    ($($word:ty),+) => { $(
        impl Setting for $word {
            fn read(given: &Given) -> Result<Self, String> {
                text(given)?.parse().map_err(|error: crate::model::words::UnknownWord| error.to_string())
            }

            fn written(&self) -> Option<String> {
                Some(quoted(self.as_str()))
            }
        }
    )+ };
}

words_settings!(
    Addresses,
    Class,
    Role,
    super::values::TlsMode,
    super::values::LogFormat,
    crate::http::public::mta_sts::Mode
);

fn number(given: &Given) -> Result<i64, String> {
    match given {
        Given::Integer(number) => Ok(*number),
        Given::Variable(text) => text
            .trim()
            .parse()
            .ok()
            .ok_or_else(|| format!("{text:?} is not a whole number")),
        other => Err(format!("wants a whole number, not {}", kind(other))),
    }
}

pub(super) const fn kind(given: &Given) -> &'static str {
    match given {
        Given::Text(_) => "a text",
        Given::Integer(_) => "a number",
        Given::Fraction(_) => "a number with a fraction",
        Given::Boolean(_) => "true or false",
        Given::List(_) => "a list",
        Given::Table(_) => "a table",
        Given::Tables(_) => "a list of tables",
        Given::Variable(_) => "this text",
        Given::Other(kind) => kind,
    }
}
