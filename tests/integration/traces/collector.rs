//! A collector that takes OTLP over HTTP: a peer that decodes all it gets, and fails as it is told.
#![expect(
    clippy::disallowed_methods,
    reason = "a test fails by panicking; the runtime is the collector's own"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message as _;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::PATIENCE;
use crate::privacy::assert_reveals_nothing;

/// What a collector does with a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Does {
    Take,
    /// Takes all of it but one span.
    RejectOne,
    Answer(u16),
    Hang,
}

pub(super) struct Collector {
    pub(super) url: String,
    shared: Arc<Shared>,
    _folder: tempfile::TempDir,
    root: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    books: Mutex<Books>,
    changed: Condvar,
}

struct Books {
    does: Does,
    asked: usize,
    headers: HeaderMap,
    spans: Vec<Seen>,
    bodies: Vec<Vec<u8>>,
}

/// A span that was taken.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) is_server: bool,
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty where it is the first.
    pub(super) parent: String,
    pub(super) is_error: bool,
    pub(super) times: (u64, u64),
    pub(super) says: BTreeMap<String, Value>,
    pub(super) resource: BTreeMap<String, Value>,
}

impl Seen {
    pub(super) fn says(&self, name: &str) -> Value {
        self.says.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn is_part_of(&self, whole: &Self) -> bool {
        (&self.trace, &self.parent) == (&whole.trace, &whole.id)
    }
}

impl Collector {
    /// One at plain HTTP.
    pub(super) fn start() -> Self {
        Self::serving("http", |_| None)
    }

    /// One with a certificate of its own making.
    pub(super) fn secured() -> Self {
        Self::serving("https", |root| {
            let names = vec!["localhost".to_owned()];
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
            std::fs::write(root, cert.pem()).unwrap();
            let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key))
                .unwrap();
            Some(TlsAcceptor::from(Arc::new(config)))
        })
    }

    fn serving(scheme: &str, tls: impl FnOnce(&PathBuf) -> Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root.pem");
        let tls = tls(&root);
        let shared = Arc::new(Shared {
            books: Mutex::new(Books {
                does: Does::Take,
                asked: 0,
                headers: HeaderMap::new(),
                spans: Vec::new(),
                bodies: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        runtime.spawn(accept(listener, tls, Arc::clone(&shared)));
        Self {
            url: format!("{scheme}://localhost:{port}"),
            shared,
            _folder: folder,
            root,
            _runtime: runtime,
        }
    }

    /// The certificate that it is to be trusted by.
    pub(super) fn root(&self) -> &PathBuf {
        &self.root
    }

    /// Does something else from now on.
    pub(super) fn does(&self, does: Does) {
        self.books().does = does;
    }

    /// The headers of the last batch.
    pub(super) fn headers(&self) -> HeaderMap {
        self.books().headers.clone()
    }

    /// Everything that it has taken so far, as it came.
    pub(super) fn bodies(&self) -> Vec<Vec<u8>> {
        self.books().bodies.clone()
    }

    /// The spans that it has taken so far.
    pub(super) fn spans(&self) -> Vec<Seen> {
        self.books().spans.clone()
    }

    /// Waits until it was asked so often in all.
    pub(super) fn asked(&self, times: usize) {
        drop(self.wait("to be asked", |books| books.asked >= times));
    }

    /// Waits for a span that is so, and gives it.
    pub(super) fn span(&self, what: &str, is_so: impl Fn(&Seen) -> bool) -> Seen {
        let mut books = self.wait(what, |books| books.spans.iter().any(&is_so));
        let at = books.spans.iter().position(&is_so).unwrap();
        books.spans.remove(at)
    }

    fn wait(&self, what: &str, is_so: impl Fn(&Books) -> bool) -> MutexGuard<'_, Books> {
        let books = self.books();
        let (books, waited) = self
            .shared
            .changed
            .wait_timeout_while(books, PATIENCE, |books| !is_so(books))
            .unwrap();
        assert!(!waited.timed_out(), "never: {what}\n{:#?}", books.spans);
        books
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.shared.books.lock().unwrap()
    }
}

/// Nothing that was ever sent names anybody.
impl Drop for Collector {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for body in self.bodies() {
            let request = ExportTraceServiceRequest::decode(&*body).unwrap();
            assert_reveals_nothing("a span", &format!("{request:?}"));
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, shared).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, shared).await,
                    Err(error) => println!("no TLS connection: {error}"),
                },
            }
        });
    }
}

async fn serve<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = axum::Router::new().fallback(answer).with_state(shared);
    let service = TowerToHyperService::new(router);
    let builder = auto::Builder::new(TokioExecutor::new());
    // The other side may be gone before its answer.
    drop(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert_eq!((method, uri.path()), (Method::POST, "/v1/traces"));
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let does = {
        let mut books = shared.books.lock().unwrap();
        books.asked += 1;
        books.headers = headers;
        if matches!(books.does, Does::Take | Does::RejectOne) {
            let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
            books.spans.extend(seen(request));
            books.bodies.push(body.to_vec());
        }
        books.does
    };
    shared.changed.notify_all();
    match does {
        Does::Take => said(0),
        Does::RejectOne => said(1),
        Does::Answer(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Does::Hang => {
            std::future::pending::<()>().await;
            said(0)
        }
    }
}

fn said(rejected_spans: i64) -> Response {
    let partial_success = (rejected_spans > 0).then(|| ExportTracePartialSuccess {
        rejected_spans,
        error_message: "as it was told".to_owned(),
    });
    ExportTraceServiceResponse { partial_success }
        .encode_to_vec()
        .into_response()
}

fn seen(request: ExportTraceServiceRequest) -> Vec<Seen> {
    let mut all = Vec::new();
    for group in request.resource_spans {
        let resource = attributes(group.resource.unwrap().attributes);
        for scope in group.scope_spans {
            assert_eq!(scope.scope.unwrap().name, "desist");
            all.extend(scope.spans.into_iter().map(|span| one(span, &resource)));
        }
    }
    all
}

fn one(span: Span, resource: &BTreeMap<String, Value>) -> Seen {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(span.trace_state, "");
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    assert!(span.events.is_empty() && span.links.is_empty());
    let status = span.status.clone().unwrap();
    assert_eq!(status.message, "");
    Seen {
        is_server: span.kind() == SpanKind::Server,
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        is_error: status.code() == SpanStatus::Error,
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        says: attributes(span.attributes),
        resource: resource.clone(),
    }
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let count = list.len();
    let all: BTreeMap<String, Value> = list
        .into_iter()
        .map(|attribute| (attribute.key, value(attribute.value)))
        .collect();
    assert_eq!(all.len(), count, "each once: {all:?}");
    all
}

fn value(value: Option<AnyValue>) -> Value {
    match value.unwrap().value.unwrap() {
        Any::StringValue(text) => json!(text),
        Any::BoolValue(flag) => json!(flag),
        Any::IntValue(number) => json!(number),
        other => panic!("unexpected: {other:?}"),
    }
}
