//! Which language a reader gets: `Accept-Language` (RFC 9110 §12.5.4), looked up as RFC 4647 §3.4
//! says.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// Ranges of a request that are looked at.
const MAX_RANGES: usize = 32;

/// Chinese by region, where no script is named.
const TRADITIONAL: [&str; 5] = ["hant", "tw", "hk", "mo", "yue"];
const SIMPLIFIED: [&str; 4] = ["hans", "cn", "sg", "my"];

/// The language among `available` that a reader prefers; `None` if none is acceptable.
pub(super) fn preferred<'a>(headers: &HeaderMap, available: &[&'a str]) -> Option<&'a str> {
    let mut ranges: Vec<(u16, String)> = headers
        .get_all(ACCEPT_LANGUAGE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(MAX_RANGES)
        .filter_map(range)
        .collect();
    // Stable: of equals the first counts.
    ranges.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    ranges
        .iter()
        .filter(|(quality, _)| *quality > 0)
        .find_map(|(_, range)| look_up(range, available))
}

/// A range with its quality in thousandths; what is malformed is passed over.
fn range(text: &str) -> Option<(u16, String)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next()?.to_ascii_lowercase().replace('_', "-");
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if range.is_empty() || !range.bytes().all(known) {
        return None;
    }
    let mut quality = 1000;
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            quality = thousandths(value.trim())?;
        }
    }
    Some((quality, range))
}

/// `0`, `1`, or one of them with up to three decimals (RFC 9110 §12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits(decimals) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    let whole: u16 = whole.parse().ok()?;
    Some(whole * 1000 + decimals).filter(|quality| *quality <= 1000)
}

/// The range itself, or the longest beginning of it that is available (RFC 4647 §3.4).
fn look_up<'a>(range: &str, available: &[&'a str]) -> Option<&'a str> {
    let written = chinese(range).unwrap_or(range);
    let mut wanted = written;
    loop {
        if let Some(found) = available
            .iter()
            .find(|tag| tag.eq_ignore_ascii_case(wanted))
        {
            return Some(found);
        }
        wanted = wanted.rsplit_once('-')?.0;
        // A single letter begins an extension and goes with what stood behind it.
        if let Some((shorter, letter)) = wanted.rsplit_once('-')
            && letter.len() == 1
        {
            wanted = shorter;
        }
    }
}

/// Chinese is told apart by its script, which most readers' browsers say by the region.
fn chinese(range: &str) -> Option<&'static str> {
    let mut parts = range.split('-');
    let first = parts.next()?;
    if !matches!(first, "zh" | "cmn" | "yue") {
        return None;
    }
    let named = |part: &str| {
        if TRADITIONAL.contains(&part) {
            Some("zh-hant")
        } else {
            SIMPLIFIED.contains(&part).then_some("zh-hans")
        }
    };
    // A script stands before a region.
    let found = parts.find_map(named);
    found.or_else(|| named(first)).or(Some("zh-hans"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 6] = ["en", "de", "pt", "ja", "zh-Hans", "zh-Hant"];

    #[test]
    fn the_reader_s_first_choice_counts() {
        // C-007; RFC 9110 §12.5.4, RFC 4647 §3.4
        for (field, found) in [
            ("", None),
            ("de", Some("de")),
            ("DE-at", Some("de")),
            ("de-Latn-DE-1996-x-private", Some("de")),
            ("de_DE", Some("de")),
            ("fr, de;q=0.5, en;q=0.7", Some("en")),
            ("fr;q=1,de;q=0.4,ja;q=0.4", Some("de")),
            ("ja;q=0.001", Some("ja")),
            ("ja;q=0, de;q=0.1", Some("de")),
            ("ja;q=0", None),
            ("ja; q = 0.2 , de ; q=0.3", Some("de")),
            ("ja;q=1.5, de;q=0.1", Some("de")),
            ("ja;q=0.1234, de;q=0.1", Some("de")),
            ("ja;q=x, de;q=0.1", Some("de")),
            ("ja;level=1;q=0.1, de;q=0.2", Some("de")),
            ("*", None),
            ("*, de;q=0.5", Some("de")),
            ("pt-BR,pt;q=0.9,en;q=0.8", Some("pt")),
            ("pt-PT", Some("pt")),
            ("d", None),
            ("dee", None),
            (";;;,,,q=1", None),
            ("zh", Some("zh-Hans")),
            ("zh-CN,zh;q=0.9", Some("zh-Hans")),
            ("zh-SG", Some("zh-Hans")),
            ("zh-TW", Some("zh-Hant")),
            ("zh-HK", Some("zh-Hant")),
            ("zh-MO", Some("zh-Hant")),
            ("zh-Hant", Some("zh-Hant")),
            ("zh-Hant-CN", Some("zh-Hant")),
            ("zh-Hans-HK", Some("zh-Hans")),
            ("yue", Some("zh-Hant")),
            ("zh-yue-HK", Some("zh-Hant")),
            ("yue-Hans", Some("zh-Hans")),
            ("cmn-Hant-TW", Some("zh-Hant")),
            ("zh-TW;q=0.5, zh-CN;q=0.6", Some("zh-Hans")),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, field.parse().unwrap())]);
            assert_eq!(preferred(&headers, &ALL), found, "{field:?}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &ALL), None);
    }

    #[test]
    fn several_fields_are_one_and_only_so_much_is_read() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_LANGUAGE, "fr".parse().unwrap());
        headers.append(ACCEPT_LANGUAGE, "de;q=0.1".parse().unwrap());
        assert_eq!(preferred(&headers, &ALL), Some("de"));
        let many = format!("{}de", "fr,".repeat(MAX_RANGES));
        let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, many.parse().unwrap())]);
        assert_eq!(preferred(&headers, &ALL), None);
    }
}
