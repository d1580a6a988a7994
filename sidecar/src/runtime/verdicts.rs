//! Breakers with `scope: Fleet`: what this sidecar has seen goes along with its reports of rights, and what the fleet makes of
//! it comes back with rights.
//!
//! Each sidecar's own breaker goes on as it is; the fleet only opens and closes it besides, and never for longer than a lease.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use spillway_policy::breaker::fleet::{Evidence, Say, Verdict};
use spillway_wire::{BackendName, BreakerEvidence, BreakerSay, BreakerVerdict, QuotaReport, Rights};
use tokio::sync::Notify;

use super::{Backend, Generation, Route, Runtime};
use crate::clock;

// === impl Runtime ===

impl Runtime {
    /// What to report of rights. None: nothing that anybody would want to know.
    pub(crate) fn quota_report(&self) -> Option<QuotaReport> {
        let mut report = self.rights.report()?;
        if let Some(generation) = self.generation() {
            report.breakers = generation.evidence();
        }
        Some(report)
    }

    /// Takes what the operator grants, and what the fleet says of backends.
    pub(crate) fn take_rights(&self, rights: &Rights) {
        if !self.rights.take(rights) {
            return;
        }
        if let Some(generation) = self.generation() {
            rights.breakers.iter().for_each(|verdict| generation.obey(verdict, clock::now()));
        }
    }
}

// === impl Generation ===

impl Generation {
    /// Changes of breakers that the fleet shares are told at once.
    pub(super) fn watch_breakers(&self, due: &Arc<Notify>) {
        self.shared().for_each(|(_, backend)| backend.state.gate.watch(due));
    }

    fn evidence(&self) -> Vec<BreakerEvidence> {
        let line = |(route, backend): (&Arc<Route>, &Backend)| {
            let Evidence { attempts, failures, row, asked, turn, good, bad } = backend.state.gate.evidence();
            let of = BackendName { route: route.name.clone(), backend: backend.name.clone() };
            BreakerEvidence { of, attempts, failures, row, asked, turn, good, bad }
        };
        self.shared().take(QuotaReport::MAX_BREAKERS).map(line).collect()
    }

    fn obey(&self, said: &BreakerVerdict, now: Instant) {
        let BreakerVerdict { of, turn, say, lease, failed, attempts } = said;
        let mut shared = self.shared();
        let found = shared.find(|(route, backend)| route.name == of.route && backend.name == of.backend);
        let Some((_, backend)) = found else { return };
        let say = match say {
            BreakerSay::StayOut => Say::StayOut,
            BreakerSay::Probe => Say::Probe,
            BreakerSay::Closed => Say::Closed,
        };
        let lease = Duration::from_nanos(*lease);
        backend.state.gate.obey(&Verdict { turn: *turn, say, lease, failed: *failed, of: *attempts }, now);
    }

    /// Backends whose breaker the fleet shares, and their routes.
    fn shared(&self) -> impl Iterator<Item = (&Arc<Route>, &Backend)> {
        let is_shared = |route: &&Arc<Route>| {
            let breaker = self.snapshot.routes.get(&route.name).and_then(|route| route.breaker.as_ref());
            breaker.is_some_and(spillway_wire::Breaker::is_fleet)
        };
        let routes = self.routes.iter().filter(is_shared);
        routes.flat_map(|route| route.backends.iter().map(move |backend| (route, backend)))
    }
}
