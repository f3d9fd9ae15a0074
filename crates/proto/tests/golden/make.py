#!/usr/bin/python3
"""Writes the golden samples in this folder with protoc and Python's protobuf.

Nothing of this crate's own code takes part: the binary form comes from Google's implementation, and
the JSON text from the rules of Apache Mesos as they are spelled out below. Run it after a change of the
.proto files; it needs the Debian packages protobuf-compiler and python3-protobuf.

Each line holds a name, the binary form in base64 and the JSON text, separated by tabs.
"""
import base64
import json
import pathlib
import subprocess
import tempfile
from decimal import Decimal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"

# Every union of the API: file, message.
UNIONS = [
    ("scheduler-call", "mesos.v1.scheduler.Call"),
    ("scheduler-event", "mesos.v1.scheduler.Event"),
    ("scheduler-response", "mesos.v1.scheduler.Response"),
    ("executor-call", "mesos.v1.executor.Call"),
    ("executor-event", "mesos.v1.executor.Event"),
    ("agent-call", "mesos.v1.agent.Call"),
    ("agent-response", "mesos.v1.agent.Response"),
    ("agent-process-io", "mesos.v1.agent.ProcessIO"),
    ("master-call", "mesos.v1.master.Call"),
    ("master-response", "mesos.v1.master.Response"),
    ("master-event", "mesos.v1.master.Event"),
    ("resource-provider-call", "mesos.v1.resource_provider.Call"),
    ("resource-provider-event", "mesos.v1.resource_provider.Event"),
]

# Lists that are printed even when they are empty.
SHOWN_EMPTY = {
    "mesos.v1.master.Response.GetMetrics": {"metrics"},
    "mesos.v1.master.Response.GetAgents": {"agents", "recovered_agents"},
    "mesos.v1.master.Response.GetFrameworks": {"frameworks", "completed_frameworks"},
    "mesos.v1.master.Response.GetExecutors": {"executors"},
    "mesos.v1.master.Response.GetTasks": {"tasks", "unreachable_tasks", "completed_tasks"},
    "mesos.v1.agent.Response.GetMetrics": {"metrics"},
    "mesos.v1.agent.Response.GetFrameworks": {"frameworks", "completed_frameworks"},
    "mesos.v1.agent.Response.GetExecutors": {"executors", "completed_executors"},
    "mesos.v1.agent.Response.GetTasks": {
        "pending_tasks", "queued_tasks", "launched_tasks", "terminated_tasks", "completed_tasks",
    },
}

STRINGS = ["plain", "", "a\"b\\c/d", "line\nfeed\ttab\r\b\f\x01\x1f\x7f", "héllo wörld", "日本語 😀", "*"]
DOUBLES = [0.0, 1.0, -2.5, 0.001, 64.0, 1795313590.265326, 1e-7, 1e-6, 1e15, 1e16, 123456789e12, 1e21, -1.25e30,
           1 / 3, 1e-300, 1.7976931348623157e308, float("inf"), float("-inf")]
BYTES = [b"", b"\x00", b"\xfb\xff", b"abc", bytes(range(16))]
INTEGERS = {
    "int32": [0, 1, -1, 2**31 - 1, -2**31],
    "int64": [0, 1, -1, 2**53 + 1, 2**63 - 1, -2**63],
    "uint32": [0, 1, 5050, 2**32 - 1],
    "uint64": [0, 1, 2**53 + 1, 2**64 - 1],
}


class Source:
    """Values in a fixed order, so that every run writes the same files."""

    def __init__(self):
        self.count = 0

    def pick(self, values):
        self.count += 1
        return values[self.count % len(values)]


def scalar(source, field):
    kinds = type(field)
    if field.type == kinds.TYPE_STRING:
        return source.pick(STRINGS)
    if field.type == kinds.TYPE_DOUBLE:
        return source.pick(DOUBLES)
    if field.type == kinds.TYPE_BOOL:
        return source.pick([True, False])
    if field.type == kinds.TYPE_BYTES:
        return source.pick(BYTES)
    if field.type == kinds.TYPE_ENUM:
        return source.pick([value.number for value in field.enum_type.values])
    name = {kinds.TYPE_INT32: "int32", kinds.TYPE_INT64: "int64",
            kinds.TYPE_UINT32: "uint32", kinds.TYPE_UINT64: "uint64"}[field.type]
    return source.pick(INTEGERS[name])


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def fill(message, source, depth, explicit):
    """Sets all fields down to this depth and what is required below it.

    With `explicit` the fields that have a default are set everywhere.
    """
    chosen = {oneof.name: source.pick([field.name for field in oneof.fields])
              for oneof in message.DESCRIPTOR.oneofs}
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None and chosen[field.containing_oneof.name] != field.name:
            continue
        required = field.label == field.LABEL_REQUIRED or field.containing_oneof is not None
        defaulted = explicit and field.has_default_value and not field.GetOptions().deprecated
        if required or defaulted or depth > 0:
            put(message, field, source, depth, explicit)


