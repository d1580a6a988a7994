//! Completions at backends that only chat: the prompt is what a user says, and the answer is what follows it.

pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod stream;
