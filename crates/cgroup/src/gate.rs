//! A list of devices as a program for the kernel's virtual machine: version 2 asks it about each use of a device.
//!
//! Pure: makes the instructions. Loading them belongs to `bpf`.

use crate::devices::{Access, DeviceKind, DeviceList, DeviceSelector};

/// One instruction, in the kernel's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// The register that is changed or compared.
    pub to: u8,
    /// The register that is read.
    pub from: u8,
    /// How far to jump, or where in memory.
    pub offset: i16,
    /// A number.
    pub number: i32,
}

/// `*(u32 *)(from + offset)` into a register.
pub(crate) const LOAD: u8 = 0x61;
/// A register into another.
pub(crate) const MOVE: u8 = 0xbf;
/// A number into a register.
pub(crate) const SET: u8 = 0xb7;
/// Keeps only the bits of a number.
pub(crate) const AND: u8 = 0x57;
/// Shifts right by a number.
pub(crate) const SHIFT: u8 = 0x77;
/// Jumps if a register is not a number.
pub(crate) const JUMP_UNLESS: u8 = 0x55;
/// Jumps if two registers differ.
pub(crate) const JUMP_UNLESS_SAME: u8 = 0x5d;
/// Ends with what is in the result.
pub(crate) const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

impl Instruction {
    fn with_number(code: u8, to: u8, number: i32) -> Self {
        Self {
            code,
            to,
            from: 0,
            offset: 0,
            number,
        }
    }

    fn with_register(code: u8, to: u8, from: u8, offset: i16) -> Self {
        Self {
            code,
            to,
            from,
            offset,
            number: 0,
        }
    }

    /// As the kernel reads it on this machine.
    pub fn bytes(self) -> [u8; 8] {
        let registers = if cfg!(target_endian = "big") {
            self.to << 4 | self.from
        } else {
            self.from << 4 | self.to
        };
        let [o0, o1] = self.offset.to_ne_bytes();
        let [n0, n1, n2, n3] = self.number.to_ne_bytes();
        [self.code, registers, o0, o1, n0, n1, n2, n3]
    }
}

/// The program that allows what the list allows and nothing else.
///
/// A use of a device is allowed if one rule allows all of it, as in version 1.
pub fn program(list: &DeviceList) -> Vec<Instruction> {
    // The context: kind in the lower half and access in the upper half of the first word, then major and minor.
    let mut program = vec![
        Instruction::with_register(LOAD, KIND, CONTEXT, 0),
        Instruction::with_register(MOVE, ACCESS, KIND, 0),
        Instruction::with_number(AND, KIND, 0xffff),
        Instruction::with_number(SHIFT, ACCESS, 16),
        Instruction::with_register(LOAD, MAJOR, CONTEXT, 4),
        Instruction::with_register(LOAD, MINOR, CONTEXT, 8),
    ];
    for (selector, access) in list.rules() {
        program.extend(rule(selector, access));
    }
    program.extend(end(0));
    program
}

fn rule(selector: DeviceSelector, access: Access) -> Vec<Instruction> {
    let kind = match selector.kind {
        DeviceKind::Block => BLOCK,
        DeviceKind::Character => CHARACTER,
    };
    let mut tests = vec![Instruction::with_number(JUMP_UNLESS, KIND, kind)];
    if access != Access::ALL {
        tests.push(Instruction::with_register(MOVE, SCRATCH, ACCESS, 0));
        tests.push(Instruction::with_number(
            AND,
            SCRATCH,
            i32::from(access.bits()),
        ));
        tests.push(Instruction::with_register(
            JUMP_UNLESS_SAME,
            SCRATCH,
            ACCESS,
            0,
        ));
    }
    for (register, number) in [(MAJOR, selector.major), (MINOR, selector.minor)] {
        if let Some(number) = number {
            // Numbers of devices have at most 20 bits.
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            tests.push(Instruction::with_number(JUMP_UNLESS, register, number));
        }
    }
    tests.extend(end(1));
    let after = tests.len();
    for (at, test) in tests.iter_mut().enumerate() {
        if test.code == JUMP_UNLESS || test.code == JUMP_UNLESS_SAME {
            test.offset = i16::try_from(after - at - 1).expect("a rule has eight instructions");
        }
    }
    tests
}

fn end(result: i32) -> [Instruction; 2] {
    [
        Instruction::with_number(SET, RESULT, result),
        Instruction::with_number(EXIT, 0, 0),
    ]
}
