//! A tree of virtual paths over real folders and files: what `/files/*`, LIST_FILES and READ_FILE show.
//!
//! A virtual path never leads outside of the root that it was attached to: symbolic links are resolved inside it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// The longest piece that one read returns.
pub const MAX_READ_BYTES: u64 = 64 << 10;

/// A real place that a virtual path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// What the path may never leave; a file may be its own root.
    pub root: PathBuf,
    /// Inside the root; empty for the root itself.
    pub relative: PathBuf,
}

/// Why a path cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("not found")]
    NotFound,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The virtual path.
    pub path: String,
    pub nlink: u64,
    pub size: u64,
    pub mtime_seconds: i64,
    /// The raw mode.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins; the size of the file when the offset asked for was -1.
    pub offset: u64,
    pub data: Vec<u8>,
    /// The size of the whole file.
    pub size: u64,
}

type Resolver = Arc<dyn Fn(&str) -> Option<Location> + Send + Sync>;
type Listing = Arc<dyn Fn() -> Vec<(String, PathBuf)> + Send + Sync>;

#[derive(Clone)]
struct Source {
    resolve: Resolver,
    list: Listing,
}

/// The virtual tree. Clones share it.
#[derive(Clone, Default)]
pub struct Files {
    sources: Arc<RwLock<Vec<Source>>>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

impl Files {
    /// A tree without paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attaches one real file or folder under a virtual path.
    pub fn attach(&self, virtual_path: &str, real: PathBuf) {
        let prefix = virtual_path.trim_end_matches('/').to_owned();
        let listed = (prefix.clone(), real.clone());
        self.attach_source(
            move |path| {
                let rest = path.strip_prefix(prefix.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| Location {
                    root: real.clone(),
                    relative: PathBuf::from(rest.trim_start_matches('/')),
                })
            },
            move || vec![listed.clone()],
        );
    }

    /// Attaches paths that a closure resolves at the time of the request; `list` tells `/files/debug` what there is.
    pub fn attach_source(
        &self,
        resolve: impl Fn(&str) -> Option<Location> + Send + Sync + 'static,
        list: impl Fn() -> Vec<(String, PathBuf)> + Send + Sync + 'static,
    ) {
        let source = Source {
            resolve: Arc::new(resolve),
            list: Arc::new(list),
        };
        self.sources
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(source);
    }

    /// All attached paths with their real places.
    pub fn attached(&self) -> Vec<(String, PathBuf)> {
        let sources = self
            .sources
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        sources.iter().flat_map(|source| (source.list)()).collect()
    }

    fn resolve(&self, path: &str) -> Option<Location> {
        let sources = self
            .sources
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let path = if path.len() > 1 {
            path.trim_end_matches('/')
        } else {
            path
        };
        sources.iter().find_map(|source| (source.resolve)(path))
    }

