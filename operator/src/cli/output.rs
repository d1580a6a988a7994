//! What people read: results on stdout, everything else on stderr. A closed pipe ends the program quietly.

use std::{
    io::{ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Prints a result.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // `spillway crds | head`: the reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Tells the person at the terminal something that is not the result.
pub(super) fn note(text: &str) {
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// `1 error`, `2 errors`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Reports the one error a command ends with.
pub(super) fn fail(error: &anyhow::Error) -> ExitCode {
    note(&format!("spillway: {error:#}"));
    ExitCode::FAILURE
}

/// One JSON object a line, for the operator.
pub(super) fn log_json(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("--log-level {filter:?} is no log filter: {error} (try: info)"))?;
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}

/// Short lines on stderr, for commands that people run by hand.
pub(super) fn log_plain(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("--log-level {filter:?} is no log filter: {error} (try: warn)"))?;
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !unwanted;
    let lines = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(colours);
    lines.with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}
