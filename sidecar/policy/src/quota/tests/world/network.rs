//! What the network does: a message that is kept comes again.

use super::*;

impl World {
    pub(in crate::quota::tests) fn deliver_report(&mut self, nth: usize, slot: usize, keep: bool) {
        if self.reports.is_empty() {
            return;
        }
        let (index, now, rule) = (nth % self.reports.len(), self.now, self.rule);
        let (name, report) = self.reports[index].clone();
        if !keep {
            self.reports.remove(index);
        }
        if let Some(operator) = &mut self.operators[slot] {
            operator.hear(now, name, &report, rule);
        }
    }

    pub(in crate::quota::tests) fn deliver_rights(&mut self, nth: usize, keep: bool) {
        if self.rights.is_empty() {
            return;
        }
        let (index, now) = (nth % self.rights.len(), self.now);
        let (name, rights) = self.rights[index].clone();
        if !keep {
            self.rights.remove(index);
        }
        if let Some(sidecar) = self.sidecars.iter_mut().find(|sidecar| sidecar.name == name) {
            let mut entries = Vec::new();
            sidecar.holder.take(sidecar.clock(now), &rights, &mut entries);
            sidecar.write(entries);
        }
    }

    pub(in crate::quota::tests) fn deliver_all_rights(&mut self) {
        (0..self.rights.len()).for_each(|_| self.deliver_rights(0, false));
    }

    /// The most that messages on their way to a sidecar grant it.
    pub(in crate::quota::tests) fn grants_under_way(&self, nth: usize) -> u64 {
        let name = self.sidecars[nth].name;
        let messages = self.rights.iter().filter(|(to, _)| *to == name);
        messages.flat_map(|(_, rights)| &rights.grants).map(|grant| grant.total).max().unwrap_or(0)
    }

    pub(in crate::quota::tests) fn lose(&mut self, nth: usize) {
        if !self.reports.is_empty() {
            self.reports.remove(nth % self.reports.len());
        }
        if !self.rights.is_empty() {
            self.rights.remove(nth % self.rights.len());
        }
    }
}
