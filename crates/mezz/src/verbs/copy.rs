//! `mezz cp`: files into the container of a task and out of it, as a tar stream through a session in it.

use std::fs;
use std::io::{self, Read, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::thread;

use bytes::{Buf as _, Bytes};
use mezz_http::tunnel::{Frame, Kind};
use serde_json::json;

use super::exec;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::identify::task_id;
use crate::client::session::{End, Sender, Session};
use crate::debug_args::CopyArgs;
use crate::exit::Exit;

/// So much is sent at once.
const PIECE: usize = 64 << 10;

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Stream,
    Here(PathBuf),
    There { task: String, path: String },
}

impl Side {
    /// As in scp: what has a slash before the first colon, or none, is a path here.
    fn of(text: &str) -> Self {
        match text.split_once(':') {
            _ if text == "-" => Self::Stream,
            Some((task, path)) if !task.is_empty() && !task.contains('/') => Self::There {
                task: task.to_owned(),
                path: if path.is_empty() { "." } else { path }.to_owned(),
            },
            _ => Self::Here(PathBuf::from(text)),
        }
    }
}

/// Copies.
pub(crate) fn copy(master: &str, args: &CopyArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    match (Side::of(&args.from), Side::of(&args.to)) {
        (Side::There { task, path }, to @ (Side::Here(_) | Side::Stream)) => {
            let id = task_id(&mut api, &task)?;
            download(&api, &id, &path, &to)
        }
        (from @ (Side::Here(_) | Side::Stream), Side::There { task, path }) => {
            let id = task_id(&mut api, &task)?;
            upload(&api, &id, &from, &path)
        }
        (Side::There { .. }, Side::There { .. }) => Err(ClientError::Usage(
            "both are in tasks: copy by way of a local folder".to_owned(),
        )),
        _ => Err(ClientError::Usage(
            "neither is in a task: write one of them as TASK:PATH".to_owned(),
        )),
    }
}

/// The folder and the name of a path in a container.
fn split(path: &str) -> (String, String) {
    let trimmed = match path.trim_end_matches('/') {
        "" if path.starts_with('/') => "/",
        trimmed => trimmed,
    };
    match trimmed.rsplit_once('/') {
        _ if trimmed == "/" => ("/".to_owned(), ".".to_owned()),
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((folder, name)) => (folder.to_owned(), name.to_owned()),
        None => (".".to_owned(), trimmed.to_owned()),
    }
}

fn open(api: &Api, id: &str, command: &[&str]) -> Result<Session, ClientError> {
    match exec::open(api, id, &json!({ "command": command })) {
        Err(ClientError::Refused(problem))
            if problem.status == 422 && problem.detail.contains("No such file") =>
        {
            Err(ClientError::NotFound {
                what: format!("the container of {id} has no `{}`", command[0]),
                hint: "cp needs `tar` and `sh` in the container; `mezz exec` with what is there reaches files as well"
                    .to_owned(),
            })
        }
        opened => opened,
    }
}

/// What a tar in a container says of its failure.
fn failed(end: &End, said: &[u8]) -> Result<(), ClientError> {
    if end.code() == Some(0) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(said);
    let said = said.trim();
    let what = match end {
        _ if !said.is_empty() => said.to_owned(),
        End::Status(_) => format!("it ended with {}", end.code().unwrap_or_default()),
        End::Unknown(why) => why.clone(),
    };
    Err(ClientError::NotFound {
        what: format!("the tar in the container failed: {what}"),
        hint: "`mezz exec TASK -- ls -l PATH` shows what is there".to_owned(),
    })
}

/// Standard output of a session; what comes on its other output is kept.
struct Output<'a> {
    session: &'a mut Session,
    pending: Bytes,
    said: Vec<u8>,
    end: Option<End>,
}

impl<'a> Output<'a> {
    fn new(session: &'a mut Session) -> Self {
        Self {
            session,
            pending: Bytes::new(),
            said: Vec::new(),
            end: None,
        }
    }

    /// Reads to the end, and tells how the program ended.
    fn finish(mut self) -> Result<(), ClientError> {
        let read = io::copy(&mut self, &mut io::sink());
        match &self.end {
            Some(end) => failed(end, &self.said),
            None => read.map(drop).map_err(ClientError::Output),
        }
    }
}

impl Read for Output<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pending.is_empty() && self.end.is_none() {
            let frame = self.session.next().map_err(io::Error::other)?;
            let Frame { kind, data } = frame;
            match kind {
                Kind::Stdout => self.pending = data,
                Kind::Stderr => self.said.extend_from_slice(&data),
                Kind::Exit => self.end = Some(End::of(&data)),
                _ => {}
            }
        }
        let count = self.pending.len().min(buffer.len());
        self.pending.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn download(api: &Api, id: &str, path: &str, to: &Side) -> Result<Exit, ClientError> {
    let (folder, name) = split(path);
    let mut session = open(api, id, &["tar", "-C", &folder, "-cf", "-", "--", &name])?;
    // It waits for no input.
    let _ = session.sender()?.send(Kind::EndOfStdin, &[]);
    let mut output = Output::new(&mut session);
    let taken = match to {
        Side::Here(to) => extract(&mut output, to, &name),
        _ => io::copy(&mut output, &mut stdout().lock()).map(drop),
    };
    // What its tar says explains what we found wrong with its stream.
    let end = output.finish();
    end.and(taken.map_err(ClientError::Output))?;
    Ok(Exit::Ok)
}

