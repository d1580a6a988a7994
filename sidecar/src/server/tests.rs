//! What an application sees, with a provider that does what it is told.

mod attempts;
mod cascades;
mod counts;
mod doors;
mod hedges;
mod limits;
mod models;
mod passed;
mod pauses;
mod providers;
mod shadows;
mod strategies;
mod streams;
mod structured;
mod windows;
