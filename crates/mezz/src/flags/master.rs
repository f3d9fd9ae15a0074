//! The flags of the master.

use super::spec::{COUNT, DURATION, FlagSpec, Kind, PORT, POSITIVE};

const AUTH: &str = "authentication is not built yet";
const AUTHENTICATOR: &str = "authentication is not built yet, so no authenticator is asked";
const ZOOKEEPER: &str = "leadership over ZooKeeper is not built yet; one master runs alone";
const REGISTRY: &str = "the embedded store has no such limit";
const ALLOCATOR: &str = "the ledger is always the built-in hierarchical one";

/// Flags of the master besides the shared ones.
pub(crate) const MASTER: &[FlagSpec] = &[
    FlagSpec::built("port", PORT, "Port to listen on; 0 takes any free one").default("5050"),
    FlagSpec::built(
        "advertise_port",
        PORT,
        "Port that others are told to connect to, when it is not the one listened on",
    ),
    FlagSpec::built(
        "marathon_listen",
        Kind::Text,
        "Where Marathon's API has a listener of its own, as IP:PORT; it is below /service/marathon in any case",
    ),
    FlagSpec::built(
        "metronome_listen",
        Kind::Text,
        "Where Metronome's API has a listener of its own, as IP:PORT; it is below /service/metronome in any case",
    ),
    FlagSpec::built(
        "chronos_listen",
        Kind::Text,
        "Where Chronos's API has a listener of its own, as IP:PORT; it is below /service/chronos in any case",
    ),
    FlagSpec::built(
        "cluster",
        Kind::Text,
        "Name of the cluster, shown by the web page and /state",
    ),
    FlagSpec::built(
        "registry",
        Kind::Choice(&["in_memory", "redb", "replicated_log"]),
        "Where durable state lives: in_memory, or redb (in --work-dir; replicated_log is taken to mean it) [default: redb with --work-dir, else in_memory]",
    ),
    FlagSpec::built(
        "recorder_size",
        Kind::Bytes,
        "How much of what the master decided is kept in --work-dir for `mezz replay`; 0B keeps nothing",
    )
    .default("128MB"),
    FlagSpec::built(
        "secret_key_file",
        Kind::Path,
        "File with a key of 32 bytes, or 64 hexadecimal digits, that values of secrets are encrypted with in --work-dir",
    ),
    FlagSpec::built(
        "autoscale_interval",
        Kind::Duration {
            minimum: Some("100ms"),
        },
        "Time between two measurements of services that are scaled by what they use",
    )
    .default("10secs"),
    FlagSpec::built(
        "offer_timeout",
        DURATION,
        "An offer that is not answered within this time is rescinded",
    )
    .default("1mins"),
    FlagSpec::built(
        "weights",
        Kind::Text,
        "Shares of roles, as role=weight,role=weight; 1 when not named",
    ),
    FlagSpec::built(
        "packing",
        Kind::Text,
        "Whether a role's instances fill agents or spread over them, as role=binpack,role=spread; of others the nearest role above counts, else binpack",
    ),
    FlagSpec::built(
        "roles",
        Kind::Text,
        "The only roles that frameworks may subscribe to, separated by commas",
    ),
    FlagSpec::built(
        "min_allocatable_resources",
        Kind::Text,
        "What an agent must have free to be offered; alternatives separated by |",
    )
    .default("cpus:0.01|mem:32"),
    FlagSpec::built(
        "fair_sharing_excluded_resource_names",
        Kind::Text,
        "Resource names, separated by commas, that do not count in the dominant share",
    ),
    FlagSpec::built(
        "role_sorter",
        Kind::Choice(&["drf", "random"]),
        "Whose turn it is among roles: the smallest share, or chance by weight",
    )
    .default("drf"),
    FlagSpec::built(
        "framework_sorter",
        Kind::Choice(&["drf", "random"]),
        "Whose turn it is among the frameworks of a role: the smallest share, or chance",
    )
    .default("drf"),
    FlagSpec::built(
        "offer_constraints_re2_max_mem",
        Kind::Bytes,
        "Memory that a regular expression in offer constraints may need",
    )
    .default("4KB"),
    FlagSpec::built(
        "offer_constraints_re2_max_program_size",
        COUNT,
        "Instructions that a regular expression in offer constraints may compile to",
    )
    .default("100"),
    FlagSpec::built(
        "filter_gpu_resources",
        Kind::Switch,
        "Whether agents with gpus are offered only to frameworks with the GPU_RESOURCES capability",
    )
    .default("true"),
    FlagSpec::built(
        "root_submissions",
        Kind::Switch,
        "Whether frameworks may run as root",
    )
    .default("true"),
    FlagSpec::built(
        "agent_ping_timeout",
        Kind::Duration {
            minimum: Some("1secs"),
        },
        "Time within which an agent must answer a ping",
    )
    .default("15secs")
    .aliases(&["slave_ping_timeout"]),
    FlagSpec::built(
        "max_agent_ping_timeouts",
        POSITIVE,
        "Pings an agent may miss in a row before it is unreachable",
    )
    .default("5")
    .aliases(&["max_slave_ping_timeouts"]),
    FlagSpec::built(
        "agent_reregister_timeout",
        Kind::Duration {
            minimum: Some("10mins"),
        },
        "Time within which a known agent must come back after a disconnection or a new leader",
    )
    .default("10mins")
    .aliases(&["slave_reregister_timeout"]),
    FlagSpec::built(
        "max_completed_frameworks",
        COUNT,
        "Completed frameworks that are remembered",
    )
    .default("50"),
    FlagSpec::built(
        "max_completed_tasks_per_framework",
        COUNT,
        "Completed tasks of a framework that are remembered",
    )
    .default("1000"),
    FlagSpec::built(
        "max_unreachable_tasks_per_framework",
        COUNT,
        "Unreachable tasks of a framework that are remembered",
    )
    .default("1000"),
    FlagSpec::built(
        "registry_gc_interval",
        DURATION,
        "Time between two looks for lost agents to be forgotten",
    )
    .default("15mins"),
    FlagSpec::built(
        "registry_max_agent_age",
        DURATION,
        "Time after which an unreachable or gone agent is forgotten",
    )
    .default("2weeks"),
    FlagSpec::built(
        "registry_max_agent_count",
        COUNT,
        "Unreachable agents that are remembered, and as many gone ones",
    )
    .default("102400"),
    FlagSpec::built(
        "max_operator_event_stream_subscribers",
        COUNT,
        "Operator event streams served at the same time",
    )
    .default("1000"),
    FlagSpec::refused("zk", Kind::Text, ZOOKEEPER),
    FlagSpec::refused(
        "quorum",
        COUNT,
        "a quorum of masters is not built yet; one master runs alone",
    ),
    FlagSpec::refused("master_contender", Kind::Text, ZOOKEEPER),
    FlagSpec::refused(
        "whitelist",
        Kind::Path,
        "an agent whitelist is not built yet",
    ),
    FlagSpec::refused("credentials", Kind::Path, AUTH),
    FlagSpec::refused("authenticate_frameworks", Kind::Switch, AUTH)
        .default("false")
        .aliases(&["authenticate"]),
    FlagSpec::refused("authenticate_agents", Kind::Switch, AUTH)
        .default("false")
        .aliases(&["authenticate_slaves"]),
    FlagSpec::refused("authenticate_http_frameworks", Kind::Switch, AUTH).default("false"),
    FlagSpec::refused("http_framework_authenticators", Kind::Text, AUTH),
    FlagSpec::refused(
        "rate_limits",
        Kind::Text,
        "rate limits for frameworks are not built yet",
    ),
    FlagSpec::built(
        "agent_removal_rate_limit",
        Kind::Text,
        "The most agents that become unreachable in a span, such as 1/10mins",
    )
    .aliases(&["slave_removal_rate_limit"]),
    FlagSpec::built(
        "recovery_agent_removal_limit",
        Kind::Text,
        "The share of agents that may stay away after a new leader; above it the leader steps down",
    )
    .default("100%")
    .aliases(&["recovery_slave_removal_limit"]),
    FlagSpec::refused("allocator", Kind::Text, ALLOCATOR).default("hierarchical"),
    FlagSpec::built(
        "require_agent_domain",
        Kind::Switch,
        "Whether agents without --domain are refused",
    )
    .default("false"),
    FlagSpec::refused("registry_strict", Kind::Switch, REGISTRY).default("false"),
    FlagSpec::inert(
        "allocation_interval",
        DURATION,
        "offers follow changes within milliseconds, not a batch interval",
    )
    .default("1secs"),
    FlagSpec::inert(
        "allocator_agent_recovery_factor",
        Kind::Decimal,
        "the allocator does not pause after a failover",
    )
    .default("0.8"),
    FlagSpec::inert(
        "allocator_recovery_timeout",
        DURATION,
        "the allocator does not pause after a failover",
    )
    .default("10mins"),
    FlagSpec::inert("authentication_v0_timeout", DURATION, AUTHENTICATOR).default("15secs"),
    FlagSpec::inert("authenticators", Kind::Text, AUTHENTICATOR).default("crammd5"),
    FlagSpec::inert(
        "authorizers",
        Kind::Text,
        "access control lists are not built yet, so no authorizer is asked",
    )
    .default("local"),
    FlagSpec::inert("http_authenticators", Kind::Text, AUTHENTICATOR).default("basic"),
    FlagSpec::inert(
        "log_auto_initialize",
        Kind::Switch,
        "the embedded store needs no initialisation",
    )
    .default("true"),
    FlagSpec::inert(
        "max_executors_per_agent",
        COUNT,
        "executors of an agent are not limited by number",
    )
    .aliases(&["max_executors_per_slave"]),
    FlagSpec::inert(
        "publish_per_framework_metrics",
        Kind::Switch,
        "which metrics exist does not depend on it",
    )
    .default("true"),
    FlagSpec::inert("registry_fetch_timeout", DURATION, REGISTRY).default("1mins"),
    FlagSpec::inert("registry_store_timeout", DURATION, REGISTRY).default("20secs"),
    FlagSpec::inert(
        "webui_dir",
        Kind::Path,
        "the web page is part of the binary",
    ),
];
