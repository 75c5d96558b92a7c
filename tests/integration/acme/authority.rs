//! A small certificate authority that speaks ACME (RFC 8555) over HTTPS: a peer, which believes nothing.
//! Every request's signature, nonce and URL are verified, names are looked at by TLS-ALPN-01
//! (RFC 8737) at the door itself, and certificates are signed by a root of its own.
#![expect(
    clippy::unwrap_in_result,
    clippy::disallowed_methods,
    reason = "a test fails by panicking; the runtime is the authority's own"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD as BASE64URL;
use desist::model::clock::Clock;
use http::{HeaderMap, Method, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SignatureAlgorithm,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::net::tls;

/// From when to when it issues, in days from now.
pub(super) const OF_90_DAYS: (i64, i64) = (0, 90);

pub(super) struct Authority {
    pub(super) url: String,
    pub(super) root: PathBuf,
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    base: String,
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
    door: watch::Sender<Option<SocketAddr>>,
    state: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    nonces: BTreeSet<String>,
    counter: usize,
    accounts: Vec<Known>,
    orders: Vec<Order>,
    refuses: bool,
    validity: (i64, i64),
    external: Option<(String, Vec<u8>)>,
}

/// An account's key.
#[derive(Clone)]
struct Known {
    point: Vec<u8>,
    thumbprint: String,
}

struct Order {
    account: usize,
    names: Vec<Name>,
    certificate: Option<String>,
}

struct Name {
    text: String,
    token: String,
    status: &'static str,
    why: String,
}

impl Authority {
    /// One that does not know yet where the names lead: it looks when it is told.
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "a root for tests");
        let key = KeyPair::generate().unwrap();
        let root_pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root.pem");
        std::fs::write(&root, &root_pem).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(own_tls(&issuer)));
        let shared = Arc::new(Shared {
            base: base.clone(),
            issuer,
            root_pem,
            door: watch::Sender::new(None),
            state: Mutex::new(Books {
                validity: OF_90_DAYS,
                ..Books::default()
            }),
        });
        runtime.spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self {
            url: format!("{base}/directory"),
            root,
            shared,
            _folder: folder,
            _runtime: runtime,
        }
    }

    /// All names lead there.
    pub(super) fn names_lead_to(&self, door: SocketAddr) {
        self.shared.door.send_replace(Some(door));
    }

    /// It is not known yet where they lead.
    pub(super) fn names_lead_nowhere(&self) {
        self.shared.door.send_replace(None);
    }

    /// Whether it finds that no name is anybody's, whatever it sees.
    pub(super) fn refuses(&self, refuses: bool) {
        self.shared.state.lock().unwrap().refuses = refuses;
    }

    /// What it issues is valid from and until then, in days from now.
    pub(super) fn issues(&self, validity: (i64, i64)) {
        self.shared.state.lock().unwrap().validity = validity;
    }

    /// Only those whose accounts are bound to this key are let in.
    pub(super) fn wants_external(&self, key_id: &str, key: &[u8]) {
        let mut books = self.shared.state.lock().unwrap();
        books.external = Some((key_id.to_owned(), key.to_owned()));
    }

    pub(super) fn orders(&self) -> usize {
        self.shared.state.lock().unwrap().orders.len()
    }

    pub(super) fn accounts(&self) -> usize {
        self.shared.state.lock().unwrap().accounts.len()
    }
}

fn own_tls(issuer: &Issuer<'static, KeyPair>) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let router = axum::Router::new().fallback(answer).with_state(shared);
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = TowerToHyperService::new(router);
            let served = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // The client may be killed at any time.
            drop(served);
        });
    }
}

