//! Italian.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Annullare l’iscrizione?",
    ask_stream: "Premendo il pulsante non riceverà più «{{stream}}» da {{sender}}.",
    ask_marketing: "Premendo il pulsante non riceverà più e-mail pubblicitarie da {{sender}}. Potrà ancora ricevere messaggi relativi ai suoi ordini o al suo account.",
    ask_review: "Questo link da solo non è più valido. Premendo il pulsante, {{sender}} riceverà la sua richiesta e la verificherà.",
    ask_nothing: "Fino ad allora non succede nulla.",
    ask_button: "Annulla l’iscrizione",
    done_title: "Iscrizione annullata",
    done_stream: "Non riceverà più «{{stream}}» da {{sender}}. Può chiudere questa pagina.",
    done_marketing: "Non riceverà più e-mail pubblicitarie da {{sender}}. Potrà ancora ricevere messaggi relativi ai suoi ordini o al suo account. Può chiudere questa pagina.",
    review_title: "La sua richiesta è stata ricevuta",
    review: "{{sender}} la verificherà. Fino ad allora potrà ancora ricevere e-mail. Può chiudere questa pagina.",
    undo_hint: "È stato un errore? Può ripristinare l’iscrizione qui entro un’ora.",
    undo_button: "Ripristina l’iscrizione",
    undone_title: "Operazione annullata",
    undone: "Quanto ha appena fatto in questa pagina è stato annullato. Se ha annullato l’iscrizione anche in un altro momento o in un altro modo, questo resta valido. Può chiudere questa pagina.",
    late_title: "Non è più possibile ripristinare l’iscrizione",
    late: "È possibile farlo entro un’ora, nella pagina in cui ha annullato l’iscrizione. Non è stato modificato nulla.",
    missing_title: "Pagina non trovata",
    missing: "A questo indirizzo non c’è nulla. Se ha seguito un link in un’e-mail, verifichi che sia stato copiato per intero.",
    refused_title: "Non è possibile",
    refused: "Questo indirizzo non può essere usato in questo modo. Non è stato modificato nulla.",
    later_title: "Riprovi tra poco",
    later: "Al momento non è stato possibile elaborare la sua richiesta. Non è stato modificato nulla. Riprovi tra un minuto.",
};
