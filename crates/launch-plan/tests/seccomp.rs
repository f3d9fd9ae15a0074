//! Programs of system call filters, run by an interpreter of their own.
#![allow(clippy::unwrap_used)]

use mezz_launch_plan::seccomp::{
    Architecture, Host, Instruction, Profile, compile, default_profile, parse_profile,
};
use mezz_launch_plan::{Capability, CapabilitySet};

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;

const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

/// What the kernel would do: the word at an offset of `struct seccomp_data`, jumps forward only.
fn run(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(architecture.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
        let instruction = program[at];
        let operand = instruction.operand;
        let jump = |taken: bool| {
            usize::from(if taken {
                instruction.jump_true
            } else {
                instruction.jump_false
            })
        };
        at += 1;
        match instruction.code {
            0x20 => {
                let from = operand as usize;
                accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
            }
            0x05 => at += operand as usize,
            0x15 => at += jump(accumulator == operand),
            0x25 => at += jump(accumulator > operand),
            0x35 => at += jump(accumulator >= operand),
            0x54 => accumulator &= operand,
            0x06 => return operand,
            other => panic!("unexpected instruction {other:#x}"),
        }
    }
}

fn host(capabilities: &[&str]) -> Host {
    let named = |name: &&str| Capability::from_name(name).unwrap();
    Host {
        architecture: Architecture::X86_64,
        kernel: (6, 1),
        capabilities: capabilities.iter().map(named).collect(),
    }
}

fn program(profile: &Profile, capabilities: &[&str]) -> Vec<Instruction> {
    compile(profile, &host(capabilities)).unwrap()
}

fn parsed(rules: &str) -> Profile {
    let text = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#);
    parse_profile(&text).unwrap()
}

const MKDIR: u32 = 83;
const CLONE: u32 = 56;
const MOUNT: u32 = 165;
const READ: u32 = 0;

/// Whether a comparison holds of an argument and a value.
type Holds = fn(u64, u64) -> bool;

#[test]
fn each_comparison_holds_for_exactly_the_values_that_it_says() {
    let values = [
        0,
        1,
        5,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0005,
        0x2_0000_0005,
        u64::MAX,
    ];
    let comparisons: [(&str, Holds); 6] = [
        ("NE", |left, right| left != right),
        ("LT", |left, right| left < right),
        ("LE", |left, right| left <= right),
        ("EQ", |left, right| left == right),
        ("GE", |left, right| left >= right),
        ("GT", |left, right| left > right),
    ];
    for (name, holds) in comparisons {
        for right in values {
            let rule = format!(
                r#"{{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW",
                    "args": [{{"index": 3, "value": {right}, "op": "SCMP_CMP_{name}"}}]}}"#
            );
            let program = program(&parsed(&rule), &[]);
            for left in values {
                let answer = run(&program, X86_64, MKDIR, [9, 9, 9, left, 9, 9]);
                let expected = if holds(left, right) { ALLOW } else { errno(1) };
                assert_eq!(answer, expected, "{left} {name} {right}");
            }
        }
    }
}

#[test]
fn a_masked_comparison_looks_at_the_bits_of_its_mask_only() {
    let rule = r#"{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": 64424509455, "valueTwo": 4294967297, "op": "SCMP_CMP_MASKED_EQ"}]}"#;
    let program = program(&parsed(rule), &[]);
    let mask = 0xf_0000_000f_u64;
    for value in [
        0,
        1,
        0x1_0000_0001,
        0xf1_0000_00f1,
        0x1_0000_0003,
        0x3_0000_0001,
    ] {
        let expected = if value & mask == 0x1_0000_0001 {
            ALLOW
        } else {
            errno(1)
        };
        let answer = run(&program, X86_64, MKDIR, [value, 0, 0, 0, 0, 0]);
        assert_eq!(answer, expected, "{value:#x}");
    }
}

#[test]
fn conditions_on_different_arguments_must_all_hold_and_those_on_one_are_alternatives() {
    let all = r#"{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}"#;
    let program_of_all = program(&parsed(all), &[]);
    let alternatives = r#"{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}"#;
    let program_of_either = program(&parsed(alternatives), &[]);
    for first in 0..4 {
        for second in 0..4 {
            let arguments = [first, second, 0, 0, 0, 0];
            let answer = |allowed: bool| if allowed { ALLOW } else { errno(1) };
            assert_eq!(
                run(&program_of_all, X86_64, MKDIR, arguments),
                answer(first == 1 && second == 2)
            );
            assert_eq!(
                run(&program_of_either, X86_64, MKDIR, arguments),
                answer(first == 1 || first == 2)
            );
        }
    }
}