/// Unpacks into a folder that is there, or beside the target and then under its name.
fn extract(output: &mut impl Read, to: &Path, name: &str) -> io::Result<()> {
    let mut archive = tar::Archive::new(output);
    archive.set_preserve_permissions(true);
    archive.set_overwrite(true);
    if to.is_dir() {
        return unpack(&mut archive, to);
    }
    let parent = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let aside = parent.join(format!(".mezz-cp-{}", std::process::id()));
    fs::create_dir(&aside)?;
    let unpacked = unpack(&mut archive, &aside);
    let moved = unpacked.and_then(|()| match name {
        "." => fs::rename(&aside, to),
        name => fs::rename(aside.join(name), to),
    });
    // After a move of the whole folder there is nothing left.
    let _ = fs::remove_dir_all(&aside);
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("nothing named '{name}' came"),
        )),
        moved => moved,
    }
}

/// No entry leads out of the folder, whatever the container says.
fn unpack(archive: &mut tar::Archive<impl Read>, folder: &Path) -> io::Result<()> {
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if !entry.unpack_in(folder)? {
            return Err(io::Error::other(format!(
                "the entry '{name}' leads out of the target: nothing more is taken"
            )));
        }
    }
    Ok(())
}

/// Standard input of a session.
struct Input(Sender);

impl Write for Input {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = data.len().min(PIECE);
        self.0.send(Kind::Stdin, &data[..count])?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn upload(api: &Api, id: &str, from: &Side, path: &str) -> Result<Exit, ClientError> {
    let is_folder = path.ends_with('/') || {
        let mut session = open(api, id, &["sh", "-c", "test -d \"$1\"", "sh", path])?;
        let end = session.run(&mut io::sink(), &mut stderr().lock())?;
        end.code() == Some(0)
    };
    let (folder, name) = match from {
        Side::Here(from) if is_folder => {
            let own = fs::canonicalize(from).ok();
            let own = own.as_deref().and_then(Path::file_name);
            let name = own.map(|name| name.to_string_lossy().into_owned());
            (path.to_owned(), name.unwrap_or_else(|| ".".to_owned()))
        }
        Side::Here(_) => split(path),
        _ => (path.to_owned(), ".".to_owned()),
    };
    if let Side::Here(from) = from {
        fs::symlink_metadata(from).map_err(|error| ClientError::NotFound {
            what: format!("'{}' cannot be read: {error}", from.display()),
            hint: "name a file or a folder that is here".to_owned(),
        })?;
    }
    let mut session = open(api, id, &["tar", "-C", &folder, "-xf", "-"])?;
    let sender = session.sender()?;
    let from = match from {
        Side::Here(from) => Some(from.clone()),
        _ => None,
    };
    let sending = thread::spawn(move || {
        let sent = match from {
            Some(from) => pack(Input(sender.clone()), &from, &name),
            None => io::copy(&mut stdin().lock(), &mut Input(sender.clone())).map(drop),
        };
        // It may have given up.
        let _ = match &sent {
            Ok(()) => sender.send(Kind::EndOfStdin, &[]),
            // A stream that is cut off must not look whole.
            Err(_) => sender.send(Kind::Signal, &9i32.to_be_bytes()),
        };
        sent
    });
    let mut said = Vec::new();
    let end = session.run(&mut io::sink(), &mut said)?;
    failed(&end, &said).and_then(|()| {
        let sent = sending.join();
        let sent = sent.unwrap_or_else(|_| Err(io::Error::other("the sender has died")));
        sent.map_err(ClientError::Output)
    })?;
    Ok(Exit::Ok)
}

fn pack(input: Input, from: &Path, name: &str) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(PIECE, input));
    archive.follow_symlinks(false);
    let is_folder = from.is_dir();
    if is_folder {
        archive.append_dir_all(name, from)?;
    } else {
        // A link that was named is meant as what it leads to.
        let mut file = fs::File::open(from)?;
        archive.append_file(name, &mut file)?;
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_apart_as_by_scp() {
        let there = |task: &str, path: &str| Side::There {
            task: task.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(Side::of("web:/etc/hosts"), there("web", "/etc/hosts"));
        assert_eq!(Side::of("web:"), there("web", "."));
        assert_eq!(Side::of("./a:b"), Side::Here(PathBuf::from("./a:b")));
        assert_eq!(Side::of("file"), Side::Here(PathBuf::from("file")));
        assert_eq!(Side::of("-"), Side::Stream);
    }

    #[test]
    fn a_path_in_a_container_has_a_folder_and_a_name() {
        let pair = |folder: &str, name: &str| (folder.to_owned(), name.to_owned());
        assert_eq!(split("/etc/hosts"), pair("/etc", "hosts"));
        assert_eq!(split("/etc/"), pair("/", "etc"));
        assert_eq!(split("/"), pair("/", "."));
        assert_eq!(split("a/b"), pair("a", "b"));
        assert_eq!(split("a"), pair(".", "a"));
    }
}
