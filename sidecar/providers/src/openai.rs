//! The OpenAI family talking to itself: pass-through.
//!
//! Only what a policy owns is rewritten: the model's name, the forced usage of a stream, and the few parameters a family
//! of models is known to refuse. All else goes through as it came, fields nobody here has heard of included.

pub(crate) mod answer;
pub(crate) mod chunk;
pub(crate) mod family;
pub(crate) mod request;
pub(crate) mod stream;
