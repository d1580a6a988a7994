//! The data plane: an OpenAI-compatible endpoint on loopback that decides, retries, falls back and counts.

mod journal;
pub mod settings;
