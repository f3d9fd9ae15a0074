//! A task description of about one kilobyte, as schedulers send it, in both encodings.

use mezz_proto::v1;
use prost::Message;

/// The task and its two encodings.
#[derive(Debug, Clone)]
pub struct Sample {
    task: v1::TaskInfo,
    json: Vec<u8>,
    protobuf: Vec<u8>,
}

impl Sample {
    /// Always the same task.
    pub fn new() -> Self {
        let task = task();
        Self {
            json: mezz_proto::json::to_json(&task),
            protobuf: task.encode_to_vec(),
            task,
        }
    }

    /// Reads the JSON form; the number of resources, so that nothing is left out.
    #[inline(never)]
    pub fn read_json(&self) -> usize {
        let task: v1::TaskInfo = mezz_proto::from_json(&self.json).expect("a complete task");
        task.resources.len()
    }

    /// Writes the JSON form.
    #[inline(never)]
    pub fn write_json(&self) -> usize {
        mezz_proto::json::to_json(&self.task).len()
    }

    /// Reads the protobuf form and checks its required fields.
    #[inline(never)]
    pub fn read_protobuf(&self) -> usize {
        let task: v1::TaskInfo =
            mezz_proto::decode_binary(&self.protobuf).expect("a complete task");
        task.resources.len()
    }

    /// Writes the protobuf form.
    #[inline(never)]
    pub fn write_protobuf(&self) -> usize {
        self.task.encode_to_vec().len()
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::new()
    }
}

fn task() -> v1::TaskInfo {
    let resources = mezz_resource::parse("cpus:0.5;mem:256;disk:512;ports:[31000-31002]", "*")
        .expect("a well-formed text");
    let variable = |index: u32| v1::environment::Variable {
        name: format!("SERVICE_SETTING_{index}"),
        value: Some(format!("value of the setting number {index}")),
        ..v1::environment::Variable::default()
    };
    let label = |index: u32| v1::Label {
        key: format!("team.example/label-{index}"),
        value: Some(format!("label value {index}")),
    };
    v1::TaskInfo {
        name: "shop.frontend.web".into(),
        task_id: v1::TaskId {
            value: "shop_frontend_web.instance-0c5dd1b2-50a5-11ee-b2c8-8a7a3a7c2c0e._app.1".into(),
        },
        agent_id: v1::AgentId {
            value: "7d6ac4c4-9a1c-4e7e-8a06-7b2f8b4f3c11-S12".into(),
        },
        resources: resources.to_proto(),
        command: Some(v1::CommandInfo {
            shell: Some(true),
            value: Some("exec /opt/shop/bin/web --listen 0.0.0.0:$PORT0 --name \"front\"".into()),
            user: Some("shop".into()),
            environment: Some(v1::Environment {
                variables: (0..6).map(variable).collect(),
            }),
            ..v1::CommandInfo::default()
        }),
        labels: Some(v1::Labels {
            labels: (0..4).map(label).collect(),
        }),
        ..v1::TaskInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_about_a_kilobyte_and_reads_back_in_both_encodings() {
        let sample = Sample::new();
        assert!(
            (800..1_300).contains(&sample.protobuf.len()),
            "{}",
            sample.protobuf.len()
        );
        assert_eq!(sample.read_json(), sample.task.resources.len());
        assert_eq!(sample.read_protobuf(), sample.task.resources.len());
        assert_eq!(sample.write_json(), sample.json.len());
        assert_eq!(sample.write_protobuf(), sample.protobuf.len());
    }
}
