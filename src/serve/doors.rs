//! Binds the listeners and opens the doors.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::descriptors::Places;
use super::interior::Interior;
use super::passed::{Passed, Wanted};
use super::{Listening, ServeError};
use crate::app::reception::Reception;
use crate::config::{Config, Domain, TlsMode};
use crate::http::connection;
use crate::http::public::mta_sts::MtaSts;
use crate::http::public::pages::Pages;
use crate::http::public::{self, ClickLimits, Public};
use crate::lookup_server;
use crate::mail_server;
use crate::model::receipt::Door;
use crate::net::accept::{AcceptLimits, Sessions};
use crate::net::certificate::{ACME_FILE, SELF_MADE_FILE};
use crate::net::challenge::Challenges;
use crate::net::handshakes::{HandshakeLimits, Handshakes};
use crate::net::network::Network;
use crate::net::proxies::{Entrance, Proxies};
use crate::net::stop::Stop;
use crate::net::tls::{Alpn, Tls};

/// Listeners that are bound and do not accept yet.
pub(super) struct Bound {
    smtp: Vec<TcpListener>,
    public: Vec<TcpListener>,
    api: Vec<TcpListener>,
    lookup: Vec<TcpListener>,
    places: Places,
}

/// The API's listeners and those for mail servers, which are opened later than the doors.
pub(super) struct ApiDoor {
    listeners: Vec<TcpListener>,
    sessions: usize,
    lookup: (Vec<TcpListener>, usize),
}

/// Doors that are open, and what is to be opened and kept up behind them.
pub(super) struct Opened {
    pub(super) api: ApiDoor,
    pub(super) certified: Certified,
}

/// What serves certificates.
#[cfg_attr(
    not(feature = "acme"),
    expect(dead_code, reason = "ACME alone asks for it")
)]
pub(super) struct Certified {
    pub(super) challenges: Challenges,
    pub(super) served: Vec<Tls>,
}

/// How often certificate files are looked at.
const CERTIFICATE_LOOK: std::time::Duration = std::time::Duration::from_secs(5);
/// HTTPS connections at a time.
const PUBLIC_SESSIONS: usize = 10_000;
/// The part of them that one network may hold: an eighth,
const PUBLIC_PART: usize = 8;
/// but as many as this in any case, because mailbox providers come from few addresses.
const PUBLIC_FROM_ONE: usize = 1_000;
/// API connections at a time.
const API_SESSIONS: usize = 4_096;

impl Bound {
    /// Binds; connections to the API come in on threads of its own.
    pub(super) async fn bind(
        config: &Config,
        of_the_api: &Handle,
        mut passed: Passed,
    ) -> Result<Self, ServeError> {
        let mut wanted = |addresses: &[SocketAddr]| passed.to(addresses);
        let smtp = wanted(&config.smtp.listen);
        let public = wanted(&config.public.listen);
        let api = wanted(&config.api.listen);
        let lookup = wanted(config.lookup.listen.as_deref().unwrap_or_default());
        passed.none_is_left()?;
        let bound = of_the_api.spawn(async move {
            Ok::<_, ServeError>((bind("api", api).await?, bind("lookup", lookup).await?))
        });
        let (api, lookup) = bound
            .await
            .map_err(|error| ServeError::Threads(error.into()))??;
        Ok(Self {
            smtp: bind("smtp", smtp).await?,
            public: bind("public", public).await?,
            places: Places {
                lookup: if lookup.is_empty() {
                    0
                } else {
                    config.lookup.sessions
                },
                smtp: config.limits.sessions,
                smtp_per_ip: config.limits.sessions_per_ip,
                public: PUBLIC_SESSIONS,
                api: API_SESSIONS,
            }
            .made_room_for(),
            api,
            lookup,
        })
    }

    pub(super) fn listening(&self) -> Result<Listening, ServeError> {
        Ok(Listening {
            smtp: addresses("smtp", &self.smtp)?,
            public: addresses("public", &self.public)?,
            api: addresses("api", &self.api)?,
            lookup: addresses("lookup", &self.lookup)?,
        })
    }

    /// Opens both doors; gives the API's listeners for later.
    pub(super) fn open(
        self,
        interior: &Interior,
        reception: &Reception,
        stop: &Stop,
    ) -> Result<Opened, ServeError> {
        let Places {
            smtp,
            smtp_per_ip,
            public,
            api,
            lookup,
        } = self.places;
        let limits = AcceptLimits {
            sessions: smtp,
            sessions_per_ip: smtp_per_ip,
        };
        let smtp_tls = open_smtp((self.smtp, limits), interior, reception, stop)?;
        let limits = AcceptLimits {
            sessions: public,
            sessions_per_ip: from_one_network(public),
        };
        let challenges = Challenges::default();
        let public_tls = public_tls(&interior.config)?;
        let public_tls = public_tls.map(|tls| tls.answering(challenges.clone()));
        let door = (self.public, limits, public_tls.clone());
        open_public(door, interior, reception, stop)?;
        Ok(Opened {
            api: ApiDoor {
                listeners: self.api,
                sessions: api,
                lookup: (self.lookup, lookup),
            },
            certified: Certified {
                challenges,
                served: [Some(smtp_tls), public_tls].into_iter().flatten().collect(),
            },
        })
    }
}

