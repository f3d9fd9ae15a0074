//! Changes to bytes that a seed decides, so that what was found once is found again.

use crate::targets::script;

/// Pieces that decoders treat specially.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x10",
    b"-1",
    b"1e309",
    b"18446744073709551615",
    b"-9223372036854775808",
    b"0.0001",
    b"NaN",
    b"\"Infinity\"",
    b"null",
    b"[]",
    b"{}",
    b"\"\"",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
    b"\n",
    b"4294967296\n",
    b"(*)",
    b"[0-18446744073709551615]",
    b";",
    b"..",
    b"/",
    b"%",
    b"%ff%",
];

/// A small generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % end).expect("it is below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }
}

/// Changes a script of steps: whole steps are doubled, dropped, swapped or taken from `other`, bodies are changed.
pub fn mutate_steps(chance: &mut Chance, input: &[u8], other: &[u8]) -> Vec<u8> {
    let owned = |data: &[u8]| -> Vec<(u8, u8, Vec<u8>)> {
        let steps = script::steps(data).take(100);
        steps
            .map(|step| (step.kind, step.number, step.body.to_vec()))
            .collect()
    };
    let (mut steps, others) = (owned(input), owned(other));
    for _ in 0..=chance.below(4) {
        let (at, to) = (chance.below(steps.len()), chance.below(steps.len()));
        match chance.below(7) {
            0 if !steps.is_empty() => steps.insert(to, steps[at].clone()),
            1 if !steps.is_empty() => drop(steps.remove(at)),
            2 if !steps.is_empty() => steps.swap(at, to),
            3 if !others.is_empty() => steps.insert(to, others[chance.below(others.len())].clone()),
            4 if !steps.is_empty() => steps[at].1 = chance.byte(),
            5 => steps.insert(to, (chance.byte(), chance.byte(), Vec::new())),
            _ if !steps.is_empty() => change(chance, &mut steps[at].2, other),
            _ => {}
        }
    }
    let mut data = Vec::new();
    for (kind, number, body) in &steps {
        script::write(&mut data, *kind, *number, &body[..body.len().min(60_000)]);
    }
    data
}

/// Changes `input` in one to eight places, at times with a piece of `other`.
pub fn mutate(chance: &mut Chance, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(8) {
        change(chance, &mut bytes, other);
    }
    bytes.truncate(1 << 16);
    bytes
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = chance.below(bytes.len());
    let length = chance.below(bytes.len().saturating_sub(at).min(64));
    match chance.below(9) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
        1 if !bytes.is_empty() => bytes[at] = chance.byte(),
        2 => bytes.insert(at, chance.byte()),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let piece = bytes[at..at + length].to_vec();
            let to = chance.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        5 => {
            let token = TOKENS[chance.below(TOKENS.len())];
            bytes.splice(at..at + length.min(token.len()), token.iter().copied());
        }
        6 => {
            let from = chance.below(other.len());
            let piece = &other[from..from + chance.below(other.len() - from)];
            bytes.splice(at..at + length, piece.iter().copied());
        }
        7 => bytes.truncate(at),
        _ => replace_number(chance, bytes, at),
    }
}

/// Puts another number in the place of digits at or after `at`.
fn replace_number(chance: &mut Chance, bytes: &mut Vec<u8>, at: usize) {
    let digits = |from: usize, bytes: &[u8]| {
        bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let Some(found) = bytes[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let from = at + found;
    let end = from + digits(from, bytes);
    let number = match chance.below(4) {
        0 => chance.below(4).to_string(),
        1 => u64::MAX.to_string(),
        2 => (1_u64 << chance.below(64)).to_string(),
        _ => chance.number().to_string(),
    };
    bytes.splice(from..end, number.into_bytes());
}
