//! The fields of an encoded `mesos.v1.Task`, found without decoding it: a whole state holds hundreds of thousands of
//! them, and decoding costs several times as much as writing their text. What is rare in a task is decoded alone.

use mezz_proto::v1;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

/// Where the fields of one task lie. Fields that are not here are numbers or empty.
#[derive(Debug, Default)]
pub(crate) struct TaskWire<'a> {
    pub(crate) name: &'a str,
    pub(crate) task_id: &'a str,
    pub(crate) framework_id: &'a str,
    pub(crate) executor_id: Option<&'a str>,
    pub(crate) agent_id: &'a str,
    pub(crate) state: i32,
    pub(crate) update_state: Option<i32>,
    pub(crate) update_uuid: Option<&'a [u8]>,
    pub(crate) user: Option<&'a str>,
    pub(crate) labels: Option<&'a [u8]>,
    pub(crate) discovery: Option<&'a [u8]>,
    pub(crate) container: Option<&'a [u8]>,
    pub(crate) health_check: Option<&'a [u8]>,
    pub(crate) statuses: Vec<&'a [u8]>,
    pub(crate) resources: Vec<&'a [u8]>,
}

impl<'a> TaskWire<'a> {
    /// Finds the fields; `None` when the task has to be decoded as a whole: it is not well formed, has a field that is
    /// not found here, or a message in two halves.
    pub(crate) fn read(wire: &'a [u8]) -> Option<Self> {
        let mut found = Self::default();
        let mut rest = wire;
        while !rest.is_empty() {
            let (number, kind) = decode_key(&mut rest).ok()?;
            match kind {
                WireType::Varint => {
                    let value = decode_varint(&mut rest).ok()?;
                    match number {
                        6 => found.state = i32::try_from(value).ok()?,
                        9 => found.update_state = Some(i32::try_from(value).ok()?),
                        _ => return None,
                    }
                }
                WireType::LengthDelimited => found.take(number, slice(&mut rest)?)?,
                _ => return None,
            }
        }
        Some(found)
    }

    fn take(&mut self, number: u32, field: &'a [u8]) -> Option<()> {
        match number {
            1 => self.name = text(field)?,
            2 => self.task_id = id(field)?,
            3 => self.framework_id = id(field)?,
            4 => self.executor_id = Some(id(field)?),
            5 => self.agent_id = id(field)?,
            7 => self.resources.push(field),
            8 => self.statuses.push(field),
            10 => self.update_uuid = Some(field),
            14 => self.user = Some(text(field)?),
            11 => once(&mut self.labels, field)?,
            12 => once(&mut self.discovery, field)?,
            13 => once(&mut self.container, field)?,
            15 => once(&mut self.health_check, field)?,
            _ => return None,
        }
        Some(())
    }

    /// The labels in order, each with its value.
    pub(crate) fn labels(&self) -> Option<Vec<(&'a str, Option<&'a str>)>> {
        let mut labels = Vec::new();
        let mut rest = self.labels.unwrap_or_default();
        while !rest.is_empty() {
            labels.push(label(slice_of(1, &mut rest)?)?);
        }
        Some(labels)
    }
}

/// The parts of a status that the unversioned endpoints show.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ShownStatus {
    #[prost(enumeration = "v1::TaskState", optional, tag = "2")]
    pub(crate) state: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(crate) timestamp: Option<f64>,
    #[prost(bool, optional, tag = "8")]
    pub(crate) healthy: Option<bool>,
    #[prost(message, optional, tag = "12")]
    pub(crate) labels: Option<v1::Labels>,
    #[prost(message, optional, tag = "13")]
    pub(crate) container_status: Option<v1::ContainerStatus>,
}

fn once<'a>(place: &mut Option<&'a [u8]>, field: &'a [u8]) -> Option<()> {
    place.replace(field).is_none().then_some(())
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

/// The only field of an id message.
fn id(mut field: &[u8]) -> Option<&str> {
    let value = text(slice_of(1, &mut field)?)?;
    field.is_empty().then_some(value)
}

fn label(mut field: &[u8]) -> Option<(&str, Option<&str>)> {
    let key = text(slice_of(1, &mut field)?)?;
    let value = if field.is_empty() {
        None
    } else {
        Some(text(slice_of(2, &mut field)?)?)
    };
    field.is_empty().then_some((key, value))
}

/// The field with this number, when it comes next.
fn slice_of<'a>(number: u32, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (found, kind) = decode_key(rest).ok()?;
    (found == number && kind == WireType::LengthDelimited).then_some(())?;
    slice(rest)
}

