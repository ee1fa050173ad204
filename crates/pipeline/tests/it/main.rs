//! The pipeline over a real store, with a clock that is moved by hand.

mod accepting;
mod chaos;
mod enriching;
mod failing;
mod hanging;
mod killing;
mod listening;
mod pausing;
mod replaying;
mod rig;
mod starving;
mod stopping;
mod working;
