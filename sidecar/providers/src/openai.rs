//! The OpenAI family talking to itself: pass-through.
//!
//! Only what a policy owns is rewritten: the model's name, the forced usage of a stream, and what the provider's row
//! ([`table`]) or the model's name ([`family`]) says it takes otherwise. All else goes through as it came, fields nobody here has heard of included.

pub(crate) mod answer;
pub(crate) mod calls;
mod choices;
pub(crate) mod chunk;
pub(crate) mod chunks;
pub(crate) mod family;
pub(crate) mod fit;
pub(crate) mod reading;
pub(crate) mod request;
pub(crate) mod stand_in;
pub(crate) mod stream;
pub(crate) mod table;
mod tidy;
