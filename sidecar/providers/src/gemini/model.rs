//! What a Gemini takes: what the catalogue knows of it, and else what its name says.

use crate::{Host, Target};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// Thinks as much as a level says; older ones are given a budget of tokens.
    pub(super) levels: bool,
    /// Can be told how much to think.
    pub(super) thinks: bool,
    /// The smallest budget it takes: not all can be told not to think.
    pub(super) least_budget: u64,
    /// Calls have ids, and go back with the signature of the thought behind them.
    pub(super) signed_calls: bool,
    /// `topP`, `topK`. A temperature is taken by all of them.
    pub(super) sampling: bool,
    /// `presencePenalty`, `frequencyPenalty`.
    pub(super) penalties: bool,
    /// Files can be anywhere on the web.
    pub(super) urls: bool,
    /// An image's detail can be said image by image.
    pub(super) resolution: bool,
}

impl Traits {
    pub(super) fn of(target: &Target<'_>) -> Self {
        // What is no Gemini (Gemma, a tuned model) takes what the second generation took.
        let version = version(target.model).unwrap_or((2, 0));
        let third = version >= (3, 0);
        Self {
            levels: third,
            thinks: target.abilities.reasoning.unwrap_or(version >= (2, 5)),
            least_budget: if version == (2, 5) && target.model.contains("pro") { 128 } else { 0 },
            signed_calls: third,
            sampling: target.abilities.sampling.unwrap_or(true),
            penalties: version < (3, 5),
            urls: version >= (2, 5) || target.host == Host::Vertex,
            resolution: third,
        }
    }
}

/// Whether its thoughts are counted in tokens, not said in levels.
pub(crate) fn takes_budget(model: &str) -> bool {
    version(model).is_none_or(|version| version < (3, 0))
}

/// `gemini-2.5-flash` is 2.5, `gemini-3-pro-preview` is 3.0.
fn version(model: &str) -> Option<(u32, u32)> {
    let (_, rest) = model.split_once("gemini-")?;
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    // `gemini-flash-latest` and what else has no number is the newest.
    Some((major.parse().unwrap_or(u32::MAX), minor.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Abilities, Dialect};

    #[test]
    fn a_model_takes_sampling_unless_it_is_known_not_to() {
        for (known, want) in [(None, true), (Some(true), true), (Some(false), false)] {
            let abilities = Abilities { sampling: known, ..Abilities::default() };
            let target = Target { abilities, ..Target::new(Dialect::Gemini, "gemini-3.8-flash") };
            assert_eq!(Traits::of(&target).sampling, want, "{known:?}");
        }
    }

    #[test]
    fn a_name_tells_its_version() {
        let rows = [
            ("gemini-2.5-flash", Some((2, 5))),
            ("models/gemini-1.5-pro-002", Some((1, 5))),
            ("gemini-3-pro-preview", Some((3, 0))),
            ("gemini-3.8-flash", Some((3, 8))),
            ("gemini-flash-latest", Some((u32::MAX, 0))),
            ("gemma-3-27b-it", None),
        ];
        for (model, want) in rows {
            assert_eq!(version(model), want, "{model}");
        }
    }
}
