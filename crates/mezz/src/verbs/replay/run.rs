//! The runs of a master in its recording: one segment after the other, with what is told of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use jiff::Timestamp;
use mezz_core::effect::Effect;
use mezz_core::event::Event;
use mezz_core::time::{Now, Wall};
use mezz_recording::{Header, Left, Outcome, ReadError, Replay, Segment, Watcher};

use super::ReplayFailure;
use crate::args::ReplayArgs;
use crate::output::show::{self, Reader};
use crate::output::talk;

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    GoesOn,
    /// The event up to which it was to go is reached, or nobody reads any more.
    Ended,
}

/// The run that is being replayed.
#[derive(Debug)]
struct Run {
    header: Header,
    first_event: u64,
    segments: u32,
    replay: Replay,
}

/// All runs of a recording.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    args: &'a ReplayArgs,
    run: Option<Run>,
    reader: Reader,
}

impl<'a> Runs<'a> {
    pub(super) fn new(args: &'a ReplayArgs) -> Self {
        Self {
            args,
            run: None,
            reader: Reader::There,
        }
    }

    /// Replays one segment.
    pub(super) fn replay(&mut self, path: &Path) -> Result<Progress, ReplayFailure> {
        let bytes = std::fs::read(path).map_err(|source| ReplayFailure::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut segment = match Segment::open(&bytes) {
            Ok(segment) => segment,
            Err(error @ ReadError::CutShort) => {
                talk::note(&format!("{}: {error}", path.display()));
                return Ok(Progress::GoesOn);
            }
            Err(error) => {
                return Err(ReplayFailure::Unreadable {
                    path: path.to_owned(),
                    error,
                });
            }
        };
        self.turn_to(path, segment.header())?;
        let left = self.events(path, &mut segment)?;
        if let Left::Torn { offset } = left {
            talk::note(&format!(
                "{}: the last entry, at offset {offset}, was not written whole: the master was killed",
                path.display()
            ));
        }
        if left == Left::Reached || self.reader == Reader::Gone {
            self.conclude();
            return Ok(Progress::Ended);
        }
        Ok(Progress::GoesOn)
    }

    /// Goes on with the core as it is, or begins with the one in the header.
    fn turn_to(&mut self, path: &Path, header: &Header) -> Result<(), ReplayFailure> {
        let failed = |error| ReplayFailure::Replay {
            path: path.to_owned(),
            error,
        };
        if let Some(run) = self.run.as_mut().filter(|run| run.header.run == header.run) {
            run.segments += 1;
            let follows = run.replay.continues_in(header);
            if !follows.map_err(|error| failed(error.into()))? {
                talk::note(&format!(
                    "events {} to {} were not recorded",
                    run.replay.event() + 1,
                    header.events_before
                ));
                run.replay = Replay::begin(header).map_err(failed)?;
            }
            return Ok(());
        }
        self.conclude();
        if header.program != env!("CARGO_PKG_VERSION") {
            talk::note(&format!(
                "{}: recorded by mezz {}, replayed by mezz {}",
                path.display(),
                header.program,
                env!("CARGO_PKG_VERSION")
            ));
        }
        self.run = Some(Run {
            first_event: header.events_before + 1,
            segments: 1,
            replay: Replay::begin(header).map_err(failed)?,
            header: header.clone(),
        });
        Ok(())
    }

    fn events(&mut self, path: &Path, segment: &mut Segment<'_>) -> Result<Left, ReplayFailure> {
        let Some(run) = self.run.as_mut() else {
            return Ok(Left::AtEnd);
        };
        let until = self.args.until.unwrap_or(u64::MAX);
        let mut told = Told {
            args: self.args,
            reader: self.reader,
            handling: (0, None),
        };
        let replayed = catch_unwind(AssertUnwindSafe(|| {
            run.replay.run(segment, until, &mut told)
        }));
        self.reader = told.reader;
        let path = path.to_owned();
        if let Ok(left) = replayed {
            return left.map_err(|error| ReplayFailure::Replay { path, error });
        }
        let (event, outcome) = told.handling;
        let when = match outcome {
            None => "as when it was recorded",
            Some(_) => "but did when it was recorded",
        };
        Err(ReplayFailure::Panicked { path, event, when })
    }

    /// Says how the run came out.
    pub(super) fn conclude(&mut self) {
        let Some(run) = self.run.take() else {
            return;
        };
        let segments = match run.segments {
            1 => "1 segment".to_owned(),
            count => format!("{count} segments"),
        };
        print(
            &mut self.reader,
            &format!(
                "run of {}: {segments}, events {} to {}: the same effects and states\n",
                time(Wall(run.header.run)),
                run.first_event,
                run.replay.event()
            ),
        );
    }
}

fn time(wall: Wall) -> String {
    Timestamp::from_nanosecond(i128::from(wall.0))
        .map_or_else(|_| format!("{}ns", wall.0), |time| time.to_string())
}

fn print(reader: &mut Reader, text: &str) {
    if *reader == Reader::There && !matches!(show::write(text), Ok(Reader::There)) {
        *reader = Reader::Gone;
    }
}

/// What is printed on the way, and which event the core has in hand.
struct Told<'a> {
    args: &'a ReplayArgs,
    reader: Reader,
    handling: (u64, Option<Outcome>),
}

impl Watcher for Told<'_> {
    fn before(&mut self, number: u64, now: Now, event: &Event, outcome: Option<Outcome>) {
        self.handling = (number, outcome);
        if self.args.print || self.args.effects {
            let line = format!("{number} {} {event:?}\n", time(now.wall));
            print(&mut self.reader, &line);
        }
    }

    fn after(&mut self, effects: &[Effect]) {
        for effect in effects.iter().filter(|_| self.args.effects) {
            print(&mut self.reader, &format!("    {effect:?}\n"));
        }
    }
}
