//! Every key, once: its name, kind, default and manual. `config/example.toml` is printed from here.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::authority::{DirectoryUrl, EabKeyFile, KeyId};
use super::bounce_rules::BounceRulesFile;
use super::collector::{CollectorUrl, HeadersFile};
use super::quantity::Size;
use super::section::section;
use super::values::{
    Domain, LogFormat, LogLevel, MailboxAddress, Name, PublicUrl, Rate, SealKeyFile, StoreUrl,
    StoreUrlFile, TenantRef, Title, TlsMode,
};
use crate::http::public::mta_sts::Mode as MtaStsMode;
use crate::model::mailbox::Role;
use crate::model::stream::{Class, StreamNumber};
use crate::model::tenant::TenantId;
use crate::net::network::Network;
use crate::store::Addresses;
use crate::traces::Ratio;

section! {
    /// All settings.
    pub struct Config {
        /// Where the store (unless it is elsewhere), the journal, self-made certificates, the
        /// admin key and the addresses listened on are kept.
        data_dir: PathBuf = default(PathBuf::from("data"));
        /// The MX.
        smtp: Smtp = section;
        /// The door for readers and mailbox providers: one-click unsubscribe and its page.
        public: Public = section;
        /// Certificates by ACME, with public.tls = "acme". In programs built with the feature acme alone.
        acme: Acme = section;
        /// The API for your own systems. Never open it to the world.
        api: Api = section;
        /// The listener that mail servers ask before they send: Postfix (socketmap, policy service),
        /// Exim. It asks for no key: never open it to the world.
        lookup: Lookup = section;
        /// Where receipts, events and suppressions are kept.
        store: Store = section;
        /// What is acknowledged but not yet in the store, on this machine.
        journal: Journal = section;
        /// What may be believed, and what follows from it.
        policy: Policy = section;
        /// What one peer, one message or one moment may use.
        limits: Limits = section;
        /// What is written to standard error.
        log: Log = section;
        /// Spans for OpenTelemetry: of calls, of mails at the door, of the pipeline's batches. In
        /// programs built with the feature otel alone.
        traces: Traces = section;
        /// One sending organisation. Created or updated at start, never deleted. Without any the
        /// first start makes `default`, number 1, with the stream `default`, number 1, marketing.
        tenant: Vec<Tenant> = tables;
        /// A mailbox beyond or instead of the defaults of each domain: fbl (complaint), cfbl, u and
        /// unsubscribe, b (bounce), dmarc, tlsrpt, postmaster and abuse (human). Created or updated
        /// at start, never deleted.
        mailbox: Vec<Mailbox> = tables;
    }
}

section! {
    /// The MX.
    pub struct Smtp {
        /// Addresses to listen on, IP:PORT. Port 0 takes a free one, *:PORT is every address.
        listen: Vec<SocketAddr> = default(vec![local(2525)]);
        /// The name in the greeting. Default: the first domain.
        hostname: Option<Domain> = unset("\"mx.example.com\"");
        /// Domains served for all tenants; those of single tenants are served beside them. Tokens are
        /// minted on the first one.
        domains: Vec<Domain> = default(Domain::parse("localhost").into_iter().collect());
        /// Certificate chain for STARTTLS, PEM. Without it the one by ACME is used where there is one,
        /// else a self-made one. Read anew when it changes.
        tls_cert: Option<PathBuf> = unset("\"/etc/desist/mx.pem\"");
        /// Private key of that certificate, PEM.
        tls_key: Option<PathBuf> = unset("\"/etc/desist/mx.key\"");
        /// Proxies that must say in a PROXY header (version 1 or 2) for whom they connect: addresses
        /// or networks. Whoever is in them can pretend to be anybody; from others it means nothing.
        proxy_networks: Option<Vec<Network>> = unset("[\"192.0.2.10\", \"2001:db8:1::/64\"]");
    }
}