#[test]
fn every_number_finds_its_own_rule_however_many_there_are() {
    // Alternating rules, so that nothing can be merged, and some that need long jumps.
    let names = [
        "read", "open", "fstat", "poll", "mmap", "munmap", "ioctl", "pipe", "dup", "getpid",
    ];
    let mut rules = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let conditions: Vec<String> = (0..30)
            .map(|value| format!(r#"{{"index": 0, "value": {value}, "op": "SCMP_CMP_EQ"}}"#))
            .collect();
        rules.push(format!(
            r#"{{"names": ["{name}"], "action": "SCMP_ACT_ERRNO", "errnoRet": {}, "args": [{}]}}"#,
            100 + index,
            conditions.join(",")
        ));
        rules.push(format!(
            r#"{{"names": ["{name}"], "action": "SCMP_ACT_ALLOW"}}"#
        ));
    }
    let program = program(&parsed(&rules.join(",")), &[]);
    assert!(
        program.len() > 1000 && program.len() < 4096,
        "{}",
        program.len()
    );
    let numbers = [0, 2, 5, 7, 9, 11, 16, 22, 32, 39];
    for number in 0..500 {
        let index = numbers.iter().position(|known| *known == number);
        for first in [0, 29, 30] {
            let expected = match index {
                None => errno(1),
                Some(index) if first < 30 => errno(100 + u32::try_from(index).unwrap()),
                Some(_) => ALLOW,
            };
            let answer = run(&program, X86_64, number, [first, 0, 0, 0, 0, 0]);
            assert_eq!(answer, expected, "{number} {first}");
        }
    }
}

#[test]
fn rules_hold_by_capability_architecture_and_kernel() {
    let rules = r#"
        {"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN", "CAP_KILL"]}},
        {"names": ["rmdir"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
        {"names": ["chmod"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64", "amd64"]}},
        {"names": ["fchmod"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["chown"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["fchown"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}}"#;
    let answers = |capabilities: &[&str]| {
        let program = program(&parsed(rules), capabilities);
        [83, 84, 90, 91, 92, 93].map(|number| run(&program, X86_64, number, [0; 6]) == ALLOW)
    };
    assert_eq!(answers(&[]), [false, true, true, false, true, false]);
    assert_eq!(
        answers(&["CHOWN"]),
        [false, false, true, false, true, false]
    );
    assert_eq!(
        answers(&["CHOWN", "KILL"]),
        [true, false, true, false, true, false]
    );
}

#[test]
fn programs_of_other_architectures_end_unless_the_profile_names_them() {
    let plain = parsed(r#"{"names": ["mkdir", "read"], "action": "SCMP_ACT_ALLOW"}"#);
    let program_of_plain = program(&plain, &[]);
    assert_eq!(run(&program_of_plain, X86, 39, [0; 6]), KILL_PROCESS);
    assert_eq!(run(&program_of_plain, AARCH64, 34, [0; 6]), KILL_PROCESS);
    // The x32 interface has the numbers of the 64-bit one with a bit more.
    assert_eq!(
        run(&program_of_plain, X86_64, MKDIR | 0x4000_0000, [0; 6]),
        errno(38)
    );
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let both = program(&parse_profile(text).unwrap(), &[]);
    assert_eq!(run(&both, X86, 39, [0; 6]), ALLOW);
    assert_eq!(run(&both, X86, 83, [0; 6]), errno(1));
    assert_eq!(run(&both, X86_64, 83, [0; 6]), ALLOW);
    assert_eq!(run(&both, X86_64, 39, [0; 6]), errno(1));
}

#[test]
fn the_built_in_profile_opens_with_capabilities_and_knows_what_it_does_not_know() {
    let profile = default_profile();
    let none = program(&profile, &[]);
    let admin = program(&profile, &["SYS_ADMIN"]);
    let answer = |program: &[Instruction], number: u32, first: u64| {
        run(program, X86_64, number, [first, 0, 0, 0, 0, 0])
    };
    assert_eq!(answer(&none, READ, 0), ALLOW);
    assert_eq!(answer(&none, MOUNT, 0), errno(1));
    assert_eq!(answer(&admin, MOUNT, 0), ALLOW);
    // A thread, then a new user namespace.
    assert_eq!(answer(&none, CLONE, 0x3d_0f00), ALLOW);
    assert_eq!(answer(&none, CLONE, 0x1000_0011), errno(1));
    assert_eq!(answer(&admin, CLONE, 0x1000_0011), ALLOW);
    let (clone3, socket, personality, keyctl) = (435, 41, 135, 250);
    assert_eq!(answer(&none, clone3, 0), errno(38));
    assert_eq!(answer(&admin, clone3, 0), ALLOW);
    assert_eq!(answer(&none, socket, 2), ALLOW);
    assert_eq!(answer(&none, socket, 40), errno(1));
    assert_eq!(answer(&none, personality, 0), ALLOW);
    assert_eq!(answer(&none, personality, 0x40_0000), errno(1));
    assert_eq!(answer(&admin, keyctl, 0), errno(1));
    // One that a later kernel may have.
    assert_eq!(answer(&none, 900, 0), errno(38));
}

#[test]
fn what_cannot_be_kept_of_a_profile_is_named() {
    let cases = [
        ("{}", "missing field `defaultAction`"),
        (
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
            r#"defaultAction: "SCMP_ACT_NOTIFY""#,
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}"#,
            "flags of seccomp profiles is not built",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscals": []}"#,
            "unknown field `syscals`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirr"], "action": "SCMP_ACT_ERRNO"}]}"#,
            r#"syscalls[0].names: there is no system call "mkdirr""#,
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
            "syscalls[0].args[0]: there is no argument 6",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_IS"}]}]}"#,
            r#"syscalls[0].args[0].op: "SCMP_CMP_IS""#,
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW",
                "includes": {"caps": ["CAP_FLY"]}}]}"#,
            r#"syscalls[0].includes.caps: "CAP_FLY""#,
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}"#,
            "defaultAction: 5000 is not an error number",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW"}]}"#,
            "syscalls[0] names no system call",
        ),
    ];
    for (text, expected) in cases {
        let message = parse_profile(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn capabilities_have_their_names_and_numbers() {
    assert_eq!(
        Capability::from_name("CAP_SYS_ADMIN"),
        Some(Capability::SYS_ADMIN)
    );
    assert_eq!(
        Capability::from_number(40).unwrap().name(),
        "CHECKPOINT_RESTORE"
    );
    assert_eq!(Capability::from_number(41), None);
    let some: CapabilitySet = [0, 5]
        .into_iter()
        .filter_map(Capability::from_number)
        .collect();
    assert_eq!(some.to_string(), "CHOWN, KILL");
}
