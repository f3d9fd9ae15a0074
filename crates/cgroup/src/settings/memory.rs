//! Memory and swap.

use super::{Place, Settings, max};
use crate::controller::Controller;
use crate::limits::{Bytes, Ceiling, Memory, OomScope, Swap};
use crate::plan::PlanError;
use crate::write::Missing;
use std::path::Path;

impl Settings<'_> {
    pub(super) fn memory(
        &mut self,
        held: Option<&Memory>,
        wanted: &Memory,
    ) -> Result<(), PlanError> {
        match self.place("memory", Controller::Memory)? {
            Place::V1(directory) => self.memory_v1(&directory, held, wanted),
            Place::V2(directory) => self.memory_v2(&directory, held, wanted),
        }
        Ok(())
    }

    fn memory_v1(&mut self, directory: &Path, held: Option<&Memory>, wanted: &Memory) {
        let file = "memory.soft_limit_in_bytes";
        let without = Missing::Skip("this kernel has no soft limits of memory");
        self.put(directory, file, wanted.soft.0.to_string(), without);
        let minus = |most: Ceiling<Bytes>| match most {
            Ceiling::At(most) => most.0.to_string(),
            Ceiling::Infinite => "-1".to_owned(),
        };
        let alone = ("memory.limit_in_bytes", minus(wanted.hard));
        let had_swap = held.is_some_and(|held| held.swap != Swap::Free);
        let together = wanted
            .with_swap()
            .or_else(|| had_swap.then_some(Ceiling::Infinite))
            .map(|most| ("memory.memsw.limit_in_bytes", minus(most)));
        // At every moment memory alone must be at most memory with swap.
        let raised = held.is_some_and(|held| wanted.hard > held.hard);
        let (first, second) = if raised {
            (together, Some(alone))
        } else {
            (Some(alone), together)
        };
        for (file, text) in first.into_iter().chain(second) {
            self.put(directory, file, text, Missing::Fail);
        }
        if wanted.oom == OomScope::Group {
            // Version 1 has no such file: the write says so by its note.
            let note = Missing::Skip("version 1 cannot kill a whole group when memory runs out");
            self.put(directory, "memory.oom.group", "1".to_owned(), note);
        }
    }

    fn memory_v2(&mut self, directory: &Path, held: Option<&Memory>, wanted: &Memory) {
        self.put(
            directory,
            "memory.low",
            wanted.soft.0.to_string(),
            Missing::Fail,
        );
        self.put(
            directory,
            "memory.max",
            max(wanted.hard, |most| most.0),
            Missing::Fail,
        );
        let had_swap = held.is_some_and(|held| held.swap != Swap::Free);
        let swap = match wanted.swap {
            Swap::AtMost(most) => Some(most.0.to_string()),
            Swap::Free => had_swap.then(|| "max".to_owned()),
        };
        if let Some(swap) = swap {
            self.put(directory, "memory.swap.max", swap, Missing::Fail);
        }
        let old = held.map(|held| held.oom).unwrap_or_default();
        if wanted.oom != old {
            let text = if wanted.oom == OomScope::Group {
                "1"
            } else {
                "0"
            };
            let note = Missing::Skip("this kernel cannot kill a whole group when memory runs out");
            self.put(directory, "memory.oom.group", text.to_owned(), note);
        }
    }
}
