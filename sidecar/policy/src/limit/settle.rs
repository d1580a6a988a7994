//! The end of a request: its place becomes free, and what was reserved is corrected.

use super::{Event, Limiter, Nanos, Pass, Taken};

/// How much the newest request weighs in the average of how long they take: an eighth.
const SMOOTHING: u32 = 3;

/// What became of what was taken.
#[derive(Clone, Copy, Debug)]
enum End {
    /// No provider saw the request: it was none.
    Returned,
    /// So many tokens were used.
    Used(u64),
}

// === impl Limiter ===

impl<W> Limiter<W> {
    /// The request never reached a provider: it is as if it had not been.
    pub fn give_back(&mut self, now: Nanos, pass: Pass, events: &mut Vec<Event<W>>) {
        self.end(now, pass, End::Returned, events);
    }

    /// The request is over and has used so many tokens. What was reserved beyond is free at once; what was used beyond is
    /// owed.
    pub fn settle(&mut self, now: Nanos, pass: Pass, tokens: u64, events: &mut Vec<Event<W>>) {
        self.end(now, pass, End::Used(tokens), events);
    }

    fn end(&mut self, now: Nanos, pass: Pass, end: End, events: &mut Vec<Event<W>>) {
        let now = self.tick(now);
        let Pass { taken, since, .. } = pass;
        let mut waited_for = false;
        for (hint, one) in taken.iter().enumerate() {
            waited_for |= self.end_one(now, hint, one, end, since);
        }
        if !waited_for {
            return;
        }
        // Whoever waits is served only now: what is free in one limit helps nobody who needs two.
        for Taken { limit, slot, .. } in taken {
            self.serve(now, limit, slot, events);
        }
    }

    /// True: somebody waits there.
    fn end_one(&mut self, now: Nanos, hint: usize, taken: &Taken, end: End, since: Nanos) -> bool {
        let Taken { limit, slot, requests, tokens } = *taken;
        let here = self.limits.get(hint).filter(|found| found.serial == limit).map(|_| hint);
        let Some(index) = here.or_else(|| self.index(limit)) else { return false };
        let limit = &mut self.limits[index];
        let rates = limit.rates;
        let paced = limit.changed.is_none_or(|changed| since > changed).then_some(since);
        let tenant = limit.tenants.get_mut(slot);
        tenant.in_flight = tenant.in_flight.saturating_sub(1);
        tenant.advance(now, &rates);
        if let (Some(rate), Some(place), End::Returned) = (rates.requests, requests, end) {
            tenant.requests.give_back(now, &rate, paced, (place, 1), 1);
        }
        if let (Some(rate), Some((place, reserved))) = (rates.tokens, tokens) {
            let used = if let End::Used(used) = end { used } else { 0 };
            tenant.tokens.give_back(now, &rate, paced, (place, reserved), reserved.saturating_sub(used));
            tenant.tokens.owe(now, &rate, used.saturating_sub(reserved));
        }
        if matches!(end, End::Used(_)) {
            let (typical, held) = (limit.typical, now.saturating_sub(since));
            limit.typical = if typical == 0 { held } else { typical - (typical >> SMOOTHING) + (held >> SMOOTHING) };
        }
        limit.waiting > 0
    }
}
