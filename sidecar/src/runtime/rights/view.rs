//! What is shown of rights.

use spillway_policy::quota::{Balance, Entry};
use spillway_wire as wire;

use super::{Away, Rights, speech};

/// Rights as they are at this moment.
#[derive(Debug)]
pub(crate) struct RightsView {
    /// With the pod's uid, the source that they are given to.
    pub(crate) journal: String,
    pub(crate) life: u32,
    pub(crate) epoch: u64,
    pub(crate) away: Option<Away>,
    pub(crate) accounts: Vec<AccountView>,
    pub(crate) flows: Vec<wire::Flow>,
}

#[derive(Debug)]
pub(crate) struct AccountView {
    pub(crate) account: wire::AccountName,
    pub(crate) balance: Balance,
    /// What can still be set aside here, and what nobody has spent fleet-wide, if that was heard.
    pub(crate) spare: u64,
    pub(crate) left: Option<u64>,
}

// === impl Rights ===

impl Rights {
    pub(crate) fn view(&self) -> RightsView {
        let (now, away) = (self.now(), self.away());
        let inner = self.lock();
        let account = |entry| {
            let Entry::Balance(balance) = entry else { return None };
            let (spare, left) = inner.holder.money(balance.account);
            Some(AccountView { account: speech::account_name(balance.account, &inner.names)?, balance, spare, left })
        };
        RightsView {
            journal: inner.store.journal().to_owned(),
            life: inner.store.life(),
            epoch: inner.holder.epoch().0,
            away,
            accounts: inner.holder.entries().filter_map(account).collect(),
            flows: inner.holder.flows(now).filter_map(|flow| speech::flow(&flow, &inner.names)).collect(),
        }
    }
}
