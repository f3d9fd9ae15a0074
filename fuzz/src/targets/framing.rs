//! Frames: RecordIO, the sessions of agents, the socket of the warden.

use mezz_http::session::{Session, SessionConfig};
use mezz_proto::recordio::{Decoder, encode};
use mezz_warden::frames::{decode_reply, decode_request, encode_reply, encode_request};

const LIMIT: usize = 1 << 20;

/// The records do not depend on how the bytes were cut.
pub(crate) fn recordio(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let whole = records(bytes, bytes.len().max(1));
    let cut = records(bytes, usize::from(*first % 7) + 1);
    assert_eq!(whole, cut);
    for record in whole.0 {
        let again = records(&encode(&record), LIMIT).0;
        assert_eq!(again, [record]);
    }
}

fn records(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::new(LIMIT);
    let mut records = Vec::new();
    for part in bytes.chunks(step) {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(Some(record)) => records.push(record.to_vec()),
                Ok(None) => break,
                Err(_) => return (records, false),
            }
        }
    }
    (records, true)
}

/// A session takes in what comes and ends with an error at worst.
pub(crate) fn agent_frames(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers can always be made");
    let bytes = std::io::Cursor::new(data.to_vec());
    let config = SessionConfig {
        max_body_bytes: LIMIT,
        ..SessionConfig::default()
    };
    runtime.block_on(async {
        let (_sender, mut receiver) = Session::from_halves(bytes, tokio::io::sink(), config);
        while let Ok(Some(_)) = receiver.next().await {}
    });
}

pub(crate) fn warden_frames(data: &[u8]) {
    if let Ok(request) = decode_request(data) {
        let mut frame = Vec::new();
        encode_request(&request, &mut frame);
        let again = decode_request(&frame[4..]).expect("what was encoded here decodes");
        let mut same = Vec::new();
        encode_request(&again, &mut same);
        assert_eq!(frame, same);
    }
    if let Ok(reply) = decode_reply(data) {
        let mut frame = Vec::new();
        encode_reply(&reply, &mut frame);
        let again = decode_reply(&frame[4..]).expect("what was encoded here decodes");
        let mut same = Vec::new();
        encode_reply(&again, &mut same);
        assert_eq!(frame, same);
    }
}
