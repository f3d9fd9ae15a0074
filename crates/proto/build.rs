//! Compiles the `.proto` files of this crate without `protoc`.
use std::path::PathBuf;

fn main() {
    let root = PathBuf::from("proto");
    let files = [
        "mesos/v1/mesos.proto",
        "mesos/v1/scheduler/scheduler.proto",
        "mesos/v1/executor/executor.proto",
        "mesos/v1/agent/agent.proto",
        "mesos/v1/master/master.proto",
        "mesos/v1/maintenance/maintenance.proto",
        "mesos/v1/quota/quota.proto",
        "mesos/v1/allocator/allocator.proto",
        "mesos/v1/resource_provider/resource_provider.proto",
        "mezz/agent/v1/agent.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(files, [&root]).expect("the .proto files of this crate compile");
    prost_build::Config::new()
        .btree_map(["."])
        .bytes(["."])
        .compile_well_known_types()
        .include_file("protos.rs")
        .compile_fds(descriptors)
        .expect("prost generates code for them");
}
