//! The built binary, as its users run it.

mod cli;
