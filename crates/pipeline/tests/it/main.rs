//! The pipeline over a real store, with a clock that is moved by hand.

mod accepting;
mod chaos;
mod failing;
mod rig;
mod stopping;
mod working;
