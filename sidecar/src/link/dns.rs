//! Name lookups without the C library: the static binary has no `getaddrinfo` that works.

use std::{net::SocketAddr, sync::Arc};

use hickory_resolver::{TokioResolver, config::LookupIpStrategy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

/// The only name it is asked for is the operator's.
const CACHED_ANSWERS: u64 = 16;

/// Reads the pod's `resolv.conf` and `hosts` when the first name is looked up.
#[derive(Clone, Default)]
pub(super) struct Resolver {
    inner: Arc<OnceCell<TokioResolver>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let resolver = inner.get_or_try_init(async || system_resolver()).await?;
            let found = resolver.lookup_ip(name.as_str()).await?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn system_resolver() -> Result<TokioResolver, hickory_resolver::net::NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.cache_size = CACHED_ANSWERS;
    // Both families; the connector races them.
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build()
}
