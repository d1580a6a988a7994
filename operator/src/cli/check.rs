//! `spillway check`: what the API server, the webhook and the conditions would say, without any of them.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use super::output;
use crate::{
    clock::Clock,
    compile::{Severity, compile},
    gather::gather,
    resources::CompileSettings,
    source::{Directory, Files, Source},
};

/// Flags of `spillway check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Files and directories of YAML. Kinds that are not Spillway's are skipped.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The namespace of objects that name none.
    #[arg(short, long, value_name = "NS", default_value = "default")]
    namespace: String,
    /// What is known of models beside the built-in catalogue, as `spillway models -o json` prints it.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Let warnings fail the check too.
    #[arg(long)]
    strict: bool,
}

const EXAMPLES: &str = "\
Examples:
  spillway check examples/
  spillway check --strict -n shop provider.yaml route.yaml

Each line names the file, the object and the field. An error can never work: the cluster would refuse it, or a Secret in
these files does not give its key for it. A warning may come to work when other objects appear, such as a Secret that is
in no file.

Exit codes: 0 nothing to object to; 1 at least one error (with --strict: or warning).";

/// Prints every problem; the exit code says whether any of them is an error.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::world::exist(&args.paths)?;
    let directory = Directory::new(args.paths.clone(), &args.namespace);
    let files = Files::new(directory, Vec::new(), Vec::new()).with_models(args.catalogue.clone());
    let files = std::sync::Arc::new(files.map_err(|problem| anyhow::anyhow!("--catalogue {problem}"))?);
    let origins = files.origins();
    let mut errors: Vec<String> = files.problems().iter().map(|problem| format!("error: {problem}")).collect();
    let mut warnings = Vec::new();
    let today = Some(Clock::system().today());
    let gathered = gather(&Source::Directory(files), &CompileSettings::default(), today);
    let diagnostics = compile(&gathered.resources).diagnostics;
    for diagnostic in diagnostics {
        let file = origins.get(&diagnostic.object.to_string()).map(|file| format!("{}: ", file.display()));
        let line = format!("{}{diagnostic} ({})", file.unwrap_or_default(), diagnostic.reason);
        match diagnostic.severity {
            Severity::Refuse => errors.push(format!("error: {line}")),
            Severity::Warn if diagnostic.is_settled() => errors.push(format!("error: {line}")),
            Severity::Warn => warnings.push(format!("warning: {line}")),
        }
    }
    for line in errors.iter().chain(&warnings) {
        output::print(&format!("{line}\n"))?;
    }
    output::note(&summary(origins, errors.len(), warnings.len()));
    let failed = !errors.is_empty() || (args.strict && !warnings.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn summary(origins: BTreeMap<String, PathBuf>, errors: usize, warnings: usize) -> String {
    let read = output::count(origins.len(), "object");
    format!("{read} read, {}, {}", output::count(errors, "error"), output::count(warnings, "warning"))
}