/// Why a request is refused (RFC 8555 §6.7).
struct Refused(&'static str, String);

type Answer = Result<(StatusCode, Option<String>, Value), Refused>;

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path();
    if path == "/directory" {
        return axum::Json(shared.directory()).into_response();
    }
    let nonce = shared.new_nonce();
    let mut response = if path == "/nonce" {
        StatusCode::OK.into_response()
    } else {
        assert_eq!(method, Method::POST, "{path}");
        assert_eq!(headers["content-type"], "application/jose+json");
        assert!(headers.contains_key("user-agent"));
        match shared.act(path, &body) {
            Ok((status, location, Value::String(pem))) => {
                assert_eq!((status, location), (StatusCode::OK, None));
                pem.into_response()
            }
            Ok((status, location, answer)) => {
                let mut response = (status, axum::Json(answer)).into_response();
                if let Some(location) = location {
                    let headers = response.headers_mut();
                    headers.insert("location", location.parse().unwrap());
                }
                response
            }
            Err(Refused(kind, detail)) => {
                let kind = format!("urn:ietf:params:acme:error:{kind}");
                let problem = json!({"type": kind, "detail": detail});
                (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response()
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert("replay-nonce", nonce.parse().unwrap());
    response
}

impl Shared {
    fn directory(&self) -> Value {
        let url = |path: &str| format!("{}{path}", self.base);
        let external = self.state.lock().unwrap().external.is_some();
        json!({
            "newNonce": url("/nonce"),
            "newAccount": url("/account"),
            "newOrder": url("/order"),
            "revokeCert": url("/revoke"),
            "keyChange": url("/key"),
            "meta": {"externalAccountRequired": external},
        })
    }

    fn new_nonce(&self) -> String {
        let mut books = self.state.lock().unwrap();
        books.counter += 1;
        let nonce = format!("nonce{}", books.counter);
        // Each seventh is lost, as servers lose them: the client must try again (RFC 8555 §6.5).
        if !books.counter.is_multiple_of(7) {
            books.nonces.insert(nonce.clone());
        }
        nonce
    }

    fn act(self: &Arc<Self>, path: &str, body: &[u8]) -> Answer {
        let jws = Jws::parse(body);
        self.spend(&jws.header)?;
        let url = format!("{}{path}", self.base);
        if jws.header["url"] != url {
            return Err(Refused("unauthorized", "signed for another URL".to_owned()));
        }
        if path == "/account" {
            return self.new_account(&jws);
        }
        let account = self.account_of(&jws)?;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let number = |at: usize| parts[at].parse::<usize>().unwrap();
        if path == "/order" {
            return Ok(self.new_order(account, &jws.payload));
        }
        assert_eq!(
            self.state.lock().unwrap().orders[number(1)].account,
            account
        );
        match parts[0] {
            "order" => Ok((StatusCode::OK, None, self.order(number(1)))),
            "authorization" => {
                let told = self.authorization(number(1), number(2));
                Ok((StatusCode::OK, None, told))
            }
            "challenge" => {
                let looking = Arc::clone(self).look(account, number(1), number(2));
                tokio::spawn(looking);
                let told = self.authorization(number(1), number(2));
                Ok((StatusCode::OK, None, told["challenges"][0].clone()))
            }
            "finalize" => {
                self.issue(number(1), &jws.payload)?;
                Ok((StatusCode::OK, None, self.order(number(1))))
            }
            "certificate" => {
                let books = self.state.lock().unwrap();
                let pem = books.orders[number(1)].certificate.clone().unwrap();
                Ok((StatusCode::OK, None, Value::String(pem)))
            }
            other => panic!("nobody told of {other}"),
        }
    }

    fn spend(&self, header: &Value) -> Result<(), Refused> {
        let nonce = header["nonce"].as_str().unwrap();
        if self.state.lock().unwrap().nonces.remove(nonce) {
            Ok(())
        } else {
            Err(Refused("badNonce", nonce.to_owned()))
        }
    }

    fn new_account(&self, jws: &Jws) -> Answer {
        let known = Known::of(&jws.header["jwk"]);
        jws.verify(&known)?;
        assert_eq!(jws.payload["termsOfServiceAgreed"], true);
        assert_eq!(
            jws.payload["contact"],
            json!(["mailto:hostmaster@example.com"])
        );
        let mut books = self.state.lock().unwrap();
        if let Some((key_id, key)) = &books.external {
            let bound = Jws::of(&jws.payload["externalAccountBinding"])
                .ok_or_else(|| Refused("externalAccountRequired", String::new()))?;
            assert_eq!(bound.header["alg"], "HS256");
            assert_eq!(bound.header["kid"], *key_id);
            assert_eq!(bound.header["url"], jws.header["url"]);
            assert_eq!(bound.payload, jws.header["jwk"]);
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
            ring::hmac::verify(&key, bound.signed.as_bytes(), &bound.signature)
                .map_err(|_wrong| Refused("unauthorized", "the binding".to_owned()))?;
        }
        books.accounts.push(known);
        let location = format!("{}/account/{}", self.base, books.accounts.len() - 1);
        Ok((
            StatusCode::CREATED,
            Some(location),
            json!({"status": "valid"}),
        ))
    }

    fn account_of(&self, jws: &Jws) -> Result<usize, Refused> {
        let kid = jws.header["kid"].as_str().unwrap();
        let number = kid.rsplit('/').next().unwrap().parse().unwrap();
        let known = self.state.lock().unwrap().accounts.get(number).cloned();
        let known = known.ok_or_else(|| Refused("accountDoesNotExist", kid.to_owned()))?;
        jws.verify(&known)?;
        Ok(number)
    }

    fn new_order(&self, account: usize, payload: &Value) -> (StatusCode, Option<String>, Value) {
        let mut books = self.state.lock().unwrap();
        let number = books.orders.len();
        let names = payload["identifiers"].as_array().unwrap();
        let name = |(at, name): (usize, &Value)| {
            assert_eq!(name["type"], "dns");
            Name {
                text: name["value"].as_str().unwrap().to_owned(),
                token: format!("token-{number}-{at}"),
                status: "pending",
                why: String::new(),
            }
        };
        let names = names.iter().enumerate().map(name).collect();
        books.orders.push(Order {
            account,
            names,
            certificate: None,
        });
        drop(books);
        let location = format!("{}/order/{number}", self.base);
        (StatusCode::CREATED, Some(location), self.order(number))
    }

    fn order(&self, number: usize) -> Value {
        let books = self.state.lock().unwrap();
        let order = &books.orders[number];
        let all = |status: &str| order.names.iter().all(|name| name.status == status);
        let status = if order.certificate.is_some() {
            "valid"
        } else if order.names.iter().any(|name| name.status == "invalid") {
            "invalid"
        } else if all("valid") {
            "ready"
        } else {
            "pending"
        };
        let url = |what: &str| format!("{}/{what}/{number}", self.base);
        let authorizations: Vec<String> = (0..order.names.len())
            .map(|at| format!("{}/{at}", url("authorization")))
            .collect();
        let mut told = json!({
            "status": status,
            "authorizations": authorizations,
            "finalize": url("finalize"),
        });
        if order.certificate.is_some() {
            told["certificate"] = json!(url("certificate"));
        }
        told
    }

    fn authorization(&self, order: usize, at: usize) -> Value {
        let books = self.state.lock().unwrap();
        let name = &books.orders[order].names[at];
        let mut challenge = json!({
            "type": "tls-alpn-01",
            "url": format!("{}/challenge/{order}/{at}", self.base),
            "token": name.token,
            "status": name.status,
        });
        if name.status == "invalid" {
            let kind = "urn:ietf:params:acme:error:unauthorized";
            challenge["error"] = json!({"type": kind, "detail": name.why});
        }
        json!({
            "identifier": {"type": "dns", "value": name.text},
            "status": name.status,
            "challenges": [challenge],
        })
    }

    /// Looks whether the name is the account's, once it is known where names lead.
    async fn look(self: Arc<Self>, account: usize, order: usize, at: usize) {
        let mut door = self.door.subscribe();
        let door = door.wait_for(Option::is_some).await.unwrap().unwrap();
        let (name, expected, refuses) = {
            let books = self.state.lock().unwrap();
            let name = &books.orders[order].names[at];
            let thumbprint = &books.accounts[account].thumbprint;
            let expected = format!("{}.{thumbprint}", name.token);
            (
                name.text.clone(),
                sha256(expected.as_bytes()),
                books.refuses,
            )
        };
        let seen = if refuses {
            Err("this one refuses hostmaster@example.com".to_owned())
        } else {
            shown(door, &name, &expected).await
        };
        let mut books = self.state.lock().unwrap();
        let name = &mut books.orders[order].names[at];
        match seen {
            Ok(()) => name.status = "valid",
            Err(why) => (name.status, name.why) = ("invalid", why),
        }
    }

    /// Signs, for the key of the request alone.
    fn issue(&self, number: usize, payload: &Value) -> Result<(), Refused> {
        assert_eq!(self.order(number)["status"], "ready");
        let csr = BASE64URL
            .decode(payload["csr"].as_str().unwrap().as_bytes())
            .unwrap();
        let mut books = self.state.lock().unwrap();
        let names: Vec<String> = books.orders[number]
            .names
            .iter()
            .map(|name| name.text.clone())
            .collect();
        let key = Requested::verified(&csr, &names)
            .ok_or_else(|| Refused("badCSR", "its signature or names".to_owned()))?;
        let mut params = CertificateParams::new(names).unwrap();
        let (from, until) = books.validity;
        // A minute early, for clocks that differ.
        let now = Clock::system().now().as_seconds() - 60;
        let at = |days: i64| Duration::from_secs((now + days * 86_400).try_into().unwrap());
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + at(from);
        params.not_after = epoch + at(until);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = format!("{}{}", certificate.pem(), self.root_pem);
        books.orders[number].certificate = Some(chain);
        Ok(())
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes)
        .as_ref()
        .to_vec()
}

/// What the door shows to an authority (RFC 8737 §3): this protocol, this name alone, this digest in a
/// critical extension, and then the end.
async fn shown(door: SocketAddr, name: &str, digest: &[u8]) -> Result<(), String> {
    let mut config = tls::client();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let stream = TcpStream::connect(door)
        .await
        .map_err(|error| error.to_string())?;
    let wanted = ServerName::try_from(name.to_owned()).unwrap();
    let connected = TlsConnector::from(Arc::new(config))
        .connect(wanted, stream)
        .await;
    let mut stream = connected.map_err(|error| error.to_string())?;
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("another protocol".to_owned());
    }
    let certificate = session.peer_certificates().unwrap()[0].to_vec();
    let extension = [
        &b"\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x1f\x01\x01\xff\x04\x22\x04\x20"[..],
        digest,
    ]
    .concat();
    let length = u8::try_from(name.len()).unwrap();
    let alone = [&[0x30, length + 2, 0x82, length][..], name.as_bytes()].concat();
    let has = |what: &[u8]| certificate.windows(what.len()).any(|window| window == what);
    if !has(&extension) || !has(&alone) {
        return Err("another certificate".to_owned());
    }
    match stream.read_u8().await {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
        other => Err(format!("the connection goes on: {other:?}")),
    }
}

/// A signed request (RFC 7515).
struct Jws {
    header: Value,
    payload: Value,
    signed: String,
    signature: Vec<u8>,
}

impl Jws {
    fn parse(body: &[u8]) -> Self {
        Self::of(&serde_json::from_slice(body).unwrap()).unwrap()
    }

    fn of(jws: &Value) -> Option<Self> {
        let part = |name: &str| jws[name].as_str();
        let (header, payload) = (part("protected")?, part("payload")?);
        let decoded = |text: &str| BASE64URL.decode(text.as_bytes()).unwrap();
        let json = |bytes: Vec<u8>| match bytes.as_slice() {
            // POST-as-GET (RFC 8555 §6.3).
            b"" => Value::Null,
            bytes => serde_json::from_slice(bytes).unwrap(),
        };
        Some(Self {
            header: json(decoded(header)),
            payload: json(decoded(payload)),
            signed: format!("{header}.{payload}"),
            signature: decoded(part("signature")?),
        })
    }

    fn verify(&self, known: &Known) -> Result<(), Refused> {
        assert_eq!(self.header["alg"], "ES256");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &known.point)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_wrong| Refused("malformed", "the signature".to_owned()))
    }
}

impl Known {
    fn of(jwk: &Value) -> Self {
        assert_eq!((&jwk["kty"], &jwk["crv"]), (&json!("EC"), &json!("P-256")));
        let part = |name: &str| jwk[name].as_str().unwrap();
        let (x, y) = (part("x"), part("y"));
        let decoded = |text: &str| BASE64URL.decode(text.as_bytes()).unwrap();
        let canonical = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        Self {
            point: [&[4][..], &decoded(x), &decoded(y)].concat(),
            thumbprint: BASE64URL.encode(&sha256(canonical.as_bytes())),
        }
    }
}

/// The key of a certificate request.
struct Requested(Vec<u8>);

impl Requested {
    /// It, if the request is signed with it and is for these names.
    fn verified(csr: &[u8], names: &[String]) -> Option<Self> {
        let (whole, _) = element(csr)?;
        let (_, rest) = element(whole)?;
        let information = &whole[..whole.len() - rest.len()];
        let (_algorithm, signature) = element(rest)?;
        let (signature, _) = element(signature)?;
        let begins = b"\x03\x42\x00\x04";
        let at = information.windows(4).position(|window| window == begins)?;
        let point = information[at + 3..at + 3 + 65].to_vec();
        let signed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &point);
        signed.verify(information, &signature[1..]).ok()?;
        let has = |name: &String| {
            let name = name.as_bytes();
            information.windows(name.len()).any(|window| window == name)
        };
        names.iter().all(has).then_some(Self(point))
    }
}

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// The content of a DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = usize::from(*bytes.get(1)?);
    let (length, from) = match first {
        0..0x80 => (first, 2),
        _ => {
            let octets = bytes.get(2..2 + first - 0x80)?;
            let length = octets
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (length, 2 + octets.len())
        }
    };
    Some((bytes.get(from..from + length)?, bytes.get(from + length..)?))
}
