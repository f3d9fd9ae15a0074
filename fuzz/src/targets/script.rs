//! A sequence of steps as bytes: for each a kind, a number, a length of two bytes and so many bytes.

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) kind: u8,
    pub(crate) number: u8,
    pub(crate) body: &'a [u8],
}

/// The steps in the bytes; the last may be short.
pub(crate) fn steps(data: &[u8]) -> impl Iterator<Item = Step<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let ([kind, number, low, high], after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (body, after) = after.split_at(length);
        rest = after;
        Some(Step {
            kind: *kind,
            number: *number,
            body,
        })
    })
}

/// Appends a step.
pub(crate) fn write(data: &mut Vec<u8>, kind: u8, number: u8, body: &[u8]) {
    let length = u16::try_from(body.len()).expect("seeds are short");
    data.extend([kind, number]);
    data.extend(length.to_le_bytes());
    data.extend(body);
}
