//! Digests of values, and their form in the store: as they are, or encrypted when the master has a key.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use mezz_proto::agent_protocol::SecretValue;

pub(super) const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// The first byte of what is stored.
const PLAIN: u8 = 0;
const SEALED: u8 = 1;
/// So many bytes of a digest are shown.
const DIGEST_BYTES: usize = 16;

/// Why stored values cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(
        "they are encrypted; start the master with the --secret-key-file that they were encrypted with"
    )]
    NoKey,
    #[error(
        "the key of --secret-key-file is not the one that they were encrypted with, or they are damaged"
    )]
    WrongKey,
    #[error("they are damaged")]
    Damaged,
}

/// Why something is no key.
#[derive(Debug, thiserror::Error)]
#[error("a key is {KEY_BYTES} bytes, or {} hexadecimal digits; `openssl rand -hex {KEY_BYTES}` makes one", KEY_BYTES * 2)]
pub struct SecretKeyError;

/// What values in the store are encrypted with.
#[derive(Clone)]
pub struct SecretKey(Arc<LessSafeKey>);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

impl SecretKey {
    /// From the content of a file: 32 bytes as they are, or as hexadecimal digits.
    pub fn new(content: &[u8]) -> Result<Self, SecretKeyError> {
        let digits = std::str::from_utf8(content).unwrap_or_default().trim();
        let bytes = if content.len() == KEY_BYTES {
            content.to_vec()
        } else {
            let pairs = digits.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            pairs
                .map(byte)
                .collect::<Option<Vec<u8>>>()
                .ok_or(SecretKeyError)?
        };
        if bytes.len() != KEY_BYTES {
            return Err(SecretKeyError);
        }
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| SecretKeyError)?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }
}

/// A fresh salt.
pub(super) fn salt() -> Option<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).ok()?;
    Some(salt)
}

/// Changes with the values, and cannot be tried out without the salt.
pub(super) fn digest(salt: &[u8], values: &[SecretValue]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    let mut context = hmac::Context::with_key(&key);
    for value in values {
        for part in [value.key.as_bytes(), &*value.value] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    let tag = context.sign();
    let shown = tag.as_ref().iter().take(DIGEST_BYTES);
    let digits = shown.flat_map(|byte| [byte >> 4, byte & 15]);
    let digit = |digit| char::from_digit(u32::from(digit), 16).expect("four bits are one digit");
    digits.map(digit).collect()
}

/// As it is stored; `name` is bound to it.
pub(super) fn close(
    key: Option<&SecretKey>,
    name: &[u8],
    salt: [u8; SALT_BYTES],
    plain: Vec<u8>,
) -> Option<Bytes> {
    let mut content = salt.to_vec();
    content.extend(plain);
    let Some(key) = key else {
        let mut out = vec![PLAIN];
        out.extend(content);
        return Some(out.into());
    };
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let mut out = vec![SEALED];
    out.extend(nonce);
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.0
        .seal_in_place_append_tag(nonce, Aad::from(name), &mut content)
        .ok()?;
    out.extend(content);
    Some(out.into())
}

/// The salt and the values as they were given to [`close`].
pub(super) fn open(
    key: Option<&SecretKey>,
    name: &[u8],
    stored: &[u8],
) -> Result<([u8; SALT_BYTES], Vec<u8>), SealError> {
    let (kind, rest) = stored.split_first().ok_or(SealError::Damaged)?;
    let content = match *kind {
        PLAIN => rest.to_vec(),
        SEALED => {
            let key = key.ok_or(SealError::NoKey)?;
            let (nonce, sealed) = rest
                .split_first_chunk::<NONCE_LEN>()
                .ok_or(SealError::Damaged)?;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let mut content = sealed.to_vec();
            key.0
                .open_in_place(nonce, Aad::from(name), &mut content)
                .map_err(|_| SealError::WrongKey)?
                .to_vec()
        }
        _ => return Err(SealError::Damaged),
    };
    let (salt, plain) = content
        .split_first_chunk::<SALT_BYTES>()
        .ok_or(SealError::Damaged)?;
    Ok((*salt, plain.to_vec()))
}
