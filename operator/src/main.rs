//! The `spillway` command: operator and CLI in one binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Before anything can open a connection. It fails only if one was installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    spillway_operator::cli::Cli::parse().run()
}
