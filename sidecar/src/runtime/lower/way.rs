//! The way to a provider, who we are to it, and the headers of its requests. Connections and tokens of the config before are kept where nothing about
//! them changes.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use spillway_wire as wire;

use super::{Nack, Parts};
use crate::{
    identity::{Identity, Way},
    upstream::{Place, Upstream, address::AddressRule},
};

/// Headers that are ours to write. A provider's `headers` may neither set nor remove them.
const OURS: [HeaderName; 4] =
    [http::header::HOST, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION];

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

/// A signature is good for one region.
pub(super) fn signed_for(auth: wire::AuthScheme, region: Option<&str>) -> Result<String, Nack> {
    match region {
        None if auth == wire::AuthScheme::SigV4 => Err("auth is SigV4, and no region says what to sign for".to_owned()),
        region => Ok(region.unwrap_or_default().to_owned()),
    }
}

pub(super) fn header_map(set: &wire::Map<String>) -> Result<HeaderMap, Nack> {
    let mut lowered = HeaderMap::with_capacity(set.len());
    for (header, value) in set {
        let value = HeaderValue::from_str(value).map_err(|error| format!("header {header}: {error}"))?;
        lowered.insert(header_name(header)?, value);
    }
    Ok(lowered)
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, Nack> {
    let header = name.parse::<HeaderName>().map_err(|error| format!("header {name:?}: {error}"))?;
    if OURS.contains(&header) { Err(format!("header {name:?} is written by the sidecar itself")) } else { Ok(header) }
}
