//! The program for devices, run by a small interpreter of the kernel's virtual machine.

use mezz_cgroup::{Access, DeviceList, Instruction, device_program};

/// Runs the program as the kernel would: the result, or what is wrong with the program.
fn run(program: &[Instruction], context: [u32; 3]) -> Result<u64, String> {
    let mut registers: [Option<u64>; 11] = [None; 11];
    let read = |registers: &[Option<u64>; 11], register: u8| {
        let value = registers.get(usize::from(register)).copied().flatten();
        value.ok_or(format!("register {register} was never written"))
    };
    let mut at = 0usize;
    loop {
        let step = program.get(at).ok_or("it runs off its end")?;
        at += 1;
        let number = i64::from(step.number).cast_unsigned();
        let to = usize::from(step.to);
        let jump = |at: usize| {
            let offset = usize::try_from(step.offset).map_err(|_| "it jumps back")?;
            Ok::<_, String>(at + offset)
        };
        match step.code {
            0x61 => {
                assert_eq!(step.from, 1, "only the context is read");
                let offset = usize::try_from(step.offset).map_err(|_| "before the context")?;
                if offset % 4 != 0 {
                    return Err("it reads across words".to_owned());
                }
                let word = context
                    .get(offset / 4)
                    .ok_or("it reads beyond the context")?;
                registers[to] = Some(u64::from(*word));
            }
            0xbf => registers[to] = Some(read(&registers, step.from)?),
            0xb7 => registers[to] = Some(number),
            0x57 => registers[to] = Some(read(&registers, step.to)? & number),
            0x77 => registers[to] = Some(read(&registers, step.to)? >> number),
            0x55 => {
                if read(&registers, step.to)? != number {
                    at = jump(at)?;
                }
            }
            0x5d => {
                if read(&registers, step.to)? != read(&registers, step.from)? {
                    at = jump(at)?;
                }
            }
            0x95 => return read(&registers, 0),
            other => return Err(format!("unknown code {other:#x}")),
        }
    }
}

const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;

fn allows(list: &DeviceList, kind: u32, access: Access, major: u32, minor: u32) -> bool {
    let context = [u32::from(access.bits()) << 16 | kind, major, minor];
    let result = run(&device_program(list), context).expect("a right program");
    assert!(result <= 1, "the kernel takes 0 or 1 only");
    result == 1
}

fn list(rules: &[&str]) -> DeviceList {
    let mut list = DeviceList::default();
    for rule in rules {
        list.allow_text(rule).expect("a rule");
    }
    list
}

const R: Access = Access::READ;
const W: Access = Access::WRITE;
const M: Access = Access::MAKE;

#[test]
fn nothing_is_allowed_that_is_not_listed() {
    let empty = DeviceList::default();
    assert!(!allows(&empty, CHARACTER, R, 1, 3));
    let some = list(&["c 1:3 rw", "b 8:* r", "c *:* m"]);
    let cases = [
        (CHARACTER, R, 1, 3, true),
        (CHARACTER, R.with(W), 1, 3, true),
        (CHARACTER, R, 1, 4, false),
        (CHARACTER, R, 2, 3, false),
        (BLOCK, R, 1, 3, false),
        (BLOCK, R, 8, 17, true),
        (BLOCK, R.with(W), 8, 17, false),
        (BLOCK, W, 8, 17, false),
        (BLOCK, R, 9, 0, false),
        (CHARACTER, M, 4095, 1_048_575, true),
        (BLOCK, M, 8, 0, false),
        // No single rule allows all of it.
        (CHARACTER, R.with(M), 1, 3, false),
    ];
    for (kind, access, major, minor, expected) in cases {
        let found = allows(&some, kind, access, major, minor);
        assert_eq!(found, expected, "{kind} {access} {major}:{minor}");
    }
}

#[test]
fn the_standard_list_has_terminals_and_randomness_and_neither_disks_nor_memory() {
    let standard = DeviceList::standard();
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 2),
        (136, 77),
    ] {
        assert!(
            allows(&standard, CHARACTER, Access::ALL, major, minor),
            "{major}:{minor}"
        );
    }
    for (major, minor) in [(1, 1), (1, 2), (1, 4), (1, 11), (10, 229)] {
        assert!(
            !allows(&standard, CHARACTER, R, major, minor),
            "{major}:{minor}"
        );
    }
    assert!(!allows(&standard, BLOCK, R, 8, 0));
    assert!(allows(&standard, BLOCK, M, 8, 0), "to make is not to open");
}

#[test]
fn a_long_list_is_still_a_right_program() {
    let mut long = DeviceList::default();
    for minor in 0..500 {
        long.allow_text(&format!("c 10:{minor} r")).expect("a rule");
    }
    assert!(allows(&long, CHARACTER, R, 10, 499));
    assert!(!allows(&long, CHARACTER, R, 10, 500));
    assert!(device_program(&long).len() < 4096, "what old kernels take");
}

#[test]
fn instructions_are_the_bytes_that_the_kernel_reads() {
    let program = device_program(&DeviceList::default());
    let bytes: Vec<[u8; 8]> = program.iter().map(|each| each.bytes()).collect();
    if cfg!(target_endian = "little") {
        assert_eq!(
            bytes[0],
            [0x61, 0x12, 0, 0, 0, 0, 0, 0],
            "r2 = *(u32 *)(r1 + 0)"
        );
        assert_eq!(
            bytes[2],
            [0x57, 0x02, 0, 0, 0xff, 0xff, 0, 0],
            "r2 &= 0xffff"
        );
        assert_eq!(
            bytes[5],
            [0x61, 0x15, 8, 0, 0, 0, 0, 0],
            "r5 = *(u32 *)(r1 + 8)"
        );
        assert_eq!(bytes[7], [0x95, 0, 0, 0, 0, 0, 0, 0], "exit");
    }
}

#[test]
fn rules_that_cannot_be_read_say_why() {
    let mut list = DeviceList::default();
    let cases = [
        ("c 1:3", "it has not three words"),
        ("a *:* rwm", "its kind is neither `c` nor `b`"),
        ("c 13 r", "its number has no colon"),
        ("c 4096:1 r", "its major number is not 0 to 4095"),
        ("c 1:x r", "its minor number is not 0 to 1048575"),
        ("c 1:3 rx", "its access has a letter other than r, w and m"),
        ("c 1:3 ", "it allows nothing"),
    ];
    for (rule, problem) in cases {
        assert_eq!(list.allow_text(rule).expect_err(rule).problem, problem);
    }
    assert_eq!(list, DeviceList::default());
}
