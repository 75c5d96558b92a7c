//! French.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Se désabonner\u{a0}?",
    ask_stream: "Si vous appuyez sur le bouton, vous ne recevrez plus «\u{a0}{{stream}}\u{a0}» de la part de {{sender}}.",
    ask_marketing: "Si vous appuyez sur le bouton, {{sender}} ne vous enverra plus d’e-mails publicitaires. Vous pourrez encore recevoir des messages concernant vos commandes ou votre compte.",
    ask_review: "Ce lien n’est plus valable à lui seul. Si vous appuyez sur le bouton, {{sender}} recevra votre demande et l’examinera.",
    ask_nothing: "D’ici là, rien ne se passe.",
    ask_button: "Se désabonner",
    done_title: "Désabonnement effectué",
    done_stream: "Vous ne recevrez plus «\u{a0}{{stream}}\u{a0}» de la part de {{sender}}. Vous pouvez fermer cette page.",
    done_marketing: "{{sender}} ne vous enverra plus d’e-mails publicitaires. Vous pourrez encore recevoir des messages concernant vos commandes ou votre compte. Vous pouvez fermer cette page.",
    review_title: "Votre demande a bien été reçue",
    review: "{{sender}} va l’examiner. D’ici là, vous pourrez encore recevoir des e-mails. Vous pouvez fermer cette page.",
    undo_hint: "C’était une erreur\u{a0}? Vous pouvez annuler ici pendant une heure.",
    undo_button: "Annuler le désabonnement",
    undone_title: "Désabonnement annulé",
    undone: "Ce que vous venez de faire sur cette page a été annulé. Si vous avez aussi demandé un désabonnement à un autre moment ou d’une autre manière, il reste valable. Vous pouvez fermer cette page.",
    late_title: "Il n’est plus possible d’annuler",
    late: "L’annulation est possible pendant une heure, sur la page où vous avez demandé le désabonnement. Rien n’a été modifié.",
    missing_title: "Page introuvable",
    missing: "Il n’y a rien à cette adresse. Si vous avez suivi un lien dans un e-mail, veuillez vérifier qu’il a été copié en entier.",
    refused_title: "Impossible",
    refused: "Cette adresse ne peut pas être utilisée de cette façon. Rien n’a été modifié.",
    later_title: "Veuillez réessayer dans un instant",
    later: "Votre demande n’a pas pu être traitée pour le moment. Rien n’a été modifié. Veuillez réessayer dans une minute.",
};
