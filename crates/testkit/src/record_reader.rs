//! RecordIO as clients read it: a decimal length, a line feed, and so many bytes.

/// Cuts a stream of bytes into records.
#[derive(Debug, Default)]
pub struct RecordReader {
    buffer: Vec<u8>,
}

/// Bytes that are no RecordIO.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a record length: {0:?}")]
pub struct RecordError(String);

/// The longest length in digits.
const LENGTH_DIGITS: usize = 20;

impl RecordReader {
    /// Takes what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole record, if it has arrived.
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let Some(line) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return if self.buffer.len() > LENGTH_DIGITS {
                Err(self.error(self.buffer.len()))
            } else {
                Ok(None)
            };
        };
        let digits = std::str::from_utf8(&self.buffer[..line]).ok();
        let Some(length) = digits.and_then(|digits| digits.parse::<usize>().ok()) else {
            return Err(self.error(line));
        };
        let start = line + 1;
        if self.buffer.len() < start + length {
            return Ok(None);
        }
        let record = self.buffer[start..start + length].to_vec();
        self.buffer.drain(..start + length);
        Ok(Some(record))
    }

    /// What has arrived of a record that is not whole.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    fn error(&self, length: usize) -> RecordError {
        RecordError(String::from_utf8_lossy(&self.buffer[..length.min(40)]).into_owned())
    }
}

/// Writes one record.
pub fn write_record(body: &[u8]) -> Vec<u8> {
    let mut record = format!("{}\n", body.len()).into_bytes();
    record.extend_from_slice(body);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_wherever_the_bytes_are_split() {
        let stream = [
            write_record(b"one"),
            write_record(b""),
            write_record(b"a\nb"),
        ]
        .concat();
        for split in 0..stream.len() {
            let mut reader = RecordReader::default();
            let mut records = Vec::new();
            for part in [&stream[..split], &stream[split..]] {
                reader.push(part);
                while let Some(record) = reader.next_record().unwrap() {
                    records.push(record);
                }
            }
            assert_eq!(records, [b"one".to_vec(), b"".to_vec(), b"a\nb".to_vec()]);
            assert!(reader.rest().is_empty());
        }
    }

    #[test]
    fn other_bytes_are_an_error() {
        let mut reader = RecordReader::default();
        reader.push(b"x1\nabc");
        assert!(reader.next_record().is_err());
        let mut reader = RecordReader::default();
        reader.push(&[b'1'; 30]);
        assert!(reader.next_record().is_err());
    }
}
