//! German.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Abmelden?",
    ask_stream: "Wenn Sie auf die Schaltfläche klicken, erhalten Sie „{{stream}}“ von {{sender}} nicht mehr.",
    ask_marketing: "Wenn Sie auf die Schaltfläche klicken, erhalten Sie von {{sender}} keine Werbe-E-Mails mehr. Nachrichten zu Ihren Bestellungen oder Ihrem Konto können weiterhin kommen.",
    ask_review: "Dieser Link allein ist nicht mehr gültig. Wenn Sie auf die Schaltfläche klicken, erhält {{sender}} Ihre Anfrage und prüft sie.",
    ask_nothing: "Vorher geschieht nichts.",
    ask_button: "Abmelden",
    done_title: "Sie sind abgemeldet",
    done_stream: "Sie erhalten „{{stream}}“ von {{sender}} nicht mehr. Sie können diese Seite schließen.",
    done_marketing: "Sie erhalten von {{sender}} keine Werbe-E-Mails mehr. Nachrichten zu Ihren Bestellungen oder Ihrem Konto können weiterhin kommen. Sie können diese Seite schließen.",
    review_title: "Ihre Anfrage ist eingegangen",
    review: "{{sender}} prüft sie. Bis dahin können Sie noch E-Mails erhalten. Sie können diese Seite schließen.",
    undo_hint: "War das ein Versehen? Sie können es hier innerhalb einer Stunde rückgängig machen.",
    undo_button: "Rückgängig machen",
    undone_title: "Rückgängig gemacht",
    undone: "Was Sie eben auf dieser Seite getan haben, ist rückgängig gemacht. Wenn Sie sich auch zu einer anderen Zeit oder auf anderem Weg abgemeldet haben, bleibt es dabei. Sie können diese Seite schließen.",
    late_title: "Das lässt sich nicht mehr rückgängig machen",
    late: "Das ist nur innerhalb einer Stunde möglich, auf der Seite, auf der Sie sich abgemeldet haben. Es wurde nichts geändert.",
    missing_title: "Seite nicht gefunden",
    missing: "Unter dieser Adresse gibt es nichts. Wenn Sie einem Link in einer E-Mail gefolgt sind, prüfen Sie bitte, ob er vollständig kopiert wurde.",
    refused_title: "Nicht möglich",
    refused: "Diese Adresse lässt sich so nicht verwenden. Es wurde nichts geändert.",
    later_title: "Bitte versuchen Sie es gleich noch einmal",
    later: "Ihre Anfrage konnte gerade nicht bearbeitet werden. Es wurde nichts geändert. Bitte versuchen Sie es in einer Minute noch einmal.",
};
