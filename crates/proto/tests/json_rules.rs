//! Mesos's JSON rules, as a client meets them.
use mezz_proto::v1::scheduler::{AttributeConstraint, Call, Event, attribute_constraint};
use mezz_proto::{Json, JsonError, from_json, from_value, to_json, to_json_ascii, to_value, v1};
use serde_json::{Value, json};

fn read<M: Json>(text: &str) -> M {
    from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal<M: Json>(text: &str) -> String {
    from_json::<M>(text.as_bytes()).expect_err(text).to_string()
}

fn text<M: Json>(message: &M) -> String {
    String::from_utf8(to_json(message)).expect("JSON is UTF-8")
}

#[test]
fn a_framework_is_printed_in_declaration_order_with_its_current_defaults() {
    let framework: v1::FrameworkInfo = read(r#"{"name":"n","user":"u"}"#);
    assert_eq!(
        text(&framework),
        r#"{"user":"u","name":"n","failover_timeout":0.0,"checkpoint":false}"#
    );
}

#[test]
fn a_deprecated_default_is_printed_only_when_set() {
    let framework: v1::FrameworkInfo = read(r#"{"name":"n","user":"u","role":"*"}"#);
    assert!(text(&framework).contains(r#""role":"*""#));
}

#[test]
fn each_kind_of_default_is_printed() {
    assert_eq!(text(&v1::CommandInfo::default()), r#"{"shell":true}"#);
    assert_eq!(text(&v1::Filters::default()), r#"{"refuse_seconds":5.0}"#);
    assert_eq!(
        text(&v1::HealthCheck::default()),
        r#"{"delay_seconds":15.0,"interval_seconds":10.0,"timeout_seconds":20.0,"consecutive_failures":3,"grace_period_seconds":10.0}"#
    );
    assert_eq!(
        text(&v1::network_info::IpAddress::default()),
        r#"{"protocol":"IPv4"}"#
    );
    assert_eq!(
        text(&v1::CsiPluginInfo::default()),
        r#"{"type":"","name":"default"}"#
    );
}

#[test]
fn empty_lists_are_omitted_except_in_the_answers_that_mesos_writes_by_hand() {
    assert_eq!(text(&v1::master::response::GetRoles::default()), "{}");
    assert_eq!(
        text(&v1::master::response::GetAgents::default()),
        r#"{"agents":[],"recovered_agents":[]}"#
    );
    assert_eq!(
        text(&v1::master::response::GetTasks::default()),
        r#"{"tasks":[],"unreachable_tasks":[],"completed_tasks":[]}"#
    );
}

#[test]
fn doubles_have_a_fraction_or_an_exponent_and_infinities_are_quoted() {
    for (value, shown) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (64.5, "64.5"),
        (1e16, "10000000000000000.0"),
        (1e21, "1e21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.25e30, "-1.25e30"),
        (f64::INFINITY, "\"Infinity\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
    ] {
        assert_eq!(
            text(&v1::value::Scalar { value }),
            format!("{{\"value\":{shown}}}")
        );
    }
}

#[test]
fn wide_integers_are_numbers() {
    let range: v1::value::Range =
        read(r#"{"begin":18446744073709551615,"end":"9007199254740993"}"#);
    assert_eq!((range.begin, range.end), (u64::MAX, 9_007_199_254_740_993));
    assert_eq!(
        text(&range),
        r#"{"begin":18446744073709551615,"end":9007199254740993}"#
    );
    let time: v1::TimeInfo = read(r#"{"nanoseconds":-9223372036854775808}"#);
    assert_eq!(text(&time), r#"{"nanoseconds":-9223372036854775808}"#);
}

#[test]
fn numbers_may_be_strings_and_fractions_are_cut_off() {
    let framework: v1::FrameworkInfo =
        read(r#"{"name":"n","user":"u","failover_timeout":"1.5","checkpoint":"true"}"#);
    assert_eq!(
        (framework.failover_timeout, framework.checkpoint),
        (Some(1.5), Some(true))
    );
    let port: v1::Port = read(r#"{"number":80.9}"#);
    assert_eq!(port.number, 80);
    let duration: v1::DurationInfo = read(r#"{"nanoseconds":1e9}"#);
    assert_eq!(duration.nanoseconds, 1_000_000_000);
}

#[test]
fn infinity_is_taken_bare_and_quoted_and_for_limits_without_its_object() {
    for limits in [
        r#"{"value":"Infinity"}"#,
        r#"{"value":Infinity}"#,
        r#""Infinity""#,
        "Infinity",
    ] {
        let task: v1::TaskInfo = read(&format!(
            r#"{{"name":"n","task_id":{{"value":"t"}},"agent_id":{{"value":"a"}},"limits":{{"cpus":{limits},"mem":32}}}}"#
        ));
        assert_eq!(task.limits["cpus"].value.to_bits(), f64::INFINITY.to_bits());
        assert_eq!(task.limits["mem"].value.to_bits(), 32_f64.to_bits());
        assert!(
            text(&task)
                .ends_with(r#""limits":{"cpus":{"value":"Infinity"},"mem":{"value":32.0}}}"#)
        );
    }
}

#[test]
fn null_counts_as_unset_wherever_it_stands() {
    let call: Call =
        read(r#"{"type":"REVIVE","framework_id":null,"revive":{"roles":["a",null,"b"]}}"#);
    assert_eq!(call.framework_id, None);
    assert_eq!(call.revive.expect("it was given").roles, ["a", "b"]);
    assert_eq!(
        refusal::<Call>(r#"{"framework_id":{"value":null}}"#),
        "Failed to convert JSON into Call protobuf: Missing required fields: framework_id.value"
    );
}

#[test]
fn unknown_fields_are_ignored_whatever_they_hold() {
    let id: v1::TaskId =
        read(r#"{"x":{"y":[1,{"z":null}],"s":"\u00e9\n"},"taskId":1,"value":"v"}"#);
    assert_eq!(id.value, "v");
}

#[test]
fn unknown_enum_names_are_dropped_unless_required() {
    let call: Call = read(r#"{"type":"FUTURE"}"#);
    assert_eq!(call.r#type, None);
    let capabilities: v1::CapabilityInfo = read(r#"{"capabilities":["CHOWN","FUTURE","KILL"]}"#);
    assert_eq!(text(&capabilities), r#"{"capabilities":["CHOWN","KILL"]}"#);
    assert_eq!(
        refusal::<v1::Value>(r#"{"type":"FUTURE"}"#),
        "Failed to convert JSON into Value protobuf: field 'type': unknown enum value \"FUTURE\""
    );
    assert_eq!(
        refusal::<Call>(r#"{"type":3}"#),
        "Failed to convert JSON into Call protobuf: field 'type': expected the name of an enum value, found a number"
    );
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    let call: Call = read(r#"{"accept":{"offer_ids":{"value":"o"}},"suppress":{"roles":"r"}}"#);
    assert_eq!(call.accept.expect("it was given").offer_ids[0].value, "o");
    assert_eq!(call.suppress.expect("it was given").roles, ["r"]);
    assert_eq!(
        refusal::<v1::TaskId>(r#"{"value":["t"]}"#),
        "Failed to convert JSON into TaskID protobuf: field 'value': expected a string, found an array"
    );
}

#[test]
fn durations_are_objects_or_words() {
    for (given, seconds, nanos) in [
        (r#"{"seconds":600,"nanos":5}"#, 600, 5),
        (r#"{"seconds":"600"}"#, 600, 0),
        (r#""10mins""#, 600, 0),
        (r#""1.5secs""#, 1, 500_000_000),
        (r#""2weeks""#, 1_209_600, 0),
        (r#""5ms""#, 0, 5_000_000),
    ] {
        let drain: v1::master::call::DrainAgent = read(&format!(
            r#"{{"agent_id":{{"value":"a"}},"max_grace_period":{given}}}"#
        ));
        let period = drain.max_grace_period.expect("it was given");
        assert_eq!((period.seconds, period.nanos), (seconds, nanos), "{given}");
    }
    let problem = refusal::<v1::master::call::DrainAgent>(
        r#"{"agent_id":{"value":"a"},"max_grace_period":"10 parsecs"}"#,
    );
    assert!(
        problem.contains("max_grace_period") && problem.contains("10 parsecs"),
        "{problem}"
    );
    let drain: v1::master::call::DrainAgent =
        read(r#"{"agent_id":{"value":"a"},"max_grace_period":{"seconds":600}}"#);
    assert_eq!(
        text(&drain),
        r#"{"agent_id":{"value":"a"},"max_grace_period":{"seconds":600},"mark_gone":false}"#
    );
}

#[test]
fn bytes_are_padded_base64() {
    let uuid: v1::Uuid = read(r#"{"value":"+/8="}"#);
    assert_eq!(&uuid.value[..], [0xfb, 0xff]);
    assert_eq!(text(&uuid), r#"{"value":"+/8="}"#);
    assert_eq!(read::<v1::Uuid>(r#"{"value":"+/8"}"#), uuid);
    assert!(refusal::<v1::Uuid>(r#"{"value":"*"}"#).contains("field 'value': not base64"));
}

#[test]
fn alternatives_are_written_as_plain_fields() {
    let given = r#"{"selector":{"pseudoattribute_type":"HOSTNAME"},"predicate":{"text_equals":{"value":"h"}}}"#;
    let constraint: AttributeConstraint = read(given);
    assert!(matches!(
        constraint.selector.selector,
        Some(attribute_constraint::selector::Selector::PseudoattributeType(1))
    ));
    assert_eq!(text(&constraint), given);
}

#[test]
fn malformed_text_is_refused_with_line_and_rest() {
    for (given, line, near) in [
        ("{oops", 1, "oops"),
        ("", 1, ""),
        ("{\"a\":1,\n \"b\":tru}\n", 2, "}"),
        ("{\"a\":\n\n ?x\n}", 3, "?x"),
        ("{} x", 1, "x"),
        ("[1,", 1, ""),
        (r#"{"a":"\ud800"}"#, 1, "\"}"),
        (r#"{"type":7,"#, 1, ""),
        ("{\"a\":01x}", 1, "x}"),
    ] {
        assert_eq!(
            refusal::<Call>(given),
            format!("Failed to parse body into JSON: syntax error at line {line} near: {near}")
        );
    }
    assert!(matches!(
        from_json::<Call>(b"{\"a\":\"\xff\"}"),
        Err(JsonError::Syntax { line: 1, .. })
    ));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(
        from_json::<Call>(deep.as_bytes()),
        Err(JsonError::Syntax { .. })
    ));
}

#[test]
fn all_missing_fields_are_listed_with_their_paths() {
    assert_eq!(
        refusal::<Call>(r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"name":"x"}}}"#),
        "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info.user"
    );
    assert_eq!(
        refusal::<v1::TaskGroupInfo>(r#"{"tasks":[{"task_id":{"value":"t"},"agent_id":{}}]}"#),
        "Failed to convert JSON into TaskGroupInfo protobuf: Missing required fields: tasks[0].name, tasks[0].agent_id.value"
    );
}

#[test]
fn a_wrong_kind_is_refused_with_its_path() {
    assert_eq!(
        refusal::<Call>(r#"{"subscribe":{"framework_info":{"user":1,"name":"x"}}}"#),
        "Failed to convert JSON into Call protobuf: field 'subscribe.framework_info.user': expected a string, found a number"
    );
    assert_eq!(
        refusal::<Call>("[]"),
        "Failed to convert JSON into Call protobuf: expected an object, found an array"
    );
    assert_eq!(
        refusal::<v1::Ports>(r#"{"ports":[{"number":1},{"number":-1}]}"#),
        "Failed to convert JSON into Ports protobuf: field 'ports[1].number': -1 is out of range for uint32"
    );
    assert_eq!(
        refusal::<v1::OfferFilters>(
            r#"{"min_allocatable_resources":{"quantities":{"quantities":{"a.b":{"value":true}}}}}"#
        ),
        "Failed to convert JSON into OfferFilters protobuf: \
         field 'min_allocatable_resources.quantities.quantities[\"a.b\"].value': expected a number, found a boolean"
    );
}

#[test]
fn streamed_text_is_ascii() {
    let id: v1::TaskId = read(r#"{"value":"a\"\\/\b\u0001é😀"}"#);
    assert_eq!(text(&id), "{\"value\":\"a\\\"\\\\/\\b\\u0001é😀\"}");
    assert_eq!(
        to_json_ascii(&id),
        br#"{"value":"a\"\\/\b\u0001\u00E9\uD83D\uDE00"}"#
    );
    assert_eq!(
        from_json::<v1::TaskId>(&to_json_ascii(&id)).expect("it is valid"),
        id
    );
}

#[test]
fn parts_of_documents_convert_both_ways() {
    let value = json!({"value": "x"});
    let id: v1::AgentId = from_value(&value).expect("it is valid");
    assert_eq!(to_value(&id), value);
}

#[test]
fn every_body_of_the_recorded_dialogues_is_read_and_written_the_same() {
    let dialogue = include_str!("../../../tests/captures/scheduler-dialogue.txt");
    let calls = dialogue
        .lines()
        .filter_map(|line| line.strip_prefix("> {"))
        .map(|rest| format!("{{{rest}"));
    let mut seen = 0;
    for body in
        calls.filter(|body| !body.contains("NOPE") && serde_json::from_str::<Value>(body).is_ok())
    {
        if let Ok(call) = from_json::<Call>(body.as_bytes()) {
            let written = text(&call);
            assert_eq!(text(&read::<Call>(&written)), written);
            let given: Value = serde_json::from_str(body.as_str()).expect("JSON");
            holds(&serde_json::from_str(&written).expect("JSON"), &given);
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} calls");
    let mut events = 0;
    for line in dialogue.lines() {
        let Some((length, body)) = line.split_once("\\n") else {
            continue;
        };
        if length.parse::<usize>().is_ok() {
            same::<Event>(body);
            events += 1;
        }
    }
    assert!(events > 10, "only {events} events");
    for line in include_str!("../../../tests/captures/master-operator.txt").lines() {
        if line.starts_with("{\"type\"") {
            same::<v1::master::Response>(line);
        }
    }
    for line in include_str!("../../../tests/captures/agent-operator.txt").lines() {
        if line.starts_with("{\"type\"") {
            same::<v1::agent::Response>(line);
        }
    }
}

/// Everything given came out again; what came out besides are defaults.
fn holds(written: &Value, given: &Value) {
    match given {
        Value::Object(members) => {
            members
                .iter()
                .filter(|(_, value)| !value.is_null() && **value != json!([]))
                .for_each(|(key, value)| {
                    holds(
                        written.get(key).unwrap_or_else(|| panic!("{key} is gone")),
                        value,
                    );
                });
        }
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .for_each(|(index, value)| holds(&written[index], value)),
        Value::Number(number) => assert_eq!(written.as_f64(), number.as_f64()),
        other => assert_eq!(written, other),
    }
}

fn same<M: Json>(body: &str) {
    let message: M = read(body);
    let (expected, written): (Value, Value) = (
        serde_json::from_str(body).expect("JSON"),
        serde_json::from_str(&text(&message)).expect("JSON"),
    );
    assert_same("", &written, &expected);
}

fn assert_same(path: &str, written: &Value, expected: &Value) {
    match (written, expected) {
        (Value::Object(left), Value::Object(right)) => {
            let names =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(left), names(right), "{path}");
            right
                .iter()
                .for_each(|(key, value)| assert_same(&format!("{path}.{key}"), &left[key], value));
        }
        (Value::Array(left), Value::Array(right)) => {
            assert_eq!(left.len(), right.len(), "{path}");
            left.iter()
                .zip(right)
                .for_each(|(left, right)| assert_same(path, left, right));
        }
        _ => assert_eq!(written, expected, "{path}"),
    }
}
