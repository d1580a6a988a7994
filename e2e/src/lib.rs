//! Tests through kubectl, helm and real SDKs on a cluster; links none of our crates.
