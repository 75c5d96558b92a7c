//! What was looked at, and how it is.

use std::fmt;

use serde::Serialize;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum State {
    /// As it should be.
    Ok,
    /// It works, but should not stay so.
    Warn,
    /// Something does not work.
    Fail,
    /// It could not be looked at, or need not be.
    Skip,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "-",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Finding {
    pub(super) state: State,
    /// What was looked at, for instance `mx fb.example.com`.
    pub(super) what: String,
    /// What was found.
    pub(super) says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(State::Ok, what, says)
    }

    pub(super) fn warn(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(State::Warn, what, says)
    }

    pub(super) fn fail(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(State::Fail, what, says)
    }

    pub(super) fn skip(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self::new(State::Skip, what, says)
    }

    fn new(state: State, what: impl Into<String>, says: impl Into<String>) -> Self {
        Self {
            state,
            what: what.into(),
            says: says.into(),
            advice: None,
        }
    }

    /// The same with what to do about it.
    pub(super) fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}
