//! The far ends of one container: one writer at a time, any number of readers.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;
use rustix::termios::Winsize;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// So much is read at once.
const PIECE: usize = 32 << 10;
/// So many pieces may wait for one reader.
const WAITING: usize = 64;

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

/// A piece of output.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) stream: OutputStream,
    pub(crate) data: Bytes,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

/// Why nothing can be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("the standard input is closed")]
    Closed,
    #[error("Failed writing to stdin: {0}")]
    Write(io::Error),
    #[error("Unable to set the window size: {0}")]
    Size(Errno),
}

type Source = (OutputStream, pipe::Receiver);

#[derive(Debug, Default)]
struct Outputs {
    /// Not being read yet.
    sources: Vec<Source>,
    readers: Vec<mpsc::Sender<Output>>,
    /// Being read.
    open: usize,
}

/// The far ends of one container.
#[derive(Debug)]
pub(crate) struct Channel {
    terminal: Option<OwnedFd>,
    input: Mutex<Option<Arc<pipe::Sender>>>,
    held: Arc<AtomicBool>,
    log: Option<File>,
    begun: AtomicBool,
    ended: watch::Sender<bool>,
    outputs: Mutex<Outputs>,
}

/// The right to write.
#[derive(Debug)]
pub(crate) struct InputHold(Arc<AtomicBool>);

impl Drop for InputHold {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Terminals are read and written as pipes are.
fn reading(fd: OwnedFd) -> io::Result<pipe::Receiver> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    pipe::Receiver::from_owned_fd_unchecked(fd)
}

fn writing(fd: OwnedFd) -> io::Result<pipe::Sender> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    pipe::Sender::from_owned_fd_unchecked(fd)
}

impl Channel {
    /// Standard input, output and error.
    pub(super) fn of_pipes(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let [input, out, err] = <[OwnedFd; 3]>::try_from(descriptors)
            .map_err(|_| io::Error::other("not three pipes"))?;
        let sources = vec![
            (OutputStream::Stdout, reading(out)?),
            (OutputStream::Stderr, reading(err)?),
        ];
        Ok(Self::new(None, writing(input)?, sources, None))
    }

    /// One descriptor for all.
    pub(super) fn of_terminal(
        mut descriptors: Vec<OwnedFd>,
        log: Option<File>,
    ) -> io::Result<Self> {
        let terminal = descriptors
            .pop()
            .ok_or_else(|| io::Error::other("no terminal"))?;
        let sources = vec![(OutputStream::Stdout, reading(terminal.try_clone()?)?)];
        let input = writing(terminal.try_clone()?)?;
        Ok(Self::new(Some(terminal), input, sources, log))
    }

    fn new(
        terminal: Option<OwnedFd>,
        input: pipe::Sender,
        sources: Vec<Source>,
        log: Option<File>,
    ) -> Self {
        Self {
            terminal,
            input: Mutex::new(Some(Arc::new(input))),
            held: Arc::default(),
            log,
            begun: AtomicBool::new(false),
            ended: watch::Sender::new(false),
            outputs: Mutex::new(Outputs {
                open: sources.len(),
                sources,
                readers: Vec::new(),
            }),
        }
    }

    fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_logged(&self) -> bool {
        self.log.is_some()
    }

    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Adds a reader. It sees no more when all outputs have ended.
    pub(super) fn add_reader(&self) -> mpsc::Receiver<Output> {
        let (sender, reader) = mpsc::channel(WAITING);
        let mut outputs = self.outputs();
        if outputs.open > 0 {
            outputs.readers.push(sender);
        }
        reader
    }

    /// Resolves when no output can come any more.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Begins to read, if nobody has.
    pub(super) fn begin(self: &Arc<Self>, runtime: &Handle) {
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        let sources = std::mem::take(&mut self.outputs().sources);
        for (stream, source) in sources {
            let channel = Arc::clone(self);
            runtime.spawn(async move {
                channel.pump(stream, &source).await;
                let mut outputs = channel.outputs();
                outputs.open -= 1;
                if outputs.open == 0 {
                    outputs.readers.clear();
                    channel.ended.send_replace(true);
                }
            });
        }
    }

    async fn pump(&self, stream: OutputStream, source: &pipe::Receiver) {
        let mut buffer = vec![0; PIECE];
        while source.readable().await.is_ok() {
            match source.try_read(&mut buffer) {
                Ok(count) if count > 0 => {
                    let data = Bytes::copy_from_slice(&buffer[..count]);
                    self.deliver(Output { stream, data }).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A terminal whose program is gone answers with an error.
                Ok(_) | Err(_) => return,
            }
        }
    }

    async fn deliver(&self, output: Output) {
        if let Some(mut log) = self.log.as_ref() {
            // A full disk must not stop the container.
            let _ = log.write_all(&output.data);
            // Nor must a reader that is too slow: it can read the rest in the sandbox.
            let mut outputs = self.outputs();
            outputs
                .readers
                .retain(|reader| reader.try_send(output.clone()).is_ok());
            return;
        }
        let readers = self.outputs().readers.clone();
        for reader in &readers {
            // Who has gone is forgotten below.
            let _ = reader.send(output.clone()).await;
        }
        self.outputs().readers.retain(|reader| !reader.is_closed());
    }

    /// The right to write, if nobody has it.
    pub(crate) fn hold_input(&self) -> Option<InputHold> {
        let taken = self.held.swap(true, Ordering::AcqRel);
        (!taken).then(|| InputHold(Arc::clone(&self.held)))
    }

    /// Writes all of it.
    pub(crate) async fn write(&self, _hold: &InputHold, mut data: &[u8]) -> Result<(), InputError> {
        let input = {
            let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
            input.as_ref().map(Arc::clone).ok_or(InputError::Closed)?
        };
        while !data.is_empty() {
            input.writable().await.map_err(InputError::Write)?;
            match input.try_write(data) {
                Ok(count) => data = &data[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(InputError::Write(error)),
            }
        }
        Ok(())
    }

    /// Lets go of the input; the warden has to close its own end then. A terminal stays.
    pub(crate) fn close_input(&self) -> bool {
        if self.is_terminal() {
            return false;
        }
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.take().is_some()
    }

    pub(crate) fn resize(&self, size: Size) -> Result<(), InputError> {
        let Some(terminal) = &self.terminal else {
            return Err(InputError::Size(Errno::NOTTY));
        };
        let window = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(terminal, window).map_err(InputError::Size)
    }
}