fn from_one_network(sessions: usize) -> usize {
    (sessions / PUBLIC_PART).max(PUBLIC_FROM_ONE).min(sessions)
}

fn open_smtp(
    (listeners, limits): (Vec<TcpListener>, AcceptLimits),
    interior: &Interior,
    reception: &Reception,
    stop: &Stop,
) -> Result<Tls, ServeError> {
    let config = &interior.config;
    let tls = smtp_tls(config)?;
    watch(&tls, "smtp", interior, stop);
    let served = tls.clone();
    let context = interior.mail_context(reception, tls, handshakes(interior, Door::Smtp), stop);
    let sessions = Sessions::from(limits);
    let proxies = proxies("smtp", config.smtp.proxy_networks.as_deref(), interior);
    for listener in listeners {
        stop.spawn(mail_server::serve(
            Entrance::new(listener, proxies.clone()),
            context.clone(),
            sessions.clone(),
        ));
    }
    Ok(served)
}

fn mta_sts(config: &Config) -> Option<MtaSts> {
    let public = &config.public;
    let given = public.mta_sts_mx.as_deref().unwrap_or_default();
    let mut mx: Vec<&str> = given.iter().map(Domain::as_str).collect();
    if mx.is_empty() {
        mx.push(config.hostname());
    }
    MtaSts::new(public.mta_sts, public.mta_sts_max_age, &mx)
}

fn open_public(
    (listeners, accept, tls): (Vec<TcpListener>, AcceptLimits, Option<Tls>),
    interior: &Interior,
    reception: &Reception,
    stop: &Stop,
) -> Result<(), ServeError> {
    let config = &interior.config;
    if let Some(tls) = &tls {
        watch(tls, "public", interior, stop);
    }
    let limits = ClickLimits {
        body: config.limits.one_click_body.as_usize(),
        in_flight: config.limits.one_click_memory.as_usize(),
        ..ClickLimits::default()
    };
    let pages = Pages::load(config.public.templates.as_deref()).map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        ServeError::Templates(mistakes.join("; "))
    })?;
    let door = Public::new(reception.clone(), limits, pages)
        .with_mta_sts(mta_sts(config))
        .counting(interior.metrics.clone(), interior.clock.clone())
        .traced(interior.traces.clone(), scheme(tls.is_some()));
    let server = connection::Server {
        router: public::router(door).into(),
        limits: connection::Limits::PUBLIC,
        tls: tls.map(|tls| (tls, handshakes(interior, Door::OneClick))),
        stop: stop.clone(),
    };
    let sessions = Sessions::from(accept);
    let proxies = proxies("public", config.public.proxy_networks.as_deref(), interior);
    for listener in listeners {
        let entrance = Entrance::new(listener, proxies.clone());
        stop.spawn(server.clone().listen(entrance, sessions.clone()));
    }
    Ok(())
}

const fn scheme(secured: bool) -> &'static str {
    if secured { "https" } else { "http" }
}

/// Those whom a listener believes for whom they connect.
fn proxies(
    listener: &'static str,
    networks: Option<&[Network]>,
    interior: &Interior,
) -> Option<Proxies> {
    let metrics = interior.metrics.clone();
    Proxies::new(networks.unwrap_or_default(), listener, metrics)
}

/// Each door has its own: a flood of half-open handshakes at one evicts nobody at the other.
fn handshakes(interior: &Interior, door: Door) -> Handshakes {
    let given = &interior.config.limits;
    let limits = HandshakeLimits {
        concurrent: given.handshakes,
        time: given.handshake,
        per_second: given.handshakes_per_second.limit(),
    };
    let handshakes = Handshakes::new(limits, interior.clock.clone());
    handshakes.counting(interior.metrics.clone(), door)
}

fn watch(tls: &Tls, listener: &'static str, interior: &Interior, stop: &Stop) {
    let metrics = interior.metrics.clone();
    tls.watch_and(stop, CERTIFICATE_LOOK, move |not_after| {
        if let Some(not_after) = not_after {
            metrics.set_certificate_expiry(listener, not_after.as_seconds());
        }
    });
}

