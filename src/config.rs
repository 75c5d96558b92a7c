//! Layer 6: what operators set, read once at start: the file, the environment over it, all mistakes
//! at once. Nothing else reads the environment.

mod authority;
mod bounce_rules;
mod checks;
mod collector;
mod example;
mod given;
mod mistake;
mod quantity;
mod section;
mod sections;
mod setting;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use authority::{DirectoryUrl, EabKeyFile, KeyId};
pub use bounce_rules::BounceRulesFile;
pub use collector::{CollectorUrl, HeadersFile};
pub use example::example;
pub use mistake::{ConfigErrors, Mistake, Source};
pub use quantity::Size;
pub use sections::{
    Acme, Api, Config, Journal, Limits, Log, Lookup, Mailbox, Policy, Public, Smtp, Store, Stream,
    Tenant, Traces,
};
pub use values::{
    Domain, LogFormat, LogLevel, MailboxAddress, Name, PublicUrl, Rate, SealKeyFile, StoreUrl,
    StoreUrlFile, TenantRef, Title, TlsMode,
};

use crate::journal::JournalConfig;
use crate::judge::bounce::rules::Rules;
use crate::model;
use crate::model::stream::Class;
use crate::model::tenant::TenantId;
use crate::net::network::Network;
use crate::smtp;
use crate::store::StoreConfig;
use crate::traces;
use section::{Findings, Reader, Section as _};

