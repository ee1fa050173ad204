//! The pipeline over a real store, with a clock that is moved by hand.

mod accepting;
mod bench;
mod chaos;
mod failing;
mod stopping;
mod working;
