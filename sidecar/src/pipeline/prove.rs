//! The last thing a request gets: what says who calls, where that has to be fetched first.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use secrecy::SecretString;
use spillway_policy::Class;

use super::{
    failure::{Failure, local},
    outgoing::sign_with,
};
use crate::{
    clock,
    identity::{Document, Given, Lack, Proof},
    runtime::{Admission, KeySlot, Provider},
};

/// The key an attempt goes out with.
pub(super) struct Sent {
    slot: Arc<KeySlot>,
    /// Its version.
    serial: u64,
    /// Which one of the provider's, from 1 on.
    pub(super) number: usize,
    document: Option<(u64, SecretString)>,
}

// === impl Sent ===

impl Sent {
    /// The key that there is leave for. Whoever asks without leave of any gate sends the first key there is.
    pub(super) fn of(provider: &Provider, admission: &Admission) -> Option<Self> {
        let keys = &provider.keys;
        let at = admission.slot.or_else(|| keys.iter().position(|slot| slot.is_set()))?;
        let slot = Arc::clone(keys.get(at)?);
        let document = provider.identity.as_ref().and_then(|_| slot.document());
        Some(Self { serial: slot.serial(), slot, number: at + 1, document })
    }

    pub(super) const fn slot(&self) -> &Arc<KeySlot> {
        &self.slot
    }

    /// A newer one has come since.
    pub(super) fn is_old(&self) -> bool {
        self.slot.serial() != self.serial
    }
}

/// Waits for a proof if the provider needs one, and adds it.
pub(super) async fn prove(
    provider: &Provider,
    key: Option<&Sent>,
    request: &mut Request<Full<Bytes>>,
    until: Instant,
) -> Result<Option<Given>, Box<Failure>> {
    let Some(identity) = &provider.identity else { return Ok(None) };
    let document = key.and_then(|key| {
        let (version, text) = key.document.as_ref()?;
        Some(Document { number: key.number, version: *version, text })
    });
    if document.is_none() && key.is_some() {
        // The key itself, and it is there already.
        return Ok(None);
    }
    let patience = provider.upstream.connect_timeout().min(until.saturating_duration_since(clock::now()));
    let given =
        identity.proof(document, patience).await.map_err(|why| unproved(provider, why.lack, &why.to_string()))?;
    match &given.proof {
        Proof::Header(value) => drop(request.headers_mut().insert(header::AUTHORIZATION, value.clone())),
        Proof::Aws(key) => {
            let body = request.body().clone().frame().now_or_never().flatten();
            let body = body.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).unwrap_or_default();
            sign_with(key, request, &body, provider)
                .map_err(|error| unproved(provider, Lack::Setup, &error.to_string()))?;
        }
    }
    Ok(Some(given))
}

/// The provider was never asked. Nor will it be in a moment: whoever gives out tokens is left alone for a while first.
fn unproved(provider: &Provider, lack: Lack, why: &str) -> Box<Failure> {
    use spillway_providers::Class as P;
    let class = match lack {
        Lack::Slow => P::Timeout,
        Lack::Unreachable => P::Connection,
        Lack::Refused | Lack::Setup => P::Authentication,
    };
    let message = format!("there is no key for provider {}: {why}", provider.name);
    let silent = matches!(lack, Lack::Slow | Lack::Unreachable);
    Box::new(Failure { unproved: true, silent, ..*Failure::new(local(class, message)) })
}

/// What a provider has just refused was fetched: the next request gets a new one.
pub(super) fn learn(given: Option<&Given>, failure: &Failure) {
    if let Some(given) = given.filter(|_| failure.class == Class::Authentication) {
        given.refused();
    }
}
