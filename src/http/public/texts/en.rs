//! English.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Unsubscribe?",
    ask_stream: "Press the button and you will no longer receive “{{stream}}” from {{sender}}.",
    ask_marketing: "Press the button and {{sender}} will send you no more marketing mail. Messages about your orders or your account may still come.",
    ask_review: "This link is no longer valid by itself. Press the button and {{sender}} will receive your request and check it.",
    ask_nothing: "Nothing happens until you do.",
    ask_button: "Unsubscribe",
    done_title: "You are unsubscribed",
    done_stream: "You will no longer receive “{{stream}}” from {{sender}}. You can close this page.",
    done_marketing: "{{sender}} will send you no more marketing mail. Messages about your orders or your account may still come. You can close this page.",
    review_title: "Your request has been received",
    review: "{{sender}} will check it. Until then you may still receive mail. You can close this page.",
    undo_hint: "Was this a mistake? You can undo it here within one hour.",
    undo_button: "Undo",
    undone_title: "Undone",
    undone: "What you have just done on this page has been undone. If you have also unsubscribed at another time or in another way, that remains so. You can close this page.",
    late_title: "This can no longer be undone",
    late: "It can be undone within one hour, on the page where you unsubscribed. Nothing has been changed.",
    missing_title: "Page not found",
    missing: "There is nothing at this address. If you followed a link in an email, please check that it was copied completely.",
    refused_title: "Not possible",
    refused: "This address cannot be used in this way. Nothing has been changed.",
    later_title: "Please try again shortly",
    later: "Your request could not be processed just now. Nothing has been changed. Please try again in a minute.",
};
