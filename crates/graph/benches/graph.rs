//! What the graph costs.
fn main() {}
