//! Images: documents of registries, and layers unpacked into a folder of their own.

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mezz_image::config::ImageConfig;
use mezz_image::credentials::DockerConfig;
use mezz_image::digest::Digest;
use mezz_image::layer::{Entries, Entry};
use mezz_image::limits::Limits;
use mezz_image::manifest::Document;
use mezz_image::platform::Platform;
use mezz_image::reference::Reference;
use mezz_image::unpack::{Privilege, Rules, unpack};
use mezz_image::{challenge, media, runtime, users};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Small, so that mutations reach the caps.
fn limits() -> Limits {
    Limits {
        document_bytes: 1 << 20,
        index_entries: 20,
        layers: 20,
        layer_bytes: 1 << 20,
        layer_entries: 200,
        path_depth: 20,
        header_bytes: 4 << 10,
        ..Limits::default()
    }
}

/// The first byte says what the rest is.
pub(crate) fn documents(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(data);
    match kind {
        b'm' => manifest(data),
        b'c' => config(data),
        b'a' => drop(challenge::parse(&text)),
        b'd' => drop(DockerConfig::parse(&text)),
        b'u' => drop(users::find(&text, &text, &text)),
        _ => reference(&text),
    }
}

fn manifest(data: &[u8]) {
    let limits = limits();
    for came_as in [None, Some(media::OCI_INDEX), Some(media::DOCKER_MANIFEST)] {
        match Document::parse(data, came_as, &limits) {
            Ok(Document::Manifest(manifest)) => {
                assert!(manifest.layers.len() <= limits.layers);
                assert!(manifest.config.size <= limits.document_bytes);
            }
            Ok(Document::Index(index)) => {
                assert!(index.manifests.len() <= limits.index_entries);
                if let Ok(chosen) = index.choose(&Platform::host()) {
                    assert!(index.manifests.contains(chosen));
                }
            }
            Err(_) => {}
        }
    }
}

fn config(data: &[u8]) {
    let Ok(config) = ImageConfig::parse(data, &limits()) else {
        return;
    };
    assert_eq!(config.chain_ids().len(), config.diff_ids.len());
    let _ = runtime::command(&runtime::TaskCommand::default(), &config.defaults);
    let _ = runtime::stop_signal(&config.defaults);
    if let Ok(Some(directory)) = runtime::working_directory(&config.defaults) {
        assert!(directory.starts_with('/'));
    }
    for (name, _) in runtime::environment(&config.defaults, []) {
        assert!(!name.is_empty() && !name.contains(['=', '\0']));
    }
}

fn reference(text: &str) {
    if let Ok(reference) = Reference::parse(text) {
        let again = Reference::parse(&reference.to_string()).expect("what was read can be written");
        assert_eq!(again, reference);
        let familiar = Reference::parse(&reference.familiar());
        assert_eq!(familiar.as_ref(), Ok(&reference));
    }
}

/// Gives few bytes at a time.
struct Dripping(Cursor<Vec<u8>>, usize);

impl Read for Dripping {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

pub(crate) fn layers(data: &[u8]) {
    let mended = mended(data);
    layer(&mended);
    if data != mended {
        layer(data);
    }
}

/// With right checksums, which chance would not find.
fn mended(data: &[u8]) -> Vec<u8> {
    let mut mended = data.to_vec();
    for block in mended.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            sign(block);
        }
    }
    mended
}

fn layer(data: &[u8]) {
    let whole = entries(&mut &*data);
    let dropped = entries(&mut Dripping(Cursor::new(data.to_vec()), 7));
    assert_eq!(whole, dropped, "entries depend on how the bytes were cut");
    // Making folders takes longer than all else.
    if !whole.0.is_empty() {
        into_a_folder(data);
    }
}

/// All entries with their content, and whether the tar was well formed.
fn entries(from: &mut impl Read) -> (Vec<(Entry, usize)>, bool) {
    let mut entries = Entries::new(from, &limits());
    let mut all = Vec::new();
    loop {
        match entries.next_entry() {
            Ok(Some(entry)) => {
                let path = entry.path.as_path();
                let plain = |part| matches!(part, std::path::Component::Normal(_));
                assert!(path.components().all(plain), "{}", path.display());
                let mut content = Vec::new();
                let fine = entries.read_to_end(&mut content).is_ok();
                all.push((entry, content.len()));
                if !fine {
                    return (all, false);
                }
            }
            Ok(None) => return (all, true),
            Err(_) => return (all, false),
        }
    }
}

