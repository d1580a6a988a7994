//! Flags of `spillway dev`, checked.

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::PathBuf};

use ipnet::IpNet;

use crate::{quote::quote, source::Endpoint};

/// Flags of `spillway dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// A file or directory of resources. Edits are picked up while the command runs.
    #[arg(value_name = "DIR")]
    pub(super) path: PathBuf,
    /// The command to run, after `--`. Without one the sidecar runs until Ctrl-C.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
    /// Reach a ModelProvider at this URL instead of its own endpoint. Repeat for more.
    #[arg(long, value_name = "[NS/]NAME=URL", value_parser = endpoint)]
    pub(super) endpoint: Vec<Endpoint>,
    /// Fill a key of a Secret from an environment variable, so that it is in no file. Repeat for more.
    #[arg(long, value_name = "[NS/]NAME/KEY=VARIABLE")]
    pub(super) secret: Vec<String>,
    /// The namespace the command is taken to run in. Default: that of the ModelRoutes, if they share one.
    #[arg(short, long, value_name = "NS")]
    pub(super) namespace: Option<String>,
    /// The labels the command's pod would have, for routes with a workloadSelector: app=checkout,team=shop
    #[arg(short, long, value_name = "K=V", value_delimiter = ',', value_parser = label)]
    pub(super) labels: Vec<(String, String)>,
    /// The port the command finds Spillway on. Default: one that is free.
    #[arg(short, long, value_name = "PORT", default_value_t = 0)]
    pub(super) port: u16,
    /// A private range that providers may live in, besides this machine itself. Repeat for more.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub(super) allow_private_range: Vec<IpNet>,
    /// What is known of models beside the built-in catalogue, as `spillway models -o json` prints it. Edits are picked up.
    #[arg(long, value_name = "FILE")]
    pub(super) catalogue: Option<PathBuf>,
    /// The sidecar's binary. Default: `spillway-sidecar` beside this one, or in PATH.
    #[arg(long, env = "SPILLWAY_SIDECAR_BIN", value_name = "FILE")]
    pub(super) sidecar_bin: Option<OsString>,
    /// Show what operator and sidecar log.
    #[arg(short, long)]
    pub(super) verbose: bool,
}

const EXAMPLES: &str = "\
Examples:
  spillway dev config/ -- python app.py
  spillway dev config/ --secret openai-key/apiKey=OPENAI_API_KEY -- npm start
  spillway dev examples/ --endpoint small=http://127.0.0.1:8080/v1 -- python examples/app.py
  spillway dev config/ -n shop -l app=checkout -p 4040

The command finds OPENAI_BASE_URL, OPENAI_API_KEY, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY set, as an injected pod
does; they replace what the shell has set. Nothing but the command writes to standard output.

Exit codes: the command's own; 128+N if signal N ended it; 125 Spillway could not start; 126, 127 the command cannot
be run, or is not there.";

// === impl Args ===

impl Args {
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        self.labels.iter().cloned().collect()
    }

    /// Private ranges with this machine itself, which is the point of trying something at home.
    pub(super) fn private_ranges(&self) -> Vec<String> {
        let home = ["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
        home.into_iter().chain(self.allow_private_range.iter().map(ToString::to_string)).collect()
    }

    /// The address applications call.
    pub(super) fn data_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let example = "small=http://127.0.0.1:8080/v1";
    let (provider, url) = text.split_once('=').ok_or_else(|| format!("is not NAME=URL (example: {example})"))?;
    let uri: http::Uri =
        url.parse().map_err(|error| format!("{} is no URL: {error} (example: {example})", quote(url)))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(format!("{} is no http:// or https:// URL (example: {example})", quote(url)));
    }
    let (namespace, name) = match provider.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, provider.to_owned()),
    };
    Ok(Endpoint { namespace, name, url: url.to_owned() })
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "is not KEY=VALUE (example: app=checkout)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_name_a_provider_and_a_url() {
        let good = endpoint("ai/small=http://127.0.0.1:8080/v1").unwrap();
        assert_eq!((good.namespace.as_deref(), good.name.as_str()), (Some("ai"), "small"));
        assert_eq!(good.url, "http://127.0.0.1:8080/v1");
        for bad in ["small", "small=", "small=127.0.0.1:8080", "small=ftp://x/", "small=http://"] {
            let error = endpoint(bad).expect_err(bad);
            assert!(error.contains("example"), "{bad}: {error}");
        }
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(label("app=checkout"), Ok(("app".into(), "checkout".into())));
        assert!(label("app").is_err() && label("=x").is_err());
    }
}
