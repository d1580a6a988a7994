//! What an answer costs, where that can be known.

use spillway_policy::{NanoUsd, Usage};
use spillway_providers::{Api, pass::Bill};

use super::Settle;
use crate::{bill, runtime::Backend};

// === impl Settle ===

impl Settle {
    /// Of the answer that the application got.
    pub(super) fn own_cost(&self) -> Option<NanoUsd> {
        self.priced(self.backend()?, self.usage.as_ref()?, self.reported.as_ref())
    }

    /// Of any answer to this request.
    pub(super) fn priced(
        &self,
        backend: &Backend,
        usage: &Usage,
        reported: Option<&spillway_providers::Usage>,
    ) -> Option<NanoUsd> {
        if matches!(self.api, Api::Pass(pass) if pass.bill != Bill::Tokens) {
            return None;
        }
        bill::cost(backend.price.as_ref(), usage, reported)
    }

    /// Its cost is known in part: there are tokens of a kind whose price nobody knows, and they were billed as text.
    pub(super) fn is_short(&self) -> bool {
        let (Some(backend), Some(usage)) = (self.backend(), &self.usage) else { return false };
        let charged = self.reported.is_some_and(|reported| reported.cost_nanos.is_some());
        !charged && backend.unnamed.has_part_in(usage)
    }

    /// It costs something, and nobody says what.
    pub(super) fn is_unmeasured(&self) -> bool {
        self.billed && self.usage.is_none() && matches!(self.api, Api::Pass(pass) if pass.bill != Bill::Nothing)
    }
}
