//! `spillway crds`

use std::process::ExitCode;

use super::output;

/// Prints the definitions as one YAML stream.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    for crd in spillway_crds::crds() {
        output::print(&format!("---\n{}", serde_yaml_ng::to_string(&crd)?))?;
    }
    Ok(ExitCode::SUCCESS)
}