fn slice<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (field, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

/// Appends the JSON text of an encoded task as the v1 API has it; `known` remembers the texts of equal resources.
pub(crate) fn write_v1(wire: &[u8], out: &mut Vec<u8>, known: &mut KnownTexts) {
    let start = out.len();
    if write_found(wire, out, known).is_none() {
        out.truncate(start);
        // The core keeps only what it has encoded or checked; what still does not decode has nothing to show.
        mezz_proto::write_json(&v1::Task::decode(wire).unwrap_or_default(), out);
    }
}

/// Texts of resources by their encoding.
pub(crate) type KnownTexts = rustc_hash::FxHashMap<Vec<u8>, Vec<u8>>;

fn write_found(wire: &[u8], out: &mut Vec<u8>, known: &mut KnownTexts) -> Option<()> {
    let task = TaskWire::read(wire)?;
    let named = |out: &mut Vec<u8>, key: &str, value: &str| {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"{\"value\":");
        mezz_proto::json::write_text(value, out);
        out.push(b'}');
    };
    out.extend_from_slice(b"{\"name\":");
    mezz_proto::json::write_text(task.name, out);
    named(out, ",\"task_id\":", task.task_id);
    named(out, ",\"framework_id\":", task.framework_id);
    if let Some(executor) = task.executor_id {
        named(out, ",\"executor_id\":", executor);
    }
    named(out, ",\"agent_id\":", task.agent_id);
    write_state(out, ",\"state\":", task.state)?;
    write_list(out, ",\"resources\":[", &task.resources, |out, field| {
        if !known.contains_key(field) {
            let text = mezz_proto::to_json(&v1::Resource::decode(field).ok()?);
            known.insert(field.to_vec(), text);
        }
        out.extend_from_slice(known.get(field)?);
        Some(())
    })?;
    write_list(out, ",\"statuses\":[", &task.statuses, |out, field| {
        mezz_proto::write_json(&v1::TaskStatus::decode(field).ok()?, out);
        Some(())
    })?;
    if let Some(state) = task.update_state {
        write_state(out, ",\"status_update_state\":", state)?;
    }
    if let Some(uuid) = task.update_uuid {
        out.extend_from_slice(b",\"status_update_uuid\":");
        mezz_proto::json::write_base64(uuid, out);
    }
    match task.labels {
        None => {}
        // What an empty list looks like is for the rules of the message to say.
        Some([]) => return None,
        Some(_) => write_labels(out, &task.labels()?),
    }
    write_message::<v1::DiscoveryInfo>(out, ",\"discovery\":", task.discovery)?;
    write_message::<v1::ContainerInfo>(out, ",\"container\":", task.container)?;
    write_message::<v1::HealthCheck>(out, ",\"health_check\":", task.health_check)?;
    if let Some(user) = task.user {
        out.extend_from_slice(b",\"user\":");
        mezz_proto::json::write_text(user, out);
    }
    out.push(b'}');
    Some(())
}

fn write_state(out: &mut Vec<u8>, key: &str, state: i32) -> Option<()> {
    let state = v1::TaskState::try_from(state).ok()?;
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    out.extend_from_slice(state.as_str_name().as_bytes());
    out.push(b'"');
    Some(())
}

fn write_labels(out: &mut Vec<u8>, labels: &[(&str, Option<&str>)]) {
    out.extend_from_slice(b",\"labels\":{\"labels\":[");
    for (index, (key, value)) in labels.iter().enumerate() {
        out.extend_from_slice(if index == 0 {
            b"{\"key\":"
        } else {
            b",{\"key\":"
        });
        mezz_proto::json::write_text(key, out);
        if let Some(value) = value {
            out.extend_from_slice(b",\"value\":");
            mezz_proto::json::write_text(value, out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn write_list(
    out: &mut Vec<u8>,
    key: &str,
    fields: &[&[u8]],
    mut each: impl FnMut(&mut Vec<u8>, &[u8]) -> Option<()>,
) -> Option<()> {
    if fields.is_empty() {
        return Some(());
    }
    out.extend_from_slice(key.as_bytes());
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        each(out, field)?;
    }
    out.push(b']');
    Some(())
}

fn write_message<M: mezz_proto::Json>(
    out: &mut Vec<u8>,
    key: &str,
    field: Option<&[u8]>,
) -> Option<()> {
    if let Some(field) = field {
        out.extend_from_slice(key.as_bytes());
        mezz_proto::write_json(&M::decode(field).ok()?, out);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> v1::Task {
        let text = "{\"name\":\"n\\\"\u{fc}\",\"task_id\":{\"value\":\"t\"},\"framework_id\":{\"value\":\"f\"},\
            \"executor_id\":{\"value\":\"e\"},\"agent_id\":{\"value\":\"a\"},\"state\":\"TASK_RUNNING\",\
            \"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":0.5}},\
            {\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":{\"range\":[{\"begin\":1,\"end\":2}]}}],\
            \"statuses\":[{\"task_id\":{\"value\":\"t\"},\"state\":\"TASK_RUNNING\",\"timestamp\":1.5,\"healthy\":true}],\
            \"status_update_state\":\"TASK_RUNNING\",\"status_update_uuid\":\"AAECAw==\",\
            \"labels\":{\"labels\":[{\"key\":\"k\",\"value\":\"v\"},{\"key\":\"only\"}]},\
            \"discovery\":{\"visibility\":\"CLUSTER\",\"name\":\"d\"},\"container\":{\"type\":\"MESOS\"},\
            \"health_check\":{\"type\":\"TCP\",\"tcp\":{\"port\":80}},\"user\":\"u\"}";
        mezz_proto::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_text_of_an_encoded_task_is_that_of_the_task() {
        let mut limited = full();
        limited
            .limits
            .insert("mem".into(), v1::value::Scalar { value: 1.0 });
        let plain = v1::Task {
            labels: Some(v1::Labels::default()),
            ..v1::Task::default()
        };
        let mut known = KnownTexts::default();
        for task in [full(), limited, plain, full()] {
            let mut out = Vec::new();
            write_v1(&task.encode_to_vec(), &mut out, &mut known);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                String::from_utf8(mezz_proto::to_json(&task)).unwrap()
            );
        }
    }

    #[test]
    fn a_task_with_a_state_appended_has_the_last_one() {
        let mut wire = full().encode_to_vec();
        wire.extend_from_slice(&[6 << 3, v1::TaskState::TaskFinished as u8]);
        let mut out = Vec::new();
        write_v1(&wire, &mut out, &mut KnownTexts::default());
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("\"state\":\"TASK_FINISHED\",\"resources\""),
            "{text}"
        );
    }
}
