//! What is known of the world's models: windows, prices, abilities, and until when they are served.
//!
//! The built-in rows are `data/catalogue.json.gz`, made by `data/build.py` and read once, when first asked; `data/NOTICE` says
//! where they come from. Over them lies what the platform's own people know better: [`Overlay`].

mod data;
mod held;
mod mode;
mod overlay;
mod price;
mod row;
mod tokenizer;

use std::sync::Arc;

use jiff::civil::Date;
use spillway_crds::ProviderType;
use spillway_wire as wire;

pub use data::from_compact;
pub use held::Held;
pub use mode::Mode;
pub use overlay::{Overlay, OverlayError};
pub use price::{Cards, Pricing, Rates, Token};
pub(crate) use row::{NO_AMOUNT, PIECES, for_one, of_one, size};
pub use row::{Row, show};
pub(crate) use tokenizer::tokenizer;

/// A model, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub mode: Mode,
    /// Prompt and answer together.
    pub context_window: Option<u64>,
    pub max_output_tokens: Option<u64>,
    /// Of an embedding.
    pub vector_size: Option<u64>,
    /// None: nobody knows, which is not free.
    pub pricing: Option<Box<Pricing>>,
    /// What it costs by the piece.
    pub pieces: Option<Box<wire::Pieces>>,
    pub tools: bool,
    pub parallel_tools: bool,
    pub vision: bool,
    pub json_schema: bool,
    pub abilities: wire::Abilities,
    /// The provider switches it off on this day.
    pub deprecated_on: Option<Date>,
}

/// The built-in rows with an overlay. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    overlay: Arc<Overlay>,
}

// === impl Catalogue ===

impl Catalogue {
    /// The built-in rows with these over them.
    #[must_use]
    pub fn with(overlay: Overlay) -> Self {
        Self { overlay: Arc::new(overlay) }
    }

    /// What is known of `model` at a provider of this type.
    #[must_use]
    pub fn look_up(&self, provider: ProviderType, model: &str) -> Option<Entry> {
        let found = names(provider, model).find_map(|name| data::built_in(provider, name));
        let own = names(provider, model).find_map(|name| self.overlay.row(provider, name));
        match (found, own) {
            (found, None) => found.cloned(),
            (found, Some(own)) => Some(own.over(found.cloned().unwrap_or_default())),
        }
    }

    /// Every model with its provider's type, in the order of their names.
    #[must_use]
    pub fn all(&self) -> Vec<(ProviderType, String, Entry)> {
        let built_in = data::names().map(|(provider, name): (ProviderType, &str)| (provider, name));
        let mut names: Vec<(ProviderType, &str)> = built_in.chain(self.overlay.names()).collect();
        names.sort_unstable_by_key(|(provider, name)| (provider.as_str(), *name));
        names.dedup();
        let found = |(provider, name): (ProviderType, &str)| {
            let entry = data::built_in(provider, name).cloned();
            let entry = match self.overlay.row(provider, name) {
                Some(own) => own.over(entry.unwrap_or_default()),
                None => entry?,
            };
            Some((provider, name.to_owned(), entry))
        };
        names.into_iter().filter_map(found).collect()
    }
}

/// The types of provider of which models are built in.
#[must_use]
pub fn providers() -> Vec<ProviderType> {
    let mut all: Vec<ProviderType> = data::names().map(|(provider, _)| provider).collect();
    all.sort_unstable_by_key(|provider| provider.as_str());
    all.dedup();
    all
}

/// The names a model may be known by, the most special one first.
fn names(provider: ProviderType, model: &str) -> impl Iterator<Item = &str> {
    let (more, last) = match provider {
        ProviderType::Bedrock => {
            let id = without_api(model);
            (Some(id), without_region(id))
        }
        _ => (fine_tuned_from(model), None),
    };
    std::iter::once(model).chain(more).chain(last)
}

/// `invoke/anthropic.claude-…`: the word in front says how Bedrock is asked.
fn without_api(model: &str) -> &str {
    model.strip_prefix("invoke/").or_else(|| model.strip_prefix("converse/")).unwrap_or(model)
}

/// `ft:gpt-4o-mini-2024-07-18:my-org::id` is billed as `ft:gpt-4o-mini-2024-07-18`.
fn fine_tuned_from(model: &str) -> Option<&str> {
    let base = model.strip_prefix("ft:")?;
    let length = base.find(':')?;
    Some(&model[.."ft:".len() + length])
}

/// `jp.anthropic.claude-…`: an inference profile is the model in some regions.
fn without_region(model: &str) -> Option<&str> {
    let (region, name) = model.split_once('.')?;
    let known = ["us", "eu", "apac", "global", "us-gov", "jp", "au", "ca", "sa", "me", "af", "in", "kr", "sg"];
    known.contains(&region).then_some(name)
}

// === impl Entry ===

impl Entry {
    /// What it costs, as sidecars are told: complete for each tier and length of prompt. None: unknown.
    #[must_use]
    pub fn price(&self, provider: ProviderType) -> Option<wire::Price> {
        self.pricing.as_ref()?.resolve(provider)
    }
}

#[cfg(test)]
mod tests;
