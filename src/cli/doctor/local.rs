//! What this machine must have: files, room, certificates, and the store.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::finding::Finding;
use crate::config::{Config, TlsMode};
use crate::model::clock::{Clock, Timestamp};
use crate::net::certificate::{ACME_FILE, Identity, read};
use crate::store;

/// What is left of a certificate when it should have been renewed.
const RENEWED: Duration = Duration::from_hours(14 * 24);

/// Looks at everything that needs no server and no network.
pub(super) async fn look(config: &Config, clock: &Clock) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config
        .warnings()
        .into_iter()
        .map(|warning| Finding::warn("config", warning))
        .collect();
    findings.push(data_folder(&config.data_dir));
    findings.push(room(&config.data_dir, config.journal_config().disk_floor));
    findings.push(the_store(config).await);
    findings.push(time(config, clock).await);
    findings.extend(certificates(config, clock.now()));
    findings
}

fn data_folder(path: &Path) -> Finding {
    let what = format!("data folder {}", path.display());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::fail(what, error.to_string()).advise("start `desist serve` once");
        }
    };
    let mode = metadata.permissions().mode();
    if mode & 0o002 != 0 {
        let advice = format!("chmod o-w {}", path.display());
        return Finding::fail(what, "anybody on this machine can change it").advise(advice);
    }
    match tempfile_in(path) {
        Ok(()) => Finding::ok(what, "can be written to"),
        Err(error) => Finding::fail(what, format!("cannot be written to: {error}"))
            .advise("run as the user that the server runs as"),
    }
}

/// Writes, synchronises and removes a file.
fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!("doctor.{}", std::process::id()));
    let file = std::fs::File::create_new(&path)?;
    let synced = file.sync_all();
    std::fs::remove_file(&path)?;
    synced
}

fn room(path: &Path, floor: u64) -> Finding {
    let what = format!("room in {}", path.display());
    match rustix::fs::statvfs(path) {
        Err(error) => Finding::fail(what, error.to_string()),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let says = format!("{} MiB free, {} MiB wanted", free >> 20, floor >> 20);
            if free < floor {
                Finding::fail(what, says).advise("below journal.disk_floor no mail is accepted")
            } else if free < floor.saturating_mul(2) {
                Finding::warn(what, says)
            } else {
                Finding::ok(what, says)
            }
        }
    }
}

async fn the_store(config: &Config) -> Finding {
    let wanted = config.store_config();
    let what = if store::sqlite_path(&wanted.url).is_some() {
        "store (SQLite)"
    } else {
        "store (PostgreSQL)"
    };
    match store::store_id(&wanted.url).await {
        Err(error) => Finding::fail(what, error.to_string()),
        Ok(None) => {
            Finding::warn(what, "nothing is stored there yet").advise("start `desist serve` once")
        }
        Ok(Some(id)) => match store::unseals(&wanted).await {
            Ok(true) => Finding::ok(what, format!("{id}; the root secret is sealed and opens")),
            Ok(false) => Finding::ok(what, format!("{id}; the root secret is not sealed")),
            Err(error) => Finding::fail(what, error.to_string()),
        },
    }
}

/// How far clocks may be apart.
const APART: Duration = Duration::from_secs(2);

/// Tokens need no clock, but evidence and the days of bounces do, and nodes write into one store.
/// Compared with the database's, if it is another machine's; else a time service is looked for.
async fn time(config: &Config, clock: &Clock) -> Finding {
    let what = "clock";
    let told = store::time_of(&config.store_config().url).await;
    let now = clock.now();
    if let Ok(Some(database)) = told {
        return compared(now, database);
    }
    let synchronised = [
        "/run/systemd/timesync/synchronized",
        "/run/chrony",
        "/run/ntpd.pid",
    ];
    if synchronised.iter().any(|path| Path::new(path).exists()) {
        Finding::ok(what, format!("{now}, kept in time"))
    } else {
        Finding::warn(
            what,
            format!("{now}; nothing here is known to keep it in time"),
        )
        .advise("run systemd-timesyncd, chrony or ntpd, unless the host does it")
    }
}

