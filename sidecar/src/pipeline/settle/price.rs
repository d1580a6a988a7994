//! What an answer costs, where that can be known.

use spillway_policy::{NanoUsd, Usage};
use spillway_providers::{Api, Pieces, pass::Bill};

use super::Settle;
use crate::{bill, runtime::Backend};

// === impl Settle ===

impl Settle {
    /// The request asks for so much of what is billed by the piece.
    pub(in super::super) const fn asks(&mut self, pieces: Option<Pieces>) {
        self.asked = pieces;
    }

    /// Of the answer that the application got.
    pub(super) fn own_cost(&self) -> Option<NanoUsd> {
        // What was asked for is charged to whoever may have it, and not to a request that was refused.
        let is_charged = self.billed || self.usage.is_some() || self.reported.is_some();
        self.priced(self.backend().filter(|_| is_charged)?, self.usage.as_ref(), self.reported.as_ref())
    }

    /// Of any answer to this request.
    pub(super) fn priced(
        &self,
        backend: &Backend,
        usage: Option<&Usage>,
        reported: Option<&spillway_providers::Usage>,
    ) -> Option<NanoUsd> {
        match self.api {
            Api::Pass(pass) if matches!(pass.bill, Bill::Nothing | Bill::Later) => None,
            Api::Pass(_) => {
                let Backend { price, unnamed, pieces, .. } = backend;
                let prices = bill::Prices { tokens: price.as_ref(), unnamed: *unnamed, pieces };
                bill::cost_of_pieces(prices, usage, reported, self.asked)
            }
            _ => bill::cost_with_searches(backend.price.as_ref(), &backend.pieces, usage?, reported),
        }
    }

    /// Its cost is known in part: there are tokens of a kind whose price nobody knows, and they were billed as text, or
    /// searches that were not billed at all.
    pub(super) fn is_short(&self) -> bool {
        let (Some(backend), Some(usage), false) = (self.backend(), &self.usage, matches!(self.api, Api::Pass(_)))
        else {
            return false;
        };
        let charged = self.reported.is_some_and(|reported| reported.cost_nanos.is_some());
        let unsearched = bill::searches(self.reported.as_ref()) > 0 && backend.pieces.search.is_none();
        !charged && (backend.unnamed.has_part_in(usage) || unsearched)
    }

    /// It costs something, and nobody says what.
    pub(super) fn is_unmeasured(&self) -> bool {
        self.billed && self.usage.is_none() && matches!(self.api, Api::Pass(pass) if pass.bill != Bill::Nothing)
    }
}
