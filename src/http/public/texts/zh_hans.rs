//! Chinese in simplified characters.

use super::Texts;

pub(super) const TEXTS: Texts<&str> = Texts {
    ask_title: "要退订吗？",
    ask_stream: "点击下方按钮后，您将不再收到来自 {{sender}} 的“{{stream}}”。",
    ask_marketing: "点击下方按钮后，您将不再收到来自 {{sender}} 的营销邮件。有关您的订单或账户的邮件仍可能发送给您。",
    ask_review: "此链接本身已失效。点击下方按钮后，您的退订请求将发送给 {{sender}} 进行核实。",
    ask_nothing: "在您点击之前，不会有任何更改。",
    ask_button: "退订",
    done_title: "您已退订",
    done_stream: "您将不再收到来自 {{sender}} 的“{{stream}}”。您可以关闭此页面。",
    done_marketing: "您将不再收到来自 {{sender}} 的营销邮件。有关您的订单或账户的邮件仍可能发送给您。您可以关闭此页面。",
    review_title: "已收到您的请求",
    review: "{{sender}} 将进行核实。在此之前，您可能仍会收到邮件。您可以关闭此页面。",
    undo_hint: "操作有误？您可以在一小时内在此撤销。",
    undo_button: "撤销",
    undone_title: "已撤销",
    undone: "您刚才在此页面上的操作已撤销。如果您还在其他时间或通过其他方式退订过，该退订仍然有效。您可以关闭此页面。",
    late_title: "已无法撤销",
    late: "只能在一小时内、在您退订时的页面上撤销。未作任何更改。",
    missing_title: "找不到页面",
    missing: "此地址没有内容。如果您是通过邮件中的链接访问的，请检查链接是否复制完整。",
    refused_title: "无法执行",
    refused: "不能以这种方式使用此地址。未作任何更改。",
    later_title: "请稍后重试",
    later: "目前无法处理您的请求。未作任何更改。请在一分钟后重试。",
};