/// This machine's clock beside the database's.
fn compared(now: Timestamp, database: Timestamp) -> Finding {
    let apart = Duration::from_millis(now.as_millis().abs_diff(database.as_millis()));
    let side = if now < database { "behind" } else { "ahead of" };
    let says = format!("{now}, {:.1} s {side} the database's", apart.as_secs_f64());
    if apart <= APART {
        Finding::ok("clock", says)
    } else {
        Finding::fail("clock", says).advise("keep both in time: systemd-timesyncd, chrony or ntpd")
    }
}

fn certificates(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let hostname = config.hostname().to_owned();
    let what = "certificate of the MX";
    findings.push(match (&config.smtp.tls_cert, &config.smtp.tls_key) {
        (Some(chain), Some(key)) => certificate(what, (chain, key), &hostname, now),
        _ if config.public.tls == TlsMode::Acme => by_acme(config, what, &hostname, now),
        _ => Finding::warn(
            what,
            "self-made: mail comes, but some senders want a real one",
        ),
    });
    let what = "certificate of links";
    findings.push(match config.public.tls {
        TlsMode::Off => Finding::skip(what, "public.tls is off: a proxy answers for it"),
        TlsMode::Acme => by_acme(config, what, &config.public_host(), now),
        TlsMode::SelfMade => Finding::fail(what, "self-made: no mailbox provider clicks there")
            .advise("RFC 8058 §3.1 wants HTTPS that the world trusts: public.tls = \"files\" or \"acme\""),
        TlsMode::Files => match (&config.public.tls_cert, &config.public.tls_key) {
            (Some(chain), Some(key)) => {
                certificate(what, (chain, key), &config.public_host(), now)
            }
            _ => Finding::fail(what, "public.tls_cert and public.tls_key are not given"),
        },
    });
    findings
}

fn by_acme(config: &Config, what: &str, host: &str, now: Timestamp) -> Finding {
    let file = config.data_file(ACME_FILE);
    if file.exists() {
        return certificate(what, (&file, &file), host, now);
    }
    let authority = config.acme.directory.as_str();
    Finding::fail(
        what,
        format!("{authority} has not issued any yet: it is self-made"),
    )
    .advise("the server's log says why; the names must lead to port 443 of the public listener")
}

fn certificate(what: &str, (chain, key): (&Path, &Path), host: &str, now: Timestamp) -> Finding {
    let identity = read(chain)
        .and_then(|chain| Ok((chain, read(key)?)))
        .and_then(|(chain, key)| Identity::from_pem(&chain, &key));
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => return Finding::fail(what, super::super::whole(&error)),
    };
    let named = ServerName::try_from(host.to_owned())
        .ok()
        .is_some_and(|name| {
            let leaf = identity.chain.first();
            let leaf = leaf.and_then(|leaf| rustls::server::ParsedCertificate::try_from(leaf).ok());
            leaf.is_some_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
        });
    if !named {
        return Finding::fail(what, format!("it is not for {host}"));
    }
    match identity.not_after {
        None => Finding::warn(what, "nobody can tell when it ends"),
        Some(end) if end < now => Finding::fail(what, format!("ended on {end}")),
        Some(end) if end < now.after(RENEWED) => {
            Finding::warn(what, format!("ends on {end}")).advise("renew it")
        }
        Some(end) => Finding::ok(what, format!("for {host}, until {end}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    // H-007
    #[test]
    fn clocks_that_are_apart_are_told_by_how_much() {
        let at = Timestamp::from_millis;
        for (now, database, state, says) in [
            (10_000, 10_000, State::Ok, "0.0 s ahead of"),
            (12_000, 10_000, State::Ok, "2.0 s ahead of"),
            (12_001, 10_000, State::Fail, "2.0 s ahead of"),
            (10_000, 73_500, State::Fail, "63.5 s behind"),
        ] {
            let finding = compared(at(now), at(database));
            assert_eq!(finding.state, state, "{now} {database}");
            assert!(finding.says.contains(says), "{}", finding.says);
        }
    }
}
