//! Block devices: weights and throttles.

use super::{Place, Settings};
use crate::controller::Controller;
use crate::limits::{Io, Throttle};
use crate::plan::PlanError;
use crate::write::Missing;
use std::collections::BTreeSet;

impl Settings<'_> {
    pub(super) fn io(&mut self, held: &Io, wanted: &Io) -> Result<(), PlanError> {
        let place = self.place("io", Controller::Io)?;
        if let Some(weight) = wanted.weight.filter(|_| held.weight != wanted.weight) {
            let note = Missing::Skip("the scheduler of the block devices knows no weights");
            match &place {
                Place::V1(directory) => {
                    self.put(
                        directory,
                        "blkio.bfq.weight",
                        weight.min(1000).to_string(),
                        note,
                    );
                }
                Place::V2(directory) => {
                    self.put(directory, "io.weight", format!("default {weight}"), note);
                }
            }
        }
        let devices: BTreeSet<_> = held
            .throttles
            .keys()
            .chain(wanted.throttles.keys())
            .collect();
        for device in devices {
            let old = held.throttles.get(device).copied().unwrap_or_default();
            let new = wanted.throttles.get(device).copied().unwrap_or_default();
            if old == new {
                continue;
            }
            match &place {
                Place::V1(directory) => {
                    for (file, old, new) in throttles_v1(&old, &new) {
                        if old != new {
                            let text = format!("{device} {}", new.unwrap_or(0));
                            self.put(directory, file, text, Missing::Fail);
                        }
                    }
                }
                Place::V2(directory) => {
                    let text = format!("{device} {}", throttle_v2(&new));
                    self.put(directory, "io.max", text, Missing::Fail);
                }
            }
        }
        Ok(())
    }
}

type Pair = (&'static str, Option<u64>, Option<u64>);

fn throttles_v1(old: &Throttle, new: &Throttle) -> [Pair; 4] {
    [
        (
            "blkio.throttle.read_bps_device",
            old.read_bytes,
            new.read_bytes,
        ),
        (
            "blkio.throttle.write_bps_device",
            old.write_bytes,
            new.write_bytes,
        ),
        (
            "blkio.throttle.read_iops_device",
            old.read_operations,
            new.read_operations,
        ),
        (
            "blkio.throttle.write_iops_device",
            old.write_operations,
            new.write_operations,
        ),
    ]
}

fn throttle_v2(new: &Throttle) -> String {
    let number = |value: Option<u64>| value.map_or("max".to_owned(), |value| value.to_string());
    format!(
        "rbps={} wbps={} riops={} wiops={}",
        number(new.read_bytes),
        number(new.write_bytes),
        number(new.read_operations),
        number(new.write_operations)
    )
}
