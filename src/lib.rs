//! `desist` is the front door for what the world sends back to a mail sender.
//!
//! Complaints, unsubscribe mails and one-click POSTs come in through SMTP and HTTPS, are committed
//! before they are acknowledged, are read, matched to the sender's recipient by a keyed token,
//! judged, stored, and answered by a check API. This page is the map; the README is for those who
//! run it.
//!
//! # The flow
//!
//! ```text
//!    SMTP (mail_server, smtp)                    HTTPS public (http::public)
//!      └──────────────────┬──────────────────────────┘
//!                         ▼            app::reception draws the receipts
//!         journal         node-local, group commit, fsync      ──►  only now "250" / "200"
//!                         ▼            app::ingest takes, in order
//!         pipeline        report::read → judge::identify → judge::table      (pure)
//!                         ▼            one transaction per batch
//!         store           SQLite or PostgreSQL: receipts, events, suppressions, the feed
//!                         ▼            app::follower applies the feed, in order
//!         index           in memory on every node
//!                         ▼
//!         HTTP, private   check, suppressions, changes, events, held, tokens (http::api)
//! ```
//!
//! # The layers
//!
//! A file uses only lower layers, and within a layer only what stands left of it; a test checks it.
//!
//! | layer | modules | what it is |
//! |---|---|---|
//! | L0 | [`model`] | the words of the system as values |
//! | L1 | [`token`] · [`report`] · [`smtp`] · [`judge`] · [`lint`] | pure: bytes and values in, values out |
//! | L2 | `trust` · [`metrics`] · [`traces`] · [`store`] · [`journal`] · [`index`] | what is kept |
//! | L3 | [`app`] | what desist does, without protocol types |
//! | L4 | [`net`] · `acme` | accepting, TLS, stopping; certificates, with the feature `acme` |
//! | L5 | [`mail_server`] · [`lookup_server`] · [`http`] | the doors, and the listener that mail servers ask |
//! | L6 | [`config`] · [`serve`] · [`telemetry`] · [`cli`] | putting it together |
//!
//! # Features
//!
//! - `acme` (off): certificates by ACME, `public.tls = "acme"`.
//! - `otel` (off): spans for OpenTelemetry, `[traces]`. Without it [`traces`] compiles to nothing.
//!
//! # Invariants
//!
//! - **No acknowledgement before the sync.** A door answers `250` or `200` only after
//!   [`journal::Journal::append`] returned; that is after the commit is on disk. After a failed
//!   sync the journal refuses until restart: what the kernel dropped cannot be known.
//! - **Nothing accepted is dropped.** What cannot be understood is `unrecognised`, with its raw
//!   bytes; what the reader or the store fails on is found by bisection and kept the same way.
//! - **A receipt acts once.** Its id is drawn at the door; the store inserts receipts first and
//!   writes effects only for those that were new. Replaying the journal changes nothing.
//! - **Only proof acts.** Without a valid token in an allowed place nothing is suppressed: the event
//!   is held for an operator. Reporters are not authenticated, so none is believed by its name.
//!   [`judge`] has the one table.
//! - **A bounce is proven by the envelope alone**: by a token of use `bounce`, which nobody else has
//!   seen, or by the tenant's own systems. What is our own fault never touches a recipient, and a
//!   provider that calls everybody dead is braked: [`judge::history`] has the rules, [`store`] settles
//!   them in the transaction that stores the bounce.
//! - **The token decides whom.** Addresses that a report asserts are evidence; they are attached
//!   only if their key equals the token's. MACs are compared in one function, in constant time.
//! - **Only the feed changes the index**, in feed order, also for a node's own writes.
//! - **The protocol is a value.** [`smtp`] has no sockets, no clock and no tasks; the same bytes in
//!   any chunking give the same replies. The socket loop in [`mail_server`] has no decisions.
//! - **Time is an argument** everywhere; only [`model::clock`] reads it. Randomness and identity are
//!   arguments in L0 and L1; [`store`] draws the root secret, [`app`] receipt ids, API keys and
//!   Message-IDs.
//! - **Everything from outside has a named limit**, applied while reading.
//! - **desist sends no mail**, relays nothing and opens no URL found in a message.
//! - **Logs and metrics never hold** an address, a token, a secret or a body.
//!
//! # Why
//!
//! - *Why a journal beside the store?* The doors must answer when PostgreSQL does not, and a slow
//!   store must not slow the doors; one node-local file with group commit gives both.
//! - *Why one counter row for the feed?* A sequence gives out numbers that commit in another order;
//!   a reader would miss some. The row lock is taken as the last statements of a transaction.
//! - *Why threads of its own for the API?* `check` is asked before each mail, and answers from
//!   memory. On shared threads its answers stood behind all that a burst of mail gives to do.
//! - *Why whole tenants of the directory?* A node that hears of a change reads all that is this
//!   tenant's and nothing else: it cannot miss what was deleted, ten thousand tenants do not cost
//!   ten thousand times the reading, and the journal's mirror is written the same way.
//! - *Why no send record?* The token says for whom the mail was, so nothing has to be kept for
//!   mail that nobody answers, and a complaint after two years still finds its recipient.
//!
//! # Standards
//!
//! Cited as `RFC n §m` where they are implemented. *met*: as far as a receive-only system is
//! concerned; *partly*: what is left out is said.
//!
//! | RFC | about | status |
//! |---|---|---|
//! | RFC 1035 | domain names | partly: their length |
//! | RFC 1123 | requirements for hosts | partly: the syntax of names |
//! | RFC 1870 | SIZE | met |
//! | RFC 1952 | gzip | partly: the name of the packed file is read, nothing is unpacked |
//! | RFC 2034 | enhanced status codes in replies | met |
//! | RFC 2045 | MIME bodies | met, read leniently |
//! | RFC 2046 | MIME media types | met, read leniently |
//! | RFC 2047 | encoded words | met |
//! | RFC 2104 | HMAC | met |
//! | RFC 2231 | parameter continuations | met |
//! | RFC 2369 | List-Unsubscribe by mail | met |
//! | RFC 2920 | PIPELINING | met |
//! | RFC 3030 | CHUNKING | met; BINARYMIME is not offered |
//! | RFC 3207 | STARTTLS | met |
//! | RFC 3339 | times in the API | met |
//! | RFC 3461 | DSN extension | not offered: a receiver that sends no mail cannot honour it |
//! | RFC 3463 | enhanced status codes | met |
//! | RFC 3464 | delivery status notifications | met: judged block by block, by the token of the envelope |
//! | RFC 3834 | automatic responses | met: recognised, never sent |
//! | RFC 3848 | transmission types | met |
//! | RFC 3986 | percent-encoding in links | met |
//! | RFC 4155 | mbox | met: `classify --mbox` |
//! | RFC 4180 | comma-separated values | met: sums |
//! | RFC 4647 | matching of language tags | met: look-up, for the page |
//! | RFC 4954 | SMTP AUTH | partly: its codes are explained; no door asks for a login |
//! | RFC 5280 | certificates | partly: the validity is read; clients judge the rest |
//! | RFC 5321 | SMTP | met |
//! | RFC 5322 | message format | met, read leniently |
//! | RFC 5546 | calendar methods | met: recognised, never answered |
//! | RFC 5869 | HKDF | met |
//! | RFC 5965 | ARF | met |
//! | RFC 6152 | 8BITMIME | met |
//! | RFC 6376 | DKIM | partly: of outgoing mail what the bytes alone tell: `h=`, `d=` and the body's hash |
//! | RFC 6430 | not-spam reports | met: recorded |
//! | RFC 6522 | multipart/report | met, read leniently |
//! | RFC 6531 | SMTPUTF8 | met |
//! | RFC 6532 | internationalised headers | met |
//! | RFC 6533 | internationalised delivery status | met |
//! | RFC 6590 | redaction in reports | met: what is redacted is no address |
//! | RFC 6591 | failure reports | partly: told apart and recorded |
//! | RFC 6692 | source port in ARF | partly: read, not kept |
//! | RFC 6750 | bearer keys of the API | met |
//! | RFC 7208 | SPF | partly: the doctor looks for the one record; nothing is evaluated |
//! | RFC 7293 | changed owners of mailboxes | partly: its codes, as a cause of bounces |
//! | RFC 7301 | ALPN | met |
//! | RFC 7468 | PEM | met |
//! | RFC 7504 | hosts and domains that take no mail | partly: its reply codes, as a cause of bounces |
//! | RFC 7505 | null MX | met: as a cause of bounces |
//! | RFC 7672 | DANE for SMTP | partly: one certificate for every name; publishing TLSA is the operator's |
//! | RFC 8058 | one-click unsubscribe | met |
//! | RFC 8098 | disposition notifications | met: recorded |
//! | RFC 8460 | TLS reports | partly: recognised and recorded |
//! | RFC 8461 | MTA-STS | met: the policy is served; announcing it is the DNS's |
//! | RFC 8555 | ACME | partly: with the feature `acme`, one certificate, no revocation |
//! | RFC 8737 | TLS-ALPN-01 | met |
//! | RFC 8996 | no TLS below 1.2 | met |
//! | RFC 9110 | HTTP | partly: what the API and the one-click door need |
//! | RFC 9325 | recommendations for TLS | met |
//! | RFC 9422 | LIMITS | met |
//! | RFC 9457 | problem details | met |
//! | RFC 9477 | CFBL | partly: outgoing mail is checked; reports are read and held for an operator: their DKIM is not checked |
//! | RFC 9562 | UUID version 7 | met |
//! | RFC 9989 | DMARC | partly: whether a signature of outgoing mail can align with its From |
//! | RFC 9990 | DMARC aggregate reports | partly: recognised and recorded |
//!
//! Beside RFCs, with the feature `otel`: W3C Trace Context (`traceparent` of callers of the API is
//! read, nothing is passed on), OTLP over HTTP, and OpenTelemetry's conventions for HTTP.

#[cfg(feature = "acme")]
pub mod acme;
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod index;
pub mod journal;
pub mod judge;
pub mod lint;
pub mod lookup_server;
pub mod mail_server;
pub mod metrics;
pub mod model;
pub mod net;
pub mod report;
pub mod serve;
pub mod smtp;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod traces;
mod trust;
