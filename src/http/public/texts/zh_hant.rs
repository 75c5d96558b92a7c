//! Chinese in traditional characters.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "要取消訂閱嗎？",
    ask_stream: "按下方按鈕後，您將不會再收到來自 {{sender}} 的「{{stream}}」。",
    ask_marketing: "按下方按鈕後，您將不會再收到來自 {{sender}} 的行銷郵件。與您的訂單或帳戶有關的郵件仍可能寄送給您。",
    ask_review: "此連結本身已失效。按下方按鈕後，您的取消訂閱要求會傳送給 {{sender}} 進行確認。",
    ask_nothing: "在您按下按鈕之前，不會有任何變更。",
    ask_button: "取消訂閱",
    done_title: "您已取消訂閱",
    done_stream: "您將不會再收到來自 {{sender}} 的「{{stream}}」。您可以關閉此頁面。",
    done_marketing: "您將不會再收到來自 {{sender}} 的行銷郵件。與您的訂單或帳戶有關的郵件仍可能寄送給您。您可以關閉此頁面。",
    review_title: "已收到您的要求",
    review: "{{sender}} 將會進行確認。在此之前，您可能仍會收到郵件。您可以關閉此頁面。",
    undo_hint: "按錯了嗎？您可以在一小時內於此處復原。",
    undo_button: "復原",
    undone_title: "已復原",
    undone: "您剛才在此頁面上的操作已復原。如果您也曾在其他時間或以其他方式取消訂閱，該設定仍然有效。您可以關閉此頁面。",
    late_title: "已無法復原",
    late: "只能在一小時內、在您取消訂閱時的頁面上復原。未作任何變更。",
    missing_title: "找不到頁面",
    missing: "此網址沒有內容。如果您是從郵件中的連結前來，請確認連結是否複製完整。",
    refused_title: "無法執行",
    refused: "無法以這種方式使用此網址。未作任何變更。",
    later_title: "請稍後再試",
    later: "目前無法處理您的要求。未作任何變更。請於一分鐘後再試一次。",
};
