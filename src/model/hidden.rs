//! Characters that do something else than show.

/// Whether a text for people must not have the character: a terminal would obey it, it turns the
/// direction of writing around, or it ends a line unseen.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A text without them, fit for a line of a terminal: a tabulator is a space, everything else that
/// is hidden shows as U+FFFD.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        _ if is_hidden(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        for (given, shown) in [
            (
                "a\x1b[31mred\x07\tb\u{9b}2J",
                "a\u{fffd}[31mred\u{fffd} b\u{fffd}2J",
            ),
            ("abc\u{202e}fdp.exe", "abc\u{fffd}fdp.exe"),
            ("a\u{61c}b\u{2067}c", "a\u{fffd}b\u{fffd}c"),
            ("a\r\nb\u{2028}c", "a\u{fffd}\u{fffd}b\u{fffd}c"),
            ("日本語 ünï", "日本語 ünï"),
        ] {
            assert_eq!(harmless(given), shown);
        }
    }
}
