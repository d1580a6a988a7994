//! `spillway inject`: what the webhook would do, on files.

use std::{io::Read, path::PathBuf, process::ExitCode};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::output;
use crate::inject::{DEFAULT_IMAGE, Injection, manifest};

/// Flags of `spillway inject`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The manifests; `-` reads standard input. Pods, their controllers, Jobs, CronJobs and Lists are injected,
    /// everything else is printed as it is.
    #[arg(short, long = "filename", value_name = "FILE")]
    file: PathBuf,
    /// The operator's CA certificate in PEM. Without it the output is for reading: its sidecars could not connect.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The namespace of objects that name none.
    #[arg(short, long, value_name = "NS", default_value = "default")]
    namespace: String,
    /// The image of the injected container.
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE)]
    sidecar_image: String,
    /// Where sidecars find the operator.
    #[arg(long, value_name = "URL", default_value = "https://spillway.spillway-system.svc:8443")]
    operator: String,
}

const EXAMPLES: &str = "\
Examples:
  spillway inject -f deployment.yaml
  kubectl -n spillway-system get secret spillway-ca -o jsonpath='{.data.tls\\.crt}' | base64 -d > ca.pem
  kubectl get deploy checkout -o yaml | spillway inject --ca-file ca.pem -f - | kubectl apply -f -

Exit codes: 0 printed; 1 a pod cannot be injected (the message says why), nothing is printed.";

/// Prints the injected manifests, or nothing at all if one of them cannot be.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = if args.file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        text
    } else {
        std::fs::read_to_string(&args.file).with_context(|| args.file.display().to_string())?
    };
    let ca_pem = match &args.ca_file {
        Some(file) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
        None => {
            output::note("spillway: no --ca-file given: the output is for reading, its sidecars could not connect");
            "(the operator's CA certificate)".to_owned()
        }
    };
    let injection = Injection {
        image: args.sidecar_image.clone(),
        pull_policy: "IfNotPresent".to_owned(),
        operator_url: args.operator.clone(),
        ca_pem,
    };
    let mut printed = String::new();
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let mut document = Value::deserialize(document).with_context(|| args.file.display().to_string())?;
        if document.is_null() {
            continue;
        }
        for warning in manifest::inject(&mut document, &args.namespace, &injection)? {
            output::note(&format!("spillway: {warning}"));
        }
        printed += &format!("---\n{}", serde_yaml_ng::to_string(&document)?);
    }
    output::print(&printed)?;
    Ok(ExitCode::SUCCESS)
}
