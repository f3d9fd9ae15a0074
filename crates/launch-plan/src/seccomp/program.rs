//! Instructions of the kernel's packet filter: a search among the numbers, then comparisons of arguments.
//!
//! Must never jump backwards or beyond the end: jumps of conditions reach 255 instructions, longer ones are made apart.

use super::Instruction;
use super::compile::{Decision, Table};
use super::names::Architecture;
use super::profile::{Action, Comparison, Condition};

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_NOT_LESS: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// The bit of numbers of the x32 interface, which answers as if it were not there.
const X32: u32 = 0x4000_0000;
const ENOSYS: u16 = 38;

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        operand,
    }
}

fn returning(action: Action) -> Instruction {
    let value = match action {
        Action::Allow => 0x7fff_0000,
        Action::Log => 0x7ffc_0000,
        Action::Errno(number) => 0x0005_0000 | u32::from(number),
        Action::Trap => 0x0003_0000,
        Action::Trace(number) => 0x7ff0_0000 | u32::from(number),
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
    };
    plain(RETURN, value)
}

/// The whole program: one part for each architecture; the processes of others end.
pub(super) fn assemble(tables: &[Table]) -> Vec<Instruction> {
    let mut program = vec![plain(LOAD, ARCHITECTURE_AT)];
    for table in tables {
        let part = architecture_part(table);
        program.push(Instruction {
            jump_true: 1,
            ..plain(JUMP_EQUAL, table.architecture.audit())
        });
        program.push(plain(JUMP, distance(part.len())));
        program.extend(part);
    }
    program.push(returning(Action::KillProcess));
    program
}

fn architecture_part(table: &Table) -> Vec<Instruction> {
    let mut part = vec![plain(LOAD, NUMBER_AT)];
    if table.architecture == Architecture::X86_64 {
        part.push(Instruction {
            jump_false: 1,
            ..plain(JUMP_NOT_LESS, X32)
        });
        part.push(returning(Action::Errno(ENOSYS)));
    }
    part.extend(search(&segments(table)));
    part
}

/// From which number on which decision holds.
type Segment<'a> = (u32, Leaf<'a>);

#[derive(Clone, Copy, PartialEq)]
enum Leaf<'a> {
    Always(Action),
    Depends(&'a Decision),
}

fn segments(table: &Table) -> Vec<Segment<'_>> {
    let rest = Leaf::Always(table.default_action);
    let mut segments: Vec<Segment<'_>> = vec![(0, rest)];
    let mut next = 0;
    for (number, decision) in &table.decisions {
        let leaf = if decision.cases.is_empty() {
            Leaf::Always(decision.otherwise)
        } else {
            Leaf::Depends(decision)
        };
        if *number > next {
            segments.push((next, rest));
        }
        segments.push((*number, leaf));
        next = number + 1;
    }
    segments.push((next, rest));
    // The later one of two that begin at the same number is meant; equal neighbours are one.
    let mut merged: Vec<Segment<'_>> = Vec::new();
    for segment in segments {
        merged.pop_if(|last| last.0 == segment.0);
        if merged.last().is_none_or(|last| last.1 != segment.1) {
            merged.push(segment);
        }
    }
    merged
}

/// A binary search by jumps; the number is in the accumulator.
fn search(segments: &[Segment<'_>]) -> Vec<Instruction> {
    let (left, right) = segments.split_at(segments.len() / 2);
    let Some((first, _)) = right.first().filter(|_| !left.is_empty()) else {
        return right.first().map_or_else(Vec::new, |(_, leaf)| match leaf {
            Leaf::Always(action) => vec![returning(*action)],
            Leaf::Depends(decision) => cases(decision),
        });
    };
    let lower = search(left);
    let mut code = match u8::try_from(lower.len()) {
        Ok(short) => vec![Instruction {
            jump_true: short,
            ..plain(JUMP_NOT_LESS, *first)
        }],
        Err(_) => vec![
            Instruction {
                jump_false: 1,
                ..plain(JUMP_NOT_LESS, *first)
            },
            plain(JUMP, distance(lower.len())),
        ],
    };
    code.extend(lower);
    code.extend(search(right));
    code
}

fn distance(length: usize) -> u32 {
    u32::try_from(length).expect("programs of more than 4096 instructions are refused")
}

fn cases(decision: &Decision) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (conditions, action) in &decision.cases {
        code.extend(case(conditions, *action));
    }
    code.push(returning(decision.otherwise));
    code
}

/// Where a comparison leads.
#[derive(Clone, Copy)]
enum Target {
    /// To the instruction behind it.
    Next,
    /// To the next condition.
    Holds,
    /// Behind the case.
    Fails,
}

fn case(conditions: &[Condition], action: Action) -> Vec<Instruction> {
    let comparisons: Vec<_> = conditions.iter().map(comparison).collect();
    let length = comparisons.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Vec::with_capacity(length);
    for comparison in comparisons {
        let holds = code.len() + comparison.len();
        for (instruction, when_true, when_false) in comparison {
            let jump = |target: Target| {
                let to = match target {
                    Target::Next => code.len() + 1,
                    Target::Holds => holds,
                    Target::Fails => length,
                };
                u8::try_from(to - code.len() - 1).expect("six comparisons are short")
            };
            code.push(Instruction {
                jump_true: jump(when_true),
                jump_false: jump(when_false),
                ..instruction
            });
        }
    }
    code.push(returning(action));
    code
}

type Comparing = (Instruction, Target, Target);

/// Arguments have 64 bits, the accumulator has 32: the upper half comes first.
fn comparison(condition: &Condition) -> Vec<Comparing> {
    use Target::{Fails, Holds, Next};
    let [low, high] = halves(condition.value);
    let at = ARGUMENTS_AT + 8 * u32::from(condition.argument);
    let load = |offset: u32| (plain(LOAD, at + offset), Next, Next);
    let test = |code: u16, operand: u32, when_true: Target, when_false: Target| {
        (plain(code, operand), when_true, when_false)
    };
    // What a larger and a smaller upper half mean, and how the lower halves are compared.
    let (more, less, lower) = match condition.comparison {
        Comparison::Equal => (Fails, Fails, test(JUMP_EQUAL, low, Holds, Fails)),
        Comparison::NotEqual => (Holds, Holds, test(JUMP_EQUAL, low, Fails, Holds)),
        Comparison::Greater => (Holds, Fails, test(JUMP_GREATER, low, Holds, Fails)),
        Comparison::GreaterOrEqual => (Holds, Fails, test(JUMP_NOT_LESS, low, Holds, Fails)),
        Comparison::Less => (Fails, Holds, test(JUMP_NOT_LESS, low, Fails, Holds)),
        Comparison::LessOrEqual => (Fails, Holds, test(JUMP_GREATER, low, Fails, Holds)),
        Comparison::Masked(mask) => {
            let [low_mask, high_mask] = halves(mask);
            let and = |operand: u32| (plain(AND, operand), Next, Next);
            return vec![
                load(4),
                and(high_mask),
                test(JUMP_EQUAL, high, Next, Fails),
                load(0),
                and(low_mask),
                test(JUMP_EQUAL, low, Holds, Fails),
            ];
        }
    };
    vec![
        load(4),
        test(JUMP_GREATER, high, more, Next),
        test(JUMP_EQUAL, high, Next, less),
        load(0),
        lower,
    ]
}

fn halves(value: u64) -> [u32; 2] {
    [0, 32].map(|shift| {
        u32::try_from(value >> shift & u64::from(u32::MAX)).expect("the mask leaves 32 bits")
    })
}
