//! The flags of the agent about what containers are held to.

use super::spec::{COUNT, DURATION, FlagSpec, Kind};

const CGROUPS: &str = "marks on packets and performance counters of containers are not built yet";
const DESTROY: &str = "cgroups are removed as soon as nobody is in them";

/// Flags of the agent about limits.
pub(crate) const LIMITS: &[FlagSpec] = &[
    FlagSpec::built(
        "allowed_devices",
        Kind::Text,
        "Device files that containers may use beside the usual ones, as JSON (with cgroups/devices)",
    ),
    FlagSpec::built(
        "cgroups_enable_cfs",
        Kind::Switch,
        "Give no container more processor time than it asks for, even if nobody else wants it (with cgroups/cpu)",
    )
    .default("false"),
    FlagSpec::built(
        "cgroups_limit_swap",
        Kind::Switch,
        "Count swap as memory (with cgroups/mem)",
    )
    .default("false"),
    FlagSpec::built(
        "container_pids_limit",
        COUNT,
        "The most processes and threads of a container (with cgroups/pids); 0 sets no limit",
    )
    .default("0"),
    FlagSpec::refused("cgroups_net_cls_primary_handle", Kind::Text, CGROUPS),
    FlagSpec::refused("cgroups_net_cls_secondary_handles", Kind::Text, CGROUPS),
    FlagSpec::refused("agent_subsystems", Kind::Text, CGROUPS).aliases(&["slave_subsystems"]),
    FlagSpec::built(
        "enforce_container_disk_quota",
        Kind::Switch,
        "End containers whose sandbox outgrows their disk (with disk/du)",
    )
    .default("false"),
    FlagSpec::built(
        "enforce_container_ports",
        Kind::Switch,
        "End containers that listen on ports which are not theirs (with network/ports)",
    )
    .default("false"),
    FlagSpec::built(
        "check_agent_port_range_only",
        Kind::Switch,
        "Look only at ports that the agent offers (with network/ports)",
    )
    .default("false"),
    FlagSpec::built(
        "container_ports_isolated_range",
        Kind::Text,
        "Look only at these ports, as [BEGIN-END,…] (with network/ports)",
    ),
    FlagSpec::built(
        "cgroups_cpu_enable_pids_and_tids_count",
        Kind::Switch,
        "Count processes in statistics, at as much work as there are processes",
    )
    .default("false"),
    FlagSpec::inert("cgroups_destroy_timeout", DURATION, DESTROY).default("1mins"),
    FlagSpec::built(
        "cgroups_hierarchy",
        Kind::Path,
        "Below what the hierarchies of cgroups are mounted",
    )
    .default("/sys/fs/cgroup"),
    FlagSpec::built(
        "cgroups_root",
        Kind::Text,
        "The cgroup in which the cgroups of containers lie, in one for each agent",
    )
    .default("mesos"),
    FlagSpec::built(
        "container_disk_watch_interval",
        DURATION,
        "How often the sandboxes are measured (with disk/du)",
    )
    .default("15secs"),
    FlagSpec::built(
        "container_ports_watch_interval",
        DURATION,
        "How often it is looked who listens on which ports (with network/ports)",
    )
    .default("30secs"),
    FlagSpec::inert("perf_duration", DURATION, CGROUPS).default("10secs"),
    FlagSpec::inert("perf_interval", DURATION, CGROUPS).default("1mins"),
    FlagSpec::refused("perf_events", Kind::Text, CGROUPS),
];
