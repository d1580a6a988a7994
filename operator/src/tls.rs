//! The operator's own TLS: one authority for all replicas, one short-lived certificate for each.
//!
//! The authority's key is in a Secret that the replicas share, so no replica depends on another for its certificate, and
//! sidecars trust all of them alike. A replica's own certificate lives in memory only: it is issued at start, renewed at two
//! thirds of its life, and swapped under open listeners without a restart.

mod authority;
mod bundle;
mod leaf;
mod serve;
mod store;

use std::sync::Arc;

use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

pub use authority::Authority;
pub use bundle::patch_webhooks;
pub use leaf::LeafSlot;
pub use serve::{Body, Limits, full, serve};
pub use store::{SECRET_NAME, load_or_create, restore};

/// How often the Secret and the webhooks are compared with what they should be.
const CHECK_SECONDS: u64 = 5;

/// Why TLS could not be set up or renewed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate authority is unusable: {0}")]
    Authority(String),
    #[error("issuing a certificate failed")]
    Issue(#[source] rcgen::Error),
    #[error("rustls does not take the certificate")]
    Rustls(#[from] rustls::Error),
    #[error("the API server refused to {verb} {object}")]
    Api {
        verb: &'static str,
        object: String,
        #[source]
        source: Box<kube::Error>,
    },
}

/// The authority and this replica's certificate.
#[derive(Clone, Debug)]
pub struct Tls {
    authority: Arc<watch::Sender<Arc<Authority>>>,
    leaf: Arc<LeafSlot>,
    names: Arc<[String]>,
    clock: Clock,
}

// === impl Tls ===

impl Tls {
    /// Issues this replica's first certificate, for these host names and addresses.
    pub fn new(authority: Authority, names: impl IntoIterator<Item = String>, clock: Clock) -> Result<Self, TlsError> {
        let names: Arc<[String]> = names.into_iter().collect();
        let leaf = Arc::new(LeafSlot::new(authority.issue(&names, clock.wall())?));
        Ok(Self { authority: Arc::new(watch::Sender::new(Arc::new(authority))), leaf, names, clock })
    }

    /// The authority's certificate, which is public.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.borrow().cert_pem().to_owned()
    }

    /// Wakes when the authority is replaced.
    #[must_use]
    pub fn authority(&self) -> watch::Receiver<Arc<Authority>> {
        self.authority.subscribe()
    }

    /// Changes to another authority, with a certificate of its own for the listeners.
    pub fn adopt(&self, authority: Authority) -> Result<(), TlsError> {
        self.leaf.replace(authority.issue(&self.names, self.clock.wall())?);
        self.authority.send_replace(Arc::new(authority));
        Ok(())
    }

    /// Issues the next certificate if two thirds of this one's life are over. True: it did.
    pub fn renew_if_due(&self) -> Result<bool, TlsError> {
        let now = self.clock.wall();
        if now < self.leaf.renew_at() {
            return Ok(false);
        }
        let authority = self.authority.borrow().clone();
        self.leaf.replace(authority.issue(&self.names, now)?);
        Ok(true)
    }

    /// For the port sidecars talk to: both ends are ours, so nothing older than TLS 1.3.
    #[must_use]
    pub fn sidecar_config(&self) -> Arc<ServerConfig> {
        self.config(&[&TLS13])
    }

    /// For the port the API server calls webhooks on.
    #[must_use]
    pub fn webhook_config(&self) -> Arc<ServerConfig> {
        self.config(rustls::DEFAULT_VERSIONS)
    }

    /// Trusts our authority and nothing else, and speaks what our own port speaks.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.authority.borrow().cert().clone())
            .expect("an authority's certificate was parsed when it was made");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("ring has cipher suites for this version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }

    /// Keeps certificate, Secret and webhooks as they should be. Without a client (`spillway dev`) it only renews.
    pub async fn keep(&self, cluster: Option<(kube::Client, String)>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(CHECK_SECONDS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match self.renew_if_due() {
                Ok(true) => tracing::info!(until = %self.leaf.renew_at(), "renewed the serving certificate"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the serving certificate could not be renewed, trying again"),
            }
            let Some((client, namespace)) = &cluster else { continue };
            let checked = async {
                store::restore(client, namespace, self).await?;
                bundle::patch_webhooks(client, &self.ca_pem()).await
            };
            if let Err(error) = checked.await {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the certificate authority could not be checked, trying again");
            }
        }
    }

    fn config(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("ring has cipher suites for these versions")
            .with_no_client_auth()
            .with_cert_resolver(self.leaf.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// The one cryptography provider of the tree, named here rather than looked up in a process-wide default.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
