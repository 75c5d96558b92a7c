//! The line form of the check: any number of addresses, answered in order, in bounded memory.
//!
//! Lines are cut into blocks, a few of which are looked up at the same time; their answers go out
//! in order. Reading never waits for the client to take answers, so that one who writes all before
//! it reads gets all: what it does not take is spooled. The last line says how it ended; after any
//! failure the connection breaks instead, and there is none.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::block::{self, Answered, BLOCK, Counts, Cutter, END, Form, Wanted};
use super::spool::{IN_MEMORY, Spool};
use crate::app::check::Check;
use crate::http::api::Api;
use crate::http::api::body::Share;
use crate::http::api::problem::{Kind, Problem};
use crate::http::api::query;
use crate::http::api::request_id::RequestId;
use crate::http::api::unread::ReadWhileAnswered;
use crate::model::clock::Timestamp;
use crate::model::tenant::TenantId;

/// Pieces that the connection is given ahead.
const AHEAD: usize = 2;

/// How lines are answered.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http::api) struct LinesParameters {
    /// In the line form: the stream that is to be mailed; without it any scope counts.
    stream: Option<u16>,
    /// In the line form: which lines come back. `allowed`, if not given: those that may be mailed;
    /// `suppressed`: those that must not be, what is no address among them.
    #[serde(rename = "return")]
    #[param(rename = "return")]
    wanted: Option<String>,
}

