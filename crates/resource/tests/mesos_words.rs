//! Texts, wire forms and refusals as Mesos clients know them.
#![allow(clippy::unwrap_used, deprecated)]

use mezz_proto::v1;
use mezz_proto::v1::resource::disk_info::Persistence;
use mezz_proto::v1::resource::reservation_info::Type;
use mezz_proto::v1::resource::{AllocationInfo, DiskInfo, ReservationInfo, SharedInfo};
use mezz_resource::{Resources, SummaryValue, parse, parse_text};

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}

fn reserved(mut resource: v1::Resource, stack: &[(Type, &str)]) -> v1::Resource {
    resource.reservations = stack
        .iter()
        .map(|(kind, role)| ReservationInfo {
            r#type: Some(*kind as i32),
            role: Some((*role).into()),
            ..Default::default()
        })
        .collect();
    resource
}

fn allocated(mut resource: v1::Resource, role: &str) -> v1::Resource {
    resource.allocation_info = Some(AllocationInfo {
        role: Some(role.into()),
    });
    resource
}

fn volume(id: &str) -> v1::Resource {
    let mut resource = reserved(scalar("disk", 128.0), &[(Type::Dynamic, "dev")]);
    resource.disk = Some(Box::new(DiskInfo {
        persistence: Some(Persistence {
            id: id.into(),
            principal: None,
        }),
        volume: Some(v1::Volume {
            container_path: "data".into(),
            mode: v1::volume::Mode::Rw as i32,
            ..Default::default()
        }),
        source: None,
    }));
    resource
}

fn refusal(resource: v1::Resource) -> String {
    Resources::from_proto(&[resource]).unwrap_err().to_string()
}

#[test]
fn resources_print_as_in_the_recorded_task_errors() {
    let big = Resources::from_proto(&[
        allocated(scalar("mem", 1.0), "dev"),
        allocated(scalar("cpus", 10000.0), "dev"),
    ]);
    assert_eq!(
        big.unwrap().to_string(),
        "cpus(allocated: dev):10000; mem(allocated: dev):1"
    );
    let with_volume = Resources::from_proto(&[
        allocated(scalar("cpus", 0.2), "dev"),
        allocated(scalar("mem", 32.0), "dev"),
        allocated(volume("vol-1"), "dev"),
    ]);
    assert_eq!(
        with_volume.unwrap().to_string(),
        "cpus(allocated: dev):0.2; mem(allocated: dev):32; \
         disk(allocated: dev)(reservations: [(DYNAMIC,dev)])[vol-1:data]:128"
    );
    let agent = parse_text("cpus:14.9;mem:15840;disk:49968;ports:[31000-32000]", "*").unwrap();
    assert_eq!(
        agent.to_string(),
        "cpus:14.9; mem:15840; disk:49968; ports:[31000-32000]"
    );
    assert_eq!(Resources::new().to_string(), "{}");
}

#[test]
fn the_old_and_the_new_form_of_a_reservation_are_the_same_resource() {
    let mut old_static = scalar("cpus", 1.0);
    old_static.role = Some("dev".into());
    let new_static = reserved(scalar("cpus", 1.0), &[(Type::Static, "dev")]);
    assert_eq!(
        Resources::from_proto(&[old_static]),
        Resources::from_proto(&[new_static])
    );
    let mut old_dynamic = scalar("cpus", 1.0);
    old_dynamic.role = Some("dev".into());
    old_dynamic.reservation = Some(ReservationInfo {
        principal: Some("p".into()),
        ..Default::default()
    });
    let list = Resources::from_proto(&[old_dynamic.clone()]).unwrap();
    assert_eq!(list.to_string(), "cpus(reservations: [(DYNAMIC,dev,p)]):1");
    assert_eq!(list.to_proto_pre_refinement(), [old_dynamic]);
    assert!(list.to_proto()[0].role.is_none());
    let endpoint = &list.to_proto_endpoint()[0];
    assert_eq!(
        (endpoint.role.as_deref(), endpoint.reservations.len()),
        (Some("dev"), 1)
    );
}

