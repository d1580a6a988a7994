//! Where rights are written down, and whose they are: the source, which is this pod and the journal they are in.

use spillway_policy::quota::{Entry, Holder, Nanos};

use super::{Names, Rights};
use crate::journal::{Line, QuotaFile};

#[derive(Debug)]
pub(super) struct Store {
    journal: String,
    life: u32,
    file: Option<QuotaFile>,
    /// There is a journal that could neither be written nor removed. Whoever reads it later would bring back what is spent
    /// from now on, so nothing is.
    is_stuck: bool,
    entries: Vec<Entry>,
    lines: Vec<Line>,
}

// === impl Store ===

impl Store {
    pub(super) fn without(boot: &str) -> Self {
        Self { journal: boot.to_owned(), life: 1, file: None, is_stuck: false, entries: Vec::new(), lines: Vec::new() }
    }

    pub(super) fn journal(&self) -> &str {
        &self.journal
    }

    pub(super) const fn life(&self) -> u32 {
        self.life
    }

    /// For what has to be written before anything else happens.
    pub(super) const fn entries(&mut self) -> &mut Vec<Entry> {
        &mut self.entries
    }

    /// Writes it. False: it cannot be.
    pub(super) fn write(&mut self, holder: &Holder, names: &mut Names) -> bool {
        if self.entries.is_empty() {
            return !self.is_stuck;
        }
        let Some(file) = &mut self.file else {
            self.entries.clear();
            return !self.is_stuck;
        };
        self.lines.clear();
        names.take_fresh(&mut self.lines);
        self.lines.extend(self.entries.drain(..).map(Line::Entry));
        let written = file.append(&self.lines);
        let is_long = file.is_long();
        if let Err(error) = written.and_then(|()| if is_long { self.rewrite(holder, names) } else { Ok(()) }) {
            self.lose(&error);
        }
        !self.is_stuck
    }

    fn rewrite(&mut self, holder: &Holder, names: &mut Names) -> std::io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut lines = vec![Line::Source { journal: self.journal.clone(), life: self.life }];
        names.all(&mut lines);
        lines.extend(holder.entries().map(Line::Entry));
        file.rewrite(lines)
    }

    /// Goes on without: this process still knows everything, and the next one is another source.
    fn lose(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "journal of rights cannot be written: what this pod holds is lost if its sidecar restarts");
        if let Some(mut file) = self.file.take()
            && let Err(error) = file.remove()
        {
            tracing::error!(%error, "journal of rights cannot be removed either: budgets admit nothing any more");
            self.is_stuck = true;
        }
    }
}

// === impl Rights ===

impl Rights {
    /// Goes on from a journal, or begins one.
    pub fn restore(&self, file: Option<QuotaFile>) {
        let Some(file) = file else { return };
        let lines = file.read();
        let now: Nanos = self.now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.store.file = Some(file);
        if let Some((Line::Source { journal, life }, rest)) = lines.split_first() {
            (inner.store.journal, inner.store.life) = (journal.clone(), life.saturating_add(1));
            let entries = rest.iter().filter_map(|line| match line {
                Line::Entry(entry) => Some(*entry),
                Line::Source { .. } | Line::Budget { .. } | Line::Rate { .. } => None,
            });
            inner.holder = Holder::recover(now, inner.store.life, entries);
            inner.names = Names::recover(&lines);
            tracing::info!(journal, life = inner.store.life, "rights of the process before are this one's");
        }
        if let Err(error) = inner.store.rewrite(&inner.holder, &mut inner.names) {
            inner.store.lose(&error);
        }
    }
}

#[cfg(test)]
impl Store {
    /// Every write fails from now on.
    pub(super) fn break_file(&mut self) {
        if let Some(file) = &mut self.file {
            file.break_handle();
        }
    }
}
