//! Tests and benches that need operator and sidecar at once. Both run as processes, from their built binaries, between
//! a [`provider`] of our own and the test's client.

pub mod bench;
pub mod cgroup;
pub mod client;
pub mod clock;
pub mod fleet;
pub mod http1;
pub mod operator;
pub mod paced;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod sidecar;
pub mod snapshot;
