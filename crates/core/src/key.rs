//! Dense keys: what the core calls things inside. Names live at the edge.

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
    /// An agent that this master knows.
    AgentKey(u32)
}
key! {
    /// A framework that this master knows, completed ones included.
    FrameworkKey(u32)
}
key! {
    /// A task record; slots of forgotten tasks are used again.
    TaskKey(u32)
}
key! {
    /// An outstanding offer; slots are used again.
    OfferKey(u32)
}
key! {
    /// A custom executor on an agent.
    ExecutorKey(u32)
}
key! {
    /// One open scheduler stream, numbered by the shell and never used again.
    StreamKey(u64)
}
key! {
    /// One agent on one connection, numbered by the shell and never used again.
    SessionKey(u64)
}
key! {
    /// A call that waits for its reply, numbered by the shell.
    RequestKey(u64)
}
key! {
    /// A write to the store; a larger token is durable only after all smaller ones.
    Token(u64)
}
key! {
    /// Distinguishes a timer from the one that it replaced; a stale one does nothing.
    Generation(u64)
}

impl AgentKey {
    /// No agent: of a native task that ended before it had a place.
    pub const NONE: Self = Self(u32::MAX);
}
