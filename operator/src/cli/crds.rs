//! `spillway crds`

use std::process::ExitCode;

use super::output;

pub(super) const EXAMPLES: &str = "\
Examples:
  spillway crds | kubectl apply --server-side -f -
  spillway crds > crds.yaml

They are those of this version; charts/spillway-crds installs the same.

Exit codes: 0 printed.";

/// Prints the definitions as one YAML stream.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    for crd in spillway_crds::crds() {
        output::print(&format!("---\n{}", serde_yaml_ng::to_string(&crd)?))?;
    }
    Ok(ExitCode::SUCCESS)
}
