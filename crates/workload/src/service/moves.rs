//! How many instances are started and ended next: numbers only, so that the promises can be read off.

use crate::service::state::Tally;

/// Where a service stands and what it may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// So many instances may be there at most, those on their way out included.
    pub(crate) cap: u32,
    /// So many that serve may not be gone below by any act of ours.
    pub(crate) floor: u32,
    pub(crate) new_goal: u32,
    pub(crate) old_goal: u32,
    pub(crate) new: Tally,
    pub(crate) old: Tally,
}

/// What is done next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) start_new: u32,
    pub(crate) start_old: u32,
    pub(crate) end_new: u32,
    pub(crate) end_old: u32,
    /// Of those that are ended, so many may be serving.
    pub(crate) spare: u32,
}

impl Position {
    pub(crate) fn moves(self) -> Moves {
        let (new, old) = (self.new, self.old);
        let room = self.cap.saturating_sub(new.present + old.present);
        let start_new = self.new_goal.saturating_sub(new.staying()).min(room);
        let start_old = self
            .old_goal
            .saturating_sub(old.staying())
            .min(room - start_new);
        Moves {
            start_new,
            start_old,
            end_new: new.staying().saturating_sub(self.new_goal),
            end_old: old.staying().saturating_sub(self.old_goal),
            spare: (new.serving + old.serving).saturating_sub(self.floor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(count: u32) -> Tally {
        Tally {
            present: count,
            running: count,
            ready: count,
            serving: count,
            ..Tally::default()
        }
    }

    #[test]
    fn a_rolling_update_starts_what_surge_allows_and_ends_nothing_before_a_new_one_serves() {
        let position = Position {
            cap: 5,
            floor: 4,
            new_goal: 4,
            old_goal: 0,
            new: Tally::default(),
            old: serving(4),
        };
        let first = position.moves();
        assert_eq!((first.start_new, first.spare), (1, 0));
        let next = Position {
            new: serving(1),
            ..position
        };
        assert_eq!((next.moves().start_new, next.moves().spare), (0, 1));
    }

    #[test]
    fn scaling_down_ends_the_difference() {
        let moves = Position {
            cap: 3,
            floor: 3,
            new_goal: 3,
            old_goal: 0,
            new: serving(5),
            old: Tally::default(),
        }
        .moves();
        assert_eq!((moves.end_new, moves.spare, moves.start_new), (2, 2, 0));
    }
}
