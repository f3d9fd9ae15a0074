//! What holds for any message, any text and any bytes.

mod samples;

use mezz_proto::recordio::{Decoder, encode};
use mezz_proto::{decode_binary, from_json, to_json, v1};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use samples::{CODECS, Codec, Sample, codec, samples};

/// Whole samples of one message: two different fillings.
fn sources() -> Vec<(&'static Codec, Vec<Sample>)> {
    let files = [
        include_str!("golden/messages-whole.tsv"),
        include_str!("golden/messages-least.tsv"),
    ];
    let all: Vec<Sample> = files.into_iter().flat_map(samples).collect();
    let mut sources: Vec<(&'static Codec, Vec<Sample>)> = CODECS
        .iter()
        .map(|codec| {
            let own = all.iter().filter(|sample| sample.name == codec.name);
            (codec, own.cloned().collect())
        })
        .collect();
    for (name, file) in [
        (
            "mesos.v1.scheduler.Call",
            include_str!("golden/scheduler-call.tsv"),
        ),
        (
            "mesos.v1.executor.Event",
            include_str!("golden/executor-event.tsv"),
        ),
        (
            "mesos.v1.master.Response",
            include_str!("golden/master-response.tsv"),
        ),
    ] {
        sources.push((codec(name), samples(file)));
    }
    sources
}

/// Changes to make in bytes: where, and to what.
fn changes(most: usize) -> impl Strategy<Value = Vec<(Index, u8)>> {
    vec((any::<Index>(), any::<u8>()), 0..=most)
}

fn changed(mut bytes: Vec<u8>, changes: &[(Index, u8)]) -> Vec<u8> {
    for (index, byte) in changes {
        if !bytes.is_empty() {
            let position = index.index(bytes.len());
            bytes[position] = *byte;
        }
    }
    bytes
}

/// Doubles as JSON can carry them.
fn double() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{INFINITE, NORMAL, SUBNORMAL, ZERO};
    NORMAL | SUBNORMAL | ZERO | INFINITE
}

fn scalar() -> impl Strategy<Value = v1::value::Scalar> {
    double()
        .prop_filter("the one value that maps leave out", |value| {
            value.to_bits() != 1
        })
        .prop_map(|value| v1::value::Scalar { value })
}

prop_compose! {
    fn resource()(name in any::<String>(), role in any::<Option<String>>(), scalar in proptest::option::of(scalar()),
                  range in vec(any::<(u64, u64)>(), 0..3), items in vec(any::<String>(), 0..3),
                  kind in 0..3_i32) -> v1::Resource {
        let range = range.into_iter().map(|(begin, end)| v1::value::Range { begin, end }).collect();
        v1::Resource {
            name, role, scalar, r#type: kind,
            ranges: Some(v1::value::Ranges { range }),
            set: Some(v1::value::Set { item: items }),
            ..Default::default()
        }
    }
}

prop_compose! {
    fn task()(name in any::<String>(), id in any::<String>(), agent in any::<String>(), data in proptest::option::of(vec(any::<u8>(), 0..40)),
              resources in vec(resource(), 0..3), limits in btree_map(any::<String>(), scalar(), 0..3),
              completion in any::<Option<i64>>(), labels in vec(any::<(String, Option<String>)>(), 0..3)) -> v1::TaskInfo {
        let labels = labels.into_iter().map(|(key, value)| v1::Label { key, value }).collect();
        v1::TaskInfo {
            name,
            task_id: v1::TaskId { value: id },
            agent_id: v1::AgentId { value: agent },
            data: data.map(Into::into),
            resources,
            limits,
            labels: Some(v1::Labels { labels }),
            max_completion_time: completion.map(|nanoseconds| v1::DurationInfo { nanoseconds }),
            ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn a_task_survives_both_forms(task in task()) {
        use prost::Message as _;
        prop_assert_eq!(&from_json::<v1::TaskInfo>(&to_json(&task)).expect("JSON"), &task);
        prop_assert_eq!(&from_json::<v1::TaskInfo>(&mezz_proto::to_json_ascii(&task)).expect("ASCII"), &task);
        prop_assert_eq!(&decode_binary::<v1::TaskInfo>(&task.encode_to_vec()).expect("binary"), &task);
        let read_by_others: serde_json::Value = serde_json::from_slice(&to_json(&task)).expect("it is plain JSON");
        prop_assert_eq!(read_by_others["name"].as_str(), Some(task.name.as_str()));
    }

    #[test]
    fn whatever_decodes_has_a_stable_json_form(
        (codec, own) in select(sources()),
        picks in vec(any::<Index>(), 1..4),
        changes in changes(3),
    ) {
        // Encodings put one after another are merged, so this mixes samples before it damages them.
        let mixed: Vec<u8> = picks.iter().flat_map(|pick| own[pick.index(own.len())].binary.clone()).collect();
        let bytes = changed(mixed, &changes);
        if let Ok(text) = (codec.to_json)(&bytes) {
            // No JSON form takes the one, and maps leave out the other.
            prop_assume!(!text.contains("\"NaN\"") && !text.contains("5e-324"));
            let binary = (codec.to_binary)(text.as_bytes()).expect("what was written is read");
            prop_assert_eq!((codec.to_json)(&binary), Ok(text.clone()));
            let ascii = (codec.to_ascii)(&bytes).expect("it decodes");
            prop_assert_eq!((codec.to_binary)(ascii.as_bytes()), Ok(binary));
        }
    }

    #[test]
    fn damaged_text_is_read_or_refused(
        (codec, own) in select(sources()),
        pick in any::<Index>(),
        changes in changes(4),
        cut in any::<Index>(),
    ) {
        let text = changed(own[pick.index(own.len())].json.clone().into_bytes(), &changes);
        let _ = (codec.to_binary)(&text);
        let _ = (codec.to_binary)(&text[..cut.index(text.len() + 1)]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(codec in select(CODECS), bytes in vec(any::<u8>(), 0..200)) {
        let _ = (codec.to_binary)(&bytes);
        let _ = (codec.to_json)(&bytes);
    }

    #[test]
    fn syntax_is_judged_as_other_parsers_do(text in r#"[\[\]{}:,"a0-9.eE+\-\\utrufalsn ]{0,24}"#) {
        // This parser takes a superset; whatever the strict one takes must pass here.
        if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
            let refused = from_json::<v1::Labels>(text.as_bytes()).err().map(|error| error.to_string());
            prop_assert!(refused.as_ref().is_none_or(|error| !error.contains("syntax error")), "{:?}", refused);
        }
    }

    #[test]
    fn records_survive_any_chunking(
        records in vec(vec(any::<u8>(), 0..300), 0..8),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let stream: Vec<u8> = records.iter().flat_map(|record| encode(record)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut decoder = Decoder::new(300);
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            decoder.push(&stream[pair[0]..pair[1]]);
            while let Some(record) = decoder.next().expect("the stream is well formed") {
                found.push(record.to_vec());
            }
        }
        prop_assert_eq!(found, records);
        prop_assert!(decoder.is_at_boundary());
    }

    #[test]
    fn any_stream_is_decoded_or_refused(bytes in vec(select(b"0123456789\nx".to_vec()), 0..60)) {
        let mut decoder = Decoder::new(20);
        decoder.push(&bytes);
        while let Ok(Some(record)) = decoder.next() {
            prop_assert!(record.len() <= 20);
        }
    }
}
