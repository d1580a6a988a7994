//! Answers that have to have a form, and what becomes of those that have it not.

use spillway_policy::Class;

use super::{super::attempt::Kept, End, Settle, waste::Waste};
use crate::record::Outcome;

impl Settle {
    /// What the check of an answer's form said.
    pub(in super::super) fn checked(&mut self, outcome: &'static str) {
        self.schema = Some(outcome);
        let (Some(route), Some(backend)) = (self.route(), self.backend()) else { return };
        self.place.runtime().telemetry.metrics.checked(&route.name, &backend.name, outcome);
    }

    /// What that check said of the last answer, where it was not simply good.
    pub(in super::super) fn schema(&self) -> Option<&'static str> {
        self.schema.filter(|outcome| *outcome != "fits")
    }

    /// Nobody gets the answer at hand. It is billed, and for its gates it was one: whoever gave it was there.
    pub(in super::super) fn discard(&mut self) {
        let (usage, output_bytes) = (self.reported.take(), std::mem::take(&mut self.output_bytes));
        self.usage = None;
        self.billed = false;
        self.complete();
        if let Some(backend) = self.backend {
            self.wasted(backend, &Waste::whole(usage, output_bytes));
        }
    }

    /// A stream came to its end, and its answer is not what was asked for.
    pub(in super::super) fn unfit(&mut self, code: &str) {
        self.complete();
        let class = Some(Class::UnprocessableEntity);
        self.end = Some(End { outcome: Outcome::Cut, status: 200, error: Some(code.to_owned()), class });
    }

    fn complete(&mut self) {
        if let Some(Kept { admission, _busy }) = self.kept.take() {
            admission.completed();
        }
    }
}
