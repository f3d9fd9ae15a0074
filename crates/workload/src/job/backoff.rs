//! How long to wait after so many failures. It knows no clock.

use mezz_spec::quantity::Span;
use mezz_spec::service::Backoff;
use mezz_state::time::{MILLISECOND_NS, Wall};

/// The delay before the start that follows the given number of failures in a row; none before any.
pub(crate) fn delay(backoff: &Backoff, failures: u32) -> Span {
    if failures == 0 {
        return Span(0);
    }
    let mut delay = backoff.initial.0.min(backoff.max.0);
    for _ in 1..failures {
        let longer = u128::from(delay) * u128::from(backoff.factor.0) / 1_000;
        let bounded = u64::try_from(longer).map_or(backoff.max.0, |ms| ms.min(backoff.max.0));
        if bounded == delay {
            break;
        }
        delay = bounded;
    }
    Span(delay)
}

/// A moment later by a span, saturating.
pub(crate) fn after(moment: Wall, span: Span) -> Wall {
    Wall(
        moment
            .0
            .saturating_add(span.0.saturating_mul(MILLISECOND_NS)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_delay_up_to_the_largest() {
        let backoff = Backoff::default();
        let delays: Vec<u64> = (0..12).map(|n| delay(&backoff, n).0 / 1_000).collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