    /// The entries of a folder, sorted by path. Blocks on the file system.
    pub fn browse(&self, path: &str) -> Result<Vec<Entry>, FilesError> {
        let location = self.resolve(path).ok_or(FilesError::NotFound)?;
        let folder = open_in(&location)?;
        if !folder.metadata()?.is_dir() {
            return Err(FilesError::NotFound);
        }
        let mut entries = Vec::new();
        let shown = path.trim_end_matches('/');
        for entry in rustix::fs::Dir::read_from(&folder).map_err(std::io::Error::from)? {
            let entry = entry.map_err(std::io::Error::from)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            // An entry may have gone since the folder was read.
            let Ok(stat) = rustix::fs::statat(&folder, entry.file_name(), flags) else {
                continue;
            };
            entries.push(Entry {
                path: format!("{shown}/{name}"),
                nlink: stat.st_nlink,
                size: u64::try_from(stat.st_size).unwrap_or_default(),
                mtime_seconds: stat.st_mtime,
                mode: stat.st_mode,
                uid: stat.st_uid,
                gid: stat.st_gid,
            });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Reads a piece. Offset -1 asks for the size alone; length -1 or none means as much as one read may return.
    pub fn read(&self, path: &str, offset: i64, length: Option<i64>) -> Result<Piece, FilesError> {
        let location = self.resolve(path).ok_or(FilesError::NotFound)?;
        if offset < -1 {
            return Err(FilesError::Invalid(format!(
                "Negative offset provided: {offset}"
            )));
        }
        if let Some(length) = length.filter(|length| *length < -1) {
            return Err(FilesError::Invalid(format!(
                "Negative length provided: {length}"
            )));
        }
        let mut file = open_in(&location)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(FilesError::Invalid("Cannot read from a directory".into()));
        }
        let size = metadata.size();
        let offset = u64::try_from(offset).unwrap_or(size);
        let wanted = length
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or(u64::MAX);
        let available = size.saturating_sub(offset);
        let mut data = Vec::new();
        if available > 0 {
            file.seek(SeekFrom::Start(offset))?;
            file.take(wanted.min(MAX_READ_BYTES).min(available))
                .read_to_end(&mut data)?;
        }
        Ok(Piece { offset, data, size })
    }

    /// Opens a whole file for sending; returns its name too.
    pub fn open(&self, path: &str) -> Result<(File, String), FilesError> {
        let location = self.resolve(path).ok_or(FilesError::NotFound)?;
        let file = open_in(&location)?;
        if file.metadata()?.is_dir() {
            return Err(FilesError::Invalid("Cannot download a directory".into()));
        }
        let name = path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or("file")
            .to_owned();
        Ok((file, name))
    }
}

/// Opens a place read-only, with every symbolic link resolved inside its root.
pub fn open_in(location: &Location) -> Result<File, FilesError> {
    if location
        .relative
        .components()
        .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Err(FilesError::NotFound);
    }
    // Not blocking: a named pipe in a sandbox must not hold the reader.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if location.relative.as_os_str().is_empty() {
        return rustix::fs::open(&location.root, flags, Mode::empty())
            .map(File::from)
            .map_err(classify);
    }
    let root = rustix::fs::open(
        &location.root,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(classify)?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = || rustix::fs::openat2(&root, &location.relative, flags, Mode::empty(), resolve);
    // A mount or rename anywhere on the host makes the kernel unsure whether a `..` still leads inside.
    let mut tries = 0;
    let mut opened = open();
    while matches!(opened, Err(rustix::io::Errno::AGAIN)) && tries < 100 {
        tries += 1;
        opened = open();
    }
    match opened {
        Ok(file) => regular(File::from(file)),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            regular(open_canonical(location)?)
        }
        Err(error) => Err(classify(error)),
    }
}

/// For kernels (or seccomp profiles) without `openat2`.
fn open_canonical(location: &Location) -> Result<File, FilesError> {
    let root = std::fs::canonicalize(&location.root)?;
    let full =
        std::fs::canonicalize(root.join(&location.relative)).map_err(|_| FilesError::NotFound)?;
    if !full.starts_with(&root) {
        return Err(FilesError::NotFound);
    }
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    rustix::fs::open(&full, flags, Mode::empty())
        .map(File::from)
        .map_err(classify)
}

fn regular(file: File) -> Result<File, FilesError> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        Ok(file)
    } else {
        Err(FilesError::NotFound)
    }
}

fn classify(error: rustix::io::Errno) -> FilesError {
    use rustix::io::Errno;
    match error {
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::LOOP
        | Errno::XDEV
        | Errno::NAMETOOLONG
        | Errno::NXIO => FilesError::NotFound,
        other => FilesError::Io(other.into()),
    }
}

/// A mode as `ls -l` prints it: `-rw-r--r--`.
pub fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for shift in [6, 3, 0] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(if bits & 1 == 0 { '-' } else { 'x' });
    }
    text
}

/// Whether a path is one that [`Location::relative`] may hold: no `..`, not absolute.
pub fn is_inside(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}
