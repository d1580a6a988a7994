//! What a leader shows of what it knows.

use super::{Allocator, RateStatement, Standing, Statement, book::Book};
use crate::quota::{Account, Epoch, Nanos, RateId};

// === impl Allocator ===

impl<S: Ord + Clone> Allocator<S> {
    #[must_use]
    pub fn has_rate(&self, rate: RateId) -> bool {
        self.rates.is_set(rate)
    }

    /// An earlier leader may have handed out some of a rate that is not set: whoever has it has to be heard.
    #[must_use]
    pub fn was_used(&self, rate: RateId) -> bool {
        self.rates.was_used(rate)
    }

    /// How many share in a rate.
    #[must_use]
    pub fn members(&self, rate: RateId) -> usize {
        self.rates.members(rate)
    }

    /// The epoch it leads in. None: it does not lead.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        (self.standing == Standing::Leader).then_some(self.epoch)
    }

    /// Somebody else leads. This machine does nothing any more; to lead again, take over from what is stored.
    #[must_use]
    pub fn is_deposed(&self) -> bool {
        self.standing == Standing::Deposed
    }

    /// Sidecars that have to be heard before all that is free can be granted.
    pub fn unheard(&self) -> impl Iterator<Item = &S> {
        self.unheard.iter()
    }

    #[must_use]
    pub fn rate(&self, now: Nanos, rate: RateId) -> Option<RateStatement> {
        self.rates.statement(now, rate)
    }

    #[must_use]
    pub fn statement(&self, account: Account) -> Option<Statement> {
        self.books.get(&account).map(Book::statement)
    }

    /// What each source has spent of an account, of those that may still be heard.
    pub fn spenders(&self, account: Account) -> impl Iterator<Item = (&S, u64)> {
        self.books.get(&account).into_iter().flat_map(Book::spenders)
    }

    /// What a source has spent of each account.
    pub fn spent_by<'a>(&'a self, source: &'a S) -> impl Iterator<Item = (Account, u64)> + 'a {
        self.books.iter().filter_map(move |(account, book)| Some((*account, book.spent_by(source)?)))
    }
}
