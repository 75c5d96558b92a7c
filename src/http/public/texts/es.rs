//! Spanish.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "¿Darse de baja?",
    ask_stream: "Si pulsa el botón, dejará de recibir «{{stream}}» de {{sender}}.",
    ask_marketing: "Si pulsa el botón, {{sender}} dejará de enviarle correos publicitarios. Es posible que siga recibiendo mensajes sobre sus pedidos o su cuenta.",
    ask_review: "Este enlace ya no es válido por sí solo. Si pulsa el botón, {{sender}} recibirá su solicitud y la revisará.",
    ask_nothing: "Hasta entonces no se hará nada.",
    ask_button: "Darse de baja",
    done_title: "Se ha dado de baja",
    done_stream: "Ya no recibirá «{{stream}}» de {{sender}}. Puede cerrar esta página.",
    done_marketing: "{{sender}} ya no le enviará correos publicitarios. Es posible que siga recibiendo mensajes sobre sus pedidos o su cuenta. Puede cerrar esta página.",
    review_title: "Hemos recibido su solicitud",
    review: "{{sender}} la revisará. Hasta entonces es posible que siga recibiendo correos. Puede cerrar esta página.",
    undo_hint: "¿Ha sido un error? Puede deshacerlo aquí durante una hora.",
    undo_button: "Deshacer",
    undone_title: "Deshecho",
    undone: "Se ha deshecho lo que acaba de hacer en esta página. Si también se ha dado de baja en otro momento o por otra vía, esa baja se mantiene. Puede cerrar esta página.",
    late_title: "Ya no se puede deshacer",
    late: "Solo se puede deshacer durante una hora, en la página en la que se dio de baja. No se ha cambiado nada.",
    missing_title: "Página no encontrada",
    missing: "No hay nada en esta dirección. Si ha llegado desde un enlace de un correo, compruebe que lo haya copiado completo.",
    refused_title: "No es posible",
    refused: "Esta dirección no se puede usar de esta forma. No se ha cambiado nada.",
    later_title: "Inténtelo de nuevo en un momento",
    later: "Ahora mismo no se ha podido tramitar su solicitud. No se ha cambiado nada. Inténtelo de nuevo dentro de un minuto.",
};
