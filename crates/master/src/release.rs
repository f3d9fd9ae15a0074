//! The gate that holds effects back until what they depend on is durable, keeping the order per destination.

use std::collections::BTreeMap;

use mezz_core::effect::Effect;
use mezz_core::key::{RequestKey, SessionKey, StreamKey, Token};
use rustc_hash::FxHashMap;

/// Whom an effect reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Destination {
    Stream(StreamKey),
    Session(SessionKey),
    Request(RequestKey),
}

/// Effects that wait, by the token that they wait for and then in their order.
#[derive(Debug, Default)]
pub(crate) struct Release {
    durable: Token,
    waiting: BTreeMap<(Token, u64), (Destination, Effect)>,
    next: u64,
    /// The latest token that something for this destination waits for.
    blocked: FxHashMap<Destination, Token>,
}

impl Release {
    /// Everything up to this token is durable.
    pub(crate) fn durable(&self) -> Token {
        self.durable
    }

    /// Returns the effect when it may go now; keeps it otherwise.
    pub(crate) fn admit(
        &mut self,
        destination: Destination,
        after: Option<Token>,
        effect: Effect,
    ) -> Option<Effect> {
        let earlier = self.blocked.get(&destination).copied().unwrap_or_default();
        let token = after.unwrap_or_default().max(earlier);
        if token <= self.durable {
            return Some(effect);
        }
        self.blocked.insert(destination, token);
        self.waiting
            .insert((token, self.next), (destination, effect));
        self.next += 1;
        None
    }

    /// Notes what became durable and returns the effects that may go now, in order.
    pub(crate) fn advance(&mut self, durable: Token) -> Vec<Effect> {
        self.durable = self.durable.max(durable);
        let mut released = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            if entry.key().0 > self.durable {
                break;
            }
            let (token, _) = *entry.key();
            let (destination, effect) = entry.remove();
            if self.blocked.get(&destination) == Some(&token) && token <= self.durable {
                // A later effect of the same token is released in this same loop.
                self.blocked.remove(&destination);
            }
            released.push(effect);
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Destination = Destination::Stream(StreamKey(1));

    fn effect(number: u64) -> Effect {
        Effect::CloseStream(StreamKey(number))
    }

    #[test]
    fn an_effect_waits_until_its_write_is_durable() {
        let mut release = Release::default();
        assert!(release.admit(STREAM, Some(Token(2)), effect(1)).is_none());
        assert!(release.advance(Token(1)).is_empty());
        assert_eq!(release.advance(Token(2)), vec![effect(1)]);
    }

    #[test]
    fn nothing_overtakes_an_earlier_effect_for_the_same_destination() {
        let mut release = Release::default();
        assert!(release.admit(STREAM, Some(Token(2)), effect(1)).is_none());
        assert!(release.admit(STREAM, None, effect(2)).is_none());
        assert!(release.admit(STREAM, Some(Token(1)), effect(3)).is_none());
        let other = Destination::Session(SessionKey(9));
        assert!(release.admit(other, None, effect(4)).is_some());
        assert_eq!(
            release.advance(Token(2)),
            vec![effect(1), effect(2), effect(3)]
        );
        assert!(release.admit(STREAM, None, effect(5)).is_some());
    }
}
