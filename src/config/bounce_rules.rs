//! The operator's own rules for what bounces mean, from a file.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::given::Given;
use super::setting::Setting;
use crate::judge::bounce::rules::Rules;

/// Bytes of such a file. What its search needs in memory is some hundred times as much.
const MAX_RULES_FILE: u64 = 256 * 1024;

/// An operator's own rules for what bounces mean, read from a file.
#[derive(Debug, Clone)]
pub struct BounceRulesFile {
    path: PathBuf,
    rules: Arc<Rules>,
}

impl BounceRulesFile {
    /// They, over those that desist comes with.
    pub const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }
}

impl Setting for BounceRulesFile {
    fn read(given: &Given) -> Result<Self, String> {
        let path = PathBuf::read(given)?;
        let wrong = |why: &dyn fmt::Display| format!("{}: {why}", path.display());
        let mut text = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(MAX_RULES_FILE + 1).read_to_string(&mut text));
        read.map_err(|error| wrong(&error))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_RULES_FILE {
            return Err(wrong(&format!("is larger than {MAX_RULES_FILE} bytes")));
        }
        let rules = Rules::with_local(&text).map_err(|error| wrong(&error))?;
        Ok(Self {
            rules: Arc::new(rules),
            path,
        })
    }

    fn written(&self) -> Option<String> {
        self.path.written()
    }
}
