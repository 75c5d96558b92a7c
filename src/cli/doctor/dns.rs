//! What the DNS must say about a feedback domain, and whether it does.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::finding::Finding;
use crate::model::provider::organisation;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the doctor knows of the installation.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// The name in the MX's greeting.
    pub(super) hostname: String,
    /// The host of the links in mail.
    pub(super) public_host: String,
    /// Whether an MTA-STS policy is served.
    pub(super) mta_sts: bool,
    /// The domain that mail is sent from, if it was told.
    pub(super) from: Option<String>,
}

/// Whom the questions go to.
pub(super) struct Dns(TokioResolver);

/// What is known of a name: nothing, some, or why nobody knows.
type Answer = Result<Vec<String>, String>;

impl Dns {
    /// Asks the system's name servers, or this one.
    pub(super) fn new(server: Option<SocketAddr>) -> Result<Self, String> {
        let mut builder = match server {
            None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
            Some(server) => {
                let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                    .with_options(ResolverOpts::default())
            }
        };
        builder.options_mut().timeout = PATIENCE;
        builder.options_mut().attempts = 2;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Self(resolver))
    }

    async fn ask(&self, name: &str, what: RecordType) -> Answer {
        let found = self.0.lookup(format!("{name}."), what).await;
        let found = match found {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(format!("{name} {what}: {error}")),
        };
        let read = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(address.to_string()),
                RData::AAAA(address) => Some(address.to_string()),
                RData::MX(mx) => Some(mx.exchange.to_utf8().trim_end_matches('.').to_lowercase()),
                RData::TXT(text) => {
                    let text = text.txt_data.concat();
                    Some(String::from_utf8_lossy(&text).into_owned())
                }
                _ => None,
            });
        Ok(read.collect())
    }

    async fn addresses(&self, name: &str) -> Answer {
        let mut all = self.ask(name, RecordType::A).await?;
        all.extend(self.ask(name, RecordType::AAAA).await?);
        Ok(all)
    }

    /// The texts at a name that begin so.
    async fn texts(&self, name: &str, begin: &str) -> Answer {
        let mut all = self.ask(name, RecordType::TXT).await?;
        all.retain(|text| {
            let start = text.get(..begin.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(begin))
        });
        Ok(all)
    }

    /// What the world must know of the hosts.
    pub(super) async fn hosts(&self, expected: &Expected) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (what, host) in [
            ("host of the MX", &expected.hostname),
            ("host of links", &expected.public_host),
        ] {
            let what = format!("{what} {host}");
            findings.push(match self.addresses(host).await {
                Err(error) => Finding::fail(what, error),
                Ok(all) if all.is_empty() => Finding::fail(what, "it has no address")
                    .advise(format!("add an A or AAAA record for {host}")),
                Ok(all) => Finding::ok(what, all.join(", ")),
            });
        }
        findings
    }

    /// What the world must know of a domain that reports come to.
    pub(super) async fn domain(&self, domain: &str, expected: &Expected) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mx = self.ask(domain, RecordType::MX).await;
        findings.push(judge_mx(domain, &expected.hostname, mx));
        let spf = self.texts(domain, "v=spf1").await;
        findings.push(judge_spf(domain, spf));
        if let Some(from) = &expected.from {
            findings.push(judge_alignment(domain, from));
            if !same_organisation(domain, from) {
                let name = format!("{from}._report._dmarc.{domain}");
                let allowed = self.texts(&name, "v=DMARC1").await;
                findings.push(judge_reports(&name, from, allowed));
            }
        }
        findings.push(self.dmarc(domain).await);
        let sts = self.texts(&format!("_mta-sts.{domain}"), "v=STSv1").await;
        let host = self.addresses(&format!("mta-sts.{domain}")).await;
        findings.push(judge_mta_sts(domain, expected.mta_sts, sts, host));
        findings
    }

    async fn dmarc(&self, domain: &str) -> Finding {
        let what = format!("dmarc {domain}");
        let own = self.texts(&format!("_dmarc.{domain}"), "v=DMARC1").await;
        let inherited = match &own {
            Ok(none) if none.is_empty() => {
                let above = organisation(domain).unwrap_or_else(|| domain.to_owned());
                self.texts(&format!("_dmarc.{above}"), "v=DMARC1").await
            }
            _ => own,
        };
        match inherited {
            Err(error) => Finding::fail(what, error),
            Ok(all) => match all.as_slice() {
                [] => Finding::warn(what, "no policy: anybody can send in its name")
                    .advise(format!("_dmarc.{domain} TXT \"v=DMARC1; p=reject\"")),
                [one] => Finding::ok(what, one.as_str()),
                _ => Finding::fail(what, "more than one policy: receivers heed none"),
            },
        }
    }
}

fn judge_mx(domain: &str, hostname: &str, found: Answer) -> Finding {
    let what = format!("mx {domain}");
    let add = format!("{domain} MX 10 {hostname}.");
    match found {
        Err(error) => Finding::fail(what, error),
        Ok(all) if all.is_empty() => {
            Finding::fail(what, "no MX: no feedback arrives here").advise(add)
        }
        Ok(all) if all.iter().any(String::is_empty) => {
            Finding::fail(what, "a null MX: the domain takes no mail (RFC 7505)").advise(add)
        }
        Ok(all) if all.iter().any(|host| host == hostname) => Finding::ok(what, all.join(", ")),
        Ok(all) => Finding::warn(
            what,
            format!("{}, and this host is {hostname}", all.join(", ")),
        )
        .advise(format!("{add}, unless one of these leads here")),
    }
}

