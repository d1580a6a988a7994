//! Parse, run, exit code.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use spillway_sidecar::{
    app,
    settings::{self, Settings},
};

/// `EX_USAGE` of sysexits: what it was told makes no sense, starting it again will not help.
const BAD_SETTINGS: u8 = 64;

/// An OpenAI-compatible endpoint on loopback that decides, retries, falls back and counts.
///
/// It is told everything by its environment.
#[derive(Parser)]
#[command(name = "spillway-sidecar", version)]
struct Arguments {}

fn main() -> ExitCode {
    Arguments::command().after_help(settings::help()).get_matches();
    let settings = match Settings::read(std::env::vars_os()) {
        Ok(settings) => settings,
        Err(invalid) => return fail(&invalid, BAD_SETTINGS),
    };
    match app::run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&spillway_sidecar::chain::Chain(&error), 1),
    }
}

/// On standard error and as plain text: there may be no log yet, and a person reads this.
fn fail(why: &dyn std::fmt::Display, code: u8) -> ExitCode {
    let mut stderr = io::stderr().lock();
    for line in why.to_string().lines() {
        // If nobody reads it, the exit code still says it.
        let _ = writeln!(stderr, "spillway-sidecar: {line}");
    }
    ExitCode::from(code)
}
