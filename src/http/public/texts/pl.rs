//! Polish.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Zrezygnować z subskrypcji?",
    ask_stream: "Po naciśnięciu przycisku nie będą już Państwo otrzymywać wiadomości „{{stream}}” od nadawcy {{sender}}.",
    ask_marketing: "Po naciśnięciu przycisku nie będą już Państwo otrzymywać wiadomości reklamowych od nadawcy {{sender}}. Nadal mogą przychodzić wiadomości dotyczące zamówień lub konta.",
    ask_review: "Ten link sam w sobie nie jest już ważny. Po naciśnięciu przycisku nadawca {{sender}} otrzyma Państwa zgłoszenie i je sprawdzi.",
    ask_nothing: "Do tego czasu nic się nie stanie.",
    ask_button: "Zrezygnuj z subskrypcji",
    done_title: "Subskrypcja została anulowana",
    done_stream: "Nie będą już Państwo otrzymywać wiadomości „{{stream}}” od nadawcy {{sender}}. Mogą Państwo zamknąć tę stronę.",
    done_marketing: "Nie będą już Państwo otrzymywać wiadomości reklamowych od nadawcy {{sender}}. Nadal mogą przychodzić wiadomości dotyczące zamówień lub konta. Mogą Państwo zamknąć tę stronę.",
    review_title: "Zgłoszenie zostało przyjęte",
    review: "Nadawca {{sender}} je sprawdzi. Do tego czasu mogą jeszcze przychodzić wiadomości. Mogą Państwo zamknąć tę stronę.",
    undo_hint: "To pomyłka? Przez godzinę można to tutaj cofnąć.",
    undo_button: "Cofnij",
    undone_title: "Cofnięto",
    undone: "Czynność wykonana przed chwilą na tej stronie została cofnięta. Jeśli zrezygnowali Państwo z subskrypcji także w innym czasie lub w inny sposób, tamta rezygnacja pozostaje w mocy. Mogą Państwo zamknąć tę stronę.",
    late_title: "Nie można już tego cofnąć",
    late: "Cofnięcie jest możliwe przez godzinę, na stronie, na której zrezygnowali Państwo z subskrypcji. Niczego nie zmieniono.",
    missing_title: "Nie znaleziono strony",
    missing: "Pod tym adresem nic nie ma. Jeśli otworzyli Państwo link z wiadomości e-mail, prosimy sprawdzić, czy został skopiowany w całości.",
    refused_title: "To niemożliwe",
    refused: "Tego adresu nie można użyć w ten sposób. Niczego nie zmieniono.",
    later_title: "Prosimy spróbować ponownie za chwilę",
    later: "W tej chwili nie udało się przetworzyć zgłoszenia. Niczego nie zmieniono. Prosimy spróbować ponownie za minutę.",
};
