//! The samples that another protobuf implementation made, in both forms and both directions.

mod samples;

use samples::{Codec, Sample, codec, samples};

/// Each form gives the other, and itself again.
fn agrees(codec: &Codec, sample: &Sample) {
    let Sample { name, binary, json } = sample;
    assert_eq!(
        (codec.to_json)(binary).as_deref(),
        Ok(json.as_str()),
        "{name}"
    );
    assert_eq!(
        (codec.to_binary)(json.as_bytes()).as_deref(),
        Ok(&binary[..]),
        "{name}"
    );
    assert_eq!(
        (codec.reencode)(binary).as_deref(),
        Ok(&binary[..]),
        "{name}"
    );
    let ascii = (codec.to_ascii)(binary).expect(name);
    assert_eq!(
        (codec.to_binary)(ascii.as_bytes()).as_deref(),
        Ok(&binary[..]),
        "{name}"
    );
}

macro_rules! unions {
    ($($test:ident: $message:literal, $file:literal;)*) => {$(
        #[test]
        fn $test() {
            let samples = samples(include_str!(concat!("golden/", $file, ".tsv")));
            assert!(!samples.is_empty());
            for sample in &samples {
                agrees(codec($message), sample);
            }
        }
    )*};
}

unions! {
    every_scheduler_call_has_the_same_meaning_in_both_forms: "mesos.v1.scheduler.Call", "scheduler-call";
    every_scheduler_event_has_the_same_meaning_in_both_forms: "mesos.v1.scheduler.Event", "scheduler-event";
    every_scheduler_response_has_the_same_meaning_in_both_forms: "mesos.v1.scheduler.Response", "scheduler-response";
    every_executor_call_has_the_same_meaning_in_both_forms: "mesos.v1.executor.Call", "executor-call";
    every_executor_event_has_the_same_meaning_in_both_forms: "mesos.v1.executor.Event", "executor-event";
    every_agent_call_has_the_same_meaning_in_both_forms: "mesos.v1.agent.Call", "agent-call";
    every_agent_response_has_the_same_meaning_in_both_forms: "mesos.v1.agent.Response", "agent-response";
    every_kind_of_process_io_has_the_same_meaning_in_both_forms: "mesos.v1.agent.ProcessIO", "agent-process-io";
    every_master_call_has_the_same_meaning_in_both_forms: "mesos.v1.master.Call", "master-call";
    every_master_response_has_the_same_meaning_in_both_forms: "mesos.v1.master.Response", "master-response";
    every_master_event_has_the_same_meaning_in_both_forms: "mesos.v1.master.Event", "master-event";
    every_resource_provider_call_has_the_same_meaning_in_both_forms:
        "mesos.v1.resource_provider.Call", "resource-provider-call";
    every_resource_provider_event_has_the_same_meaning_in_both_forms:
        "mesos.v1.resource_provider.Event", "resource-provider-event";
}

#[test]
fn every_message_with_all_its_fields_has_the_same_meaning_in_both_forms() {
    for sample in samples(include_str!("golden/messages-whole.tsv")) {
        agrees(codec(&sample.name), &sample);
    }
}

#[test]
fn every_message_with_only_its_required_fields_shows_its_defaults() {
    for Sample { name, binary, json } in samples(include_str!("golden/messages-least.tsv")) {
        let codec = codec(&name);
        assert_eq!(
            (codec.to_json)(&binary).as_deref(),
            Ok(json.as_str()),
            "{name}"
        );
        let shown = (codec.to_binary)(json.as_bytes()).expect(&name);
        assert_eq!(
            (codec.to_json)(&shown).as_deref(),
            Ok(json.as_str()),
            "{name}"
        );
    }
}