impl Config {
    /// Reads and checks everything: `file` if there is one, `environment` over it, defaults below.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut findings = Findings::default();
        let mut table = match file {
            Some(path) => given::from_file(path, &mut findings.mistakes),
            None => given::Table::empty(),
        };
        given::overlay(&mut table, environment);
        let config = Self::read(Reader::root(table, &mut findings));
        if let Some(config) = &config {
            checks::check(config, &mut findings);
        }
        findings.mistakes.sort();
        match config {
            Some(config) if findings.mistakes.is_empty() => Ok(config),
            _ => Err(ConfigErrors(findings.mistakes)),
        }
    }

    /// [`Config::load`] with the environment of this process.
    pub fn load_here(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::load(file, environment())
    }

    /// What is allowed, but should not stay so; for the log.
    pub fn warnings(&self) -> Vec<String> {
        let seal_key = self
            .store
            .seal_key_file
            .as_ref()
            .and_then(SealKeyFile::open_to_others);
        let url = self
            .store
            .url_file
            .as_ref()
            .and_then(StoreUrlFile::open_to_others);
        let eab_key = self
            .acme
            .eab_key_file
            .as_ref()
            .and_then(EabKeyFile::open_to_others);
        let headers = self
            .traces
            .headers_file
            .as_ref()
            .and_then(HeadersFile::open_to_others);
        let mut warnings: Vec<String> = [seal_key, url, eab_key, headers]
            .into_iter()
            .flatten()
            .map(|path| format!("{} can be read by others: chmod 600 it", path.display()))
            .collect();
        if self.api.listen.iter().any(|at| !at.ip().is_loopback()) {
            warnings.push("the API listens beyond this machine, in plain HTTP".to_owned());
        }
        if self
            .lookup
            .listen
            .iter()
            .flatten()
            .any(|at| !at.ip().is_loopback())
        {
            let text = "look-ups are answered beyond this machine, whoever asks";
            warnings.push(text.to_owned());
        }
        for (key, networks) in [
            ("smtp.proxy_networks", &self.smtp.proxy_networks),
            ("public.proxy_networks", &self.public.proxy_networks),
        ] {
            if networks.iter().flatten().any(Network::is_everything) {
                warnings.push(format!("{key} believes everybody: name your proxies alone"));
            }
        }
        warnings
    }

    /// A file in the data folder.
    pub fn data_file(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }

    /// Served domains, canonical; tokens are minted on the first.
    pub fn domains(&self) -> Vec<String> {
        self.smtp
            .domains
            .iter()
            .map(|domain| domain.as_str().to_owned())
            .collect()
    }

    /// The name in the SMTP greeting.
    pub fn hostname(&self) -> &str {
        self.smtp
            .hostname
            .as_ref()
            .or_else(|| self.smtp.domains.first())
            .map_or("", Domain::as_str)
    }

    /// What links begin with, when the public door listens on `bound`. Without trailing slash.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if let Some(url) = &self.public.url {
            return url.as_str().to_owned();
        }
        let host = self.smtp.domains.first().map_or("", Domain::as_str);
        match (self.public.tls, bound.port()) {
            (TlsMode::Off, 80) => format!("http://{host}"),
            (TlsMode::Off, port) => format!("http://{host}:{port}"),
            (_, 443) => format!("https://{host}"),
            (_, port) => format!("https://{host}:{port}"),
        }
    }

    /// The host of the links in mail, lower-case.
    pub fn public_host(&self) -> String {
        let url = self.public_url(SocketAddr::from(([0, 0, 0, 0], 443)));
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let end = rest.find(['/', ':']).unwrap_or(rest.len());
        rest.get(..end).unwrap_or(rest).to_lowercase()
    }

    /// Whether a certificate may be ordered.
    pub const fn orders_certificates(&self) -> bool {
        matches!(self.public.tls, TlsMode::Acme) && self.acme.terms_agreed
    }

    /// The names of a certificate by ACME, each once.
    pub fn acme_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.acme.names {
            Some(given) => given.iter().map(|name| name.as_str().to_owned()).collect(),
            None => vec![self.hostname().to_lowercase(), self.public_host()],
        };
        if self.acme.names.is_none() && self.mta_sts_is_served() {
            let own = self
                .tenant
                .iter()
                .filter_map(|tenant| tenant.domain.as_ref());
            let domains = self.smtp.domains.iter().chain(own);
            names.extend(domains.map(|domain| format!("mta-sts.{}", domain.as_str())));
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// How to open the store.
    pub fn store_config(&self) -> StoreConfig {
        StoreConfig {
            url: self.store_url().expose().to_owned(),
            addresses: self.store.addresses,
            seal_key: self
                .store
                .seal_key_file
                .as_ref()
                .map(|file| file.key().clone()),
        }
    }

    /// The file of the key that seals the root secret, if there is one.
    pub fn seal_key_path(&self) -> Option<&Path> {
        self.store.seal_key_file.as_ref().map(SealKeyFile::path)
    }

    /// Whether an MTA-STS policy is served.
    pub const fn mta_sts_is_served(&self) -> bool {
        !matches!(self.public.mta_sts, crate::http::public::mta_sts::Mode::Off)
    }

    /// What bounces mean, if the operator has rules of his own.
    pub fn bounce_rules(&self) -> Option<Arc<Rules>> {
        let file = self.policy.bounce_rules_file.as_ref();
        file.map(|file| Arc::clone(file.rules()))
    }

    /// How the journal keeps what it keeps.
    pub fn journal_config(&self) -> JournalConfig {
        let keep = if self.store_url().is_sqlite() {
            Duration::ZERO
        } else {
            self.journal.keep
        };
        JournalConfig {
            disk_floor: self.journal.disk_floor.bytes(),
            queue: self.journal.queue,
            queue_bytes: self.journal.queue_bytes.bytes(),
            keep,
        }
    }

    /// Where spans go, if there is a collector.
    pub fn collector(&self) -> Option<traces::Settings> {
        let traces = &self.traces;
        let headers = traces.headers_file.as_ref().map(HeadersFile::headers);
        Some(traces::Settings {
            endpoint: traces.endpoint.as_ref()?.for_spans(),
            sample: traces.sample,
            headers: headers.unwrap_or_default().to_vec(),
            ca_file: traces.ca_file.clone(),
            timeout: traces.timeout,
            queue: traces.queue,
            host: self.hostname().to_owned(),
        })
    }

    /// What the SMTP sessions go by.
    pub fn smtp_settings(&self) -> smtp::session::Settings {
        let limits = &self.limits;
        smtp::session::Settings {
            hostname: self.hostname().to_owned(),
            starttls: true,
            refuse: false,
            limits: smtp::limits::Limits {
                message: limits.message.bytes(),
                report: limits.report.bytes(),
                in_flight: limits.message_memory.bytes(),
                network_part: u64::from(limits.message_memory_share),
                line: limits.command_line.as_usize(),
                recipients: limits.recipients,
                errors: limits.errors,
                junk_commands: limits.junk_commands,
                sessions: limits.sessions,
                sessions_per_ip: limits.sessions_per_ip,
                idle: limits.idle,
                data_idle: limits.data_inactivity,
                transaction: limits.transaction,
                ..smtp::limits::Limits::default()
            },
        }
    }

    /// Whether it names tenants of its own: where it does not, those of the defaults are made once
    /// and belong to the store from then on.
    pub const fn names_tenants(&self) -> bool {
        !self.tenant.is_empty()
    }

    /// Tenants to create or update at start.
    pub fn tenants(&self) -> Vec<model::tenant::Tenant> {
        let tenant = |tenant: &Tenant| model::tenant::Tenant {
            id: tenant.number,
            name: tenant.name.as_str().to_owned(),
            domain: tenant
                .domain
                .as_ref()
                .map(|domain| domain.as_str().to_owned()),
            title: tenant.title.as_ref().map(|title| title.as_str().to_owned()),
        };
        if self.tenant.is_empty() {
            vec![default_tenant()]
        } else {
            self.tenant.iter().map(tenant).collect()
        }
    }

    /// Streams to create or update at start.
    pub fn streams(&self) -> Vec<model::stream::Stream> {
        if self.tenant.is_empty() {
            return vec![default_stream()];
        }
        let streams = |tenant: &Tenant| {
            let id = tenant.number;
            tenant
                .stream
                .clone()
                .into_iter()
                .map(move |stream| model::stream::Stream {
                    tenant: id,
                    number: stream.number,
                    name: stream.name.as_str().to_owned(),
                    class: stream.class,
                    unsubscribe: stream.unsubscribe,
                    title: stream.title.map(|title| title.as_str().to_owned()),
                })
        };
        self.tenant.iter().flat_map(streams).collect()
    }

    /// Mailboxes to create or update at start.
    pub fn mailboxes(&self) -> Vec<model::mailbox::Mailbox> {
        let mailbox = |mailbox: &Mailbox| model::mailbox::Mailbox {
            address: mailbox.address.address().as_str().to_owned(),
            role: mailbox.role,
            tenant: match &mailbox.tenant {
                Some(TenantRef::Name(name)) => self.tenant_number(name),
                Some(TenantRef::Number(number)) => Some(*number),
                None => None,
            },
            stream: mailbox.stream,
        };
        self.mailbox.iter().map(mailbox).collect()
    }

    fn tenant_number(&self, name: &Name) -> Option<TenantId> {
        let default =
            (self.tenant.is_empty() && name.as_str() == "default").then_some(TenantId::DEFAULT);
        self.tenant
            .iter()
            .find(|tenant| tenant.name == *name)
            .map(|tenant| tenant.number)
            .or(default)
    }

    fn store_url(&self) -> StoreUrl {
        let given = self
            .store
            .url
            .as_ref()
            .or_else(|| self.store.url_file.as_ref().map(StoreUrlFile::url));
        given
            .cloned()
            .unwrap_or_else(|| StoreUrl::sqlite(&self.data_file("desist.db")))
    }
}

/// The environment of this process, without what is not UTF-8.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn default_tenant() -> model::tenant::Tenant {
    model::tenant::Tenant {
        id: TenantId::DEFAULT,
        name: "default".to_owned(),
        domain: None,
        title: None,
    }
}

fn default_stream() -> model::stream::Stream {
    model::stream::Stream {
        tenant: TenantId::DEFAULT,
        number: 1,
        name: "default".to_owned(),
        class: Class::Marketing,
        unsubscribe: false,
        title: None,
    }
}
