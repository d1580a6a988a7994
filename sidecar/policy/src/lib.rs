//! Fallback planning, retries, truncation and cost as pure functions and state machines.
