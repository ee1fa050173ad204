//! The cache as its users see it.

mod conformance;
mod memory;
mod proxy;
mod redis_server;
