//! List-Unsubscribe and its one-click form (RFC 2369, RFC 8058).

use super::dkim::Signature;
use super::mail::{Line, Outgoing};
use super::rules::{Code, Finding};
use super::{Own, is_served};
use crate::model::stream::Class;
use crate::report::asserted::address;

const LIST: &str = "List-Unsubscribe";
const POST: &str = "List-Unsubscribe-Post";
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// Looks at both fields. Mail that is transactional need not have them; what it has must be right.
pub(super) fn look(
    mail: &Outgoing<'_>,
    (class, own): (Class, Option<Own<'_>>),
    signatures: &[Signature],
    found: &mut Vec<Finding>,
) {
    let lists = mail.all("list-unsubscribe");
    let posts = mail.all("list-unsubscribe-post");
    let wanted = class == Class::Marketing || !posts.is_empty();
    match lists.as_slice() {
        [] if wanted => {
            let says = "there is no such field";
            found.push(Finding::new(
                Code::NoListUnsubscribe,
                Some(LIST),
                None,
                says,
            ));
        }
        [] => {}
        [list] => uris(list, (wanted, own), found),
        [_, second, ..] => {
            let says = format!("there are {} of them", lists.len());
            let at = Some(second.number);
            found.push(Finding::new(
                Code::SeveralListUnsubscribe,
                Some(LIST),
                at,
                says,
            ));
        }
    }
    found.extend(one_click(&posts, class));
    if !lists.is_empty() || !posts.is_empty() {
        found.extend(signed((&lists, &posts), signatures));
    }
}

fn one_click(posts: &[Line<'_>], class: Class) -> Option<Finding> {
    match posts {
        [] if class == Class::Marketing => {
            let says = "there is no such field";
            Some(Finding::new(Code::NoOneClick, Some(POST), None, says))
        }
        [] => None,
        [post] if post.value == ONE_CLICK => None,
        [post] => {
            let says = format!("it says {:?}", post.value);
            let at = Some(post.number);
            Some(Finding::new(Code::WrongOneClick, Some(POST), at, says))
        }
        [_, second, ..] => {
            let says = format!("there are {} of them", posts.len());
            let at = Some(second.number);
            Some(Finding::new(Code::SeveralOneClick, Some(POST), at, says))
        }
    }
}

/// Both fields must be in one signature; what is not there need not be.
fn signed((lists, posts): (&[Line<'_>], &[Line<'_>]), signatures: &[Signature]) -> Option<Finding> {
    let wanted = [
        ("list-unsubscribe", lists),
        ("list-unsubscribe-post", posts),
    ];
    let wanted = wanted.into_iter().filter(|(_, lines)| !lines.is_empty());
    let wanted: Vec<&str> = wanted.map(|(name, _)| name).collect();
    let covers = |one: &Signature| wanted.iter().all(|name| one.covers(name));
    // Of a mail without any signature this is said once.
    if signatures.is_empty() || signatures.iter().any(covers) {
        return None;
    }
    let line = lists.first().or(posts.first()).map(|line| line.number);
    let says = "no signature names it together with its one-click form in h=";
    Some(Finding::new(
        Code::UnsubscribeNotSigned,
        Some(LIST),
        line,
        says,
    ))
}

fn uris(list: &Line<'_>, (wanted, own): (bool, Option<Own<'_>>), found: &mut Vec<Finding>) {
    let (uris, bare) = bracketed(&list.value);
    let mut finding = |code, says: String| {
        found.push(Finding::new(code, Some(LIST), Some(list.number), says));
    };
    if bare {
        finding(
            Code::BareUri,
            "something stands outside of angle brackets".to_owned(),
        );
    }
    let of = |scheme: &str| -> Vec<&String> {
        let is = |uri: &&String| {
            let start = uri.get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        uris.iter().filter(is).collect()
    };
    let (https, mailto) = (of("https:"), of("mailto:"));
    match https.as_slice() {
        [] if wanted => {
            let says = match (of("http:").len(), mailto.len()) {
                (0, 0) => "it names no HTTPS URI",
                (0, _) => "it names a mailto alone",
                (_, _) => "its link is http, not https",
            };
            finding(Code::NoHttpsUri, says.to_owned());
        }
        [] => {}
        [one] => {
            if let Some(url) = own.and_then(|own| own.public_url)
                && !begins_with(one, url)
            {
                let says = format!("the link does not begin with {url}");
                finding(Code::OtherHost, says);
            }
        }
        several => {
            let says = format!("it names {} HTTPS URIs", several.len());
            finding(Code::SeveralHttpsUris, says);
        }
    }
    if mailto.is_empty() {
        finding(Code::NoMailtoUri, "it names no mailto".to_owned());
    }
    for uri in mailto {
        let whom = mailto_address(uri).and_then(address);
        match (whom, own) {
            (None, _) => finding(Code::BareUri, "its mailto names no address".to_owned()),
            (Some(whom), Some(own)) if !is_served(&own, whom.domain()) => {
                let says = format!(
                    "its mailto goes to {}, which is not served here",
                    whom.domain()
                );
                finding(Code::NotServed, says);
            }
            (Some(_), _) => {}
        }
    }
}

/// The URIs in angle brackets, white space within removed (RFC 2369 §2), and whether anything but
/// commas and comments stands outside.
pub(super) fn bracketed(value: &str) -> (Vec<String>, bool) {
    let (mut uris, mut bare) = (Vec::new(), false);
    let (mut open, mut comments) = (None::<String>, 0_usize);
    for char in value.chars() {
        match (&mut open, char) {
            (Some(_), '>') => uris.extend(open.take()),
            (Some(uri), other) => {
                if !other.is_ascii_whitespace() {
                    uri.push(other);
                }
            }
            (None, '(') => comments += 1,
            (None, ')') if comments > 0 => comments -= 1,
            (None, '<') if comments == 0 => open = Some(String::new()),
            (None, other) => bare |= comments == 0 && other != ',' && !other.is_whitespace(),
        }
    }
    (uris, bare || open.is_some())
}

/// The text of the address in a mailto URI.
pub(super) fn mailto_address(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once(':')?;
    rest.split('?').next()
}

/// Whether a link leads below another; scheme and host in any case.
fn begins_with(link: &str, url: &str) -> bool {
    let start = link.get(..url.len());
    let rest = link.get(url.len()..).unwrap_or_default();
    start.is_some_and(|start| start.eq_ignore_ascii_case(url)) && rest.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    // C-030
    #[test]
    fn uris_stand_in_brackets() {
        let both = ["https://u.example/a", "mailto:a@b"].map(str::to_owned);
        for value in [
            "<https://u.example/a>, <mailto:a@b>",
            "(one <x>) <https://u.example/ a> (two), <mailto:a@b>",
        ] {
            assert_eq!(bracketed(value), (both.to_vec(), false), "{value}");
        }
        assert_eq!(bracketed("https://u.example/a"), (vec![], true));
        assert_eq!(bracketed("<a:b"), (vec![], true));
        assert_eq!(bracketed("<a:b> c:d"), (vec!["a:b".to_owned()], true));
    }

    #[test]
    fn a_link_leads_below_the_public_address() {
        for (link, is) in [
            ("https://u.example.com/u/x", true),
            ("HTTPS://U.example.com/u/x", true),
            ("https://u.example.com.evil.example/u/x", false),
            ("https://u.example.com", false),
            ("https://other.example.com/u/x", false),
        ] {
            assert_eq!(begins_with(link, "https://u.example.com"), is, "{link}");
        }
    }
}
