//! The flags of the agent.

use super::spec::{COUNT, DURATION, FlagSpec, Kind, PORT};

const AUTH: &str = "authentication is not built yet";
const AUTHENTICATOR: &str = "authentication is not built yet, so nothing is authenticated";
const DOCKER: &str = "the Docker Engine keeps its volumes itself";
const DOCKER_PROGRAM: &str = "the Docker Engine is spoken to directly, not by its command line";
const DOCKER_STOP: &str =
    "kill policies and --executor-shutdown-grace-period say how long a task has to end";
const DOCKER_IMAGE: &str = "an agent in a container of the Docker Engine is not built yet";
const APPC: &str = "AppC images are not built";
const CNI: &str = "metrics of networks are not built yet";
const STORAGE: &str = "resource providers and CSI storage are not built yet";
const ISOLATION: &str = "isolation beyond processes is not built yet";
const OVERSUBSCRIPTION: &str = "oversubscription is not built yet";
const LAUNCHER: &str = "tasks are started by the warden, a role of this binary";
const SYSTEMD: &str = "the warden keeps the tasks; systemd is not asked";

/// Flags of the agent besides the shared ones.
pub(crate) const AGENT: &[FlagSpec] = &[
    FlagSpec::built(
        "master",
        Kind::Text,
        "Address of the master, as HOST:PORT (several separated by commas)",
    ),
    FlagSpec::built("port", PORT, "Port to listen on; 0 takes any free one").default("5051"),
    FlagSpec::built(
        "resources",
        Kind::Text,
        "What the agent offers, as name:value;name:value or JSON; what is not named is detected",
    ),
    FlagSpec::built(
        "attributes",
        Kind::Text,
        "Attributes of the agent, as name:value;name:value",
    ),
    FlagSpec::built(
        "default_role",
        Kind::Text,
        "Role of resources that --resources names without one",
    )
    .default("*"),
    FlagSpec::built(
        "switch_user",
        Kind::Switch,
        "Run tasks as the user that their framework asks for (needs root)",
    )
    .default("true"),
    FlagSpec::built(
        "frameworks_home",
        Kind::Path,
        "Folder that relative URIs of executors are looked up in",
    )
    .default(""),
    FlagSpec::built(
        "executor_registration_timeout",
        DURATION,
        "Time within which a new executor must subscribe",
    )
    .default("1mins"),
    FlagSpec::built(
        "executor_reregistration_timeout",
        DURATION,
        "Time within which executors must come back after the agent restarts",
    )
    .default("2secs"),
    FlagSpec::built(
        "executor_shutdown_grace_period",
        DURATION,
        "Time that an executor has to end before it is killed",
    )
    .default("5secs"),
    FlagSpec::built(
        "executor_environment_variables",
        Kind::Text,
        "The only variables that executors and tasks start from, as a JSON object",
    ),
    FlagSpec::built(
        "registration_backoff_factor",
        DURATION,
        "Unit of the waits between attempts to reach the master",
    )
    .default("1secs"),
    FlagSpec::built(
        "gc_delay",
        DURATION,
        "How long the sandbox of an ended task is kept, disk permitting",
    )
    .default("1weeks"),
    FlagSpec::built(
        "gc_disk_headroom",
        Kind::Decimal,
        "Share of the disk that is kept free by deleting sandboxes sooner",
    )
    .default("0.1"),
    FlagSpec::built(
        "disk_watch_interval",
        DURATION,
        "How often the disk is looked at for that",
    )
    .default("1mins"),
    FlagSpec::built(
        "fetcher_stall_timeout",
        DURATION,
        "A download that brings nothing for this long is given up",
    )
    .default("1mins"),
    FlagSpec::built(
        "fetcher_cache_size",
        Kind::Bytes,
        "How much the fetcher keeps of files that tasks mark with cache; 0B keeps none",
    )
    .default("2GB"),
    FlagSpec::built(
        "fetcher_cache_dir",
        Kind::Path,
        "Folder of that cache, emptied at start; each agent takes one of its own in it [default: in the agent's work folder]",
    ),
    FlagSpec::built(
        "max_log_size",
        Kind::Bytes,
        "Length at which the output files of tasks are rotated, unless a task sets CONTAINER_LOGGER_MAX_STDOUT_SIZE or _STDERR_SIZE; 0B never rotates",
    )
    .default("0B"),
    FlagSpec::built(
        "max_log_files",
        Kind::Count(0, 1000),
        "Older pieces of an output file that are kept beside it",
    )
    .default("2"),
    FlagSpec::built(
        "advertise_port",
        PORT,
        "Port that others are told to connect to, when it is not the one listened on",
    ),
    FlagSpec::built(
        "recover",
        Kind::Choice(&["reconnect", "cleanup"]),
        "After a restart: take up what still runs, or end it",
    )
    .default("reconnect"),
    FlagSpec::built(
        "recovery_timeout",
        DURATION,
        "How long executors wait for an agent that is away",
    )
    .default("15mins"),
    FlagSpec::built(
        "reconfiguration_policy",
        Kind::Choice(&["equal", "additive"]),
        "Whether a known agent may come back with more resources and attributes than before",
    )
    .default("equal"),
    FlagSpec::built(
        "http_heartbeat_interval",
        DURATION,
        "How often custom executors hear that the agent is there",
    )
    .default("30mins"),
    FlagSpec::built(
        "max_completed_executors_per_framework",
        COUNT,
        "Ended executors of a framework that are remembered",
    )
    .default("150"),
    FlagSpec::built(
        "containerizers",
        Kind::Text,
        "Who runs containers: mesos, or docker,mesos where a Docker Engine runs those of type DOCKER",
    )
    .default("mesos"),
    FlagSpec::built(
        "oci_runtimes",
        Kind::Text,
        "Runtimes that tasks may name in their label mezzanine.runtime, as NAME=PATH separated by commas",
    ),
    FlagSpec::built(
        "docker_socket",
        Kind::Path,
        "Where the Docker Engine listens",
    )
    .default("/var/run/docker.sock"),
    FlagSpec::built(
        "docker_remove_delay",
        DURATION,
        "How long the Docker Engine keeps containers that have ended",
    )
    .default("6hrs"),
    FlagSpec::built(
        "docker_kill_orphans",
        Kind::Switch,
        "At the start, end containers that earlier lives of this agent have left to the Docker Engine",
    )
    .default("true"),
    FlagSpec::built(
        "image_providers",
        Kind::Text,
        "Kinds of images that containers can have: docker (OCI images too)",
    ),
    FlagSpec::built(
        "image_provisioner_backend",
        Kind::Text,
        "How layers become a root: overlay or copy; by default overlay where the kernel has it",
    ),
    FlagSpec::built(
        "image_gc_config",
        Kind::Text,
        "When unused images are removed, as JSON: image_disk_headroom, image_disk_watch_interval, excluded_images",
    ),
    FlagSpec::built(
        "docker_config",
        Kind::Text,
        "Credentials for registries: JSON as in Docker's config.json, or the path of such a file",
    ),
    FlagSpec::built(
        "docker_registry",
        Kind::Text,
        "Registry of images that name none, or a folder of archives",
    )
    .default("https://registry-1.docker.io"),
    FlagSpec::built(
        "docker_store_dir",
        Kind::Path,
        "Folder of images; by default in the work directory",
    ),
    FlagSpec::built(
        "docker_ignore_runtime",
        Kind::Switch,
        "Ignore what images say of their use: ENTRYPOINT, CMD, ENV, WORKDIR, USER, STOPSIGNAL",
    )
    .default("false"),
    FlagSpec::refused("docker_mesos_image", Kind::Text, DOCKER_IMAGE),
    FlagSpec::refused("default_container_info", Kind::Text, ISOLATION),
    FlagSpec::built(
        "default_container_dns",
        Kind::Text,
        "Resolvers of networks whose plugins name none, as JSON: mesos[].network_mode, network_name, dns",
    ),
    FlagSpec::built(
        "default_container_shm_size",
        Kind::Bytes,
        "Size of /dev/shm of containers that have their own and name none",
    ),
    FlagSpec::built(
        "isolation",
        Kind::Text,
        "What containers have of their own (filesystem/linux, namespaces/pid, namespaces/ipc, linux/nnp) and are held to \
         (cgroups/all, cgroups/cpu, cgroups/mem, cgroups/pids, cgroups/devices …, disk/du, network/ports)",
    )
    .default("posix/cpu,posix/mem"),
    FlagSpec::inert("launcher", Kind::Text, LAUNCHER).default("posix"),
    FlagSpec::built(
        "effective_capabilities",
        Kind::Text,
        "Capabilities of containers that name none, as JSON or as names separated by commas",
    ),
    FlagSpec::built(
        "bounding_capabilities",
        Kind::Text,
        "Capabilities that no container can exceed, as JSON or as names separated by commas",
    ),
    FlagSpec::refused(
        "nvidia_gpu_devices",
        Kind::Text,
        "GPU devices are not built yet",
    ),
    FlagSpec::refused(
        "host_path_volume_force_creation",
        Kind::Text,
        "volumes are not built yet",
    ),
    FlagSpec::refused("volume_gid_range", Kind::Text, "volumes are not built yet"),
    FlagSpec::built(
        "disallow_sharing_agent_ipc_namespace",
        Kind::Switch,
        "Refuse containers that ask to share the agent's System V objects, message queues and /dev/shm",
    )
    .default("false"),
    FlagSpec::built(
        "disallow_sharing_agent_pid_namespace",
        Kind::Switch,
        "Refuse containers that ask to share the agent's process ids",
    )
    .default("false"),
    FlagSpec::refused(
        "agent_features",
        Kind::Text,
        "the agent's capabilities are not chosen by a flag",
    ),
    FlagSpec::refused(
        "container_logger",
        Kind::Text,
        "output goes to files in the sandbox; --max-log-size rotates them",
    ),
    FlagSpec::built(
        "network_cni_plugins_dir",
        Kind::Text,
        "Folders of network plugins, separated by colons",
    )
    .default("/usr/lib/cni:/opt/cni/bin"),
    FlagSpec::built(
        "network_cni_config_dir",
        Kind::Path,
        "Folder of network configurations; containers can join the networks that it names",
    ),
    FlagSpec::built(
        "network_cni_root_dir_persist",
        Kind::Switch,
        "Keep records of networks in the work directory, not in /run",
    )
    .default("false"),
    FlagSpec::refused(
        "ip6",
        Kind::Ip,
        "IPv6 addresses of containers are not built yet",
    ),
    FlagSpec::refused(
        "ip6_discovery_command",
        Kind::Text,
        "IPv6 addresses of containers are not built yet",
    ),
    FlagSpec::refused("resource_provider_config_dir", Kind::Path, STORAGE),
    FlagSpec::refused("csi_plugin_config_dir", Kind::Path, STORAGE),
    FlagSpec::refused("disk_profile_adaptor", Kind::Text, STORAGE),
    FlagSpec::refused("resource_estimator", Kind::Text, OVERSUBSCRIPTION),
    FlagSpec::refused("qos_controller", Kind::Text, OVERSUBSCRIPTION),
    FlagSpec::refused("credential", Kind::Path, AUTH),
    FlagSpec::refused("http_credentials", Kind::Path, AUTH),
    FlagSpec::refused("http_authenticators", Kind::Text, AUTH),
    FlagSpec::refused("authenticate_http_executors", Kind::Switch, AUTH).default("false"),
    FlagSpec::refused("jwt_secret_key", Kind::Path, AUTH),
    FlagSpec::refused("secret_resolver", Kind::Text, "secrets are not built yet"),
    FlagSpec::refused(
        "http_executor_domain_sockets",
        Kind::Switch,
        "executors reach the agent over TCP",
    )
    .default("false"),
    FlagSpec::refused(
        "domain_socket_location",
        Kind::Path,
        "executors reach the agent over TCP",
    ),
    FlagSpec::built(
        "seccomp_config_dir",
        Kind::Path,
        "Folder with profiles of system calls in Docker's form",
    ),
    FlagSpec::built(
        "seccomp_profile_name",
        Kind::Text,
        "Profile of containers that name none; 'default' is built in",
    ),
    FlagSpec::refused(
        "strict",
        Kind::Switch,
        "recovery that skips damaged records is not built",
    )
    .default("true"),
    FlagSpec::inert(
        "executor_reregistration_retry_interval",
        DURATION,
        "executors reconnect by themselves over HTTP",
    ),
    FlagSpec::inert(
        "http_command_executor",
        Kind::Switch,
        "the agent itself is the executor of command tasks",
    )
    .default("false"),
    FlagSpec::inert("launcher_dir", Kind::Path, LAUNCHER).default("/usr/libexec/mesos"),
    FlagSpec::inert(
        "runtime_dir",
        Kind::Path,
        "everything lives under --work-dir",
    )
    .default("/var/run/mesos"),
    FlagSpec::inert(
        "sandbox_directory",
        Kind::Path,
        "containers with an image find their sandbox at /mnt/mesos/sandbox",
    ).default("/mnt/mesos/sandbox"),
    FlagSpec::inert(
        "hadoop_home",
        Kind::Path,
        "the fetcher takes file and http(s) only",
    ),
    FlagSpec::inert(
        "gc_non_executor_container_sandboxes",
        Kind::Switch,
        "nested containers are not built yet",
    )
    .default("false"),
    FlagSpec::inert("appc_simple_discovery_uri_prefix", Kind::Text, APPC).default("http://"),
    FlagSpec::inert("appc_store_dir", Kind::Path, APPC).default("/tmp/mesos/store/appc"),
    FlagSpec::inert("docker", Kind::Path, DOCKER_PROGRAM).default("docker"),
    FlagSpec::inert("docker_stop_timeout", DURATION, DOCKER_STOP).default("0ns"),
    FlagSpec::inert("docker_volume_checkpoint_dir", Kind::Path, DOCKER)
        .default("/var/run/mesos/isolators/docker/volume"),
    FlagSpec::inert("docker_volume_chown", Kind::Switch, DOCKER).default("false"),
    FlagSpec::inert("authenticatee", Kind::Text, AUTHENTICATOR).default("crammd5"),
    FlagSpec::inert("authentication_backoff_factor", DURATION, AUTHENTICATOR).default("1secs"),
    FlagSpec::inert("authentication_timeout_min", DURATION, AUTHENTICATOR).default("5secs"),
    FlagSpec::inert("authentication_timeout_max", DURATION, AUTHENTICATOR).default("1mins"),
    FlagSpec::inert(
        "authorizer",
        Kind::Text,
        "access control lists are not built yet, so no authorizer is asked",
    )
    .default("local"),
    FlagSpec::inert("network_cni_metrics", Kind::Switch, CNI).default("true"),
    FlagSpec::inert(
        "oversubscribed_resources_interval",
        DURATION,
        OVERSUBSCRIPTION,
    )
    .default("15secs"),
    FlagSpec::inert("qos_correction_interval_min", DURATION, OVERSUBSCRIPTION).default("0ns"),
    FlagSpec::inert("revocable_cpu_low_priority", Kind::Switch, OVERSUBSCRIPTION).default("true"),
    FlagSpec::inert("systemd_enable_support", Kind::Switch, SYSTEMD).default("true"),
    FlagSpec::inert("systemd_runtime_directory", Kind::Path, SYSTEMD)
        .default("/run/systemd/system"),
];
