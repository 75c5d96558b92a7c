//! Portuguese, in words that serve in Portugal and in Brazil.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "Deixar de receber estes e-mails?",
    ask_stream: "Ao clicar no botão, deixará de receber “{{stream}}” de {{sender}}.",
    ask_marketing: "Ao clicar no botão, deixará de receber e-mails publicitários de {{sender}}. Ainda poderá receber mensagens sobre os seus pedidos ou a sua conta.",
    ask_review: "Este link, por si só, já não é válido. Ao clicar no botão, o seu pedido será enviado a {{sender}} para verificação.",
    ask_nothing: "Até lá, nada será alterado.",
    ask_button: "Deixar de receber",
    done_title: "Pedido concluído",
    done_stream: "Não receberá mais “{{stream}}” de {{sender}}. Pode fechar esta página.",
    done_marketing: "Não receberá mais e-mails publicitários de {{sender}}. Ainda poderá receber mensagens sobre os seus pedidos ou a sua conta. Pode fechar esta página.",
    review_title: "O seu pedido foi recebido",
    review: "O pedido será verificado por {{sender}}. Até lá, ainda poderá receber e-mails. Pode fechar esta página.",
    undo_hint: "Foi um engano? Pode desfazer aqui no prazo de uma hora.",
    undo_button: "Desfazer",
    undone_title: "Desfeito",
    undone: "O que acabou de fazer nesta página foi desfeito. Se também deixou de receber e-mails noutro momento ou por outra via, essa escolha mantém-se. Pode fechar esta página.",
    late_title: "Já não é possível desfazer",
    late: "Só é possível desfazer no prazo de uma hora, na página em que fez o pedido. Nada foi alterado.",
    missing_title: "Página não encontrada",
    missing: "Não há nada neste endereço. Se seguiu um link de um e-mail, verifique se foi copiado por completo.",
    refused_title: "Não é possível",
    refused: "Este endereço não pode ser usado desta forma. Nada foi alterado.",
    later_title: "Tente novamente dentro de instantes",
    later: "Não foi possível processar o seu pedido neste momento. Nada foi alterado. Tente novamente dentro de um minuto.",
};
