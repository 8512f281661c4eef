//! The exit codes: what a supervisor or a script can tell from the end of a process.

use std::fmt;

/// Did what was asked; also a graceful stop on SIGINT or SIGTERM.
pub const OK: u8 = 0;
/// Failed: the message says why.
pub const ERROR: u8 = 1;
/// The arguments were not understood.
pub const USAGE: u8 = 2;
/// The preflight refused the start: nothing was touched, and it will refuse again until mended.
pub const PREFLIGHT: u8 = 3;
/// Ran and stopped in order, but a namespace was halted or detached on the way.
pub const NAMESPACE_LOST: u8 = 4;
/// A part did not stop in time and was left behind: what it had not made durable is lost.
pub const STOP_TIMED_OUT: u8 = 5;
/// The market log could not be written: entries were blocked everywhere from then on.
pub const MARKET_LOG_FAILED: u8 = 6;
/// The data directory was removed or replaced under the running system.
pub const DATA_LOST: u8 = 7;
/// A shared strategy did not return, and the process ended itself: it starts disabled next time.
pub const STRATEGY_HANG: u8 = 70;

/// Every code with its meaning, for the reference.
pub const REFERENCE: &[(u8, &str, &str)] = &[
    (
        OK,
        "OK",
        "did what was asked; also a graceful stop on SIGINT or SIGTERM",
    ),
    (ERROR, "ERROR", "failed; the message says why"),
    (USAGE, "USAGE", "the arguments were not understood"),
    (
        PREFLIGHT,
        "PREFLIGHT",
        "the preflight refused the start; nothing was touched, and a restart alone does not help",
    ),
    (
        NAMESPACE_LOST,
        "NAMESPACE_LOST",
        "stopped in order, but a namespace was halted or detached during the run",
    ),
    (
        STOP_TIMED_OUT,
        "STOP_TIMED_OUT",
        "a part did not stop in time and was left behind",
    ),
    (
        MARKET_LOG_FAILED,
        "MARKET_LOG_FAILED",
        "stopped in order, but the market log could not be written: entries were blocked everywhere from then on, exits went on",
    ),
    (
        DATA_LOST,
        "DATA_LOST",
        "the data directory was removed or replaced while the system ran; it stopped in order, and what it had written is lost with the directory",
    ),
    (
        STRATEGY_HANG,
        "STRATEGY_HANG",
        "a shared strategy did not return; it starts disabled next time",
    ),
];

/// An error with a code of its own.
#[derive(Debug)]
pub struct Coded {
    /// The code.
    pub code: u8,
    /// What happened.
    pub error: anyhow::Error,
    /// Whether a log line has told it: then it is not printed again.
    pub is_logged: bool,
}

impl Coded {
    /// An error that ends the process with `code`.
    pub fn error(code: u8, error: impl Into<anyhow::Error>) -> anyhow::Error {
        anyhow::Error::new(Self {
            code,
            error: error.into(),
            is_logged: false,
        })
    }

    /// The same error with the same code, once a log line has told it.
    pub fn logged(error: anyhow::Error) -> anyhow::Error {
        anyhow::Error::new(Self {
            code: code(&error),
            error,
            is_logged: true,
        })
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for Coded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The code of an error: its own, wherever it stands in the chain, or [`ERROR`].
pub fn code(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Coded>())
        .map_or(ERROR, |coded| coded.code)
}

/// Whether a log line has told this error.
pub fn is_logged(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Coded>())
        .any(|coded| coded.is_logged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_code_survives_what_is_said_around_it() {
        let inner = anyhow::anyhow!("disk full").context("cannot write");
        let error = Err::<(), _>(Coded::error(PREFLIGHT, inner))
            .context("outside")
            .unwrap_err();
        assert_eq!(code(&error), PREFLIGHT);
        assert_eq!(
            settings::errors::message(&error),
            "outside: cannot write: disk full"
        );
        assert_eq!(code(&anyhow::anyhow!("plain")), ERROR);
        assert!(!is_logged(&error));
        let logged = Coded::logged(error);
        assert!(is_logged(&logged));
        assert_eq!(code(&logged), PREFLIGHT);
        assert_eq!(
            settings::errors::message(&logged),
            "outside: cannot write: disk full"
        );
    }
}
