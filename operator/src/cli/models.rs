//! `spillway models`: what is known of models, and what they would cost.

mod args;
mod compare;
mod pick;
mod print;

use std::process::ExitCode;

use anyhow::Context;
use spillway_crds::ProviderType;
use spillway_policy::NanoUsd;

use super::{cluster, output};
use crate::{
    catalogue::{Catalogue, Entry, Overlay, Rates},
    clock::Clock,
    models,
};

pub(super) use args::{Args, tokens};

/// A model that was asked for.
struct Line {
    provider: ProviderType,
    name: String,
    entry: Entry,
    /// What the comparison comes to. None: nothing was compared, or nobody knows its price.
    cost: Option<NanoUsd>,
}

// === impl Line ===

impl Line {
    fn rates(&self) -> Rates {
        self.entry.pricing.as_ref().map(|pricing| pricing.standard.rates).unwrap_or_default()
    }
}

/// Prints the models.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let catalogue = catalogue(args)?;
    let (lines, said) = pick::pick(args, catalogue.all(), Clock::system().today());
    for said in said {
        output::note(&format!("spillway: {said}"));
    }
    output::print(&print::print(args, &lines))?;
    Ok(ExitCode::SUCCESS)
}

/// The built-in models with what lies over them.
fn catalogue(args: &Args) -> anyhow::Result<Catalogue> {
    if let Some(file) = &args.catalogue {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("--catalogue {name}"))?;
        return Ok(Catalogue::with(Overlay::read([(name.as_str(), text.as_str())]).context("--catalogue")?));
    }
    if !args.cluster {
        return Ok(Catalogue::default());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let documents = runtime.block_on(async {
        let client = cluster::client("").await?;
        let read = models::read(client, &args.namespace, &args.configmap).await;
        read.with_context(|| format!("cannot read ConfigMap {}/{}", args.namespace, args.configmap))
    })?;
    let Some(documents) = documents else {
        output::note(&format!("spillway: there is no ConfigMap {}/{}", args.namespace, args.configmap));
        return Ok(Catalogue::default());
    };
    let overlay = Overlay::read(documents.iter().map(|(key, text)| (key.as_str(), text.as_str())));
    Ok(Catalogue::with(overlay.with_context(|| format!("ConfigMap {}/{}", args.namespace, args.configmap))?))
}
