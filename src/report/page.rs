//! What a reader pressed on the landing page: the bodies that its own forms send.
//!
//! A form carries the visit that it was shown in, a number that nobody else knows; an undo carries
//! the nonce of [`undo`](crate::token::undo), which begins with that number.

use crate::token::undo::Visit;

/// The field of the button that takes an opt-out back. A body that begins with it asks for nothing
/// else.
pub const UNDO: &str = "undo";
/// The field that names the visit.
pub const VISIT: &str = "visit";

/// Which button was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressed<'a> {
    /// The one that unsubscribes, or none: whatever the body says, it asks for that.
    Unsubscribe {
        /// The visit, if a page of ours was pressed.
        visit: Option<Visit>,
    },
    /// The one that takes it back.
    Undo {
        /// What proves that it may.
        nonce: &'a str,
    },
}

/// Reads the body of a POST at the one-click door. A mail provider's body holds none of our fields.
pub fn pressed(body: &[u8]) -> Pressed<'_> {
    let text = |value| std::str::from_utf8(value).unwrap_or_default();
    if let Some(nonce) = value(body, UNDO.as_bytes()) {
        let nonce = text(nonce);
        return Pressed::Undo { nonce };
    }
    let named = body
        .split(|byte| *byte == b'&')
        .find_map(|pair| value(pair, VISIT.as_bytes()));
    Pressed::Unsubscribe {
        visit: named.and_then(|visit| text(visit).parse().ok()),
    }
}

/// What stands behind `name=` at the beginning, up to the next pair.
fn value<'a>(pairs: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = pairs.strip_prefix(name)?.strip_prefix(b"=")?;
    rest.split(|byte| *byte == b'&').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn the_buttons_are_told_apart_and_all_else_unsubscribes() {
        // C-004
        let visit = Some(HEX.parse().unwrap());
        for (body, expected) in [
            ("", Pressed::Unsubscribe { visit: None }),
            (
                "List-Unsubscribe=One-Click",
                Pressed::Unsubscribe { visit: None },
            ),
            (
                &format!("List-Unsubscribe=One-Click&visit={HEX}"),
                Pressed::Unsubscribe { visit },
            ),
            (&format!("visit={HEX}&x=y"), Pressed::Unsubscribe { visit }),
            (
                "List-Unsubscribe=One-Click&visit=00",
                Pressed::Unsubscribe { visit: None },
            ),
            (
                "List-Unsubscribe=One-Click&undo=abc",
                Pressed::Unsubscribe { visit: None },
            ),
            ("undo", Pressed::Unsubscribe { visit: None }),
            ("undone=abc", Pressed::Unsubscribe { visit: None }),
            ("undo=", Pressed::Undo { nonce: "" }),
            (
                "undo=abc&List-Unsubscribe=One-Click",
                Pressed::Undo { nonce: "abc" },
            ),
        ] {
            assert_eq!(pressed(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(pressed(b"undo=\xff"), Pressed::Undo { nonce: "" });
    }
}
