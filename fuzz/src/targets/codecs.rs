//! Mesos's messages in JSON and in binary form. The first byte chooses the message.

use mezz_proto::v1::{agent, executor, master, scheduler};
use mezz_proto::{Json, decode_binary, from_json, to_json, to_json_ascii};

type Check = fn(&[u8]);

/// What clients and we send to each other.
const JSON: [Check; 8] = [
    json_of::<scheduler::Call>,
    json_of::<scheduler::Event>,
    json_of::<executor::Call>,
    json_of::<executor::Event>,
    json_of::<master::Call>,
    json_of::<master::Response>,
    json_of::<agent::Call>,
    json_of::<agent::Response>,
];

const BINARY: [Check; 8] = [
    binary_of::<scheduler::Call>,
    binary_of::<scheduler::Event>,
    binary_of::<executor::Call>,
    binary_of::<executor::Event>,
    binary_of::<master::Call>,
    binary_of::<master::Response>,
    binary_of::<agent::Call>,
    binary_of::<agent::Response>,
];

fn chosen(checks: &[Check; 8], data: &[u8]) {
    if let Some((first, rest)) = data.split_first() {
        checks[usize::from(*first) % checks.len()](rest);
    }
}

pub(crate) fn json(data: &[u8]) {
    chosen(&JSON, data);
}

pub(crate) fn binary(data: &[u8]) {
    chosen(&BINARY, data);
}

/// What is read is written so that it reads the same again.
fn json_of<M: Json>(text: &[u8]) {
    match from_json::<M>(text) {
        Ok(message) => writes_what_it_reads(&message),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn binary_of<M: Json>(bytes: &[u8]) {
    match decode_binary::<M>(bytes) {
        Ok(message) => {
            let again = message.encode_to_vec();
            let read = decode_binary::<M>(&again).expect("what was encoded here decodes");
            assert_eq!(read.encode_to_vec(), again);
            let _: serde_json::Value =
                serde_json::from_slice(&to_json(&message)).expect("JSON is well formed");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn writes_what_it_reads<M: Json>(message: &M) {
    let text = to_json(message);
    let again = from_json::<M>(&text).expect("what was written here can be read");
    assert_eq!(to_json(&again), text);
    let ascii = to_json_ascii(message);
    assert!(ascii.is_ascii());
    let plain = from_json::<M>(&ascii).expect("the ASCII form can be read");
    assert_eq!(to_json(&plain), text);
}
