//! What an application sees, with a provider that does what it is told.

mod attempts;
mod doors;
mod limits;
mod strategies;
mod streams;
mod windows;
