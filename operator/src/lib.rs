//! The control plane: resources in, per-pod config out, status conditions back; and the spillway CLI.

pub mod inject;
