//! Prices of pieces as people write them: dollars for one, or for a million where one costs next to nothing.

use serde_json::{Map, Value, json};
use spillway_crds::Money;
use spillway_wire::{Look, Pieces};

use super::field::{Read, brief, dollars, given, text};

/// A price of pieces.
pub(crate) struct Piece {
    /// The field it is written in.
    pub(crate) field: &'static str,
    /// What it buys.
    pub(crate) unit: &'static str,
    of: fn(&mut Pieces) -> &mut Option<u64>,
    /// It is given for one of them.
    each: bool,
}

/// All of them, as far as they are a number.
pub(crate) const PIECES: [Piece; 5] = [
    Piece { field: "perImage", unit: "image", of: |pieces| &mut pieces.image_nanos, each: true },
    Piece { field: "perMillionPixels", unit: "1M pixels", of: |pieces| &mut pieces.pixel_nanos, each: false },
    Piece {
        field: "perMillionCharacters",
        unit: "1M characters",
        of: |pieces| &mut pieces.character_nanos,
        each: false,
    },
    Piece { field: "perSecond", unit: "second", of: |pieces| &mut pieces.second_nanos, each: true },
    Piece { field: "perSearch", unit: "search", of: |pieces| &mut pieces.search_nanos, each: true },
];

/// What images cost by what they look like.
const LOOKS: &str = "images";
/// More looks than any model's images have.
const MOST_LOOKS: usize = 64;

/// What a price of one is that does not read.
pub(crate) const NO_AMOUNT: &str =
    "is not an amount in US dollars: write a decimal number such as \"0.04\", below a thousand";

/// Decimals that a price per million moves by when it is written for one.
const MILLION: usize = 6;
/// Nano-dollars per million, in a dollar for each.
const PER_DOLLAR: u64 = 1_000_000_000_000_000;

// === impl Piece ===

impl Piece {
    /// The price, as it is written.
    pub(crate) fn price(&self, pieces: &Pieces) -> Option<String> {
        let nanos = (*(self.of)(&mut pieces.clone()))?;
        Some(if self.each { for_one(nanos) } else { Money::from_nanos(nanos).0 })
    }
}

/// All names, for messages.
pub(super) fn names() -> String {
    PIECES.map(|piece| piece.field).join(", ") + ", " + LOOKS
}

pub(super) fn is_one(name: &str) -> bool {
    name == LOOKS || PIECES.iter().any(|piece| piece.field == name)
}

/// These where they are given, else those. What images look like is given all together.
pub(super) fn over(own: &Pieces, known: Option<&Pieces>) -> Pieces {
    let (mut own, mut known) = (own.clone(), known.cloned().unwrap_or_default());
    for Piece { of, .. } in PIECES {
        let price = of(&mut own);
        *price = price.or(*of(&mut known));
    }
    if own.looks.is_empty() {
        own.looks = known.looks;
    }
    own
}

/// Those among a model's prices. None: there are none.
pub(super) fn read(value: &Value) -> Read<Option<Pieces>> {
    let mut pieces = Pieces::default();
    for (name, value) in given("pricing", value)? {
        let at = format!("pricing.{name}");
        if let Some(piece) = PIECES.into_iter().find(|piece| piece.field == name) {
            *(piece.of)(&mut pieces) = Some(price(&at, value, piece.each)?);
        } else if name == LOOKS {
            pieces.looks = looks(&at, value)?;
        }
    }
    Ok((pieces != Pieces::default()).then_some(pieces))
}

pub(super) fn show(pieces: &Pieces) -> Map<String, Value> {
    let prices = PIECES.iter().filter_map(|piece| Some((piece.field.to_owned(), piece.price(pieces)?.into())));
    let mut shown: Map<String, Value> = prices.collect();
    let look = |look: &Look| {
        let Look { quality, width, height, image_nanos } = look;
        json!({"quality": quality, "size": format!("{width}x{height}"), "perImage": for_one(*image_nanos)})
    };
    let looks: Vec<Value> = pieces.looks.iter().map(look).collect();
    if !looks.is_empty() {
        shown.insert(LOOKS.to_owned(), looks.into());
    }
    shown
}

fn looks(at: &str, value: &Value) -> Read<Vec<Look>> {
    let Value::Array(all) = value else { return Err(format!("{at}: {value} is no list", value = brief(value))) };
    if all.len() > MOST_LOOKS {
        return Err(format!("{at}: has {} entries, at most {MOST_LOOKS} are read", all.len()));
    }
    all.iter().enumerate().map(|(index, value)| look(&format!("{at}[{index}]"), value)).collect()
}

fn look(at: &str, value: &Value) -> Read<Look> {
    let (mut quality, mut size, mut image) = (None, None, None);
    for (name, value) in given(at, value)? {
        let at = format!("{at}.{name}");
        match name.as_str() {
            "quality" => quality = value.as_str().map(str::to_owned),
            "size" => size = Some(pixels(&at, value)?),
            "perImage" => image = Some(price(&at, value, true)?),
            _ => return Err(format!("{at}: there is no such field (there are quality, size, perImage)")),
        }
    }
    let (Some(quality), Some((width, height)), Some(image_nanos)) = (quality, size, image) else {
        return Err(format!("{at}: needs a quality, a size and a price perImage, each as a text"));
    };
    Ok(Look { quality, width, height, image_nanos })
}

fn pixels(at: &str, value: &Value) -> Read<(u32, u32)> {
    value
        .as_str()
        .and_then(size)
        .ok_or_else(|| format!("{at}: {value} is no size such as \"1024x1024\"", value = brief(value)))
}

fn price(at: &str, value: &Value, each: bool) -> Read<u64> {
    if !each {
        return dollars(at, value);
    }
    of_one(text(at, value)?).ok_or_else(|| format!("{at}: {value} {NO_AMOUNT}", value = brief(value)))
}

/// A size such as `1024x1536`, in pixels.
pub(crate) fn size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// Dollars for one, in nano-dollars per million. A million cost as much with the point six digits further on.
pub(crate) fn of_one(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return None;
    }
    let (near, far) = fraction.split_at(fraction.len().min(MILLION));
    let far = if far.is_empty() { "0" } else { far };
    Money(format!("{whole}{near:0<MILLION$}.{far}")).nanos().ok()
}

/// Nano-dollars per million as dollars for one.
pub(crate) fn for_one(nanos: u64) -> String {
    let fraction = format!("{:015}", nanos % PER_DOLLAR);
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("{}.{}", nanos / PER_DOLLAR, &fraction[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_for_one_are_exact_to_a_thousandth_of_a_pico_dollar() {
        let rows = [
            ("0.04", Some(40_000_000_000_000), "0.04"),
            ("0.000000075", Some(75_000_000), "0.000000075"),
            ("2", Some(2_000_000_000_000_000), "2.00"),
            ("0.000283333334", Some(283_333_334_000), "0.000283333334"),
            ("999.9", Some(999_900_000_000_000_000), "999.90"),
            ("0", Some(0), "0.00"),
            ("1000", None, ""),
            ("1.", None, ""),
            (".5", None, ""),
            ("-1", None, ""),
            ("1.é", None, ""),
            ("", None, ""),
        ];
        for (text, want, again) in rows {
            assert_eq!(of_one(text), want, "{text}");
            assert!(want.is_none_or(|nanos| for_one(nanos) == again), "{text}");
        }
    }
}
