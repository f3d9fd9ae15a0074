//! The binary form: what is refused, and with which words.
use mezz_proto::v1::{self, scheduler::Call};
use mezz_proto::{BinaryError, Wire, decode_binary};
use prost::Message as _;

fn refusal<M: Wire>(bytes: &[u8]) -> String {
    decode_binary::<M>(bytes)
        .expect_err("it lacks something")
        .to_string()
}

/// An encoded field that holds bytes.
fn held(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![
        number << 3 | 2,
        u8::try_from(bytes.len()).expect("it is short"),
    ];
    out.extend_from_slice(bytes);
    out
}

#[test]
fn absent_required_fields_are_named_with_their_paths() {
    // subscribe { framework_info { name: "x" } }
    let call = held(3, &held(1, &held(2, b"x")));
    assert_eq!(
        refusal::<Call>(&call),
        "Failed to parse body into Call protobuf: Missing required fields: subscribe.framework_info.user"
    );
    // tasks { name: "a" task_id { value: "t" } agent_id {} } tasks {}
    let first = [held(1, b"a"), held(2, &held(1, b"t")), held(3, b"")].concat();
    let group = [held(1, &first), held(1, b"")].concat();
    assert_eq!(
        decode_binary::<v1::TaskGroupInfo>(&group),
        Err(BinaryError::Missing {
            message: "TaskGroupInfo",
            fields: [
                "tasks[0].agent_id.value",
                "tasks[1].name",
                "tasks[1].task_id",
                "tasks[1].agent_id"
            ]
            .map(str::to_owned)
            .to_vec(),
        })
    );
}

#[test]
fn a_required_field_that_holds_its_default_is_present() {
    let id: v1::TaskId = decode_binary(&held(1, b"")).expect("the empty string was sent");
    assert_eq!(id.value, "");
}

#[test]
fn a_message_sent_in_two_pieces_is_whole() {
    // start { nanoseconds: 7 } duration {} ... duration { nanoseconds: 9 }
    let pieces = [held(1, &[8, 7]), held(2, b""), held(2, &[8, 9])].concat();
    let unavailability: v1::Unavailability = decode_binary(&pieces).expect("the pieces are merged");
    assert_eq!(
        unavailability.duration.map(|duration| duration.nanoseconds),
        Some(9)
    );
}

#[test]
fn values_of_maps_are_checked() {
    let entry = |value: &[u8]| held(3, &[held(1, b"cpus"), value.to_vec()].concat());
    for value in [vec![], held(2, b"")] {
        let quota = [held(1, b"role"), entry(&value)].concat();
        assert_eq!(
            refusal::<v1::quota::QuotaConfig>(&quota),
            "Failed to parse body into QuotaConfig protobuf: Missing required fields: limits[\"cpus\"].value"
        );
    }
}

#[test]
fn a_limit_of_zero_keeps_its_value() {
    let limits = [("cpus".to_owned(), v1::value::Scalar { value: 0.0 })].into();
    let quota = v1::quota::QuotaConfig {
        role: "r".to_owned(),
        limits,
        ..Default::default()
    };
    assert_eq!(decode_binary(&quota.encode_to_vec()), Ok(quota));
}

#[test]
fn a_required_enum_with_an_unknown_number_counts_as_absent() {
    let sent = v1::DrainInfo {
        state: 99,
        config: v1::DrainConfig::default(),
    }
    .encode_to_vec();
    assert_eq!(
        refusal::<v1::DrainInfo>(&sent),
        "Failed to parse body into DrainInfo protobuf: Missing required fields: state"
    );
}

#[test]
fn broken_bytes_are_refused_by_name() {
    assert!(matches!(
        decode_binary::<Call>(&[0xff]),
        Err(BinaryError::Malformed {
            message: "Call",
            ..
        })
    ));
    assert!(matches!(
        decode_binary::<v1::TaskId>(&held(1, &[0xff])),
        Err(BinaryError::Malformed { .. })
    ));
}

#[test]
fn unknown_fields_are_ignored() {
    let bytes = [
        held(15, b"later"),
        held(1, b"t"),
        vec![14 << 3 | 3, 8, 1, 14 << 3 | 4],
    ]
    .concat();
    assert_eq!(
        decode_binary::<v1::TaskId>(&bytes)
            .expect("it is whole")
            .value,
        "t"
    );
}

#[test]
fn the_last_occurrence_of_a_required_enum_counts() {
    let whole = v1::DrainInfo {
        state: 1,
        config: v1::DrainConfig::default(),
    }
    .encode_to_vec();
    let spoilt = [&whole[..], &[8, 99]].concat();
    assert!(refusal::<v1::DrainInfo>(&spoilt).ends_with("Missing required fields: state"));
    let mended = [&spoilt[..], &[8, 2]].concat();
    assert_eq!(
        decode_binary::<v1::DrainInfo>(&mended)
            .expect("it is known again")
            .state,
        2
    );
}

#[test]
fn an_optional_enum_with_an_unknown_number_is_shown_as_its_default() {
    let sent = v1::network_info::IpAddress {
        protocol: Some(99),
        ip_address: None,
    };
    assert_eq!(mezz_proto::to_json(&sent), br#"{"protocol":"IPv4"}"#);
    assert_eq!(decode_binary(&sent.encode_to_vec()), Ok(sent));
    assert_eq!(
        mezz_proto::to_json(&Call {
            r#type: Some(99),
            ..Default::default()
        }),
        b"{}"
    );
}
