//! What a model costs by the piece: images, characters, seconds, searches.
//!
//! Amounts are nano-dollars per million pieces, as those of tokens are: an image for $0.04 is 40_000_000_000_000.

use serde::{Deserialize, Serialize};

/// Prices of pieces. None: nobody knows. A request that is told in tokens is billed by the token where the model has such a
/// price; these are for all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// Of an image, whatever it looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_nanos: Option<u64>,
    /// Of images that look like this. They come before what holds for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<Look>,
    /// Of one of an image's pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_nanos: Option<u64>,
    /// Of a character of text that is read out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub character_nanos: Option<u64>,
    /// Of a second of sound that is listened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_nanos: Option<u64>,
    /// Of a search, as whoever sells it counts searches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_nanos: Option<u64>,
}

/// What an image of this quality and size costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The provider's word for it: `high`.
    pub quality: String,
    pub width: u32,
    pub height: u32,
    pub image_nanos: u64,
}
