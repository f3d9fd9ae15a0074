//! What a person reads: tables, ages, quantities, YAML, and the words of errors. Data goes to stdout, talk to stderr.

pub(crate) mod age;
pub(crate) mod columns;
pub(crate) mod object_columns;
pub(crate) mod plan_text;
pub(crate) mod raw_terminal;
pub(crate) mod show;
pub(crate) mod table;
pub(crate) mod talk;
pub(crate) mod terminal;
pub(crate) mod yaml;
