//! What to say next on one stream: pure, told about acknowledgements, asked after each for the lines to send.
//!
//! The order protects both ends. A key goes out before the snapshot that needs it. At most one snapshot is unacknowledged; what came
//! meanwhile is skipped over, the newest is sent next. A key whose Secret is gone is withdrawn at once; one that merely
//! is not needed any more is withdrawn when the sidecar runs the config without it.

use std::collections::BTreeMap;

use bytes::Bytes;
use secrecy::ExposeSecret;
use spillway_wire::{Ack, Credential, Down, Subscribe};

use super::config::Keys;
use super::view::{View, line};

/// A line to send, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Credential(Bytes),
    Withdrawal(Bytes),
    Snapshot(Bytes),
}

/// What one sidecar has, as far as this stream knows.
#[derive(Debug)]
pub(super) struct Session {
    /// Versions of the keys it holds.
    held: BTreeMap<String, String>,
    /// The newest revision it was sent, or came with.
    sent: Option<String>,
    /// The revision it runs.
    running: Option<String>,
    /// `sent` is not acknowledged yet.
    awaits_ack: bool,
}

// === impl Session ===

impl Session {
    /// A sidecar says what it has.
    pub(super) fn new(subscribe: &Subscribe) -> Self {
        let Subscribe { protocol: _, version: _, boot: _, revision, credentials } = subscribe;
        Self { held: credentials.clone(), sent: revision.clone(), running: revision.clone(), awaits_ack: false }
    }

    /// A sidecar says what it runs or refuses.
    pub(super) fn acknowledged(&mut self, ack: &Ack) {
        if ack.running.is_some() {
            self.running.clone_from(&ack.running);
        }
        let refused = ack.refused.as_ref().map(|(revision, _)| revision);
        if self.sent.is_some() && (ack.running == self.sent || refused == self.sent.as_ref()) {
            self.awaits_ack = false;
        }
    }

    /// The revision that was sent and not heard of since.
    pub(super) fn awaited(&self) -> Option<&String> {
        self.sent.as_ref().filter(|_| self.awaits_ack)
    }

    /// The lines that bring the sidecar closer to this view.
    pub(super) fn next(&mut self, view: &View, keys: &Keys) -> Vec<Line> {
        let mut lines = Vec::new();
        self.withdraw(&mut lines, |key| !keys.contains_key(key));
        for name in &view.credentials {
            let Some(key) = keys.get(name).filter(|key| self.held.get(name) != Some(&key.version)) else { continue };
            self.held.insert(name.clone(), key.version.clone());
            let value = Some(key.value.expose_secret().to_owned());
            let credential = Credential { key: name.clone(), version: key.version.clone(), value };
            lines.push(Line::Credential(line(&Down::Credential { credential })));
        }
        if !self.awaits_ack && self.sent.as_ref() != Some(&view.revision) {
            self.sent = Some(view.revision.clone());
            self.awaits_ack = true;
            lines.push(Line::Snapshot(view.line.clone()));
        }
        if self.running.as_ref() == Some(&view.revision) {
            self.withdraw(&mut lines, |key| !view.credentials.contains(key));
        }
        lines
    }

    fn withdraw(&mut self, lines: &mut Vec<Line>, is_over: impl Fn(&str) -> bool) {
        for (key, version) in self.held.extract_if(.., |key, _| is_over(key)) {
            lines.push(Line::Withdrawal(line(&Down::Credential {
                credential: Credential { key, version, value: None },
            })));
        }
    }
}

#[cfg(test)]
mod tests;
