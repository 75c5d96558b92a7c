//! The API as the command line sees it: where it is, and with which key.

mod call;
mod error;
mod print;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use call::{Client, encoded};
pub(super) use error::{ClientError, Outcome};
pub(super) use print::{
    cell, if_read, items, note, print_json, print_list, print_result, print_table,
};
use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::trust;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// How every client subcommand finds the API.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ClientArgs {
    /// Base of the API, for instance `http://127.0.0.1:8080`; without it the running server is
    /// looked up in the data folder
    #[arg(long, global = true, env = "DESIST_URL", value_name = "URL")]
    pub(super) url: Option<String>,
    /// API key; without it the one in the data folder, for its own server and this machine alone
    #[arg(
        long,
        global = true,
        env = "DESIST_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub(super) api_key: Option<String>,
    /// Name of the tenant, with a key of the installation
    #[arg(long, global = true, env = "DESIST_TENANT", value_name = "NAME")]
    pub(super) tenant: Option<String>,
    /// Certificates (PEM) that an https URL is trusted by
    #[arg(long, global = true, env = "DESIST_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Print the API's answer as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl ClientArgs {
    /// Finds server and key; what is not given is taken from the data folder.
    pub(super) fn connect(&self, data_dir: &Path) -> Result<Client, ClientError> {
        let base = match &self.url {
            Some(url) => with_scheme(url)?.trim_end_matches('/').to_owned(),
            None => listening(&data_dir.join("listening"))?,
        };
        let key = match &self.api_key {
            Some(key) => key.clone(),
            None if self.url.is_none() || is_here(&base, data_dir) => {
                key_file(&data_dir.join("admin.key"))?
            }
            // Whoever answers there would be given everything.
            None => return Err(ClientError::KeyOfAnother(base)),
        };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE));
        if base.starts_with("https:") {
            let path = self.ca_file.as_deref().ok_or(ClientError::NoCaFile)?;
            config = config.tls_config(trusting(path)?);
        }
        let agent = config.build().new_agent();
        let tenant = self.tenant.clone();
        Ok(Client {
            agent,
            base,
            key: key.trim().to_owned(),
            tenant,
            everywhere: false,
            json: self.json,
        })
    }
}

/// Reads the number of a stream on the command line.
pub(super) fn stream_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_no_number| {
        "a stream is named by its number, up to 65535; `desist stream list` shows them".to_owned()
    })
}

fn with_scheme(url: &str) -> Result<&str, ClientError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        Ok(url)
    } else {
        Err(ClientError::NoScheme(url.to_owned()))
    }
}

/// Whether the API of this base can only be that of the data folder, or of somebody on this machine.
fn is_here(base: &str, data_dir: &Path) -> bool {
    if listening(&data_dir.join("listening")).is_ok_and(|own| own == base) {
        return true;
    }
    let uri: Option<http::Uri> = base.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// The API's base from the file that the server writes: its first line `listening api HOST:PORT`.
fn listening(path: &Path) -> Result<String, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ClientError::NoListening {
        path: path.to_owned(),
        cause,
    })?;
    base_of(&text).ok_or_else(|| ClientError::NoApiListener(path.to_owned()))
}

fn base_of(text: &str) -> Option<String> {
    let place = text
        .lines()
        .find_map(|line| line.strip_prefix("listening api "))?;
    let mut place: SocketAddr = place.parse().ok()?;
    // A server that listens on every address is reached on this machine's own.
    if place.ip().is_unspecified() {
        place.set_ip(match place {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(format!("http://{place}"))
}

fn key_file(path: &Path) -> Result<String, ClientError> {
    std::fs::read_to_string(path).map_err(|cause| ClientError::NoKey {
        path: path.to_owned(),
        cause,
    })
}

fn trusting(path: &Path) -> Result<TlsConfig, ClientError> {
    let roots = trust::in_file(path).map_err(|cause| ClientError::CaFile {
        path: path.to_owned(),
        cause,
    })?;
    Ok(trust::believing(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_at_hand_goes_to_its_own_server_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("listening"), "listening api 192.0.2.1:8080\n").unwrap();
        for (base, here) in [
            ("http://192.0.2.1:8080", true),
            ("http://127.0.0.1:9191", true),
            ("https://[::1]:8443", true),
            ("http://LocalHost:8080", true),
            ("http://192.0.2.1:8081", false),
            ("https://192.0.2.1:8080", false),
            ("http://desist.example.com", false),
            ("http://localhost.example.com:8080", false),
            ("http://127.0.0.1@desist.example.com:8080", false),
            ("http://", false),
        ] {
            assert_eq!(is_here(base, folder), here, "{base}");
        }
    }

    #[test]
    fn the_listening_file_has_one_form() {
        for (text, base) in [
            (
                "listening smtp 127.0.0.1:25\nlistening api 127.0.0.1:8080\n",
                Some("http://127.0.0.1:8080"),
            ),
            (
                "listening api 0.0.0.0:8080\n",
                Some("http://127.0.0.1:8080"),
            ),
            ("listening api [::]:8080\n", Some("http://[::1]:8080")),
            (
                "listening api 192.0.2.1:1\nlistening api 192.0.2.2:2\n",
                Some("http://192.0.2.1:1"),
            ),
            ("listening smtp 127.0.0.1:25\n", None),
            ("api 127.0.0.1:8080\n", None),
            ("listening api http://127.0.0.1:8080\n", None),
        ] {
            assert_eq!(base_of(text).as_deref(), base, "{text:?}");
        }
    }
}
