//! What a person sees of the limits.

use super::{Counts, Limiter, Nanos, Rule, tenants::Tenant};

/// One limit, as it stands.
#[derive(Clone, Debug)]
pub struct LimitReport {
    pub rule: Rule,
    pub counts: Counts,
    pub tenants: usize,
    pub waiting: u32,
    /// Those who use most of it, the first one most.
    pub top: Vec<TenantReport>,
}

/// One tenant of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantReport {
    /// The beginning of its name.
    pub name: String,
    /// Used in the window that ends now.
    pub requests: u64,
    pub tokens: u64,
    pub in_flight: u32,
    pub waiting: bool,
}

// === impl Limiter ===

impl<W> Limiter<W> {
    /// How a limit stands, by its place among the rules, with up to `top` of its tenants. None: there are fewer.
    pub fn report(&mut self, now: Nanos, index: usize, top: usize) -> Option<LimitReport> {
        let now = self.tick(now);
        let limit = self.limits.get_mut(index)?;
        let (rule, rates) = (limit.rule.clone(), limit.rates);
        // Nothing else forgets the tenants of a limit that nobody new asks of.
        limit.tenants.forget_idle(now, &rates);
        let mut shares = Vec::new();
        if top > 0 {
            limit.tenants.each(|slot, tenant| {
                tenant.advance(now, &rates);
                shares.push((share(&rule, tenant), slot));
            });
        }
        // Requests wait for this: of thousands only the few that are shown are put in order and copied.
        if shares.len() > top && top > 0 {
            shares.select_nth_unstable_by(top - 1, |a, b| b.cmp(a));
            shares.truncate(top);
        }
        let mut tenants: Vec<_> =
            shares.into_iter().map(|(share, slot)| (share, report(limit.tenants.get(slot)))).collect();
        tenants.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| left.name.cmp(&right.name)));
        Some(LimitReport {
            rule,
            counts: limit.counts,
            tenants: limit.tenants.len(),
            waiting: limit.waiting,
            top: tenants.into_iter().map(|(_, tenant)| tenant).collect(),
        })
    }
}

fn report(tenant: &Tenant) -> TenantReport {
    TenantReport {
        name: tenant.name.to_string(),
        requests: tenant.requests.used(),
        tokens: tenant.tokens.used(),
        in_flight: tenant.in_flight,
        waiting: tenant.waiting.is_some(),
    }
}

/// How much of the limit a tenant uses, in parts per million: of what it uses most of.
fn share(rule: &Rule, tenant: &Tenant) -> u64 {
    let of = |used: u64, bound: Option<u64>| bound.map_or(0, |bound| used.saturating_mul(1_000_000) / bound.max(1));
    of(tenant.requests.used(), rule.requests)
        .max(of(tenant.tokens.used(), rule.tokens))
        .max(of(tenant.in_flight.into(), rule.concurrency.map(u64::from)))
}