fn judge_spf(domain: &str, found: Answer) -> Finding {
    let what = format!("spf {domain}");
    match found {
        Err(error) => Finding::fail(what, error),
        Ok(all) => match all.as_slice() {
            [] => Finding::warn(
                what,
                "none: return paths b-TOKEN@ of this domain do not pass",
            )
            .advise(format!(
                "{domain} TXT \"v=spf1 …\" with the hosts that send your mail"
            )),
            [one] if one.split_whitespace().count() == 2 && one.ends_with("-all") => {
                Finding::fail(what, format!("{one}: nobody may use its return paths"))
                    .advise("name the hosts that send your mail")
            }
            [one] => Finding::ok(what, one.as_str()),
            _ => Finding::fail(
                what,
                "more than one record: that is an error (RFC 7208 §4.5)",
            ),
        },
    }
}

fn same_organisation(one: &str, other: &str) -> bool {
    organisation(one) == organisation(other)
}

fn judge_alignment(domain: &str, from: &str) -> Finding {
    let what = format!("alignment {domain}");
    if same_organisation(domain, from) {
        let says = format!("return paths of {domain} align with From of {from}");
        Finding::ok(what, says)
    } else {
        let says = format!("return paths of {domain} do not align with From of {from}");
        Finding::warn(what, says).advise("DMARC then rests on DKIM alone: sign with d= of From")
    }
}

fn judge_reports(name: &str, from: &str, found: Answer) -> Finding {
    let what = format!("reports {from}");
    match found {
        Err(error) => Finding::fail(what, error),
        Ok(all) if all.is_empty() => {
            Finding::warn(what, "DMARC reports about it may not be sent here")
                .advise(format!("{name} TXT \"v=DMARC1\""))
        }
        Ok(_) => Finding::ok(what, "DMARC reports about it may be sent here"),
    }
}

fn judge_mta_sts(domain: &str, served: bool, found: Answer, host: Answer) -> Finding {
    let what = format!("mta-sts {domain}");
    match (served, found, host) {
        (_, Err(error), _) | (true, _, Err(error)) => Finding::fail(what, error),
        (false, Ok(all), _) if all.is_empty() => {
            Finding::skip(what, "not announced, and public.mta_sts is off")
        }
        (false, Ok(_), _) => {
            Finding::warn(what, "announced in the DNS, but public.mta_sts is off here")
        }
        (true, Ok(all), _) if all.is_empty() => {
            Finding::warn(what, "served, but not announced: nobody asks for it")
                .advise(format!("_mta-sts.{domain} TXT \"v=STSv1; id=1\""))
        }
        (true, Ok(all), _) if all.len() > 1 => Finding::fail(
            what,
            "announced more than once: that counts as not at all (RFC 8461 §3.1)",
        ),
        (true, Ok(_), Ok(host)) if host.is_empty() => {
            Finding::fail(what, format!("mta-sts.{domain} has no address"))
        }
        (true, Ok(all), Ok(_)) => Finding::ok(what, all.join("")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn records_are_judged() {
        let broken = || Err("SERVFAIL".to_owned());
        let mx = |found| judge_mx("fb.example.com", "mx.example.com", found).state;
        assert_eq!(
            mx(Ok(texts(&["mx2.example.com", "mx.example.com"]))),
            State::Ok
        );
        assert_eq!(mx(Ok(texts(&["mx.example.net"]))), State::Warn);
        assert_eq!(mx(Ok(texts(&[""]))), State::Fail);
        assert_eq!(mx(Ok(texts(&[]))), State::Fail);
        assert_eq!(mx(broken()), State::Fail);

        let spf = |found| judge_spf("fb.example.com", found).state;
        assert_eq!(spf(Ok(texts(&["v=spf1 ip4:192.0.2.0/24 -all"]))), State::Ok);
        assert_eq!(spf(Ok(texts(&["v=spf1 -all"]))), State::Fail);
        assert_eq!(
            spf(Ok(texts(&["v=spf1 a -all", "v=spf1 mx ~all"]))),
            State::Fail
        );
        assert_eq!(spf(Ok(texts(&[]))), State::Warn);

        let sts = |served, found, host| judge_mta_sts("b.example", served, found, host).state;
        let one = || Ok(texts(&["v=STSv1; id=1"]));
        assert_eq!(sts(true, one(), Ok(texts(&["192.0.2.1"]))), State::Ok);
        assert_eq!(sts(true, one(), Ok(texts(&[]))), State::Fail);
        assert_eq!(sts(true, Ok(texts(&[])), Ok(texts(&[]))), State::Warn);
        assert_eq!(
            sts(
                true,
                Ok(texts(&["v=STSv1; id=1", "v=STSv1; id=2"])),
                Ok(texts(&[]))
            ),
            State::Fail
        );
        assert_eq!(sts(false, one(), broken()), State::Warn);
        assert_eq!(sts(false, Ok(texts(&[])), broken()), State::Skip);
        assert_eq!(sts(false, broken(), Ok(texts(&[]))), State::Fail);

        let aligned = |from| judge_alignment("fb.example.com", from).state;
        assert_eq!(aligned("news.example.com"), State::Ok);
        assert_eq!(aligned("example.net"), State::Warn);
    }
}
