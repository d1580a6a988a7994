//! Tests and benches that need operator and sidecar at once.
