//! Layer 5: the listener that mail servers ask before they send: `check` in their own protocols.
//!
//! It knows no keys: whoever reaches it may ask. It stands on loopback or not at all.

mod answer;
mod wire;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use self::answer::answer;
use self::wire::{Asker, Malformed};
use crate::app::App;
use crate::metrics::Metrics;
use crate::net::accept::{self, Sessions};
use crate::net::stop::Stop;

/// What the listener is made of.
#[derive(Debug, Clone)]
pub struct Context {
    /// What answers, once the store is there.
    pub app: Arc<OnceLock<App>>,
    /// Counters.
    pub metrics: Metrics,
    /// How long a session may take to ask its next question, from the answer to the last one.
    pub idle: Duration,
    /// Runs the sessions and ends them.
    pub stop: Stop,
}

/// Octets that are read at once.
const READ: usize = 16 * 1024;
/// For an answer to be taken.
const WRITE: Duration = Duration::from_secs(30);

/// Accepts sessions until the soft stop. Those beyond the limits are closed.
pub async fn serve(listener: TcpListener, context: Context, sessions: Sessions) {
    let stop = context.stop.clone();
    accept::run(listener, sessions, &stop, b"", move |stream, _peer| {
        let context = context.clone();
        async move {
            match Box::pin(converse(stream, &context)).await {
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "a look-up session was lost"),
            }
        }
    })
    .await;
}

/// Answers until either side ends it.
async fn converse<S>(mut stream: S, context: &Context) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = vec![0; READ].into_boxed_slice();
    let mut asker = Asker::default();
    let mut out = Vec::new();
    loop {
        let read = read_until_asked(&mut stream, &mut asker, &mut buffer, (context, &mut out));
        let ended = tokio::select! {
            biased;
            () = context.stop.soft().cancelled() => return Ok(()),
            read = timeout(context.idle, read) => read.unwrap_or(Ok(true))?,
        };
        timeout(WRITE, stream.write_all(&out))
            .await
            .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))?;
        out.clear();
        if ended {
            return stream.shutdown().await;
        }
    }
}

/// Reads until there is something to answer; whether the session has ended with it.
async fn read_until_asked<S>(
    stream: &mut S,
    asker: &mut Asker,
    buffer: &mut [u8],
    (context, out): (&Context, &mut Vec<u8>),
) -> io::Result<bool>
where
    S: AsyncRead + Unpin,
{
    while out.is_empty() {
        let count = stream.read(buffer).await?;
        if count == 0 {
            return Ok(true);
        }
        asker.take(buffer.get(..count).unwrap_or_default());
        if let Err(why) = answer_all(asker, context, out) {
            tracing::debug!(%why, "a look-up session speaks no form that is known");
            return Ok(true);
        }
    }
    Ok(false)
}

/// Answers what is whole, in order.
fn answer_all(asker: &mut Asker, context: &Context, out: &mut Vec<u8>) -> Result<(), Malformed> {
    while let Some(question) = asker.next()? {
        let answer = answer(context.app.get(), &question);
        context.metrics.lookup(question.form, answer.counted());
        wire::write(question.form, &answer, out);
    }
    Ok(())
}
