//! One check of very many lines, written as fast as they are taken, and read at the same time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use super::bulk::Questions;
use super::measure::now;
use crate::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Lines {
    /// The API, HOST:PORT
    server: SocketAddr,
    /// A file with an API key
    #[arg(long)]
    key_file: PathBuf,
    #[command(flatten)]
    questions: Questions,
    /// How many lines, about
    #[arg(long = "lines", default_value_t = 10_000_000)]
    count: usize,
}

impl Lines {
    pub(crate) fn run(&self) -> Result<String> {
        let key = crate::key(&self.key_file)?;
        let blocks: Vec<String> = self
            .questions
            .calls()
            .iter()
            .map(|addresses| {
                let lines = addresses.join("\n") + "\n";
                format!("{:x}\r\n{lines}\r\n", lines.len())
            })
            .collect();
        let rounds = self.count.div_ceil(self.questions.addresses.max(1));
        let mut writing = TcpStream::connect(self.server)?;
        let mut reading = BufReader::with_capacity(1 << 20, writing.try_clone()?);
        let begun = now();
        let writer = std::thread::spawn(move || -> Result<()> {
            write!(
                writing,
                "POST /v1/check?stream=1 HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
            )?;
            for block in blocks.iter().cycle().take(rounds) {
                writing.write_all(block.as_bytes())?;
            }
            writing.write_all(b"0\r\n\r\n")?;
            Ok(())
        });
        let end = end(&mut reading)?;
        let seconds = begun.elapsed().as_secs_f64();
        writer.join().map_err(|_panicked| "the writer failed")??;
        let checked = rounds * self.questions.addresses;
        let suppressed = rounds * self.questions.expected();
        let counted = format!("checked={checked} suppressed={suppressed} errors=0 ");
        if !end.starts_with(&counted) {
            return Err(format!("{end:?} instead of {counted:?}").into());
        }
        let checked_at_all = f64::from(u32::try_from(checked)?);
        Ok(format!(
            "lines={checked} seconds={seconds:.2} addresses_per_second={:.0}",
            checked_at_all / seconds
        ))
    }
}

/// Reads all chunks; what the last line says.
fn end(reading: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reading.read_line(&mut line)?;
    }
    let (mut last, mut chunk) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reading.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16)?;
        if size == 0 {
            break;
        }
        chunk.resize(size + 2, 0);
        reading.read_exact(&mut chunk)?;
        std::mem::swap(&mut last, &mut chunk);
    }
    let last = String::from_utf8(last)?;
    let end = last.rsplit("# end ").next().unwrap_or_default();
    Ok(end.to_owned())
}
