//! Dutch.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Afmelden?",
    ask_stream: "Als u op de knop drukt, ontvangt u ‘{{stream}}’ van {{sender}} niet meer.",
    ask_marketing: "Als u op de knop drukt, ontvangt u geen reclamemails meer van {{sender}}. Berichten over uw bestellingen of uw account kunt u nog wel ontvangen.",
    ask_review: "Deze link is op zichzelf niet meer geldig. Als u op de knop drukt, ontvangt {{sender}} uw verzoek en controleert het.",
    ask_nothing: "Tot die tijd gebeurt er niets.",
    ask_button: "Afmelden",
    done_title: "U bent afgemeld",
    done_stream: "U ontvangt ‘{{stream}}’ van {{sender}} niet meer. U kunt deze pagina sluiten.",
    done_marketing: "U ontvangt geen reclamemails meer van {{sender}}. Berichten over uw bestellingen of uw account kunt u nog wel ontvangen. U kunt deze pagina sluiten.",
    review_title: "Uw verzoek is ontvangen",
    review: "{{sender}} controleert het. Tot die tijd kunt u nog e-mails ontvangen. U kunt deze pagina sluiten.",
    undo_hint: "Was dit een vergissing? U kunt het hier binnen een uur ongedaan maken.",
    undo_button: "Ongedaan maken",
    undone_title: "Ongedaan gemaakt",
    undone: "Wat u zojuist op deze pagina hebt gedaan, is ongedaan gemaakt. Als u zich ook op een ander moment of op een andere manier hebt afgemeld, blijft dat zo. U kunt deze pagina sluiten.",
    late_title: "Dit kan niet meer ongedaan worden gemaakt",
    late: "Dat kan alleen binnen een uur, op de pagina waarop u zich hebt afgemeld. Er is niets gewijzigd.",
    missing_title: "Pagina niet gevonden",
    missing: "Op dit adres is niets te vinden. Als u een link in een e-mail hebt gevolgd, controleer dan of die volledig is gekopieerd.",
    refused_title: "Niet mogelijk",
    refused: "Dit adres kan niet op deze manier worden gebruikt. Er is niets gewijzigd.",
    later_title: "Probeer het zo meteen opnieuw",
    later: "Uw verzoek kon op dit moment niet worden verwerkt. Er is niets gewijzigd. Probeer het over een minuut opnieuw.",
};
