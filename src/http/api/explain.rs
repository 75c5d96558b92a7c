//! `GET /v1/explain`: what a server's answer means.

#![expect(
    unused_qualifications,
    reason = "written by the macro that describes the call"
)]

use axum::extract::State;
use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::caller::{May, Read};
use super::problem::Problem;
use super::wire::{Answer, Parameters};
use crate::judge::bounce::explain::{Explanation, Language, explain as explained};

/// What is to be explained.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainParameters {
    /// What the server said, for instance `550 5.1.1 User unknown`, or a code alone.
    text: String,
    /// `en` or `ja`; not given, what Accept-Language says.
    #[param(value_type = Option<String>)]
    lang: Option<Language>,
}

/// What an answer means.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplanationItem {
    /// The answer, as given.
    text: String,
    /// What it is: `refusal`, by its codes; `words`, a refusal by its words alone; `success`; `none`,
    /// no server's answer is recognised in it.
    answer: &'static str,
    /// Its enhanced status code.
    #[schema(required = true)]
    status: Option<String>,
    /// What the registry says of that code.
    #[schema(required = true)]
    status_meaning: Option<String>,
    /// Its reply code.
    #[schema(required = true)]
    smtp_code: Option<u16>,
    /// What the standard says of that code.
    #[schema(required = true)]
    smtp_meaning: Option<String>,
    /// Why the mail was not delivered: a bounce's class.
    class: &'static str,
    /// `hard`: the address is dead; `soft`: it counts; `none`: no fault of the address.
    severity: &'static str,
    /// Whether it is final for the mail; null if nothing says.
    #[schema(required = true)]
    permanent: Option<bool>,
    /// What a bounce with it does, if its token proves it: `suppress-unless-braked`, `count-soft`
    /// or `signal`; null if it is no refusal, or of a mail that is still tried.
    #[schema(required = true)]
    effect: Option<&'static str>,
    /// The same for people; empty if it is no refusal.
    follows: String,
    /// What the class means.
    meaning: String,
    /// Why it is taken so; empty if it is no more than what the class means.
    why: String,
    /// The rule that decided.
    rule: String,
    /// Whose turn it is: `recipient`, `sender`, `receiver` or `nobody`.
    who: String,
    /// What to do next.
    next: String,
    /// Whose answer it is.
    #[schema(required = true)]
    provider: Option<String>,
    /// The provider's own page about it.
    #[schema(required = true)]
    help: Option<String>,
    /// The same in the words of other systems.
    mapped: MappedItem,
}

/// A class in the words of other systems.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MappedItem {
    /// One of `SendGrid`'s seven categories.
    sendgrid: &'static str,
    /// A reason of Sisimai.
    sisimai: &'static str,
    /// A class of `KumoMTA`.
    kumomta: &'static str,
    /// A category of `PowerMTA`.
    powermta: &'static str,
}

impl From<Explanation> for ExplanationItem {
    fn from(told: Explanation) -> Self {
        Self {
            text: told.text,
            answer: told.answer.as_str(),
            status: told.status,
            status_meaning: told.status_meaning,
            smtp_code: told.smtp_code,
            smtp_meaning: told.smtp_meaning,
            class: told.class.as_str(),
            severity: told.severity.as_str(),
            permanent: told.permanent,
            effect: told.effect,
            follows: told.follows,
            meaning: told.meaning,
            why: told.why,
            rule: told.rule,
            who: told.who,
            next: told.next,
            provider: told.provider,
            help: told.help,
            mapped: MappedItem {
                sendgrid: told.mapped.sendgrid,
                sisimai: told.mapped.sisimai,
                kumomta: told.mapped.kumomta,
                powermta: told.mapped.powermta,
            },
        }
    }
}

/// Explains an SMTP reply or a status code.
///
/// In English, or in Japanese where `lang` or Accept-Language asks for it.
#[utoipa::path(
    get,
    path = "/v1/explain",
    tag = "evidence",
    security(("bearer" = ["read"])),
    params(ExplainParameters),
    responses((status = 200, description = "What it means", body = ExplanationItem,
        example = json!({"text": "452 4.2.2 Mailbox full", "answer": "refusal", "status": "4.2.2",
            "status_meaning": "Mailbox full", "smtp_code": 452,
            "smtp_meaning": "Too little storage for now", "class": "mailbox-full",
            "severity": "soft", "permanent": false, "effect": "count-soft",
            "follows": "not taken for dead: each day that a mail is given up so counts, and weeks \
                of it stop all mail",
            "meaning": "The mailbox holds no more.", "why": "", "rule": "full-code",
            "who": "recipient",
            "next": "Let the mail be tried again. Only the recipient can make room.",
            "provider": null, "help": null, "mapped": {"sendgrid": "Mailbox Unavailable",
                "sisimai": "mailboxfull", "kumomta": "QuotaIssues",
                "powermta": "quota-issues"}})))
)]
pub(super) async fn explain(
    State(api): State<Api>,
    _caller: May<Read>,
    Parameters(asked): Parameters<ExplainParameters>,
    headers: HeaderMap,
) -> Result<Answer<ExplanationItem>, Problem> {
    let accepted = headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|field| field.to_str().ok());
    let language = asked
        .lang
        .unwrap_or_else(|| Language::accepted(accepted.unwrap_or_default()));
    let told = explained(&asked.text, language, api.app.settings.policy.rules());
    Ok(Answer(told.into()))
}
