//! Fire-times, held against a computation that looks at every minute for itself.

#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mezz_spec::Name;
use mezz_spec::quantity::Span;
use mezz_spec::schedule::{Schedule, ScheduleError, jitter_ns};
use proptest::prelude::*;

const ZONES: [&str; 20] = [
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Caracas",
    "America/Santiago",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Moscow",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Antarctica/Troll",
];

fn ns(text: &str) -> u64 {
    let moment: Timestamp = text.parse().expect("a moment");
    u64::try_from(moment.as_nanosecond()).expect("after 1970")
}

fn told(moment_ns: u64) -> String {
    let second = i64::try_from(moment_ns / 1_000_000_000).unwrap();
    Timestamp::from_second(second).unwrap().to_string()
}

fn fires(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(&[text], zone).expect("a schedule");
    let mut now = ns(after);
    let mut found = Vec::new();
    while let (Some(next), true) = (schedule.next_after(now), found.len() < count) {
        found.push(told(next));
        now = next;
    }
    found
}

#[test]
fn a_cron_expression_fires_by_the_clocks_of_its_zone() {
    assert_eq!(
        fires("30 9 * * 1-5", "Europe/Berlin", "2026-01-02T12:00:00Z", 2),
        ["2026-01-05T08:30:00Z", "2026-01-06T08:30:00Z"]
    );
    assert_eq!(
        fires("*/20 0 12 * * *", "UTC", "2026-01-01T12:00:00Z", 3),
        [
            "2026-01-01T12:00:20Z",
            "2026-01-01T12:00:40Z",
            "2026-01-02T12:00:00Z"
        ]
    );
    assert_eq!(
        fires("@daily", "UTC", "2026-01-01T00:00:00Z", 1),
        ["2026-01-02T00:00:00Z"]
    );
    assert_eq!(
        fires("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1),
        ["2028-02-29T00:00:00Z"]
    );
}

#[test]
fn a_fixed_time_that_is_skipped_fires_at_the_end_of_the_gap() {
    // Berlin goes from 2:00 to 3:00 at 01:00 UTC.
    assert_eq!(
        fires("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(
        fires(
            "R/2026-03-27T02:30:00/P1D",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            2
        ),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
}

#[test]
fn a_fixed_time_that_comes_twice_fires_the_first_time_only() {
    // Berlin goes from 3:00 back to 2:00 at 01:00 UTC.
    assert_eq!(
        fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        fires(
            "R/2026-10-24T02:30:00/P1D",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            2
        ),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
}

#[test]
fn what_goes_by_elapsed_time_neither_skips_nor_waits_when_clocks_change() {
    for text in ["0 * * * *", "R/2026-01-01T00:00:00Z/PT1H"] {
        for night in ["2026-03-29T00:30:00Z", "2026-10-25T00:30:00Z"] {
            let found = fires(text, "Europe/Berlin", night, 4);
            let day = &night[..10];
            let wanted = [1, 2, 3, 4].map(|hour| format!("{day}T0{hour}:00:00Z"));
            assert_eq!(found, wanted, "{text}");
        }
    }
}

#[test]
fn a_day_that_a_zone_never_had_fires_once_at_its_end() {
    // Samoa had no 30 December 2011.
    assert_eq!(
        fires("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", 2),
        ["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
    );
}

#[test]
fn an_interval_repeats_as_often_as_it_says() {
    let text = "R3/2026-01-31T10:00:00Z/P1M";
    assert_eq!(
        fires(text, "UTC", "2026-01-01T00:00:00Z", 9),
        [
            "2026-01-31T10:00:00Z",
            "2026-02-28T10:00:00Z",
            "2026-03-31T10:00:00Z"
        ]
    );
    let schedule = Schedule::parse(&["R1//PT10S"], "UTC")
        .unwrap()
        .beginning(ns("2026-01-01T00:00:00.5Z"));
    assert_eq!(
        schedule.next_after(0).map(told),
        Some("2026-01-01T00:00:00Z".into())
    );
    assert_eq!(schedule.next_after(ns("2026-01-01T00:00:00Z")), None);
}

#[test]
fn several_schedules_are_joined() {
    let schedule = Schedule::parse(&["0 6 * * *", "R/2026-01-01T05:00:00Z/P7D"], "UTC").unwrap();
    let first = schedule.next_after(ns("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(told(first), "2026-01-01T05:00:00Z");
    assert_eq!(
        told(schedule.next_after(first).unwrap()),
        "2026-01-01T06:00:00Z"
    );
}

#[test]
fn what_is_no_schedule_is_refused_with_the_reason() {
    for text in [
        "",
        "* * * *",
        "61 * * * *",
        "* * * * * * *",
        "@reboot",
        "0 0 * * fry",
        "ü * * * *",
        "R/x/PT1H",
        "R//PT0S",
        "R//P",
        "R//1H",
        "R/2026-01-01T00:00:00Z",
        "Rx//PT1H",
        "R//PT1.5H",
        "R//P1H",
    ] {
        let error = Schedule::parse(&[text], "UTC").expect_err(text);
        assert!(
            matches!(
                error,
                ScheduleError::Cron { .. } | ScheduleError::Repeat { .. }
            ),
            "{error}"
        );
    }
    for text in ["0 0 30 2 *", "0 0 31 4,6 *", "R0//PT1H"] {
        assert_eq!(
            Schedule::parse(&[text], "UTC").err(),
            Some(ScheduleError::Never(text.into()))
        );
    }
    let zone = Schedule::parse(&["* * * * *"], "Europe/Atlantis").err();
    assert_eq!(zone, Some(ScheduleError::Zone("Europe/Atlantis".into())));
}

#[test]
fn jitter_is_the_same_for_the_same_fire_time_and_spreads_over_others() {
    let name = Name::new("/team/nightly").unwrap();
    let jitter = Span::seconds(60);
    let delays: Vec<u64> = (0..200)
        .map(|hour| jitter_ns(&name, hour * 3_600_000_000_000, jitter))
        .collect();
    assert_eq!(delays[7], jitter_ns(&name, 7 * 3_600_000_000_000, jitter));
    assert!(delays.iter().all(|delay| *delay <= jitter.nanoseconds()));
    let early = delays
        .iter()
        .filter(|delay| **delay < jitter.nanoseconds() / 2)
        .count();
    assert!(
        (60..140).contains(&early),
        "{early} of 200 in the first half"
    );
    assert_eq!(jitter_ns(&name, 0, Span(0)), 0);
}

/// Minute and hour of an expression: one number, or every so many.
#[derive(Clone, Copy, Debug)]
enum Field {
    At(i8),
    Every(i8),
}

impl Field {
    fn fits(self, value: i8) -> bool {
        match self {
            Self::At(number) => number == value,
            Self::Every(step) => value % step == 0,
        }
    }

    fn text(self) -> String {
        match self {
            Self::At(number) => number.to_string(),
            Self::Every(step) => format!("*/{step}"),
        }
    }
}

fn field(most: i8) -> impl Strategy<Value = Field> {
    prop_oneof![
        (0..most).prop_map(Field::At),
        (1..most / 2).prop_map(Field::Every)
    ]
}

/// Fire-times between two moments, by looking at every minute.
fn by_looking(zone: &TimeZone, minute: Field, hour: Field, from: i64, to: i64) -> Vec<i64> {
    let is_elapsed = matches!(minute, Field::Every(_)) || matches!(hour, Field::Every(_));
    let clocks = |second: i64| zone.to_datetime(Timestamp::from_second(second).unwrap());
    let fits = |at: jiff::civil::DateTime| {
        minute.fits(at.minute()) && hour.fits(at.hour()) && at.second() == 0
    };
    let mut found = Vec::new();
    // What the clocks show at most: what is not later has been shown before.
    let mut shown = clocks(from - 3 * 86_400);
    let mut second = from - 3 * 86_400;
    while second <= to {
        let at = clocks(second);
        let mut fires = fits(at) && (is_elapsed || at > shown);
        let mut skipped = shown.checked_add(jiff::Span::new().minutes(1)).unwrap();
        while skipped < at {
            fires |= !is_elapsed && fits(skipped);
            skipped = skipped.checked_add(jiff::Span::new().minutes(1)).unwrap();
        }
        shown = shown.max(at);
        if fires && second > from {
            found.push(second);
        }
        second += 60;
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_time_is_skipped_or_doubled_when_clocks_change(
        zone in proptest::sample::select(&ZONES[..]),
        minute in field(60),
        hour in field(24),
        year in 2008_i16..2040,
        pick in 0_usize..4,
    ) {
        let rules = TimeZone::get(zone).unwrap();
        let new_year = Timestamp::from_second(i64::from(year - 1970) * 31_556_952).unwrap();
        let change = rules.following(new_year).nth(pick).map_or(new_year, |change| change.timestamp());
        let middle = change.as_second() / 60 * 60;
        let (from, to) = (middle - 86_400, middle + 2 * 86_400);
        let text = format!("{} {} * * *", minute.text(), hour.text());
        let schedule = Schedule::parse(&[text.as_str()], zone).unwrap();
        let mut now = u64::try_from(from).unwrap() * 1_000_000_000;
        let mut found = Vec::new();
        while let Some(next) = schedule.next_after(now) {
            prop_assert!(next > now, "monotone");
            let second = i64::try_from(next / 1_000_000_000).unwrap();
            if second > to {
                break;
            }
            found.push(second);
            now = next;
        }
        prop_assert_eq!(found, by_looking(&rules, minute, hour, from, to), "{} in {}", text, zone);
    }

    #[test]
    fn the_next_time_does_not_depend_on_where_one_begins_to_look(
        zone in proptest::sample::select(&ZONES[..]),
        text in proptest::sample::select(vec!["17 3 * * *", "*/7 * * * *", "0 0 1 * *", "30 1 * * 0", "R/2010-03-14T02:10:00/P1D", "R/2010-01-31T23:59:59/P1M", "R/2010-01-01T00:00:00Z/PT7M", "R/2011-01-01/P1DT1H"]),
        second in 1_300_000_000_u64..1_900_000_000,
        step in 1_u64..100_000,
    ) {
        let schedule = Schedule::parse(&[text], zone).unwrap();
        let early = schedule.next_after(second * 1_000_000_000).unwrap();
        prop_assert!(early > second * 1_000_000_000);
        let late = schedule.next_after((second + step) * 1_000_000_000).unwrap();
        if early > (second + step) * 1_000_000_000 {
            prop_assert_eq!(early, late);
        } else {
            prop_assert!(early < late);
        }
    }
}
