//! Prints the definitions of all kinds as YAML, ready for `kubectl apply -f -`.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for crd in spillway_crds::crds() {
        write!(out, "---\n{}", serde_yaml_ng::to_string(&crd)?)?;
    }
    Ok(())
}
