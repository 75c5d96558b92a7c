//! Mails that are about several people or several tenants: each gets its own, and no more.

use crate::harness::{Engine, Place};
use crate::on_both_engines;

on_both_engines!(what_is_attached_to_an_opt_out_proves_nothing);

/// What a stranger's mail has in its second part, the token as `TOKEN`, and whether it proves.
const PARTS: &[(&str, bool)] = &[
    (
        "Content-Type: text/plain\n\n> Unsubscribe: https://fb.example.com/u/TOKEN\n",
        true,
    ),
    (
        "Content-Type: text/plain\nContent-Disposition: inline\n\n> https://fb.example.com/u/TOKEN\n",
        true,
    ),
    (
        "Content-Type: text/rfc822-headers\n\nX-Desist: TOKEN\n",
        false,
    ),
    (
        "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nUID:TOKEN\n",
        false,
    ),
    (
        "Content-Type: text/plain; name=mail.eml\nContent-Disposition: attachment; \
         filename=mail.eml\n\nMessage-ID: <TOKEN.1@fb.example.com>\nReferences: <TOKEN>\n",
        false,
    ),
    (
        "Content-Type: text/html\nContent-Disposition: ATTACHMENT\n\n\
         <a href=\"https://fb.example.com/u/TOKEN\">x</a>\n",
        false,
    ),
    (
        "Content-Type: multipart/mixed; boundary=r\nContent-Disposition: attachment\n\n\
         --r\nContent-Type: text/plain\n\nTOKEN\n--r--\n",
        false,
    ),
    (
        "Content-Type: message/rfc822\n\nX-Desist: TOKEN\n\nTOKEN\n",
        false,
    ),
];

fn what_is_attached_to_an_opt_out_proves_nothing(engine: Engine) {
    let Some(place) = Place::new(engine) else {
        return;
    };
    let running = place.start();
    let addresses: Vec<String> = (0..PARTS.len())
        .map(|n| format!("owner{n}@example.net"))
        .collect();
    let owners: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let minted = running.mint(1, &owners);
    for ((token, _), (part, _)) in minted.iter().zip(PARTS) {
        let mail = format!(
            "From: stranger@example.org\nTo: u@fb.example.com\nSubject: please unsubscribe me\n\
             MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=q\n\n\
             --q\nContent-Type: text/plain\n\nplease stop\n--q\n{}--q--\n",
            part.replace("TOKEN", token)
        );
        running.deliver("stranger@example.org", "u@fb.example.com", &mail);
    }
    running.drained();
    for (owner, (part, proves)) in owners.iter().zip(PARTS) {
        let suppressed = running.check(owner, Some(1)).is_some();
        assert_eq!(suppressed, *proves, "{part}");
    }
}