/// Answers a body of lines.
pub(super) fn answer(
    api: &Api,
    tenant: TenantId,
    form: Form,
    request: Request,
) -> Result<Response, Problem> {
    let asked: LinesParameters = query::read(request.uri())
        .map_err(|error| Problem::new(Kind::InvalidRequest, error.to_string()))?;
    let wanted = match asked.wanted.as_deref() {
        None | Some("allowed") => Wanted::Allowed,
        Some("suppressed") => Wanted::Suppressed,
        Some(_) => {
            let detail = "return: allowed or suppressed";
            return Err(Problem::new(Kind::InvalidRequest, detail));
        }
    };
    let check = Arc::new(Check::new(&api.app, tenant, asked.stream)?);
    let most = api.bulk_checks.saturating_add(1);
    // Blocks with their lines and answers, what waits in memory, and what the connection has.
    let memory = most
        .saturating_mul(6 * BLOCK)
        .saturating_add(IN_MEMORY + 4 * BLOCK);
    let share = api.budget.hold(u64::try_from(memory).unwrap_or(u64::MAX))?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let conveyor = Conveyor {
        api: api.clone(),
        check,
        form,
        wanted,
        most,
        working: VecDeque::new(),
        counts: Counts::default(),
        spool: Spool::new(api.spools.clone()),
    };
    let mut tasks = JoinSet::new();
    let body = request.into_body();
    let number = RequestId::current().map(tracing::field::display);
    tasks.spawn(async move {
        if let Err(error) = conveyor.run(body, sender).await {
            tracing::debug!(request = number, %error, "a check of lines ended early");
        }
    });
    let answer = Lines {
        receiver,
        has_ended: false,
        _tasks: tasks,
        _share: share,
    };
    let mut response = Response::new(axum::body::Body::new(answer));
    let media_type = match form {
        Form::Plain => "text/plain; charset=utf-8",
        Form::Json => "application/x-ndjson",
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.extensions_mut().insert(ReadWhileAnswered);
    Ok(response)
}

/// Why an answer has no end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the lines could not be read to their end")]
    Body,
    #[error("a block was not answered")]
    Block,
    #[error("what the client has not taken cannot be kept: {0}")]
    Spool(#[from] io::Error),
    #[error("nobody takes the answer any more")]
    Gone,
}

type Working = AbortOnDropHandle<Option<Answered>>;

/// Takes lines in at one end and gives answers out at the other.
struct Conveyor {
    api: Api,
    check: Arc<Check>,
    form: Form,
    wanted: Wanted,
    /// Blocks that are looked up at the same time.
    most: usize,
    /// In the order of their lines.
    working: VecDeque<Working>,
    counts: Counts,
    spool: Spool,
}

/// What goes out.
enum Out {
    Lines(Bytes),
    /// The last line.
    End(Bytes),
}

/// What happened first.
enum Happened {
    CanSend,
    Answered(Option<Answered>),
    Arrived(Option<Bytes>),
}

impl Conveyor {
    async fn run(
        mut self,
        mut body: axum::body::Body,
        sender: mpsc::Sender<Out>,
    ) -> Result<(), Broken> {
        let mut cutter = Some(Cutter::default());
        loop {
            self.spool.load().await?;
            if cutter.is_none() && self.working.is_empty() && self.spool.is_empty() {
                break;
            }
            let reads = cutter.is_some() && self.working.len() < self.most;
            match self.next(reads, &mut body, &sender).await? {
                Happened::CanSend => {
                    if let Some(lines) = self.spool.pop() {
                        let sent = sender.send(Out::Lines(lines)).await;
                        sent.map_err(|_closed| Broken::Gone)?;
                    }
                }
                Happened::Answered(answered) => {
                    self.working.pop_front();
                    let answered = answered.ok_or(Broken::Block)?;
                    self.counts.add(answered.counts);
                    self.spool.push(answered.lines.into()).await?;
                }
                Happened::Arrived(Some(data)) => {
                    let block = cutter.as_mut().and_then(|cutter| cutter.push(&data));
                    self.working.extend(block.map(|block| self.look_up(block)));
                }
                Happened::Arrived(None) => {
                    let block = cutter.take().and_then(Cutter::finish);
                    self.working.extend(block.map(|block| self.look_up(block)));
                }
            }
        }
        let end = end(self.counts, self.check.as_of());
        let sent = sender.send(Out::End(end.into())).await;
        sent.map_err(|_closed| Broken::Gone)
    }

    /// Waits for whatever comes first.
    async fn next(
        &mut self,
        reads: bool,
        body: &mut axum::body::Body,
        sender: &mpsc::Sender<Out>,
    ) -> Result<Happened, Broken> {
        let sends = !self.spool.is_empty();
        let answered = async {
            match self.working.front_mut() {
                Some(block) => block.await,
                None => pending().await,
            }
        };
        tokio::select! {
            permit = sender.reserve(), if sends => match permit {
                Ok(_room) => Ok(Happened::CanSend),
                Err(_closed) => Err(Broken::Gone),
            },
            // Also when there is nothing to send.
            () = sender.closed() => Err(Broken::Gone),
            block = answered => match block {
                Ok(answered) => Ok(Happened::Answered(answered)),
                Err(_panicked) => Err(Broken::Block),
            },
            frame = body.frame(), if reads => match frame {
                None => Ok(Happened::Arrived(None)),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    Ok(Happened::Arrived(Some(data)))
                }
                Some(Err(_broken)) => Err(Broken::Body),
            },
        }
    }

    /// Looks a block up on a thread of its own, as many at a time as there are processors.
    fn look_up(&self, block: Vec<u8>) -> Working {
        let turns = Arc::clone(&self.api.bulk);
        let check = Arc::clone(&self.check);
        let (form, wanted) = (self.form, self.wanted);
        AbortOnDropHandle::new(Handle::current().spawn(async move {
            let turn = turns.acquire_owned().await.ok()?;
            let looked_up = tokio::task::spawn_blocking(move || {
                let answered = block::answer(&check, form, wanted, &block);
                drop(turn);
                answered
            });
            looked_up.await.ok()
        }))
    }
}

/// The last line of an answer.
fn end(counts: Counts, as_of: Timestamp) -> Vec<u8> {
    let Counts {
        checked,
        suppressed,
        errors,
    } = counts;
    let counted =
        format!("checked={checked} suppressed={suppressed} errors={errors} as_of={as_of}\n");
    [END, counted.as_bytes()].concat()
}

/// The connection breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the answer has no end")]
struct NoEnd;

/// An answer on its way; what works on it ends with it.
struct Lines {
    receiver: mpsc::Receiver<Out>,
    has_ended: bool,
    _tasks: JoinSet<()>,
    _share: Share,
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = NoEnd;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NoEnd>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let out = ready!(self.receiver.poll_recv(cx));
        Poll::Ready(Some(match out {
            Some(Out::Lines(lines)) => Ok(Frame::data(lines)),
            Some(Out::End(end)) => {
                self.has_ended = true;
                Ok(Frame::data(end))
            }
            None => Err(NoEnd),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }
}