section! {
    /// The public HTTPS door.
    pub struct Public {
        /// Addresses to listen on, IP:PORT.
        listen: Vec<SocketAddr> = default(vec![local(8443)]);
        /// What links in your mails begin with. Default: https, the first domain and the port
        /// listened on.
        url: Option<PublicUrl> = unset("\"https://u.example.com\"");
        /// Where the certificate is from: "files", "acme", "self-made", or "off" for plain HTTP behind
        /// a reverse proxy.
        tls: TlsMode = default(TlsMode::SelfMade);
        /// Certificate chain for "files", PEM. Read anew when it changes.
        tls_cert: Option<PathBuf> = unset("\"/etc/desist/public.pem\"");
        /// Private key of that certificate, PEM.
        tls_key: Option<PathBuf> = unset("\"/etc/desist/public.key\"");
        /// Proxies that must say in a PROXY header for whom they connect, as those of the MX must.
        proxy_networks: Option<Vec<Network>> = unset("[\"192.0.2.10\"]");
        /// A folder with what is to be otherwise on the page: page.html, style.css, and texts in
        /// files such as de.toml. Read at start.
        templates: Option<PathBuf> = unset("\"/etc/desist/page\"");
        /// The MTA-STS policy that the host mta-sts.DOMAIN serves for each served domain (RFC 8461):
        /// "off", "testing", "enforce", or "none" to withdraw it. The certificate must be for these
        /// names too, and the DNS must announce the policy.
        mta_sts: MtaStsMode = default(MtaStsMode::Off);
        /// How long senders keep that policy, at most 365.25 days.
        mta_sts_max_age: Duration = default(Duration::from_hours(168));
        /// The hosts that it names as MX. Default: smtp.hostname.
        mta_sts_mx: Option<Vec<Domain>> = unset("[\"mx1.example.com\", \"mx2.example.com\"]");
    }
}

section! {
    /// Certificates by ACME.
    pub struct Acme {
        /// The directory of the certificate authority.
        directory: DirectoryUrl = default(DirectoryUrl::lets_encrypt());
        /// Whether you agree to the authority's terms of service. Nothing is ordered before.
        terms_agreed: bool = default(false);
        /// Whom the authority may write to.
        contact: Option<Vec<MailboxAddress>> = unset("[\"hostmaster@example.com\"]");
        /// The names of the one certificate. Each must lead to port 443 of this node alone: the
        /// authority looks there. Default: smtp.hostname, the host of public.url and, where the policy
        /// is served, mta-sts.DOMAIN of each domain in this file.
        names: Option<Vec<Domain>> = unset("[\"mx.example.com\", \"u.example.com\"]");
        /// The root certificate, PEM, of a private authority's directory.
        ca_file: Option<PathBuf> = unset("\"/etc/desist/acme-root.pem\"");
        /// The key's name of an account that you have at the authority already, where it wants one.
        eab_key_id: Option<KeyId> = unset("\"kid-1\"");
        /// A file with that key in base64url.
        eab_key_file: Option<EabKeyFile> = unset("\"/etc/desist/eab.key\"");
    }
}

section! {
    /// The private API.
    pub struct Api {
        /// Addresses to listen on, IP:PORT, plain HTTP.
        listen: Vec<SocketAddr> = default(vec![local(8080)]);
        /// How old the index may be before /readyz/check says that this node is not ready.
        max_staleness: Duration = default(Duration::from_secs(30));
    }
}

section! {
    /// The listener for mail servers.
    pub struct Lookup {
        /// Addresses to listen on, IP:PORT. Without any it is closed.
        listen: Option<Vec<SocketAddr>> = unset("[\"127.0.0.1:8026\"]");
        /// Sessions at a time.
        sessions: usize = default(1000);
        /// How long a session may take to ask its next question.
        idle: Duration = default(Duration::from_mins(10));
    }
}

section! {
    /// The store.
    pub struct Store {
        /// `sqlite:PATH` or `postgres://USER@HOST/DATABASE`. Default: desist.db in the data folder.
        url: Option<StoreUrl> = unset("\"postgres://desist@db.example.com/desist\"");
        /// A file that holds the URL, instead of url: for a URL with a password.
        url_file: Option<StoreUrlFile> = unset("\"/etc/desist/store-url\"");
        /// Whether addresses are kept beside recipient keys: "keep" or "forget".
        addresses: Addresses = default(Addresses::Keep);
        /// How long the raw bytes of what came in are kept. Receipts, events and the evidence of a
        /// suppression stay.
        keep_raw: Duration = default(Duration::from_hours(90 * 24));
        /// How long the feed of changes is kept. A reader further behind begins anew.
        keep_feed: Duration = default(Duration::from_hours(30 * 24));
        /// A file of 32 bytes, or 64 hexadecimal digits, that seals the root secret in the store.
        /// Without this file a sealed store cannot be opened: keep a copy of it.
        seal_key_file: Option<SealKeyFile> = unset("\"/etc/desist/seal.key\"");
    }
}

