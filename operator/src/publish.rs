//! Publishing.

pub mod auth;
