//! How a command ends: the exit code, and what stands on standard error.
//!
//! 0 fine, 1 failed, 2 usage (clap's own), 78 configuration (`EX_CONFIG` of sysexits.h).

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

/// Why a command did not end well. Its texts are for people: no stack traces, no secrets.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for did not work: exit code 1.
    Failed {
        /// What happened.
        message: String,
        /// What can be done about it.
        hint: Option<String>,
    },
    /// The configuration cannot be used: exit code 78.
    Config(String),
}

impl Failure {
    /// Something did not work.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::Failed { message: message.to_string(), hint: None }
    }

    /// With what it is about in front.
    #[must_use]
    pub fn prefix(self, what: &str) -> Self {
        match self {
            Self::Failed { message, hint } => {
                Self::Failed { message: format!("{what}: {message}"), hint }
            }
            Self::Config(_) => self,
        }
    }

    /// With what can be done about it.
    #[must_use]
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        match self {
            Self::Failed { message, .. } => Self::Failed { message, hint: Some(hint.to_string()) },
            Self::Config(_) => self,
        }
    }

    /// What happened, and what can be done about it.
    #[must_use]
    pub fn parts(self) -> (String, Option<String>) {
        match self {
            Self::Failed { message, hint } => (message, hint),
            Self::Config(message) => (message, None),
        }
    }

    /// The code that the process ends with.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed { .. } => 1,
            Self::Config(_) => 78,
        }
    }

    /// Says it on standard error, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        // When standard error is closed there is nobody to tell.
        let _ = write!(io::stderr().lock(), "{self}");
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (message, hint) = match self {
            Self::Failed { message, hint } => (message, hint.as_deref()),
            Self::Config(message) => (
                message,
                Some(
                    "`rhiz config show` tells where each value comes from, docs/CONFIGURATION.md what each key means",
                ),
            ),
        };
        writeln!(f, "error: {message}")?;
        hint.map_or(Ok(()), |hint| writeln!(f, "hint: {hint}"))
    }
}

/// Writes to standard output. A reader that went away (`rhiz … | head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    still_read(text).map(|_| ())
}

/// The same; answers whether somebody reads on, for what is printed part by part.
pub fn still_read(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(format!("standard output cannot be written: {error}"))),
    }
}
