//! Intake of reports.

pub mod ledger;