#[test]
fn refined_reservations_are_left_out_of_the_old_form() {
    let refined = reserved(
        scalar("cpus", 1.0),
        &[(Type::Static, "eng"), (Type::Dynamic, "eng/web")],
    );
    let list = Resources::from_proto(&[refined]).unwrap();
    assert!(list.to_proto_pre_refinement().is_empty());
    assert_eq!(list.to_proto().len(), 1);
    assert_eq!(
        list.reserved_by_role().keys().collect::<Vec<_>>(),
        ["eng/web"]
    );
}

#[test]
fn bad_scalars_are_refused_by_name() {
    for value in [-1.0, 0.0001, f64::NAN, f64::INFINITY] {
        let text = refusal(scalar("cpus", value));
        assert!(text.starts_with("Resource 'cpus:"), "{text}");
        assert!(
            text.ends_with("is invalid: Invalid scalar resource: value <= 0"),
            "{text}"
        );
    }
    assert!(refusal(scalar("cpus", 1e18)).ends_with("value is too large"));
    assert!(refusal(scalar("", 1.0)).ends_with("Empty resource name"));
    assert!(
        Resources::from_proto(&[scalar("cpus", 0.0)])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn values_must_fit_their_type() {
    let mut ranges = scalar("ports", 1.0);
    ranges.r#type = v1::value::Type::Ranges as i32;
    assert!(refusal(ranges.clone()).ends_with("Invalid ranges resource"));
    ranges.scalar = None;
    let range = |begin, end| v1::value::Range { begin, end };
    ranges.ranges = Some(v1::value::Ranges {
        range: vec![range(5, 1)],
    });
    assert!(refusal(ranges.clone()).ends_with("begin > end"));
    ranges.ranges = Some(v1::value::Ranges {
        range: vec![range(1, 5), range(5, 9)],
    });
    assert!(refusal(ranges).ends_with("overlapping ranges"));
    let mut set = scalar("names", 1.0);
    set.r#type = v1::value::Type::Set as i32;
    set.scalar = None;
    set.set = Some(v1::value::Set {
        item: vec!["a".into(), "a".into()],
    });
    assert!(refusal(set).ends_with("duplicated elements"));
    let mut text = scalar("words", 1.0);
    text.r#type = v1::value::Type::Text as i32;
    assert!(refusal(text).ends_with("Unsupported resource type"));
}

#[test]
fn reservations_must_go_down_the_role_tree() {
    let stack = |stack: &[(Type, &str)]| refusal(reserved(scalar("cpus", 1.0), stack));
    assert!(stack(&[(Type::Dynamic, "*")]).ends_with("role \"*\" cannot be reserved"));
    assert!(stack(&[(Type::Dynamic, "a//b")]).ends_with("cannot contain two adjacent slashes"));
    assert!(
        stack(&[(Type::Dynamic, "a"), (Type::Dynamic, "b")])
            .ends_with("role 'b' is not a refinement of 'a'")
    );
    assert!(stack(&[(Type::Dynamic, "a"), (Type::Static, "a/b")]).ends_with("cannot be STATIC"));
    let mut star = scalar("cpus", 1.0);
    star.reservation = Some(ReservationInfo::default());
    assert!(refusal(star).ends_with("role \"*\" cannot be dynamically reserved"));
    let mut mixed = reserved(scalar("cpus", 1.0), &[(Type::Static, "a")]);
    mixed.role = Some("b".into());
    assert!(refusal(mixed).contains("does not match the role 'a'"));
}

#[test]
fn only_persistent_volumes_are_shared_and_their_copies_are_counted() {
    let mut cpus = scalar("cpus", 1.0);
    cpus.shared = Some(SharedInfo {});
    assert!(refusal(cpus).ends_with("Resource cpus cannot be shared"));
    let mut disk = scalar("disk", 1.0);
    disk.shared = Some(SharedInfo {});
    assert!(refusal(disk).ends_with("Only persistent volumes can be shared"));
    let mut shared = volume("v");
    shared.shared = Some(SharedInfo {});
    let one = Resources::from_proto(&[shared.clone()]).unwrap();
    let two = Resources::from_proto(&[shared.clone(), shared]).unwrap();
    assert_eq!(two.len(), 1);
    assert_eq!(two.to_proto().len(), 2);
    assert!(two.contains(&one) && !one.contains(&two));
    assert_eq!(two.subtract(&one), Some(one));
}

#[test]
fn persistent_volumes_do_not_merge_and_are_taken_whole() {
    let two = Resources::from_proto(&[volume("a"), volume("b")]).unwrap();
    assert_eq!(two.len(), 2);
    let mut half = volume("a");
    half.scalar = Some(v1::value::Scalar { value: 64.0 });
    let half = Resources::from_proto(&[half]).unwrap();
    assert!(!two.contains(&half));
    let mut elsewhere = volume("a");
    elsewhere.disk.as_mut().unwrap().volume = None;
    assert!(
        two.contains(&Resources::from_proto(&[elsewhere]).unwrap()),
        "how it is mounted is no part of it"
    );
}

#[test]
fn flags_give_resources_as_text_or_json() {
    let list = parse(
        "cpus:4; mem : 1024;ports:[31000-32000];disk(role):10;names:{a,b}",
        "*",
    )
    .unwrap();
    assert_eq!(
        list.to_string(),
        "cpus:4; mem:1024; disk(reservations: [(STATIC,role)]):10; ports:[31000-32000]; names:{a, b}"
    );
    let json = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":4}},
        {"name":"disk","type":"SCALAR","scalar":{"value":10},"role":"role",
         "disk":{"source":{"type":"MOUNT","mount":{"root":"/mnt"}}}}]"#;
    assert_eq!(
        parse(json, "*").unwrap().to_string(),
        "cpus:4; disk(reservations: [(STATIC,role)])[MOUNT:/mnt]:10"
    );
    let all_reserved = parse("cpus:4;mem(*):8", "dev").unwrap();
    assert_eq!(
        all_reserved.to_string(),
        "cpus(reservations: [(STATIC,dev)]):4; mem:8"
    );
}

#[test]
fn bad_texts_say_what_is_wrong() {
    for (text, message) in [
        (
            "cpus",
            "Bad value for resources, missing or extra ':' in cpus",
        ),
        (
            "cpus:1:2",
            "Bad value for resources, missing or extra ':' in cpus:1:2",
        ),
        (
            "cpus(a:1",
            "Bad value for resources, mismatched parentheses in cpus(a:1",
        ),
        (
            "cpus:many",
            "Bad type for resource cpus value many type TEXT",
        ),
        (
            "ports:[1-",
            "Failed to parse resource ports value [1- error Mismatched brackets",
        ),
        (
            "ports:[a-b]",
            "Failed to parse resource ports value [a-b] error Expecting non-negative integers in 'a'",
        ),
        (
            "cpus(a b):1",
            "Resource 'cpus(a b):1' is invalid: Role component 'a b' is invalid because it contains backspace or whitespace",
        ),
        (
            "x:1;x:[1-2]",
            "Resources with the same name ('x') but different types are not allowed",
        ),
    ] {
        assert_eq!(parse(text, "*").unwrap_err().to_string(), message);
    }
    let json = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":"4"}}]"#;
    assert!(
        parse(json, "*")
            .unwrap_err()
            .to_string()
            .contains("resource 0: 'scalar.value' must be a number")
    );
}

#[test]
fn the_endpoint_summary_always_has_the_four_scalars() {
    let list = parse("cpus:1.1;mem:160;ports:[31000-32000];names:{b,a}", "*").unwrap();
    let summary: Vec<_> = list.summary().collect();
    let number = |value| SummaryValue::Number(value);
    let text = |value: &str| SummaryValue::Text(value.into());
    assert_eq!(
        summary,
        [
            ("cpus".into(), number(1.1)),
            ("disk".into(), number(0.0)),
            ("gpus".into(), number(0.0)),
            ("mem".into(), number(160.0)),
            ("names".into(), text("{a, b}")),
            ("ports".into(), text("[31000-32000]")),
        ]
    );
    let mut slack = scalar("cpus", 2.0);
    slack.revocable = Some(v1::resource::RevocableInfo {});
    let slack = Resources::from_proto(&[slack]).unwrap();
    assert_eq!(slack.to_string(), "cpus{REV}:2");
    assert!(
        slack
            .summary()
            .any(|entry| entry == ("cpus_revocable".into(), number(2.0)))
    );
}
