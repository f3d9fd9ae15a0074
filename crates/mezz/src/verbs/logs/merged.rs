//! The output of several tasks on one screen: whole lines, each behind the label of its task.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write, stderr, stdout};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::super::follow;
use super::sources::{Meant, Source};
use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::Sinks;
use crate::exit::Exit;
use crate::output::talk;

/// So many tasks are followed at a time.
const FOLLOWED: usize = 100;
/// How often it is looked whether there are new tasks.
const LOOK: Duration = Duration::from_millis(500);
/// A line that does not end is shown in pieces of this size.
const LINE_BYTES: usize = 64 << 10;

/// Writes whole lines behind a label.
struct Labelled<W: Write> {
    label: String,
    line: Vec<u8>,
    out: W,
}

impl<W: Write> Labelled<W> {
    fn new(label: &str, width: usize, bare: bool, out: W) -> Self {
        let label = if bare {
            String::new()
        } else {
            format!("{label:<width$} | ")
        };
        Self {
            label,
            line: Vec::new(),
            out,
        }
    }

    fn write_line(&mut self) -> io::Result<()> {
        let mut whole = self.label.clone().into_bytes();
        whole.append(&mut self.line);
        if !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        // At once, so that lines of others come before it or after it.
        self.out.write_all(&whole)?;
        self.out.flush()
    }

    /// A last line without an end.
    fn finish(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            Ok(())
        } else {
            self.write_line()
        }
    }
}

impl<W: Write> Write for Labelled<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LINE_BYTES {
                self.write_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn width(sources: &[Source]) -> usize {
    let widths = sources.iter().map(|source| source.label.chars().count());
    widths.max().unwrap_or_default()
}

/// What tasks have written, one after the other.
pub(super) fn one_by_one(
    api: &mut Api,
    sources: &[Source],
    query: LogQuery,
    bare: bool,
) -> Result<Exit, ClientError> {
    let width = width(sources);
    for source in sources {
        let mut out = Labelled::new(&source.label, width, bare, stdout());
        let mut err = Labelled::new(&source.label, width, bare, stderr());
        let mut sinks = Sinks {
            stdout: &mut out,
            stderr: &mut err,
        };
        match follow::what_is_there(api, &source.id, query, &mut sinks) {
            Err(error) if error.exit() == Exit::NotFound => {
                talk::warning(&format!("{}: {error}", source.id));
            }
            shown => shown?,
        }
        let ended = out.finish().and_then(|()| err.finish());
        match ended {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            ended => ended.map_err(ClientError::Output)?,
        }
    }
    Ok(Exit::Ok)
}

/// How the output of one task came to its end.
enum Ended {
    Told,
    /// Nobody reads what we write.
    ReaderGone,
    Failed(ClientError),
}

/// Follows all tasks of what is meant, those that come later too; it ends with the run, or with Ctrl-C.
pub(super) fn follow(
    master: &str,
    meant: &Meant,
    sources: Vec<Source>,
    query: LogQuery,
    bare: bool,
) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let (sender, ends) = mpsc::channel();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut open = 0usize;
    let mut queue: BTreeMap<usize, Source> = sources.into_iter().enumerate().collect();
    let mut next = queue.len();
    let mut width = 0;
    let mut is_first = true;
    loop {
        while open < FOLLOWED
            && let Some((_, source)) = queue.pop_first()
        {
            if !seen.insert(source.id.clone()) {
                continue;
            }
            width = width.max(source.label.chars().count());
            // What was written before a task was found is new too, unless it was there from the start.
            let tail = query.tail.filter(|_| is_first);
            let query = LogQuery { tail, ..query };
            start(
                master.to_owned(),
                source,
                width,
                bare,
                query,
                sender.clone(),
            );
            open += 1;
        }
        is_first = false;
        if let Ok(end) = ends.recv_timeout(LOOK) {
            open -= 1;
            match end {
                Ended::Told => {}
                Ended::ReaderGone => return Ok(Exit::Ok),
                Ended::Failed(error) => {
                    talk::client_error(&error);
                }
            }
        }
        if let Some(new) = fresh(&mut api, meant, &seen)? {
            for source in new {
                queue.insert(next, source);
                next += 1;
            }
        } else if open == 0 && queue.is_empty() {
            return Ok(Exit::Ok);
        }
    }
}

/// Tasks that have not been seen yet; none once nothing more will come.
fn fresh(
    api: &mut Api,
    meant: &Meant,
    seen: &BTreeSet<String>,
) -> Result<Option<Vec<Source>>, ClientError> {
    let is_away = |error: &ClientError| {
        error.exit() == Exit::NoMaster || matches!(error, ClientError::Broken { .. })
    };
    let has_ended = match meant {
        Meant::Run(run) => match api.value(&run.target()) {
            Ok(run) => run.get("ended_at").is_some_and(|at: &Value| !at.is_null()),
            Err(error) if error.exit() == Exit::NotFound => true,
            Err(error) if is_away(&error) => false,
            Err(error) => return Err(error),
        },
        _ => false,
    };
    let mut sources = match meant.sources(api) {
        Err(error) if is_away(&error) => return Ok(Some(Vec::new())),
        Err(error) if error.exit() == Exit::NotFound => return Ok(None),
        sources => sources?,
    };
    sources.retain(|source| !seen.contains(&source.id));
    Ok((!has_ended || !sources.is_empty()).then_some(sources))
}

fn start(
    master: String,
    source: Source,
    width: usize,
    bare: bool,
    query: LogQuery,
    sender: Sender<Ended>,
) {
    thread::spawn(move || {
        let mut out = Labelled::new(&source.label, width, bare, stdout());
        let mut err = Labelled::new(&source.label, width, bare, stderr());
        let mut sinks = Sinks {
            stdout: &mut out,
            stderr: &mut err,
        };
        let followed = Api::new(&master)
            .and_then(|mut api| follow::to_the_end(&mut api, &source.id, query, &mut sinks));
        let last = out.finish().and_then(|()| err.finish());
        let end = match (followed, last) {
            (Ok(None), _) => Ended::ReaderGone,
            (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ended::ReaderGone,
            (Err(error), _) if error.exit() == Exit::NotFound => Ended::Told,
            (Err(error), _) => Ended::Failed(error),
            (Ok(Some(_)), _) => Ended::Told,
        };
        // Whoever waited for it has ended.
        let _ = sender.send(end);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_whole_behind_their_label() {
        let mut out = Labelled::new("web.0", 7, false, Vec::new());
        for bytes in [&b"one\ntw"[..], b"o\n", b"three"] {
            out.write_all(bytes).expect("a vector");
        }
        out.finish().expect("a vector");
        let text = String::from_utf8(out.out).expect("text");
        assert_eq!(text, "web.0   | one\nweb.0   | two\nweb.0   | three\n");
    }
}
