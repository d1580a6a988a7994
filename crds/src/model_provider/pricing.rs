//! What a model costs, as its users know it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Money;

/// Prices in US dollars per million tokens. They replace what the catalogue says of the model's price, all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pricing {
    /// Dollars per million tokens of input.
    pub input_per_million: Money,
    /// Dollars per million tokens of output.
    pub output_per_million: Money,
    /// Dollars per million tokens of input read from the provider's cache. Default: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_per_million: Option<Money>,
    /// Dollars per million tokens of input written to the provider's cache. Default: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<Money>,
    /// Dollars per million tokens of input that the provider's cache keeps for an hour. Default: as other input written to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_per_million: Option<Money>,
    /// Dollars per million tokens of thoughts. Default: as other output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_per_million: Option<Money>,
    /// Dollars per million tokens of sound in the prompt. Default: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_per_million: Option<Money>,
    /// Dollars per million tokens of sound in the answer. Default: as other output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_per_million: Option<Money>,
    /// Dollars per million tokens of images in the prompt. Default: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input_per_million: Option<Money>,
    /// Dollars per million tokens of images in the answer. Default: as other output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_output_per_million: Option<Money>,
    /// Prices of long prompts. The whole prompt is compared, and all of it and of the answer is billed at the prices of the
    /// largest bound that it exceeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["aboveTokens".to_owned()]))]
    pub tiers: Vec<PricingTier>,
}

/// Prices of prompts longer than so many tokens. What is not given costs what it costs in shorter prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.inputPerMillion) || has(self.outputPerMillion) || has(self.cacheReadPerMillion) || has(self.cacheWritePerMillion) || has(self.cacheWrite1hPerMillion) || has(self.reasoningPerMillion)",
    "a tier without a price changes nothing: give it one, or remove it",
))]
pub struct PricingTier {
    /// The prompt has more tokens than this.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub above_tokens: u64,
    /// Dollars per million tokens of input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<Money>,
    /// Dollars per million tokens of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<Money>,
    /// Dollars per million tokens of input read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_per_million: Option<Money>,
    /// Dollars per million tokens of input written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_million: Option<Money>,
    /// Dollars per million tokens of input that the provider's cache keeps for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_per_million: Option<Money>,
    /// Dollars per million tokens of thoughts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_per_million: Option<Money>,
}
