//! `desist doctor`: whether everything around the server is as it must be.

mod dns;
mod finding;
mod local;
mod server;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::client::{ClientArgs, ClientError, Outcome, cell, print_json, print_table};
use super::lint;
use crate::config::Config;
use crate::lint::rules::Severity;
use crate::model::clock::Clock;
use dns::{Dns, Expected};
use finding::{Finding, State};

/// Looks at config, files, room, clock, store, keys, certificates, DNS and the running server.
///
/// Exit code 3 if something does not work.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  desist doctor
  desist doctor --from example.com --round-trip
  desist doctor --message newsletter.eml
  desist doctor --resolver 192.0.2.53:53 --json")]
pub(super) struct DoctorArgs {
    /// The domain in the From of your mail: whether return paths align with it
    #[arg(long, value_name = "DOMAIN")]
    from: Option<String>,
    /// Sends synthetic mail through every door: leaves events of nobody, which no sum counts
    #[arg(long)]
    round_trip: bool,
    /// Looks at this outgoing mail too, as `desist lint` does
    #[arg(long, value_name = "FILE")]
    message: Option<PathBuf>,
    /// Asks this name server instead of the system's
    #[arg(long, value_name = "IP:PORT")]
    resolver: Option<SocketAddr>,
    /// Asks no name server
    #[arg(long, conflicts_with = "resolver")]
    without_dns: bool,
    /// Where the API is
    #[command(flatten)]
    client: ClientArgs,
}

impl DoctorArgs {
    /// Looks at everything and prints what was found.
    pub(super) async fn run(
        &self,
        config: &Config,
        out: &mut dyn Write,
    ) -> Result<Outcome, ClientError> {
        let mut findings = local::look(config, &Clock::system()).await;
        let (of_server, client) = server::look(&self.client, &config.data_dir);
        findings.extend(of_server);
        let mut domains: BTreeSet<String> = config.domains().into_iter().collect();
        if let Some(client) = &client {
            match client.pages("/v1/tenants", 1000) {
                Ok(tenants) => {
                    let own = tenants.iter().map(|tenant| cell(tenant, "/domain"));
                    domains.extend(own.filter(|domain| domain != "-"));
                }
                Err(error) => findings.push(
                    Finding::warn("domains of tenants", error.to_string())
                        .advise("only the config's domains are looked at: a key with `read` tells"),
                ),
            }
        }
        findings.extend(self.names(config, &domains).await);
        findings.extend(match (&client, self.round_trip) {
            (Some(client), true) => server::round_trip(client, config),
            (None, true) => vec![Finding::fail("round trip", "the server does not answer")],
            (_, false) => vec![Finding::skip("round trip", "only with --round-trip")],
        });
        if let Some(file) = &self.message {
            findings.extend(mail(file, &lint::Keys::at_hand(config).await));
        }
        self.print(out, &findings)
    }

    /// What the DNS says.
    async fn names(&self, config: &Config, domains: &BTreeSet<String>) -> Vec<Finding> {
        if self.without_dns {
            return vec![Finding::skip("dns", "not asked")];
        }
        let dns = match Dns::new(self.resolver) {
            Ok(dns) => dns,
            Err(error) => return vec![Finding::fail("dns", error)],
        };
        let expected = Expected {
            hostname: config.hostname().to_lowercase(),
            public_host: config.public_host(),
            mta_sts: config.mta_sts_is_served(),
            from: self.from.as_ref().map(|from| from.to_lowercase()),
        };
        let mut findings = Vec::new();
        let worldly = |name: &str| name.contains('.');
        if worldly(&expected.hostname) || worldly(&expected.public_host) {
            findings.extend(dns.hosts(&expected).await);
        }
        for domain in domains {
            if worldly(domain) {
                findings.extend(dns.domain(domain, &expected).await);
            } else {
                let says = "no name that the world can know: set smtp.domains, or give \
                     the server's config by --config FILE";
                findings.push(Finding::warn(format!("domain {domain}"), says));
            }
        }
        findings
    }

    fn print(&self, out: &mut dyn Write, findings: &[Finding]) -> Result<Outcome, ClientError> {
        let failed = findings.iter().any(|finding| finding.state == State::Fail);
        if self.client.json {
            let items = serde_json::to_value(findings).map_err(std::io::Error::from)?;
            print_json(
                out,
                &serde_json::json!({"healthy": !failed, "items": items}),
            )?;
        } else {
            let mut rows = Vec::new();
            for finding in findings {
                let state = finding.state.to_string();
                rows.push(vec![state, finding.what.clone(), finding.says.clone()]);
                if let Some(advice) = &finding.advice {
                    rows.push(vec![String::new(), String::new(), format!("-> {advice}")]);
                }
            }
            print_table(out, &rows)?;
        }
        Ok(if failed { Outcome::No } else { Outcome::Yes })
    }
}

/// What an outgoing mail is found to be.
fn mail(file: &Path, keys: &lint::Keys) -> Vec<Finding> {
    let what = format!("mail {}", file.display());
    let lint = match lint::look(file, keys) {
        Ok(lint) => lint,
        Err(error) => return vec![Finding::fail(what, error.to_string())],
    };
    let mut findings = vec![Finding::ok(what, format!("{} mail, looked at", lint.class))];
    findings.extend(lint.findings.iter().map(|found| {
        let what = format!("mail: {}", found.code);
        let says = format!("{}: {}", lint::place(found), found.says);
        let finding = match found.severity {
            Severity::Error => Finding::fail(what, says),
            Severity::Warning => Finding::warn(what, says),
            Severity::Info => Finding::ok(what, says),
        };
        finding.advise(format!("{} ({})", found.advice, found.source))
    }));
    findings
}
