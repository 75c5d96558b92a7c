//! What is looked for in outgoing mail. The codes are stable: scripts may name them.

use serde::Serialize;

use crate::model::words::words;

words! {
    /// How much a finding matters.
    pub enum Severity as "severity" {
        /// Feedback is lost, or providers refuse or ignore what the mail offers.
        Error = "error",
        /// It works, but not everywhere or not for long.
        Warning = "warning",
        /// Could be better.
        Info = "info",
    }
}

/// Something that is wrong or could be better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The header field that it is about.
    pub header: Option<&'static str>,
    /// The line where that field begins, from 1; `None` if there is none.
    pub line: Option<usize>,
    /// What was found.
    pub says: String,
    /// What to do about it.
    pub advice: &'static str,
    /// What asks for it.
    pub source: &'static str,
}

impl Finding {
    /// What a code stands for, at a place.
    pub(super) fn new(
        code: Code,
        header: Option<&'static str>,
        line: Option<usize>,
        says: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: code.severity(),
            header,
            line,
            says: says.into(),
            advice: code.advice(),
            source: code.source(),
        }
    }

    /// The same, taken for less.
    pub(super) fn only(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}

/// Declares the codes, each with its severity, source and advice.
macro_rules! rules {
    ($( $(#[$meta:meta])* $code:ident = $word:literal, $severity:ident, $source:literal, $advice:literal; )+) => {
        words! {
            /// What can be found.
            pub enum Code as "lint code" { $( $(#[$meta])* $code = $word ),+ }
        }

        impl Code {
            /// How much it matters, unless a finding says otherwise.
            pub const fn severity(self) -> Severity {
                match self { $( Self::$code => Severity::$severity ),+ }
            }

            /// What asks for it: an RFC with its section, or a practice of providers.
            pub const fn source(self) -> &'static str {
                match self { $( Self::$code => $source ),+ }
            }

            /// What to do about it.
            pub const fn advice(self) -> &'static str {
                match self { $( Self::$code => $advice ),+ }
            }
        }
    };
}

rules! {
    /// Nothing that could be a mail.
    NoHeader = "no-header", Error, "RFC 5322 §3.6",
        "give the mail as it goes out: header, empty line, body";
    /// Not exactly one From with exactly one address.
    NoAuthor = "no-author", Error, "RFC 5322 §3.6.2",
        "write one From field with one address: who signs for it can be told of no other";
    /// A line of the header is longer than mail allows.
    LongLine = "long-line", Error, "RFC 5322 §2.1.1",
        "fold the field: relays break or refuse longer lines, and the signature with them";
    /// More fields or octets than are read.
    LongHeader = "long-header", Warning, "RFC 5322 §3.6",
        "shorten the header: nothing behind its first 1,000 fields or 256 KiB was looked at";

    /// No List-Unsubscribe.
    NoListUnsubscribe = "no-list-unsubscribe", Error, "RFC 8058 §3.1",
        "add what `desist token headers` prints: marketing mail without it is filtered as spam";
    /// More than one List-Unsubscribe.
    SeveralListUnsubscribe = "several-list-unsubscribe", Error, "RFC 2369 §2",
        "write all URIs into one field";
    /// A URI without angle brackets.
    BareUri = "bare-uri", Error, "RFC 2369 §2",
        "write each URI in angle brackets, separated by commas";
    /// No HTTPS URI.
    NoHttpsUri = "no-https-uri", Error, "RFC 8058 §3.1",
        "add the HTTPS link that `desist token headers` prints";
    /// More than one HTTPS URI.
    SeveralHttpsUris = "several-https-uris", Error, "RFC 8058 §3.1",
        "leave one: which of them is posted to, nobody can tell";
    /// No mailto URI.
    NoMailtoUri = "no-mailto-uri", Info, "RFC 2369 §3.2",
        "add the mailto that `desist token headers` prints: some mail programs know no other";
    /// No List-Unsubscribe-Post.
    NoOneClick = "no-one-click", Error, "RFC 8058 §3.1",
        "add `List-Unsubscribe-Post: List-Unsubscribe=One-Click`";
    /// List-Unsubscribe-Post says something else.
    WrongOneClick = "wrong-one-click", Error, "RFC 8058 §3.1",
        "write exactly `List-Unsubscribe-Post: List-Unsubscribe=One-Click`";
    /// More than one List-Unsubscribe-Post.
    SeveralOneClick = "several-one-click", Error, "RFC 8058 §3.1", "leave one";
    /// The fields of an unsubscribe are not signed.
    UnsubscribeNotSigned = "unsubscribe-not-signed", Error, "RFC 8058 §4",
        "name List-Unsubscribe and List-Unsubscribe-Post in h= of one DKIM signature: without it \
         the button is not shown";

    /// No DKIM signature.
    NotSigned = "not-signed", Error, "RFC 8058 §4",
        "sign it, or lint it behind its signer: nothing that it says is believed otherwise";
    /// A signature that cannot be valid.
    BadSignature = "bad-signature", Error, "RFC 6376 §3.5", "sign the mail anew, as its last change";
    /// The body is not the one that was signed.
    BodyChanged = "body-changed", Error, "RFC 6376 §3.7",
        "sign behind everything that changes the mail, footers and line ends among it";
    /// A signature of a part of the body.
    PartlySigned = "partly-signed", Warning, "RFC 6376 §8.2",
        "leave l= out: anybody can add to the mail";
    /// No signature is for the author.
    FromNotAligned = "from-not-aligned", Warning, "RFC 9989 §4.4",
        "sign with the domain of From or one above it: DMARC passes by that";
    /// A field can be added without breaking the signature.
    NotOversigned = "not-oversigned", Info, "RFC 6376 §8.15",
        "name the field in h= once more than it is there: then nobody can add a second one";

    /// No CFBL-Address.
    NoCfbl = "no-cfbl", Info, "RFC 9477 §5.1",
        "add what `desist token headers` prints: providers that know it send complaints";
    /// What complaints are to go to is no address.
    BadCfblAddress = "bad-cfbl-address", Error, "RFC 9477 §5.1",
        "write `CFBL-Address: cfbl@DOMAIN; report=arf`";
    /// The form of reports is unknown.
    BadCfblReport = "bad-cfbl-report", Error, "RFC 9477 §5.1",
        "write `report=arf` or `report=xarf`, in lower case";
    /// No CFBL-Feedback-ID.
    NoFeedbackId = "no-feedback-id", Warning, "RFC 9477 §3.3",
        "add what `desist token headers` prints: reports may hold nothing else of the mail";
    /// CFBL-Feedback-ID has characters that are not allowed.
    BadFeedbackId = "bad-feedback-id", Error, "RFC 9477 §5.2",
        "write the token alone: letters, digits, and what an atom or a colon may be";
    /// More than one CFBL-Feedback-ID.
    SeveralFeedbackIds = "several-feedback-ids", Error, "RFC 9477 §5.2", "leave one";
    /// The signature that this address needs is missing.
    CfblNotSigned = "cfbl-not-signed", Error, "RFC 9477 §3.1",
        "sign the mail for the domain that is named, with CFBL-Address and CFBL-Feedback-ID in h=";
    /// Signed before the fields were added.
    CfblPresigned = "cfbl-presigned", Warning, "RFC 9477 §3.1.4",
        "have the author's signature name CFBL-Address and CFBL-Feedback-ID too, where it is yours";
    /// Complaints go to nobody here.
    ForeignCfbl = "foreign-cfbl", Warning, "RFC 9477 §3.2",
        "add your own CFBL-Address, or serve that domain (smtp.domains)";

    /// No token.
    NoToken = "no-token", Error, "a complaint names nobody otherwise",
        "add what `desist token headers` prints for this recipient";
    /// A place that nearly every report keeps has none.
    FewCarriers = "few-carriers", Warning, "what reports keep of a mail differs",
        "let envelope, Message-ID and List-Unsubscribe carry the token";
    /// Made with other keys, or changed.
    WrongToken = "wrong-token", Error, "no key of this installation made it",
        "mint with the keys of this installation, and do not change a token";
    /// Its key was revoked.
    RevokedKey = "revoked-key", Error, "a revoked key proves nothing",
        "mint with the active key: `desist signing-key list`";
    /// A bounce token where everybody reads it, or a feedback token in the envelope.
    WrongUse = "wrong-use", Error, "a bounce token is a secret of the envelope",
        "the return path gets the bounce token, every header field the feedback token";
    /// Tokens of one mail are for several recipients or streams.
    TokensDisagree = "tokens-disagree", Error, "one mail has one recipient and one stream",
        "mint all of a mail's tokens for the same address and stream";
    /// Not for whom the mail is.
    OtherRecipient = "other-recipient", Error, "the token decides who is suppressed",
        "mint for the address that the mail goes to, or name that with --recipient";
    /// The stream is unknown.
    UnknownStream = "unknown-stream", Error, "an opt-out ends the stream of its token",
        "create the stream, or mint for one that exists: `desist stream list`";
    /// No stream.
    NoStream = "no-stream", Info, "an opt-out ends the stream of its token",
        "mint with --stream: without one an opt-out stops all marketing";
    /// A value of its own for each recipient.
    PersonalFeedbackId = "personal-feedback-id", Warning, "Gmail sums by few values",
        "leave the token out of Feedback-ID: it is for campaigns, not for people";
    /// Feedback goes where nobody listens.
    NotServed = "not-served", Error, "what comes back elsewhere is lost",
        "serve the domain (smtp.domains, or a tenant's), or mint for one that is served";
    /// The link goes to another host.
    OtherHost = "other-host", Warning, "RFC 8058 §3.1",
        "see that the host answers as `public.url` does: no redirect may be between";
}
