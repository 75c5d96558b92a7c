//! The collector: takes spans by OTLP over HTTP, in the binary encoding.
//!
//! A batch is sent once. One that is not taken is lost: what is late is worth little, and to keep it
//! would take room from what comes.

use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::resource::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use ureq::Agent;
use ureq::tls::RootCerts;

use super::queue::Queue;
use crate::metrics::SpanResult;
use crate::traces::{Settings, StartError};
use crate::trust;

/// How it is reached.
#[derive(Debug)]
pub(super) struct Collector {
    agent: Agent,
    settings: Settings,
    queue: Queue,
    resource: ResourceAttributesWithSchema,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it answers {0}")]
    Status(u16),
    #[error(transparent)]
    Call(#[from] ureq::Error),
}

/// Bytes of an answer that are read.
const ANSWER: u64 = 64 * 1024;

impl Collector {
    /// Calls nobody yet.
    pub(super) fn new(settings: Settings, queue: Queue) -> Result<Self, StartError> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Nothing but the settings says where spans go.
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("desist/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(settings.timeout))
            .tls_config(trust::believing(roots(&settings)?))
            .build();
        Ok(Self {
            agent: config.new_agent(),
            settings,
            queue,
            resource: ResourceAttributesWithSchema::default(),
        })
    }

    /// Sends a batch and waits for the answer; how many of it were rejected.
    fn send(&self, spans: Vec<SpanData>) -> Result<usize, Failure> {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let mut request = self
            .agent
            .post(&self.settings.endpoint)
            .header(CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        let mut response = request.send(&body)?;
        if !response.status().is_success() {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let answer = response
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_to_vec()?;
        // It was taken, whatever is said about it.
        let answer = ExportTraceServiceResponse::decode(&*answer).unwrap_or_default();
        let rejected = answer.partial_success.unwrap_or_default().rejected_spans;
        Ok(usize::try_from(rejected).unwrap_or_default())
    }
}

impl SpanExporter for Collector {
    /// Runs on the queue's thread, which may wait.
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.queue.taken(count);
        match self.send(batch) {
            Ok(rejected) => {
                self.queue.sent(count, rejected);
                Ok(())
            }
            Err(failure) => {
                self.queue.lost(SpanResult::Failed, count, &failure);
                Err(OTelSdkError::InternalFailure(failure.to_string()))
            }
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// By which certificates a collector is believed.
fn roots(settings: &Settings) -> Result<RootCerts, StartError> {
    let Some(path) = &settings.ca_file else {
        return Ok(RootCerts::WebPki);
    };
    trust::in_file(path).map_err(|why| StartError::CaFile {
        path: path.clone(),
        why,
    })
}
