//! Dense keys of what the controllers keep.

macro_rules! key {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// The position of the record in its pages.
            pub fn index(self) -> usize {
                usize::try_from(self.0).expect("a key fits the address space of a 64-bit machine")
            }
        }
    };
}

key! {
    /// An object that a user wrote.
    ObjectKey(u32)
}
key! {
    /// A rollout of a service.
    RolloutKey(u32)
}
key! {
    /// A run of a job or a dag.
    RunKey(u32)
}
key! {
    /// One placed pod: an instance of a service, or an attempt of an index of a run.
    InstanceKey(u32)
}
key! {
    /// A call that waits for its reply, as the core numbers it.
    RequestKey(u64)
}
