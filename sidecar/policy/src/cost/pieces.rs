//! What is billed by the piece and not by the token: images, text that is read out, sound that is listened to, searches.

use super::{Bill, NanoUsd};

/// What a model costs by the piece, each in thousandths of a pico-dollar. None: nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PiecePrices {
    /// An image, whatever it looks like.
    pub image: Option<u64>,
    /// Images that look like this. They come before what holds for all.
    pub looks: Vec<Look>,
    /// One of an image's pixels, where it has no price as a whole.
    pub pixel: Option<u64>,
    /// A character of text that is read out.
    pub character: Option<u64>,
    /// A second of sound that is listened to.
    pub second: Option<u64>,
    /// A search, as whoever sells it counts searches.
    pub search: Option<u64>,
}

/// What an image of this quality and size costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub quality: String,
    /// Width and height.
    pub size: (u32, u32),
    pub image: u64,
}

/// How many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// Quality and size are None where nobody has said.
    Images {
        count: u64,
        quality: Option<&'static str>,
        size: Option<(u32, u32)>,
    },
    Characters(u64),
    /// Of sound.
    Milliseconds(u64),
    Searches(u64),
}

/// What an image is if nobody says otherwise, wherever models have these.
const USUAL_QUALITY: &str = "standard";
const USUAL_SIZE: (u32, u32) = (1024, 1024);

const MILLISECONDS: u128 = 1_000;

// === impl PiecePrices ===

impl PiecePrices {
    /// No price is known.
    pub const UNKNOWN: Self =
        Self { image: None, looks: Vec::new(), pixel: None, character: None, second: None, search: None };

    /// What they cost. None: that of one of them is unknown, or which one it is.
    #[must_use]
    pub fn of(&self, pieces: &Pieces) -> Option<NanoUsd> {
        self.total(pieces, Self::image)
    }

    /// The most they can cost, whatever is still open about them.
    #[must_use]
    pub fn worst(&self, pieces: &Pieces) -> Option<NanoUsd> {
        self.total(pieces, Self::dearest)
    }

    fn total(
        &self,
        pieces: &Pieces,
        image: impl FnOnce(&Self, Option<&str>, Option<(u32, u32)>) -> Option<u128>,
    ) -> Option<NanoUsd> {
        let sum = |count: u64, each: Option<u64>| Some(u128::from(count).saturating_mul(u128::from(each?)));
        let prompt = match *pieces {
            Pieces::Images { count, quality, size } => u128::from(count).saturating_mul(image(self, quality, size)?),
            Pieces::Characters(count) => sum(count, self.character)?,
            Pieces::Milliseconds(count) => sum(count, self.second)?.div_ceil(MILLISECONDS),
            Pieces::Searches(count) => sum(count, self.search)?,
        };
        Some(Bill { prompt, answer: 0 }.total())
    }

    fn image(&self, quality: Option<&str>, size: Option<(u32, u32)>) -> Option<u128> {
        let (quality, wanted) = (quality.unwrap_or(USUAL_QUALITY), size.unwrap_or(USUAL_SIZE));
        let look = self.looks.iter().find(|look| look.quality == quality && look.size == wanted);
        let whole = look.map(|look| look.image).or(self.image).map(u128::from);
        whole.or_else(|| self.pixels(size?))
    }

    fn dearest(&self, quality: Option<&str>, size: Option<(u32, u32)>) -> Option<u128> {
        let may_be = |look: &&Look| {
            quality.is_none_or(|quality| look.quality == quality) && size.is_none_or(|size| look.size == size)
        };
        let looks = self.looks.iter().filter(may_be).map(|look| look.image);
        let whole = looks.chain(self.image).max().map(u128::from);
        whole.or_else(|| self.pixels(size?))
    }

    fn pixels(&self, (width, height): (u32, u32)) -> Option<u128> {
        Some(u128::from(self.pixel?) * u128::from(width) * u128::from(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dollar cent, in the unit of prices.
    const CENT: u64 = 10_000_000_000_000;

    fn images(count: u64, quality: Option<&'static str>, size: Option<(u32, u32)>) -> Pieces {
        Pieces::Images { count, quality, size }
    }

    fn look(quality: &str, size: (u32, u32), image: u64) -> Look {
        Look { quality: quality.into(), size, image }
    }

    #[test]
    fn an_image_costs_what_it_looks_like_and_what_is_open_costs_the_most_it_may() {
        let (square, wide) = ((1024, 1024), (1792, 1024));
        let looks = |standard, hd| PiecePrices {
            looks: vec![look(standard, square, 4 * CENT), look(hd, square, 8 * CENT), look(hd, wide, 12 * CENT)],
            ..PiecePrices::UNKNOWN
        };
        let (drawn, painted) = (looks("standard", "hd"), looks("low", "high"));
        let flat =
            PiecePrices { image: Some(6 * CENT), looks: vec![look("low", square, CENT)], ..PiecePrices::UNKNOWN };
        let pixels = PiecePrices { pixel: Some(1_000_000), ..PiecePrices::UNKNOWN };
        let rows = [
            (&drawn, images(1, None, None), Some(4), Some(12)),
            (&drawn, images(2, Some("hd"), None), Some(16), Some(24)),
            (&drawn, images(1, Some("hd"), Some(wide)), Some(12), Some(12)),
            (&drawn, images(1, Some("standard"), Some(wide)), None, None),
            (&painted, images(1, None, None), None, Some(12)),
            (&painted, images(3, Some("high"), Some(square)), Some(24), Some(24)),
            (&flat, images(1, None, Some(wide)), Some(6), Some(6)),
            (&flat, images(1, Some("low"), None), Some(1), Some(6)),
            (&pixels, images(1, None, None), None, None),
            (&pixels, images(1, None, Some((1_000, 10_000))), Some(1), Some(1)),
            (&PiecePrices::UNKNOWN, images(1, None, None), None, None),
        ];
        for (row, (prices, pieces, cost, worst)) in rows.into_iter().enumerate() {
            let cents = |nanos: Option<NanoUsd>| nanos.map(|nanos| nanos.0 / 10_000_000);
            assert_eq!((cents(prices.of(&pieces)), cents(prices.worst(&pieces))), (cost, worst), "row {row}");
        }
    }

    #[test]
    fn what_is_counted_costs_its_count_rounded_up_once() {
        // $15 per million characters, $0.006 a minute, $2 per thousand searches.
        let prices = PiecePrices {
            character: Some(15_000_000_000),
            second: Some(100_000_000_000),
            search: Some(2_000_000_000_000),
            ..PiecePrices::UNKNOWN
        };
        let rows = [
            (Pieces::Characters(12), Some(180_000)),
            (Pieces::Milliseconds(60_000), Some(6_000_000)),
            (Pieces::Milliseconds(1), Some(100)),
            (Pieces::Searches(3), Some(6_000_000)),
            (Pieces::Searches(u64::MAX), Some(u64::MAX)),
            (images(1, None, None), None),
        ];
        for (pieces, want) in rows {
            assert_eq!(prices.of(&pieces), want.map(NanoUsd), "{pieces:?}");
            assert_eq!(prices.worst(&pieces), want.map(NanoUsd), "{pieces:?}");
        }
        assert_eq!(PiecePrices::UNKNOWN.of(&Pieces::Characters(1)), None, "unknown is not free");
        assert_eq!(
            PiecePrices { second: Some(1), ..PiecePrices::UNKNOWN }.of(&Pieces::Milliseconds(1)),
            Some(NanoUsd(1))
        );
    }
}