fn into_a_folder(data: &[u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = base().join(number.to_string());
    let layer = folder.join("layer");
    fs::create_dir_all(&layer).expect("a folder can be made");
    fs::write(folder.join("victim"), "untouched").expect("a file can be made");
    let rules = Rules {
        limits: &limits(),
        privilege: Privilege::of_process(),
        given_up: &AtomicBool::new(false),
    };
    let packed = Cursor::new(data.to_vec());
    let _ = unpack(packed, &layer, &Digest::of(data), &rules);
    let victim = fs::read_to_string(folder.join("victim"));
    assert_eq!(victim.ok().as_deref(), Some("untouched"));
    let beside = fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(beside, 2, "something was made beside the layer");
    fs::remove_dir_all(&folder).expect("what was unpacked can be removed");
    // Fails while another thread is at it.
    let _ = fs::remove_dir(base());
}

/// A folder for this process.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        parent.join(format!("mezz-fuzz-{}", std::process::id()))
    })
}

pub(crate) fn document_seeds() -> Vec<Vec<u8>> {
    let descriptor = |media_type: &str| {
        format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":3}}"#)
    };
    let manifest = format!(
        r#"m{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{},{}]}}"#,
        media::OCI_MANIFEST,
        descriptor(media::OCI_CONFIG),
        descriptor(media::OCI_LAYER),
        descriptor(media::DOCKER_LAYER)
    );
    let entry = descriptor(media::OCI_MANIFEST).replace(
        "\"size\":3",
        r#""size":3,"platform":{"os":"linux","architecture":"amd64","variant":"v2"},"annotations":{"a":"b"}"#,
    );
    let index = format!(r#"m{{"schemaVersion":2,"manifests":[{entry},{entry}]}}"#);
    let config = format!(
        r#"c{{"architecture":"amd64","os":"linux","config":{{"Cmd":["a"],"Entrypoint":null,"Env":["A=b","C"],"WorkingDir":"w","User":"1:2","StopSignal":"RTMIN+3","Volumes":{{"/v":{{}}}}}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}}}}"#
    );
    let texts = [
        manifest,
        index,
        config,
        r#"aBearer realm="https://a/token",service="s",scope="x", Basic realm=y"#.to_owned(),
        r#"d{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}},"credHelpers":{"a.b":"c"}}"#
            .to_owned(),
        "dx{\"quay.io\":{\"auth\":\"dTpw\"}}".to_owned(),
        "uroot:x:0:0:r:/root:/bin/sh\nweb:x:33:root".to_owned(),
        "rregistry.local:5000/a/b-c:tag".to_owned(),
        format!("rbusybox:1@{DIGEST}"),
        "r[::1]:5000/x__y".to_owned(),
    ];
    texts.map(String::into_bytes).to_vec()
}

pub(crate) fn layer_seeds() -> Vec<Vec<u8>> {
    let attack = [
        header(b'5', "d/", "", 0),
        header(b'2', "d/out", "../..", 0),
        header(b'0', "d/out/victim", "", 5),
        content("hello"),
    ];
    let whiteouts = [
        header(b'0', "a", "", 5),
        content("hello"),
        header(b'1', "b", "a", 0),
        header(b'0', ".wh.a", "", 0),
        header(b'0', "d/.wh..wh..opq", "", 0),
        header(b'3', "null", "", 0),
        vec![0; 1024],
    ];
    let extended = [
        header(b'x', "pax", "", 29),
        content("29 SCHILY.xattr.user.a=value\n"),
        header(b'L', "long", "", 6),
        content("x/y/z\0"),
        header(b'0', "short", "", 0),
    ];
    vec![attack.concat(), whiteouts.concat(), extended.concat()]
}

fn content(text: &str) -> Vec<u8> {
    let mut block = text.as_bytes().to_vec();
    block.resize(512, 0);
    block
}

/// A header with its checksum.
fn header(kind: u8, path: &str, link: &str, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(157, link);
    put(257, "ustar\x0000");
    block[156] = kind;
    sign(&mut block);
    block
}

/// Writes the checksum of a header.
fn sign(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}
