//! `spillway operator`: raw flags and environment in, checked [`Settings`] out. Nothing below this file reads either.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, builder::NonEmptyStringValueParser};
use ipnet::IpNet;

const EXAMPLES: &str = "\
Examples:
  spillway operator                                   in a pod: charts/spillway sets everything it needs
  spillway operator --log-level debug --leader-election false
  spillway operator --resources config/ --sidecar-token-file token --ca-out ca.pem    without a cluster; see also `spillway dev`

Exit codes: 0 it was asked to end; 1 it could not start or go on (the log's last line says why); 2 the command line was not
understood.";

/// Flags of `spillway operator`. Every flag has an environment variable, which the chart does not need.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct OperatorArgs {
    /// The operator's own namespace: its CA, its Lease and its Service live there.
    #[arg(long, env = "SPILLWAY_NAMESPACE", value_name = "NS", default_value = "spillway-system")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    namespace: String,
    /// Read resources from this file or directory of YAML instead of the API server; no Kubernetes is needed then.
    /// Edits are picked up within a second.
    #[arg(long, env = "SPILLWAY_RESOURCES", value_name = "DIR", requires = "sidecar_token_file")]
    resources: Option<PathBuf>,
    /// With --resources: a file with the bearer token sidecars present, in place of ServiceAccount tokens.
    #[arg(long, env = "SPILLWAY_SIDECAR_TOKEN_FILE", value_name = "FILE", requires = "resources")]
    sidecar_token_file: Option<PathBuf>,
    /// With --resources: the namespace that sidecars are taken to live in.
    #[arg(long, env = "SPILLWAY_SIDECAR_NAMESPACE", value_name = "NS", default_value = "default")]
    sidecar_namespace: String,
    /// With --resources: what is known of models beside the built-in catalogue, as `spillway models -o json` prints it.
    /// Edits are picked up within a second.
    #[arg(long, env = "SPILLWAY_CATALOGUE", value_name = "FILE", requires = "resources")]
    catalogue: Option<PathBuf>,
    /// The same in a cluster: a ConfigMap in the operator's namespace. It need not exist.
    #[arg(long, env = "SPILLWAY_CATALOGUE_CONFIGMAP", value_name = "NAME", default_value = crate::models::CONFIG_MAP)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    catalogue_configmap: String,
    /// With --resources: where the CA certificate is written for sidecars to trust.
    #[arg(long, env = "SPILLWAY_CA_OUT", value_name = "FILE", requires = "resources")]
    ca_out: Option<PathBuf>,
    /// Where the API server calls the webhooks (TLS).
    #[arg(long, env = "SPILLWAY_WEBHOOK_ADDR", value_name = "ADDR", default_value = "0.0.0.0:9443")]
    webhook_addr: SocketAddr,
    /// Where sidecars subscribe and report (TLS, HTTP/2).
    #[arg(long, env = "SPILLWAY_SIDECAR_ADDR", value_name = "ADDR", default_value = "0.0.0.0:8443")]
    sidecar_addr: SocketAddr,
    /// Where /livez, /readyz and /metrics are served (plain HTTP).
    #[arg(long, env = "SPILLWAY_ADMIN_ADDR", value_name = "ADDR", default_value = "0.0.0.0:8080")]
    admin_addr: SocketAddr,
    /// The image of the injected container.
    #[arg(long, env = "SPILLWAY_SIDECAR_IMAGE", value_name = "IMAGE", default_value = crate::inject::DEFAULT_IMAGE)]
    sidecar_image: String,
    /// Its pull policy.
    #[arg(long, env = "SPILLWAY_SIDECAR_IMAGE_PULL_POLICY", value_name = "POLICY", default_value = "IfNotPresent")]
    #[arg(value_parser = ["Always", "IfNotPresent", "Never"])]
    sidecar_image_pull_policy: String,
    /// A private range that providers may live in, such as 10.0.0.0/8. Link-local and metadata addresses stay
    /// forbidden whatever is listed. Repeat for more.
    #[arg(long, env = "SPILLWAY_ALLOW_PRIVATE_RANGES", value_name = "CIDR", value_delimiter = ',')]
    allow_private_range: Vec<IpNet>,
    /// A namespace whose labelled Secrets are read. Repeat for more; without it Secrets of all namespaces are watched,
    /// which needs the rights to do so.
    #[arg(long, env = "SPILLWAY_SECRET_NAMESPACES", value_name = "NS", value_delimiter = ',')]
    secret_namespace: Vec<String>,
    /// The name of the operator's Service, which is the name in its certificate.
    #[arg(long, env = "SPILLWAY_SERVICE_NAME", value_name = "NAME", default_value = "spillway")]
    service_name: String,
    /// The operator's ServiceAccount: who may pass reports on between replicas.
    #[arg(long, env = "SPILLWAY_SERVICE_ACCOUNT", value_name = "NAME", default_value = "spillway")]
    service_account: String,
    /// This replica's pod IP (downward API): other replicas reach it there.
    #[arg(long, env = "POD_IP", value_name = "IP")]
    pod_ip: Option<IpAddr>,
    /// This replica's pod name (downward API): its identity in the Lease.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "spillway")]
    pod_name: String,
    /// The operator's own projected token with audience `spillway`, shown to the replica that leads.
    #[arg(long, env = "SPILLWAY_TOKEN_FILE", value_name = "FILE", default_value = "/var/run/spillway/token/token")]
    token_file: PathBuf,
    /// Share the work by a Lease: all replicas serve, one writes status. With `false` this replica always leads.
    #[arg(long, env = "SPILLWAY_LEADER_ELECTION", value_name = "BOOL", default_value_t = true)]
    #[arg(action = clap::ArgAction::Set)]
    leader_election: bool,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,spillway_operator=debug`.
    #[arg(long, env = "SPILLWAY_LOG", value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

/// What the operator runs with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub namespace: String,
    pub source: SourceSettings,
    pub webhook_addr: SocketAddr,
    pub sidecar_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    pub sidecar_image: String,
    pub sidecar_image_pull_policy: String,
    pub allowed_private_ranges: Vec<String>,
    pub service_name: String,
    pub service_account: String,
    pub pod_ip: Option<IpAddr>,
    pub pod_name: String,
    pub token_file: PathBuf,
    pub leader_election: bool,
    pub log_level: String,
}

/// Where resources and identities come from.
#[derive(Clone, Debug)]
pub enum SourceSettings {
    Cluster(ClusterSettings),
    Directory(DirectorySettings),
}

/// What is looked at in the cluster.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// Empty: all namespaces.
    pub secret_namespaces: Vec<String>,
    /// The ConfigMap with what is known of models.
    pub catalogue: String,
}

/// A directory in place of the API server.
#[derive(Clone, Debug)]
pub struct DirectorySettings {
    pub path: PathBuf,
    pub sidecar_token_file: PathBuf,
    pub sidecar_namespace: String,
    pub ca_out: Option<PathBuf>,
    /// What is known of models beside the built-in catalogue.
    pub catalogue: Option<PathBuf>,
}

/// Why the flags cannot be used together.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "--pod-ip is required with leader election, other replicas reach this one there (fix: set POD_IP from status.podIP, or --leader-election=false)"
    )]
    PodIp,
    #[error("--{one} and --{other} are both {addr}, each needs its own port")]
    SamePort { one: &'static str, other: &'static str, addr: SocketAddr },
    #[error(
        "--allow-private-range {range} contains link-local or metadata addresses, which stay forbidden (fix: list narrower ranges)"
    )]
    Range { range: IpNet },
}

// === impl OperatorArgs ===

impl OperatorArgs {
    /// What to log, needed before anything else is checked.
    #[must_use]
    pub fn log_level(&self) -> &str {
        &self.log_level
    }

    /// Checks what clap cannot.
    pub fn check(self) -> Result<Settings, SettingsError> {
        let addrs =
            [("webhook-addr", self.webhook_addr), ("sidecar-addr", self.sidecar_addr), ("admin-addr", self.admin_addr)];
        for (index, (one, addr)) in addrs.into_iter().enumerate() {
            let twin = addrs.into_iter().skip(index + 1).find(|(_, other)| *other == addr && addr.port() != 0);
            if let Some((other, _)) = twin {
                return Err(SettingsError::SamePort { one, other, addr });
            }
        }
        if let Some(range) = self.allow_private_range.iter().find(|range| has_link_local(range)) {
            return Err(SettingsError::Range { range: *range });
        }
        let source = match (self.resources, self.sidecar_token_file) {
            (Some(path), Some(sidecar_token_file)) => SourceSettings::Directory(DirectorySettings {
                path,
                sidecar_token_file,
                sidecar_namespace: self.sidecar_namespace,
                ca_out: self.ca_out,
                catalogue: self.catalogue,
            }),
            _ => SourceSettings::Cluster(ClusterSettings {
                secret_namespaces: self.secret_namespace,
                catalogue: self.catalogue_configmap,
            }),
        };
        let in_cluster = matches!(source, SourceSettings::Cluster(_));
        if in_cluster && self.leader_election && self.pod_ip.is_none() {
            return Err(SettingsError::PodIp);
        }
        Ok(Settings {
            namespace: self.namespace,
            source,
            webhook_addr: self.webhook_addr,
            sidecar_addr: self.sidecar_addr,
            admin_addr: self.admin_addr,
            sidecar_image: self.sidecar_image,
            sidecar_image_pull_policy: self.sidecar_image_pull_policy,
            allowed_private_ranges: self.allow_private_range.iter().map(ToString::to_string).collect(),
            service_name: self.service_name,
            service_account: self.service_account,
            pod_ip: self.pod_ip,
            pod_name: self.pod_name,
            token_file: self.token_file,
            leader_election: self.leader_election && in_cluster,
            log_level: self.log_level,
        })
    }
}

/// A range that lies within link-local space. A wide one such as 0.0.0.0/0 is fine: the sidecar filters link-local first.
fn has_link_local(range: &IpNet) -> bool {
    ["169.254.0.0/16", "fe80::/10"].iter().any(|net| net.parse::<IpNet>().is_ok_and(|net| net.contains(range)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: OperatorArgs,
    }

    fn check(flags: &str) -> Result<Settings, String> {
        let cli = Cli::try_parse_from(std::iter::once("operator").chain(flags.split_whitespace()));
        cli.map_err(|error| error.to_string())?.args.check().map_err(|error| error.to_string())
    }

    #[test]
    fn sensible_flags_are_taken() {
        let rows = [
            "--pod-ip 10.0.0.7",
            "--leader-election=false",
            "--leader-election=false --allow-private-range 10.0.0.0/8 --allow-private-range fd00::/8",
            "--leader-election=false --secret-namespace a,b",
            "--resources dir --sidecar-token-file token",
        ];
        for flags in rows {
            assert!(check(flags).is_ok(), "{flags}: {:?}", check(flags));
        }
    }

    #[test]
    fn flags_that_cannot_work_say_what_would() {
        let rows = [
            ("", "POD_IP"),
            ("--leader-election=false --admin-addr 0.0.0.0:9443", "each needs its own port"),
            ("--leader-election=false --allow-private-range 169.254.169.254/32", "stay forbidden"),
            ("--leader-election=false --allow-private-range ten", "--allow-private-range"),
            ("--resources dir", "--sidecar-token-file"),
            ("--leader-election=false --webhook-addr here", "--webhook-addr"),
        ];
        for (flags, hint) in rows {
            let message = check(flags).expect_err(flags);
            assert!(message.contains(hint), "{flags:?}: {message}");
        }
    }
}
