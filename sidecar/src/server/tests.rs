//! What an application sees, with a provider that does what it is told.

mod attempts;
mod cascades;
mod doors;
mod hedges;
mod limits;
mod pauses;
mod providers;
mod shadows;
mod strategies;
mod streams;
mod structured;
mod windows;
