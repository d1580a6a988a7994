//! What an application sees, with a provider that does what it is told.

mod attempts;
mod bills;
mod budgets;
mod cascades;
mod counts;
mod doors;
mod excess;
mod fleet;
mod hedges;
mod hints;
mod kept;
mod keys;
mod limits;
mod models;
mod passed;
mod pauses;
mod pieces;
mod providers;
mod proxies;
mod rooms;
mod shadows;
mod strategies;
mod streams;
mod structured;
mod summaries;
mod windows;
