//! Compiles the `.proto` files of this crate without `protoc`, and generates from the same
//! descriptors the JSON codec and the tables of required fields.
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_types::{DescriptorProto, FileDescriptorProto};

#[path = "build/json.rs"]
mod json;
#[path = "build/schema.rs"]
mod schema;
#[path = "build/shapes.rs"]
mod shapes;

/// Fields that are big and seldom set. Without a box each task, resource and call would be moved about with room for
/// all of them: a `Resource` of 1.2 KB for the 30 bytes of its name and quantity.
const BOXED: &[&str] = &[
    ".mesos.v1.Resource.disk",
    ".mesos.v1.TaskInfo.executor",
    ".mesos.v1.TaskInfo.container",
    ".mesos.v1.TaskInfo.health_check",
    ".mesos.v1.TaskInfo.check",
    ".mesos.v1.TaskInfo.discovery",
    ".mesos.v1.Task.container",
    ".mesos.v1.Task.health_check",
    ".mesos.v1.Task.check",
    ".mesos.v1.Task.discovery",
    ".mesos.v1.ExecutorInfo.container",
    ".mesos.v1.ExecutorInfo.discovery",
    ".mesos.v1.Offer.Operation.launch_group",
    ".mesos.v1.Offer.Operation.create_disk",
    ".mesos.v1.Offer.Operation.destroy_disk",
    ".mesos.v1.Offer.Operation.grow_volume",
    ".mesos.v1.Offer.Operation.shrink_volume",
    ".mesos.v1.scheduler.Call.subscribe",
    ".mesos.v1.scheduler.Call.update_framework",
    ".mesos.v1.scheduler.Call.acknowledge_operation_status",
    ".mesos.v1.scheduler.Event.subscribed",
    ".mesos.v1.scheduler.Event.update_operation_status",
    ".mezz.agent.v1.RunTask.instance",
];

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
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=build.rs");
    let mut descriptors =
        protox::compile(files, [&root]).expect("the .proto files of this crate compile");
    let schema = schema::Schema::read(&descriptors);
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let write = |name: &str, text: String| {
        fs::write(Path::new(&out).join(name), text).expect("OUT_DIR is writable");
    };
    write("shapes.rs", shapes::generate(&schema));
    write("json.rs", json::generate(&schema));
    write("every.rs", json::list(&schema));
    // What Mesos calls deprecated is still on the wire; the attribute would only make noise.
    descriptors
        .file
        .iter_mut()
        .flat_map(|file| &mut file.message_type)
        .for_each(keep_deprecated_quiet);
    descriptors.file.iter_mut().for_each(keep_zero_in_maps);
    let mut config = prost_build::Config::new();
    for field in BOXED {
        config.boxed(field);
    }
    config
        .btree_map(["."])
        .bytes(["."])
        // Nobody prints one by accident.
        .skip_debug(["mezz.agent.v1.SecretValue"])
        .compile_well_known_types()
        .enum_attribute(
            "mesos.v1.TaskState",
            "#[derive(serde::Serialize, serde::Deserialize)]",
        )
        .include_file("protos.rs")
        .compile_fds(descriptors)
        .expect("prost generates code for them");
}

fn keep_deprecated_quiet(message: &mut DescriptorProto) {
    for options in message
        .field
        .iter_mut()
        .filter_map(|field| field.options.as_mut())
    {
        options.deprecated = None;
    }
    message
        .nested_type
        .iter_mut()
        .for_each(keep_deprecated_quiet);
}

/// Gives `Value.Scalar.value` the smallest double as its default, for prost alone: it leaves out a map's
/// value that equals the default, and a limit of zero would reach others without its required field.
fn keep_zero_in_maps(file: &mut FileDescriptorProto) {
    let values = file
        .message_type
        .iter_mut()
        .filter(|message| message.name() == "Value");
    let scalars = values
        .flat_map(|value| &mut value.nested_type)
        .filter(|message| message.name() == "Scalar");
    for field in scalars.flat_map(|scalar| &mut scalar.field) {
        field.default_value = Some("5e-324".to_owned());
    }
}
