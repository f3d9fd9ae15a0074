//! Dense indices of agents, frameworks and roles.

/// An agent, by the caller's dense key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct AgentIndex(pub u32);

/// A framework, by the caller's dense key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct FrameworkIndex(pub u32);

/// A role, interned here.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct RoleIndex(pub u32);

/// A framework in one of its roles, by a dense number that later ones take over.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub(crate) struct LeafNumber(pub(crate) u32);

/// A kind of agents.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct ClassIndex(pub(crate) u32);

/// A framework in one of its roles: what offers are made to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct Leaf {
    pub(crate) framework: FrameworkIndex,
    pub(crate) role: RoleIndex,
}

/// The slot of a dense index.
pub(crate) trait Slot: Copy {
    fn slot(self) -> usize;
}

macro_rules! slot {
    ($($name:ident),*) => {$(
        impl Slot for $name {
            fn slot(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
slot!(
    AgentIndex,
    FrameworkIndex,
    RoleIndex,
    LeafNumber,
    ClassIndex
);

/// Grows a dense table so that it has the slot.
pub(crate) fn grow<T>(table: &mut Vec<Option<T>>, slot: usize) {
    if table.len() <= slot {
        table.resize_with(slot + 1, || None);
    }
}
