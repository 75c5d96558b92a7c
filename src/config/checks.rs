//! Rules that hold between settings.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::section::Findings;
use super::sections::{Config, Mailbox, Tenant};
use super::values::{TenantRef, TlsMode};
use crate::http::public::mta_sts;
use crate::http::public::pages::Pages;

/// Reports everything that no key can see by itself.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    certificates(config, findings);
    acme(config, findings);
    public_url(config, findings);
    mta_sts(config, findings);
    templates(config, findings);
    traces(config, findings);
    store(config, findings);
    limits(config, findings);
    domains(config, findings);
    tenants(&config.tenant, findings);
    mailboxes(config, findings);
}

fn certificates(config: &Config, findings: &mut Findings) {
    let smtp = &config.smtp;
    let public = &config.public;
    pair(
        "smtp",
        smtp.tls_cert.as_deref(),
        smtp.tls_key.as_deref(),
        findings,
    );
    pair(
        "public",
        public.tls_cert.as_deref(),
        public.tls_key.as_deref(),
        findings,
    );
    if public.tls == TlsMode::Files && public.tls_cert.is_none() && public.tls_key.is_none() {
        findings.mistake("public.tls", "\"files\" needs tls_cert and tls_key");
    }
    if public.tls != TlsMode::Files && public.tls_cert.is_some() {
        let text = format!(
            "is not used while tls = \"{}\"; \"files\" uses it",
            public.tls
        );
        findings.mistake("public.tls_cert", text);
    }
}

/// What an authority would refuse, each attempt anew, is refused here once.
fn acme(config: &Config, findings: &mut Findings) {
    let acme = &config.acme;
    if acme.eab_key_id.is_some() != acme.eab_key_file.is_some() {
        let (there, missing) = match acme.eab_key_id {
            Some(_) => ("eab_key_id", "eab_key_file"),
            None => ("eab_key_file", "eab_key_id"),
        };
        let text = format!("needs {missing} beside it");
        findings.mistake(&format!("acme.{there}"), text);
    }
    if config.public.tls != TlsMode::Acme {
        return;
    }
    if cfg!(not(feature = "acme")) {
        let text =
            "this program is built without ACME. To have it: cargo build --release --features acme";
        findings.mistake("public.tls", text);
    }
    if !config.acme.terms_agreed {
        let text = "must be true: read the terms of service of your certificate authority first";
        findings.mistake("acme.terms_agreed", text);
    }
    if let Some(Err(error)) = acme.ca_file.as_deref().map(File::open) {
        findings.mistake("acme.ca_file", error.to_string());
    }
    let names = config.acme_names();
    if names.len() > MAX_NAMES {
        let text = format!(
            "are {} names, and one certificate has at most {MAX_NAMES}",
            names.len()
        );
        findings.mistake("acme.names", text);
    }
    for name in names {
        let is_address = name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[');
        if !name.contains('.') || is_address {
            let text = format!("{name:?} is no name that an authority certifies");
            findings.mistake("acme.names", text);
        }
    }
}

fn traces(config: &Config, findings: &mut Findings) {
    let traces = &config.traces;
    if traces.endpoint.is_some() && cfg!(not(feature = "otel")) {
        let text = "this program is built without OpenTelemetry. To have it: \
            cargo build --release --features otel";
        findings.mistake("traces.endpoint", text);
    }
    if let Some(Err(error)) = traces.ca_file.as_deref().map(File::open) {
        findings.mistake("traces.ca_file", error.to_string());
    }
    if traces.queue > MAX_SPANS {
        let text = format!("is above {MAX_SPANS}: room for all of them is taken at start");
        findings.mistake("traces.queue", text);
    }
}

fn pair(section: &str, cert: Option<&Path>, key: Option<&Path>, findings: &mut Findings) {
    for (name, file) in [("tls_cert", cert), ("tls_key", key)] {
        let Some(file) = file else { continue };
        if let Err(error) = File::open(file) {
            findings.mistake(
                &format!("{section}.{name}"),
                format!("{}: {error}", file.display()),
            );
        }
    }
    match (cert, key) {
        (Some(_), None) => {
            findings.mistake(&format!("{section}.tls_cert"), "needs tls_key beside it");
        }
        (None, Some(_)) => {
            findings.mistake(&format!("{section}.tls_key"), "needs tls_cert beside it");
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
}

/// A reverse proxy may speak TLS for us, but one-click URLs are https always (RFC 8058 §3.1).
fn public_url(config: &Config, findings: &mut Findings) {
    let https = config
        .public
        .url
        .as_ref()
        .is_none_or(super::values::PublicUrl::is_https);
    if !https && config.public.tls != TlsMode::Off {
        findings.mistake("public.url", "begins with http:, but the door speaks https");
    }
}

fn templates(config: &Config, findings: &mut Findings) {
    let Some(folder) = config.public.templates.as_deref() else {
        return;
    };
    for mistake in Pages::load(Some(folder)).err().unwrap_or_default() {
        findings.mistake("public.templates", mistake.to_string());
    }
}

fn mta_sts(config: &Config, findings: &mut Findings) {
    if config.public.mta_sts_max_age > mta_sts::LONGEST {
        findings.mistake(
            "public.mta_sts_max_age",
            "is above 31557600 s, 365.25 days (RFC 8461 §3.2)",
        );
    }
}

fn store(config: &Config, findings: &mut Findings) {
    if config.store.url.is_some() && config.store.url_file.is_some() {
        findings.mistake(
            "store.url_file",
            "is given beside url: leave one of them out",
        );
    }
}

fn limits(config: &Config, findings: &mut Findings) {
    let limits = &config.limits;
    if limits.report > limits.message {
        findings.mistake(
            "limits.report",
            format!("is above limits.message ({})", limits.message),
        );
    }
    if limits.message > limits.message_memory {
        let text = format!(
            "is below limits.message ({}): none could come in",
            limits.message
        );
        findings.mistake("limits.message_memory", text);
    }
    if limits.message > config.journal.queue_bytes {
        let text = format!(
            "is below limits.message ({}): none could be kept",
            limits.message
        );
        findings.mistake("journal.queue_bytes", text);
    }
    if limits.one_click_body > limits.one_click_memory {
        let text = format!("is below limits.one_click_body ({})", limits.one_click_body);
        findings.mistake("limits.one_click_memory", text);
    }
    if limits.api_body > limits.api_memory {
        let text = format!("is below limits.api_body ({})", limits.api_body);
        findings.mistake("limits.api_memory", text);
    }
    if limits.mime_depth > MAX_MIME_DEPTH {
        let text = format!("is above {MAX_MIME_DEPTH}: each level takes room on the stack");
        findings.mistake("limits.mime_depth", text);
    }
    if limits.command_line.bytes() < MIN_COMMAND_LINE {
        findings.mistake(
            "limits.command_line",
            "must be at least 512 B (RFC 5321 §4.5.3.1.4)",
        );
    }
    if limits.recipients < MIN_RECIPIENTS {
        findings.mistake(
            "limits.recipients",
            "must be at least 100 (RFC 5321 §4.5.3.1.8)",
        );
    }
}

fn domains(config: &Config, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for domain in &config.smtp.domains {
        if !seen.insert(domain) {
            findings.mistake("smtp.domains", format!("names {} twice", domain.as_str()));
        }
    }
}

fn tenants(tenants: &[Tenant], findings: &mut Findings) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    let mut domains = BTreeSet::new();
    for (index, tenant) in tenants.iter().enumerate() {
        let path = format!("tenant[{index}]");
        if !names.insert(&tenant.name) {
            findings.mistake(&format!("{path}.name"), "is another tenant's too");
        }
        if !numbers.insert(tenant.number) {
            findings.mistake(&format!("{path}.number"), "is another tenant's too");
        }
        if tenant
            .domain
            .as_ref()
            .is_some_and(|domain| !domains.insert(domain))
        {
            findings.mistake(&format!("{path}.domain"), "is another tenant's too");
        }
        streams(tenant, &path, findings);
    }
}

fn streams(tenant: &Tenant, path: &str, findings: &mut Findings) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, stream) in tenant.stream.iter().enumerate() {
        let path = format!("{path}.stream[{index}]");
        if !names.insert(&stream.name) {
            findings.mistake(&format!("{path}.name"), "is another stream's too");
        }
        if !numbers.insert(stream.number) {
            findings.mistake(&format!("{path}.number"), "is another stream's too");
        }
    }
}

