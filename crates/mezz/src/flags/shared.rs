//! The flags that master and agent have in common.

use super::spec::{COUNT, DURATION, FlagSpec, Kind};

const AUTH: &str = "authentication is not built yet";
const MODULES: &str =
    "loadable modules of Mesos cannot be loaded; their work is built in or not offered";
const GLOG: &str =
    "logging goes to stderr through --log; this knob of the Mesos logger has no counterpart";

/// Flags of both daemons, except those whose default or meaning differs.
pub(crate) const SHARED: &[FlagSpec] = &[
    FlagSpec::built("ip", Kind::Ip, "Address to listen on").default("127.0.0.1"),
    FlagSpec::built(
        "advertise_ip",
        Kind::Ip,
        "Address that others are told to connect to, when it is not the one listened on",
    ),
    FlagSpec::built(
        "hostname",
        Kind::Text,
        "Host name to publish; otherwise that of the machine (with a loopback address: localhost)",
    ),
    FlagSpec::built(
        "hostname_lookup",
        Kind::Switch,
        "Publish the machine's host name instead of the address",
    )
    .default("true"),
    FlagSpec::built(
        "work_dir",
        Kind::Path,
        "Folder for everything that outlives the process; without it all state is in memory",
    ),
    FlagSpec::built(
        "logging_level",
        Kind::Choice(&["INFO", "WARNING", "ERROR"]),
        "Least level that is logged",
    )
    .default("INFO"),
    FlagSpec::built("quiet", Kind::Switch, "Log nothing").default("false"),
    FlagSpec::built(
        "log",
        Kind::Text,
        "What is logged, as a filter such as info,mezz_master=debug; overrides --logging-level",
    ),
    FlagSpec::built(
        "domain",
        Kind::Text,
        "Region and zone, as the JSON of a DomainInfo",
    ),
    FlagSpec::refused(
        "firewall_rules",
        Kind::Text,
        "endpoint firewall rules are not built yet",
    ),
    FlagSpec::refused("hooks", Kind::Text, MODULES),
    FlagSpec::refused("modules", Kind::Text, MODULES),
    FlagSpec::refused("modules_dir", Kind::Path, MODULES),
    FlagSpec::refused("master_detector", Kind::Text, MODULES),
    FlagSpec::refused(
        "ip_discovery_command",
        Kind::Text,
        "no command is run to find the address; give --ip",
    ),
    FlagSpec::refused("acls", Kind::Text, "access control lists are not built yet"),
    FlagSpec::refused("authenticate_http_readonly", Kind::Switch, AUTH).default("false"),
    FlagSpec::refused("authenticate_http_readwrite", Kind::Switch, AUTH).default("false"),
    FlagSpec::refused(
        "memory_profiling",
        Kind::Switch,
        "memory profiling endpoints are not built",
    )
    .default("false"),
    FlagSpec::inert(
        "zk_session_timeout",
        DURATION,
        "no ZooKeeper session is opened yet",
    )
    .default("10secs"),
    FlagSpec::inert("log_dir", Kind::Path, GLOG),
    FlagSpec::inert("external_log_file", Kind::Path, GLOG),
    FlagSpec::inert("logbufsecs", COUNT, GLOG).default("0"),
    FlagSpec::inert("initialize_driver_logging", Kind::Switch, GLOG).default("true"),
];
