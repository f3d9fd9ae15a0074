//! The warden's own messages: lines on standard error, lost without harm if nobody takes them.

/// Writes one line. `eprintln` would panic where the reader of standard error has gone.
macro_rules! note {
    ($($argument:tt)*) => {{
        use std::io::Write;
        let line = format!("warden: {}\n", format_args!($($argument)*));
        let _ = std::io::stderr().write_all(line.as_bytes());
    }};
}
