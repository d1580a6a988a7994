//! Running kubectl and helm.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// Runs kubectl and gives what it printed.
pub fn kubectl(args: &[&str]) -> Result<String> {
    kubectl_with(args, "")
}

/// Runs kubectl with `input` as its standard input.
pub fn kubectl_with(args: &[&str], input: &str) -> Result<String> {
    succeeded("kubectl", args, &run("kubectl", args, input)?)
}

/// Runs a kubectl that has to be refused, and gives what it said.
pub fn kubectl_fails(args: &[&str], input: &str) -> Result<String> {
    let output = run("kubectl", args, input)?;
    if output.status.success() {
        bail!("kubectl {} should have been refused, and was not: {}", args.join(" "), text(&output.stdout));
    }
    Ok(text(&output.stderr))
}

/// Runs kubectl and gives what it printed and what it warned of.
pub fn kubectl_warnings(args: &[&str], input: &str) -> Result<(String, String)> {
    let output = run("kubectl", args, input)?;
    Ok((succeeded("kubectl", args, &output)?, text(&output.stderr)))
}

/// Runs helm and gives what it printed.
pub fn helm(args: &[&str]) -> Result<String> {
    succeeded("helm", args, &run("helm", args, "")?)
}

fn run(program: &str, args: &[&str], input: &str) -> Result<Output> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}; e2e/run.sh puts it on the PATH"))?;
    // Dropped at once, so that the program sees the end of its input. One that reads none may be gone already.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().with_context(|| format!("waiting for {program}"))
}

fn succeeded(program: &str, args: &[&str], output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{program} {}: {}: {}", args.join(" "), output.status, text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