fn mailboxes(config: &Config, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (index, mailbox) in config.mailbox.iter().enumerate() {
        let path = format!("mailbox[{index}]");
        if !seen.insert(&mailbox.address) {
            findings.mistake(&format!("{path}.address"), "is given twice");
        }
        let domain = mailbox.address.address().domain();
        let tenants = config.tenant.iter().filter_map(|one| one.domain.as_ref());
        let mut served = config.smtp.domains.iter().chain(tenants);
        if served.all(|served| served.as_str() != domain) {
            findings.mistake(
                &format!("{path}.address"),
                "its domain is neither one of smtp.domains nor a tenant's here",
            );
        }
        owner(config, mailbox, &path, findings);
    }
}

fn owner(config: &Config, mailbox: &Mailbox, path: &str, findings: &mut Findings) {
    match &mailbox.tenant {
        Some(TenantRef::Name(name)) if config.tenant_number(name).is_none() => {
            let text = "no [[tenant]] here has that name; give its number if it is in the store";
            findings.mistake(&format!("{path}.tenant"), text);
        }
        None if mailbox.stream.is_some() && config.tenant.len() > 1 => {
            findings.mistake(&format!("{path}.stream"), "needs its tenant beside it");
        }
        _ => {}
    }
}

/// About 40 MB of spans.
const MAX_SPANS: usize = 100_000;

/// Names of one certificate; the best known authority takes no more.
const MAX_NAMES: usize = 100;

/// Levels of a mail that can be read and freed on a worker's stack without a thought.
const MAX_MIME_DEPTH: usize = 100;

/// Bytes.
const MIN_COMMAND_LINE: u64 = 512;

const MIN_RECIPIENTS: usize = 100;