section! {
    /// The journal.
    pub struct Journal {
        /// How long what is in PostgreSQL already is kept here too, to offer it again after a
        /// failover. With SQLite nothing is kept.
        keep: Duration = default(Duration::from_mins(15));
        /// Free room on its disk below which mail is answered 452 and posts 503.
        disk_floor: Size = default(Size::from_mib(1024));
        /// Messages and posts that may wait for their commit.
        queue: usize = default(10_000);
        /// Bytes that may wait for their commit.
        queue_bytes: Size = default(Size::from_mib(256));
    }
}

section! {
    /// Policy.
    pub struct Policy {
        /// Whether complaints of type fraud, virus and other suppress like abuse.
        raise_other_complaints: bool = default(false);
        /// A file of your own rules for what bounces mean, in the form of desist's own
        /// (src/judge/rules.toml). One with the id of a rule of desist takes its place, others are
        /// asked first. Read at start.
        bounce_rules_file: Option<BounceRulesFile> = unset("\"/etc/desist/bounces.toml\"");
        /// On how many different days (UTC) mail to an address must fail softly, none delivered
        /// between, until it is taken for dead.
        soft_failures: u32 = default(5);
        /// How far the first and the last of these days must be apart.
        soft_spread: Duration = default(Duration::from_hours(15 * 24));
        /// On how many different days a mailbox must be full until it is taken for dead.
        full_failures: u32 = default(5);
        /// Within how long.
        full_within: Duration = default(Duration::from_hours(30 * 24));
        /// How long a soft failure counts.
        soft_memory: Duration = default(Duration::from_hours(90 * 24));
        /// Recipients that one provider may call dead in an hour before the brake looks closer.
        brake_bounces: u32 = default(200);
        /// How many times those of its busiest hour they may be. Beyond, all of that hour are held.
        brake_factor: u32 = default(3);
        /// How far back the busiest hour is looked for.
        brake_history: Duration = default(Duration::from_hours(14 * 24));
        /// Bounces of one provider in a day, of one class that is our own fault, that raise an
        /// alarm.
        signal_bounces: u32 = default(100);
    }
}

section! {
    /// Limits.
    pub struct Limits {
        /// The largest message, advertised as SIZE.
        message: Size = default(Size::from_mib(50));
        /// The largest message to mailboxes of the roles complaint, cfbl and unsubscribe.
        report: Size = default(Size::from_mib(25));
        /// Bytes of messages that all SMTP sessions together may hold at a time.
        message_memory: Size = default(Size::from_mib(256));
        /// One network (/24 or /64) may hold this part of them beyond its first message: 8 is an
        /// eighth.
        message_memory_share: u32 = default(8);
        /// The longest SMTP command line.
        command_line: Size = default(Size::from_bytes(4096));
        /// Recipients of one transaction.
        recipients: usize = default(1000);
        /// SMTP sessions at a time.
        sessions: usize = default(1000);
        /// SMTP sessions of one IP address at a time.
        sessions_per_ip: usize = default(100);
        /// Wrong commands after which an SMTP session is closed.
        errors: u32 = default(20);
        /// Commands that move no mail (NOOP, RSET, HELP, VRFY, EHLO) of an SMTP session before its
        /// next message; each one more counts as a wrong one.
        junk_commands: u32 = default(100);
        /// How long an SMTP session may wait for a command.
        idle: Duration = default(Duration::from_mins(5));
        /// How long a message may pause while it is being sent.
        data_inactivity: Duration = default(Duration::from_mins(3));
        /// How long a whole transaction may take, and a session without any message.
        transaction: Duration = default(Duration::from_mins(30));
        /// TLS handshakes at a time at one door; one more closes the oldest.
        handshakes: usize = default(200);
        /// TLS handshakes of one network (/24 or /64) in a second at one door, and five times as many
        /// at once; more are closed. 0 is no limit.
        handshakes_per_second: Rate = default(Rate::per_period(300));
        /// How long a TLS handshake may take.
        handshake: Duration = default(Duration::from_secs(30));
        /// Levels of nested multiparts of a mail that are read.
        mime_depth: usize = default(20);
        /// Parts of a mail that are read.
        mime_parts: usize = default(1000);
        /// The largest body of a one-click POST that is kept; the rest of a larger one is dropped.
        one_click_body: Size = default(Size::from_kib(8));
        /// Bytes of bodies that the public door may hold at a time.
        one_click_memory: Size = default(Size::from_mib(64));
        /// The largest body of an API call.
        api_body: Size = default(Size::from_mib(64));
        /// Bytes of bodies that the API may hold at a time.
        api_memory: Size = default(Size::from_mib(256));
        /// Calls of one API key in a second, and twice as many at once; more are answered 429. A check
        /// of many addresses is one call. 0 is no limit.
        api_requests_per_second: Rate = default(Rate::per_period(0));
        /// Receipts of one token in an hour. Further ones that would not change what is suppressed
        /// are counted, not kept, with the same answer. 0 is no limit.
        token_receipts_per_hour: Rate = default(Rate::per_period(100));
    }
}

