//! Where resources come from: the API server, or files of YAML.

mod directory;
mod document;

pub use directory::{Directory, POLL};
pub use document::{Object, Problem};
