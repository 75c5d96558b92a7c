//! Characters that do something else than show.

/// Whether a text for people must not have the character: a terminal would obey it, it turns the
/// direction of writing around, or it ends a line unseen.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}
