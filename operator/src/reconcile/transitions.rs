//! Logs what has become wrong and what has become right: each once, when it turns.

use std::collections::BTreeSet;

use crate::{
    compile::{Compiled, Diagnostic, Severity},
    gather::Gathered,
};

/// What was told already.
#[derive(Default)]
pub(super) struct Transitions {
    told: BTreeSet<Diagnostic>,
    routes: Option<usize>,
}

// === impl Transitions ===

impl Transitions {
    pub(super) fn tell(&mut self, gathered: &Gathered, compiled: &Compiled) {
        let unreadable = gathered.unreadable.iter().map(|unreadable| &unreadable.diagnostic);
        let now: BTreeSet<Diagnostic> = compiled.diagnostics.iter().chain(unreadable).cloned().collect();
        for new in now.difference(&self.told) {
            let (reason, severity) = (new.reason.as_str(), new.severity);
            match severity {
                Severity::Refuse => tracing::warn!(object = %new.object, reason, "refused: {}", new.text()),
                Severity::Warn => tracing::warn!(object = %new.object, reason, "{}", new.text()),
            }
        }
        for gone in self.told.difference(&now) {
            tracing::info!(object = %gone.object, reason = gone.reason.as_str(), "resolved: {}", gone.text());
        }
        self.told = now;
        let routes = Some(compiled.routes.len());
        if self.routes != routes {
            self.routes = routes;
            tracing::info!(routes, providers = compiled.providers.len(), "config compiled");
        }
    }
}
