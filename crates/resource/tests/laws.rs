//! Laws of the algebra of resources.
#![allow(clippy::unwrap_used)]

use mezz_resource::{Quantities, Range, Ranges, Resource, Resources, Scalar, parse_text};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;

fn resource() -> impl Strategy<Value = Resource> {
    let named = prop::sample::select(vec![
        "cpus", "mem", "disk", "cpus(a)", "mem(a/b)", "gpus", "widgets",
    ]);
    let scalar = (named, 0i64..5_000).prop_map(|(name, value)| {
        let text = format!("{name}:1");
        let one = parse_text(&text, "*")
            .unwrap()
            .iter()
            .next()
            .unwrap()
            .clone();
        one.with_value(mezz_resource::Value::Scalar(Scalar(value)))
    });
    let ports = (0u64..40, 0u64..9).prop_map(|(begin, size)| {
        Resource::ranges(
            "ports",
            [Range {
                begin,
                end: begin + size,
            }]
            .into_iter()
            .collect(),
        )
    });
    prop_oneof![3 => scalar, 1 => ports]
}

fn resources() -> impl Strategy<Value = Resources> {
    prop::collection::vec(resource(), 0..7).prop_map(|list| list.into_iter().collect())
}

fn scalars() -> impl Strategy<Value = Resources> {
    resources().prop_map(|list| list.filter(|resource| resource.as_scalar().is_some()))
}

proptest! {
    #[test]
    fn adding_then_taking_away_changes_nothing(a in resources(), b in scalars()) {
        prop_assert_eq!((&a + &b).subtract(&b), Some(a));
    }

    #[test]
    fn written_straight_into_bytes_is_what_the_messages_are(list in resources(), role in prop::option::of("[a-z]{1,200}")) {
        use mezz_resource::ReservationForm;
        let role: Option<Arc<str>> = role.map(Into::into);
        let list = list.into_allocated(role.as_ref());
        for form in [ReservationForm::Stack, ReservationForm::Role] {
            let mut offer = mezz_proto::v1::Offer::default();
            let mut written = Message::encode_to_vec(&offer);
            list.encode_fields(5, form, &mut written);
            offer.resources = match form {
                ReservationForm::Stack => list.to_proto(),
                ReservationForm::Role => list.to_proto_pre_refinement(),
            };
            prop_assert_eq!(written, offer.encode_to_vec());
        }
    }

    #[test]
    fn addition_does_not_depend_on_order(a in resources(), b in resources(), c in resources()) {
        prop_assert_eq!(&a + &b, &b + &a);
        prop_assert_eq!(&(&a + &b) + &c, &a + &(&b + &c));
    }

    #[test]
    fn a_sum_contains_its_parts_and_only_what_is_contained_can_be_taken(a in resources(), b in resources()) {
        prop_assert!((&a + &b).contains(&b));
        prop_assert_eq!(a.contains(&b), a.subtract(&b).is_some());
        if let Some(rest) = a.subtract(&b) {
            prop_assert_eq!(&rest + &b, a);
        }
    }

    #[test]
    fn containment_both_ways_is_equality(a in resources(), b in resources()) {
        prop_assert_eq!(a.contains(&b) && b.contains(&a), a == b);
    }

    #[test]
    fn what_is_taken_and_what_is_missing_make_the_whole(a in resources(), b in resources()) {
        let mut left = a.clone();
        let missing = left.subtract_available(&b);
        prop_assert!(b.contains(&missing));
        let taken = b.subtract(&missing).unwrap();
        prop_assert_eq!(&left + &taken, a);
    }

    #[test]
    fn allocation_is_a_stamp_that_comes_off(a in resources()) {
        let role: Arc<str> = "dev".into();
        let allocated = a.allocated_to(&role);
        prop_assert_eq!(allocated.unallocated(), a.clone());
        prop_assert_eq!(allocated.quantities(), a.quantities());
        prop_assert_eq!(a.allocated_to(&"x".into()).allocated_to(&role), allocated);
    }

    #[test]
    fn the_wire_forms_round_trip(a in resources()) {
        prop_assert_eq!(Resources::from_proto(&a.to_proto()), Ok(a.clone()));
        prop_assert_eq!(Resources::from_proto(&a.to_proto_pre_refinement()), Ok(a.clone()));
        prop_assert_eq!(Resources::from_proto(&a.to_proto_endpoint()), Ok(a));
    }

    #[test]
    fn quantities_are_sums_over_everything(a in resources(), b in resources()) {
        let mut sum = a.quantities();
        sum += &b.quantities();
        prop_assert_eq!((&a + &b).quantities(), sum);
    }

    #[test]
    fn contains_quantities_agrees_with_the_sums(a in scalars(), b in scalars()) {
        let wanted: Quantities = b.quantities();
        prop_assert_eq!(a.contains_quantities(&wanted), a.quantities().contains(&wanted));
    }
}

#[test]
fn ten_tenths_are_one_exactly() {
    let tenth = parse_text("cpus:0.1", "*").unwrap();
    let mut sum = Resources::new();
    for _ in 0..10 {
        sum += &tenth;
    }
    assert_eq!(sum, parse_text("cpus:1", "*").unwrap());
    for _ in 0..10 {
        assert!(sum.subtract_assign(&tenth));
    }
    assert!(sum.is_empty());
}

#[test]
fn ports_of_one_range_split_and_join() {
    let all = parse_text("ports:[31000-32000]", "*").unwrap();
    let some = parse_text("ports:[31005-31005, 31500-31600]", "*").unwrap();
    let rest = all.subtract(&some).unwrap();
    assert_eq!(
        rest.to_string(),
        "ports:[31000-31004, 31006-31499, 31601-32000]"
    );
    assert_eq!(&rest + &some, all);
    assert_eq!(Ranges::single(1, 3).count(), 3);
}
