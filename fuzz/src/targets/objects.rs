//! Texts that people write: objects in three formats, files of other systems, schedules.

use mezz_convert::{Options, to_compose, to_kubernetes};
use mezz_spec::schedule::Schedule;
use mezz_spec::{Format, Object, diff};

/// The format by the first byte, the text after it.
fn split(data: &[u8]) -> (Format, String) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let format = match first {
        b'T' => Format::Toml,
        b'J' => Format::Json,
        _ => Format::Yaml,
    };
    (format, String::from_utf8_lossy(rest).into_owned())
}

/// What is taken is written so that it reads the same; what is refused has a reason.
pub(crate) fn objects(data: &[u8]) {
    let (format, text) = split(data);
    match mezz_spec::read(&text, format) {
        Ok(objects) => {
            for object in &objects {
                for value in [object.to_value(), object.to_sparse()] {
                    let again = Object::from_value(value).expect("what was written is read");
                    assert_eq!(&again, object);
                    assert!(diff(&object.spec, &again.spec).is_empty());
                }
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.message.is_empty()));
        }
    }
}

/// Conversions end with objects of the right shape, or with a reason.
pub(crate) fn foreign(data: &[u8]) {
    let (format, text) = split(data);
    if let Ok((_, conversion)) = mezz_convert::read(&text, format, &Options::default()) {
        let _ = to_compose(&conversion.objects);
        let _ = to_kubernetes(&conversion.objects);
    }
}

/// Fire-times go forward.
pub(crate) fn schedules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (zone, text) = text.split_once('|').unwrap_or(("Europe/Berlin", &text));
    let Ok(schedule) = Schedule::parse(&[text], zone) else {
        return;
    };
    let schedule = schedule.beginning(1_700_000_000_000_000_000);
    let mut now = 1_711_000_000_000_000_000;
    for _ in 0..10 {
        let Some(next) = schedule.next_after(now) else {
            return;
        };
        assert!(next > now);
        now = next;
    }
}