/// Serves the API and mail servers on their listeners.
pub(super) fn open_api(
    door: ApiDoor,
    router: connection::Routes,
    asked: &lookup_server::Context,
    stop: &Stop,
) {
    let (listeners, sessions) = door.lookup;
    let sessions = from_anywhere(sessions);
    for listener in listeners {
        let serving = lookup_server::serve(listener, asked.clone(), sessions.clone());
        stop.spawn(serving);
    }
    let server = connection::Server {
        router,
        limits: connection::Limits::PRIVATE,
        tls: None,
        stop: stop.clone(),
    };
    let sessions = from_anywhere(door.sessions);
    for listener in door.listeners {
        stop.spawn(server.clone().listen(listener, sessions.clone()));
    }
}

/// The operator's own systems may all come from one address.
fn from_anywhere(sessions: usize) -> Sessions {
    Sessions::from(AcceptLimits {
        sessions,
        sessions_per_ip: sessions,
    })
}

/// Binds, or takes over what was passed for an address.
async fn bind(listener: &'static str, wanted: Vec<Wanted>) -> Result<Vec<TcpListener>, ServeError> {
    let mut bound = Vec::with_capacity(wanted.len());
    for Wanted { address, passed } in wanted {
        let socket = match passed {
            Some(passed) => taken_over(passed),
            None => TcpListener::bind(address).await,
        };
        let failed = |source| ServeError::Listen {
            listener,
            address,
            source,
        };
        bound.push(socket.map_err(failed)?);
    }
    Ok(bound)
}

fn taken_over(passed: std::net::TcpListener) -> std::io::Result<TcpListener> {
    passed.set_nonblocking(true)?;
    TcpListener::from_std(passed)
}

fn addresses(listener: &'static str, bound: &[TcpListener]) -> Result<Vec<SocketAddr>, ServeError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let failed = |source| ServeError::Listen {
        listener,
        address: unknown,
        source,
    };
    bound
        .iter()
        .map(|socket| socket.local_addr().map_err(failed))
        .collect()
}

fn smtp_tls(config: &Config) -> Result<Tls, ServeError> {
    match (&config.smtp.tls_cert, &config.smtp.tls_key) {
        (Some(chain), Some(key)) => from_files("smtp", chain, key, Alpn::Nothing),
        _ if config.public.tls == TlsMode::Acme => by_acme("smtp", config, Alpn::Nothing),
        _ => self_made("smtp", config, Alpn::Nothing),
    }
}

fn public_tls(config: &Config) -> Result<Option<Tls>, ServeError> {
    let public = &config.public;
    match (public.tls, &public.tls_cert, &public.tls_key) {
        (TlsMode::Off, _, _) => Ok(None),
        (TlsMode::Files, Some(chain), Some(key)) => {
            from_files("public", chain, key, Alpn::Http).map(Some)
        }
        (TlsMode::Acme, _, _) => by_acme("public", config, Alpn::Http).map(Some),
        (TlsMode::Files | TlsMode::SelfMade, _, _) => {
            self_made("public", config, Alpn::Http).map(Some)
        }
    }
}

fn from_files(
    listener: &'static str,
    chain: &Path,
    key: &Path,
    alpn: Alpn,
) -> Result<Tls, ServeError> {
    Tls::from_files(chain, key, alpn).map_err(|source| ServeError::Certificate {
        listener,
        files: format!("{} with {}", chain.display(), key.display()),
        source: Box::new(source),
    })
}

/// The one that an authority has issued, or will.
fn by_acme(listener: &'static str, config: &Config, alpn: Alpn) -> Result<Tls, ServeError> {
    let meanwhile = self_made(listener, config, alpn)?;
    let file = config.data_file(ACME_FILE);
    if !file.exists() {
        tracing::warn!(
            listener,
            "a self-made certificate is served until one is issued"
        );
    }
    Tls::awaited(&file, meanwhile.file(), alpn).map_err(|source| ServeError::Certificate {
        listener,
        files: file.display().to_string(),
        source: Box::new(source),
    })
}

fn self_made(listener: &'static str, config: &Config, alpn: Alpn) -> Result<Tls, ServeError> {
    let mut names = config.domains();
    names.push(config.hostname().to_owned());
    Tls::self_made(&config.data_dir, &names, alpn).map_err(|source| ServeError::Certificate {
        listener,
        files: config.data_file(SELF_MADE_FILE).display().to_string(),
        source: Box::new(source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_never_holds_the_whole_public_door() {
        assert_eq!(from_one_network(PUBLIC_SESSIONS), 1_250);
        // A provider's few proxies, where descriptors are few.
        assert_eq!(from_one_network(4_000), 1_000);
        assert_eq!(from_one_network(500), 500);
    }
}