def put(message, field, source, depth, explicit):
    if is_map(field):
        value = field.message_type.fields_by_name["value"]
        for key in ["b", "a", "é/\""][: 1 + depth % 3]:
            # Implementations differ in whether they write an empty value, so there is none here.
            if value.message_type is None:
                getattr(message, field.name)[key] = scalar(source, value) or "filled"
            else:
                fill(getattr(message, field.name)[key], source, max(depth - 1, 1), explicit)
    elif field.label == field.LABEL_REPEATED:
        if field.message_type is None:
            getattr(message, field.name).extend(scalar(source, field) for _ in range(2))
        else:
            for _ in range(2 if depth == 1 else 1):
                fill(getattr(message, field.name).add(), source, depth - 1, explicit)
    elif field.message_type is None:
        setattr(message, field.name, scalar(source, field))
    else:
        child = getattr(message, field.name)
        child.SetInParent()
        fill(child, source, depth - 1, explicit)


def double_text(value):
    """Shortest digits, plain between 1e-6 and 1e21, always with a fraction or an exponent."""
    if value in (float("inf"), float("-inf")):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, digits))
    minus = "-" if sign else ""
    if value == 0:
        return minus + "0.0"
    point = len(digits) + exponent
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    if 0 < point <= 21:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:] or "0"
        return f"{minus}{whole}.{fraction}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1}"


def string_text(value):
    """JSON's short escapes, four upper-case digits for other control characters, nothing else escaped."""
    escaped = (
        json.dumps(c)[1:-1] if c in "\"\\\n\r\t\b\f" else f"\\u{ord(c):04X}" if ord(c) < 0x20 else c for c in value
    )
    return f'"{"".join(escaped)}"'


def value_text(field, value):
    kinds = type(field)
    if field.type == kinds.TYPE_MESSAGE:
        return message_text(value)
    if field.type == kinds.TYPE_STRING:
        return string_text(value)
    if field.type == kinds.TYPE_BYTES:
        return f'"{base64.b64encode(value).decode()}"'
    if field.type == kinds.TYPE_BOOL:
        return "true" if value else "false"
    if field.type == kinds.TYPE_DOUBLE:
        return double_text(value)
    if field.type == kinds.TYPE_ENUM:
        return f'"{field.enum_type.values_by_number[value].name}"'
    return str(value)


def message_text(message):
    parts = []
    shown_empty = SHOWN_EMPTY.get(message.DESCRIPTOR.full_name, set())
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if is_map(field):
            held = field.message_type.fields_by_name["value"]
            entries = sorted(value.items(), key=lambda entry: entry[0].encode())
            if not entries:
                continue
            text = "{" + ",".join(f"{string_text(k)}:{value_text(held, v)}" for k, v in entries) + "}"
        elif field.label == field.LABEL_REPEATED:
            if not value and field.name not in shown_empty:
                continue
            text = "[" + ",".join(value_text(field, element) for element in value) + "]"
        elif message.HasField(field.name) if field.file.syntax == "proto2" else value != 0:
            text = value_text(field, value)
        elif field.has_default_value and not field.GetOptions().deprecated:
            text = value_text(field, value)
        else:
            continue
        parts.append(f'"{field.name}":{text}')
    return "{" + ",".join(parts) + "}"


def line(name, message):
    binary = base64.b64encode(message.SerializeToString(deterministic=True)).decode()
    return f"{name}\t{binary}\t{message_text(message)}\n"


def load():
    """The descriptors of all files, through protoc."""
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("mesos/**/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "set"
        subprocess.run(["protoc", f"-I{PROTO}", "-I/usr/include", "--include_imports",
                        f"--descriptor_set_out={out}", *files], check=True)
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return pool, descriptors


def names(scope, messages):
    for message in messages:
        if not message.options.map_entry:
            full = f"{scope}.{message.name}"
            yield full
            yield from names(full, message.nested_type)


def main():
    pool, descriptors = load()
    factory = message_factory.MessageFactory(pool)

    def new(full):
        return factory.GetPrototype(pool.FindMessageTypeByName(full))()

    source = Source()
    for file, full in UNIONS:
        lines = []
        for kind in pool.FindMessageTypeByName(full).enum_types_by_name["Type"].values:
            message = new(full)
            fill(message, source, 0, True)
            message.type = kind.number
            body = message.DESCRIPTOR.fields_by_name.get(kind.name.lower())
            if body is not None:
                put(message, body, source, 5 if full.endswith(("Call", "Event")) else 4, True)
            lines.append(line(kind.name, message))
        (HERE / f"{file}.tsv").write_text("".join(lines))

    least, whole = [], []
    for file in descriptors.file:
        if file.package.startswith("mesos."):
            for full in names(file.package, file.message_type):
                message = new(full)
                fill(message, source, 0, False)
                least.append(line(full, message))
                message = new(full)
                fill(message, source, 2, True)
                whole.append(line(full, message))
    (HERE / "messages-least.tsv").write_text("".join(sorted(least)))
    (HERE / "messages-whole.tsv").write_text("".join(sorted(whole)))


if __name__ == "__main__":
    main()
