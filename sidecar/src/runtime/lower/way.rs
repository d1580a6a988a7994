//! The way to a provider, and who we are to it. Connections and tokens of the config before are kept where nothing about
//! them changes.

use std::{sync::Arc, time::Duration};

use spillway_wire as wire;

use super::{Nack, Parts};
use crate::{
    identity::{Identity, Way},
    upstream::{Place, Upstream, address::AddressRule},
};

/// The connections to a provider, and what its short-lived keys are fetched with, if it has any.
pub(super) fn way(
    name: &str,
    given: &wire::Provider,
    rule: &AddressRule,
    parts: &Parts<'_>,
) -> Result<(Arc<Upstream>, Option<Arc<Identity>>), Nack> {
    let (place, connect) = (Place::parse(&given.base_url)?, Duration::from_millis(given.timeouts.connect_ms));
    let proxy = given.proxy.as_deref().map(Place::parse).transpose().map_err(|why| format!("proxy {why}"))?;
    let proxy = proxy.map(|proxy| proxy.peer().clone());
    let before = parts.before.and_then(|generation| generation.providers.get(name));
    let insecure = !place.peer().encrypted;
    let way = Way { dialer: parts.dialer.clone(), proxy: proxy.clone(), rule: rule.clone(), insecure };
    let region = given.region.as_deref();
    let identity = given.exchange.as_ref().map(|exchange| {
        let before = before.and_then(|before| before.identity.as_ref());
        match before.filter(|before| before.serves(exchange, region, &way)) {
            Some(before) => Arc::clone(before),
            None => {
                let region = region.map(str::to_owned);
                Arc::new(Identity::new(exchange.clone(), region, way, Arc::clone(parts.environment)))
            }
        }
    });
    let upstream = match before.filter(|old| old.upstream.serves(&place, proxy.as_ref(), rule, connect)) {
        Some(old) => Arc::clone(&old.upstream),
        None => Arc::new(Upstream::new(place, proxy, rule.clone(), connect, parts.dialer.clone())),
    };
    Ok((upstream, identity))
}
