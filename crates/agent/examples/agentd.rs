//! A bare agent process for tests: `agentd --master HOST:PORT [--work-dir DIR] …`, and the warden under its verb.

use std::process::ExitCode;
use std::time::Duration;

use mezz_agent::{AgentOptions, StopRequest, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(verb) if verb == mezz_warden::VERB => return mezz_warden::run(arguments),
        Some(verb) if verb == mezz_agent::RUNTIME_VERB => {
            return mezz_agent::run_runtime_verb(arguments);
        }
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(agent())
}

async fn agent() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .init();
    let handle = match run(options()).await {
        Ok(handle) => handle,
        Err(error) => {
            eprintln!("agentd: {error}");
            return ExitCode::FAILURE;
        }
    };
    eprintln!("ready http://{}", handle.address());
    let stop = |kind| tokio::signal::unix::signal(kind).expect("signals can be handled");
    let mut terminate = stop(tokio::signal::unix::SignalKind::terminate());
    let mut drain = stop(tokio::signal::unix::SignalKind::user_defined1());
    let finished = tokio::select! {
        _ = terminate.recv() => { handle.stop(StopRequest::Leave); handle.finished().await }
        _ = drain.recv() => { handle.stop(StopRequest::Drain); handle.finished().await }
    };
    eprintln!("agentd: {}", finished.message);
    ExitCode::from(finished.code)
}

fn options() -> AgentOptions {
    let mut options = AgentOptions {
        port: 0,
        registration_backoff_factor: Duration::from_millis(10),
        ..AgentOptions::default()
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().expect("every flag has a value");
        match flag.as_str() {
            "--master" => options.masters = vec![value],
            "--work-dir" => options.work_dir = Some(value.into()),
            "--resources" => options.resources = Some(value),
            "--frameworks-home" => options.frameworks_home = Some(value.into()),
            "--gc-delay-ms" => {
                options.gc_delay = Duration::from_millis(value.parse().expect("a number"));
            }
            "--gc-disk-headroom" => options.gc_disk_headroom = value.parse().expect("a number"),
            "--disk-watch-interval-ms" => {
                options.disk_watch_interval =
                    Duration::from_millis(value.parse().expect("a number"));
            }
            "--heartbeat-ms" => {
                options.stream_heartbeat_interval =
                    Duration::from_millis(value.parse().expect("a number"));
            }
            "--max-log-bytes" => options.max_log_bytes = value.parse().expect("a number"),
            "--isolation" => {
                options.isolation =
                    mezz_agent::Isolator::parse_list(&value).expect("isolators that are built");
            }
            "--seccomp-config-dir" => options.seccomp_config_dir = Some(value.into()),
            "--seccomp-profile-name" => options.seccomp_profile_name = Some(value),
            "--bounding-capability" => {
                let one = mezz_agent::Capability::from_name(&value).expect("a capability");
                options.bounding_capabilities = Some(one.into());
            }
            "--max-log-files" => options.max_log_files = value.parse().expect("a number"),
            "--fetcher-cache-size" => {
                options.fetcher_cache_size = value.parse().expect("a number");
            }
            "--docker-socket" => {
                options.docker = Some(mezz_agent::DockerOptions {
                    socket: value.into(),
                    remove_delay: Duration::ZERO,
                    ..mezz_agent::DockerOptions::default()
                });
            }
            "--docker-registry" => images(&mut options).registry = value,
            "--docker-store-dir" => images(&mut options).store_dir = Some(value.into()),
            "--image-provisioner-backend" => {
                let backend = match value.as_str() {
                    "overlay" => mezz_agent::ImageBackend::Overlay,
                    _ => mezz_agent::ImageBackend::Copy,
                };
                images(&mut options).backend = Some(backend);
            }
            "--network-cni-config-dir" => {
                options.networks = Some(mezz_agent::NetworkOptions {
                    config_dir: value.into(),
                    plugins_dir: "/usr/lib/cni".to_owned(),
                    keeping: mezz_agent::NetworkKeeping::WorkDirectory,
                    resolver: mezz_agent::parse_resolver("{}").expect("no resolvers"),
                });
            }
            "--oci-runtimes" => {
                options.oci_runtimes = mezz_agent::parse_oci_runtimes(&value).expect("pairs");
            }
            "--fetcher-cache-dir" => options.fetcher_cache_dir = Some(value.into()),
            "--cgroups-root" => options.limits.cgroups_root = value,
            "--cgroups-enable-cfs" => {
                assert_eq!(value, "true");
                options.limits.cpus = mezz_agent::CpuQuota::Always;
            }
            "--container-pids-limit" => {
                options.limits.most_processes = Some(value.parse().expect("a number"));
            }
            "--container-disk-watch-interval-ms" => {
                options.limits.disk_interval =
                    Duration::from_millis(value.parse().expect("a number"));
            }
            "--container-ports-watch-interval-ms" => {
                options.limits.ports_interval =
                    Duration::from_millis(value.parse().expect("a number"));
            }
            "--enforce" => match value.as_str() {
                "disk" => options.limits.disk = mezz_agent::Enforcement::Enforced,
                "ports" => options.limits.ports = mezz_agent::Enforcement::Enforced,
                other => panic!("unknown {other}"),
            },
            other => panic!("unknown flag {other}"),
        }
    }
    options
}

fn images(options: &mut AgentOptions) -> &mut mezz_agent::ImageOptions {
    options.images.get_or_insert_with(Default::default)
}
