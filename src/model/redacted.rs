//! Texts for errors, without whole addresses, tokens and API keys: errors are logged and pasted by
//! whoever gets them.

use std::borrow::Cow;

/// Letters of the shortest token (design of the token: 33 octets in base32).
const TOKEN: usize = 52;
/// What API keys begin with, and how long they are.
const KEY: (&str, usize) = ("desist_", 48);

/// The text with an ellipsis instead of every word that has an address, a token or an API key in
/// it. A word ends at white space, a quotation mark, a bracket, a comma or a semicolon.
pub fn redacted(text: &str) -> Cow<'_, str> {
    if !text.split(ends_word).any(is_private) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_word) {
        let word = piece.strip_suffix(ends_word).unwrap_or(piece);
        let end = piece.get(word.len()..).unwrap_or_default();
        shown.push_str(if is_private(word) { "…" } else { word });
        shown.push_str(end);
    }
    Cow::Owned(shown)
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "\"'`<>()[]{},;".contains(c)
}

fn is_private(word: &str) -> bool {
    word.contains('@') || word.contains("%40") || has_token(word) || has_key(word)
}

fn has_token(word: &str) -> bool {
    let in_token = |c: char| matches!(c, 'a'..='z' | 'A'..='Z' | '2'..='7');
    word.len() >= TOKEN && word.split(|c| !in_token(c)).any(|run| run.len() >= TOKEN)
}

fn has_key(word: &str) -> bool {
    let (begin, length) = KEY;
    word.len() >= length && word.contains(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_left_out_and_the_rest_stays() {
        let token = "ab2".repeat(18);
        let key = format!("desist_abcdefg2_{}", "a".repeat(32));
        for (given, shown) in [
            (
                "stream: a number is wanted, not \"a@example.net\"".to_owned(),
                "stream: a number is wanted, not \"…\"",
            ),
            (
                "\"a b\"@example.net and <c@example.net>".to_owned(),
                "\"a b\"… and <…>",
            ),
            (
                "/v1/x/a%40example.net has no POST".to_owned(),
                "… has no POST",
            ),
            (format!("after: u-{token}.x, bad"), "after: …, bad"),
            (format!("U-{}", token.to_uppercase()), "…"),
            (format!("`{key}`"), "`…`"),
            ("at line 1 column 7".to_owned(), "at line 1 column 7"),
            ("ü, 日本語".to_owned(), "ü, 日本語"),
            (String::new(), ""),
        ] {
            assert_eq!(redacted(&given), shown, "{given}");
        }
    }
}