section! {
    /// The log.
    pub struct Log {
        /// error, warn, info, debug or trace; by part: `info,desist::smtp=debug`. Without a part, debug
        /// and trace are for desist alone: libraries named here may log addresses and tokens.
        level: LogLevel = default(LogLevel::info());
        /// "text" or "json".
        format: LogFormat = default(LogFormat::Text);
    }
}

section! {
    /// Spans.
    pub struct Traces {
        /// The collector that they are sent to: its base, to which /v1/traces is appended (OTLP over
        /// HTTP). Without it there are none.
        endpoint: Option<CollectorUrl> = unset("\"http://127.0.0.1:4318\"");
        /// Which part of the traces that begin here is kept, from 0 to 1. A call of the API that is
        /// part of a caller's trace (traceparent) is kept if that is.
        sample: Ratio = default(Ratio::ONE);
        /// A file of headers that are sent along, such as a key for the collector: a line each,
        /// NAME: VALUE.
        headers_file: Option<HeadersFile> = unset("\"/etc/desist/collector-headers\"");
        /// The certificates, PEM, that a collector at an https URL is trusted by. Default: those of
        /// public authorities, as this version of desist knows them.
        ca_file: Option<PathBuf> = unset("\"/etc/desist/collector-root.pem\"");
        /// How long the collector may take to answer. What it does not take is lost, and counted.
        timeout: Duration = default(Duration::from_secs(10));
        /// Spans that wait to be sent, at most 100,000; more are dropped, and counted.
        queue: usize = default(4096);
    }
}

section! {
    /// A tenant.
    pub struct Tenant {
        /// Its name: a-z, 0-9, '.', '_' and '-'.
        name: Name = required("\"shop\"");
        /// Its number, 1 to 16777215. It is part of every token: never change it.
        number: TenantId = required("2");
        /// What readers know it by: shown on the page of the public door. Default: its name.
        title: Option<Title> = unset("\"Example Shop\"");
        /// The domain that its tokens are minted on. It is served, and its mailboxes are this tenant's.
        /// Default: the first of smtp.domains.
        domain: Option<Domain> = unset("\"fb.example.com\"");
        /// A kind of mail of this tenant.
        stream: Vec<Stream> = tables;
    }
}

section! {
    /// A stream.
    pub struct Stream {
        /// Its number, 1 to 65535. It is part of every token: never change it.
        number: StreamNumber = required("1");
        /// Its name: a-z, 0-9, '.', '_' and '-'.
        name: Name = required("\"newsletter\"");
        /// "marketing" or "transactional".
        class: Class = default(Class::Marketing);
        /// Whether an opt-out can end this stream itself although it is transactional.
        unsubscribe: bool = default(false);
        /// What readers know it by: shown on the page of the public door. Default: its name.
        title: Option<Title> = unset("\"Weekly news\"");
    }
}

section! {
    /// A mailbox.
    pub struct Mailbox {
        /// Its address, in one of smtp.domains or in a tenant's own.
        address: MailboxAddress = required("\"loop@localhost\"");
        /// complaint, cfbl, unsubscribe, bounce, dmarc, tls-report or human.
        role: Role = required("\"complaint\"");
        /// Whose it is, by name (of a tenant in this file) or number. Default: nobody's in particular.
        tenant: Option<TenantRef> = unset("\"shop\"");
        /// The stream that an opt-out without token means.
        stream: Option<StreamNumber> = unset("1");
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
