//! What a model costs, as its users know it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Money;

/// Prices in US dollars, by the token or by the piece. They replace what the catalogue says of the model's price, all of it.
/// An answer that is told in tokens is billed by the token where there is such a price, and every other by the piece.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.inputPerMillion) == has(self.outputPerMillion)",
    "tokens have a price as input and one as output: set inputPerMillion and outputPerMillion (\"0\" if it is free), or none of them",
))]
#[x_kube(validation = (
    "has(self.inputPerMillion) || !(has(self.cacheReadPerMillion) || has(self.cacheWritePerMillion) || has(self.cacheWrite1hPerMillion) || has(self.reasoningPerMillion) || has(self.audioInputPerMillion) || has(self.audioOutputPerMillion) || has(self.imageInputPerMillion) || has(self.imageOutputPerMillion) || has(self.tiers))",
    "prices of other tokens and of long prompts need inputPerMillion and outputPerMillion beside them",
))]
#[x_kube(validation = (
    "has(self.inputPerMillion) || has(self.perImage) || has(self.images) || has(self.perMillionPixels) || has(self.perMillionCharacters) || has(self.perSecond) || has(self.perSearch)",
    "a pricing without a price makes the model's price unknown: give it one, or remove pricing",
))]
pub struct Pricing {
    /// Dollars per million tokens of input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<Money>,
    /// Dollars per million tokens of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<Money>,
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
    /// Dollars for an image that is drawn, whatever it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_image: Option<Money>,
    /// Dollars for images by their quality and size. They come before `perImage`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["quality".to_owned(), "size".to_owned()]))]
    pub images: Vec<ImagePrice>,
    /// Dollars per million pixels of the images that are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million_pixels: Option<Money>,
    /// Dollars per million characters of text that is read out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_million_characters: Option<Money>,
    /// Dollars for a second of sound that is transcribed. A price per minute is divided by 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<Money>,
    /// Dollars for a search of a reranking model, as the provider counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_search: Option<Money>,
}

/// The price of an image that looks so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePrice {
    /// The provider's word for how good it is: `high`.
    #[schemars(length(min = 1, max = 32))]
    pub quality: String,
    /// Its width and height in pixels: `1024x1536`.
    #[schemars(length(max = 11), regex(pattern = r"^[0-9]{1,5}x[0-9]{1,5}$"))]
    pub size: String,
    /// Dollars for one.
    pub per_image: Money,
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
