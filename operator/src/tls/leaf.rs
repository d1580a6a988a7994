//! This replica's certificate, and the slot listeners read it from.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A certificate with its key, and when to replace it.
#[derive(Debug)]
pub struct Leaf {
    key: Arc<CertifiedKey>,
    renew_at: Timestamp,
}

/// Holds the current [`Leaf`]. Handshakes read it, so a replacement serves from the next connection on.
#[derive(Debug)]
pub struct LeafSlot {
    current: RwLock<Arc<Leaf>>,
}

// === impl Leaf ===

impl Leaf {
    pub(super) fn new(key: CertifiedKey, renew_at: Timestamp) -> Self {
        Self { key: Arc::new(key), renew_at }
    }
}

// === impl LeafSlot ===

impl LeafSlot {
    pub(super) fn new(leaf: Leaf) -> Self {
        Self { current: RwLock::new(Arc::new(leaf)) }
    }

    pub(super) fn replace(&self, leaf: Leaf) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(leaf);
    }

    pub(super) fn renew_at(&self) -> Timestamp {
        self.current().renew_at
    }

    fn current(&self) -> Arc<Leaf> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for LeafSlot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key.clone())
    }
}
