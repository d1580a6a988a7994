//! Names to addresses, without the C library: a static binary has none.

use std::{io, net::IpAddr, sync::OnceLock};

use hickory_resolver::{TokioResolver, config::LookupIpStrategy};

/// The system's resolver (`/etc/resolv.conf`, `/etc/hosts`), set up on first use so that a sidecar whose providers are
/// addresses needs none. It caches by TTL.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    system: OnceLock<Option<Inner>>,
}

struct Inner(TokioResolver);

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokioResolver")
    }
}

// === impl Resolver ===

impl Resolver {
    /// All addresses of a host, in the order to try them. A literal address is its own.
    pub(super) async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let Some(Inner(system)) = self.system.get_or_init(|| open().ok()) else {
            return Err(io::Error::other("the system's resolver configuration cannot be read"));
        };
        let found = system.lookup_ip(host).await.map_err(io::Error::other)?;
        Ok(alternated(found.iter()))
    }
}

fn open() -> Result<Inner, hickory_resolver::net::NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    Ok(Inner(builder.build()?))
}

/// One family after the other, so that a host with one dead family costs one failed try.
fn alternated(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv6);
    let mut order = Vec::with_capacity(six.len() + four.len());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    loop {
        let pair = (four.next(), six.next());
        order.extend(pair.0);
        order.extend(pair.1);
        if pair == (None, None) {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_literal_address_is_not_looked_up() {
        for host in ["127.0.0.1", "[::1]", "::1"] {
            assert_eq!(Resolver::default().lookup(host).await.unwrap().len(), 1, "{host}");
        }
    }

    #[test]
    fn families_take_turns() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let found = ["::1", "::2", "1.1.1.1"].map(parse);
        assert_eq!(alternated(found.into_iter()), ["1.1.1.1", "::1", "::2"].map(parse));
    }
}
