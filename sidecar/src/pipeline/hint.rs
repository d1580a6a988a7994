//! What an application decides for a single request by a header, as far as its route lets it.
//!
//! A header that the route does not allow is refused, and so is one that says nothing: whoever sends it relies on it.

use std::time::Duration;

use http::HeaderMap;
use spillway_providers::{BadRequest, Unsupported};
use spillway_wire::Hint;

use crate::{
    error::ProxyError,
    runtime::{Backend, Route},
    settings,
};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// Who is asked first.
    pub(super) backend: Option<usize>,
    pub(super) timeout: Option<Duration>,
    pub(super) unsupported: Option<Unsupported>,
    /// Nobody is asked beside the first.
    pub(super) no_fallback: bool,
}

const HEADERS: [(&str, Hint); 4] = [
    ("x-spillway-backend", Hint::Backend),
    ("x-spillway-timeout", Hint::Timeout),
    ("x-spillway-unsupported", Hint::Unsupported),
    ("x-spillway-no-fallback", Hint::NoFallback),
];

/// Enough of a value to recognise it by.
const EXCERPT_CHARS: usize = 64;

/// Reads the hints of a request.
pub(super) fn read(route: &Route, headers: &HeaderMap) -> Result<Hints, ProxyError> {
    let mut hints = Hints::default();
    for (name, hint) in HEADERS {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        let refuse = |why: String| {
            let message = format!("header {name}: {why}");
            Err(ProxyError::Invalid(BadRequest { param: Some(name.to_owned()), message }))
        };
        if !route.request.hints.contains(&hint) {
            return refuse(format!(
                "route {} does not allow it (add {hint:?} to spec.request.hints of the ModelRoute)",
                route.name
            ));
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = text.trim();
        if values.next().is_some() {
            return refuse("it is given twice".to_owned());
        }
        if let Err(why) = hints.take(hint, text, route) {
            let shown: String = text.chars().take(EXCERPT_CHARS).collect();
            return refuse(format!("{shown:?} {why}"));
        }
    }
    Ok(hints)
}

// === impl Hints ===

impl Hints {
    fn take(&mut self, hint: Hint, text: &str, route: &Route) -> Result<(), String> {
        match hint {
            Hint::Backend => self.backend = Some(backend(route, text)?),
            Hint::Timeout => {
                let timeout = settings::duration(text).filter(|timeout| !timeout.is_zero());
                self.timeout = Some(timeout.ok_or("is not a duration such as 30s or 1m30s")?);
            }
            Hint::Unsupported => {
                self.unsupported = Some(match text.to_ascii_lowercase().as_str() {
                    "drop" => Unsupported::Drop,
                    "reject" => Unsupported::Reject,
                    "pass" => Unsupported::Pass,
                    _ => return Err("is none of drop, reject and pass".to_owned()),
                });
            }
            Hint::NoFallback => {
                self.no_fallback = match text.to_ascii_lowercase().as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err("is neither true nor false".to_owned()),
                };
            }
        }
        Ok(())
    }

    /// Who may be the first choice: all primaries, or whoever was asked for before them.
    pub(super) fn first_choices(self, primaries: &[usize]) -> Vec<usize> {
        let others = primaries.iter().copied().filter(|index| Some(*index) != self.backend);
        match self.backend {
            Some(backend) if self.no_fallback => vec![backend],
            Some(backend) => std::iter::once(backend).chain(others).collect(),
            None => others.collect(),
        }
    }

    /// Puts whoever was asked for first.
    pub(super) fn sort(self, order: &mut [usize]) {
        if let Some(at) = order.iter().position(|index| Some(*index) == self.backend) {
            order[..=at].rotate_right(1);
        }
    }
}

/// Shadows answer nobody.
fn backend(route: &Route, name: &str) -> Result<usize, String> {
    let may = |index: &usize| !route.shadows.contains(index);
    let of = |index: usize| route.backends.get(index).map(|backend: &Backend| backend.name.as_str());
    let mut all = (0..route.backends.len()).filter(may);
    all.clone().find(|index| of(*index) == Some(name)).ok_or_else(|| {
        let names: Vec<&str> = all.by_ref().filter_map(of).collect();
        format!("is no backend of route {} (there are {})", route.name, names.join(", "))
    })
}
