//! The most tokens that a model makes of an image, where its provider says how it counts them.
//!
//! OpenAI's older models scale an image to 768 by 2,048 at most and count tiles of 512, eight of them at most, beside a base
//! that is all that low detail costs; newer ones count patches of 32, 1,536 at most, by a factor of their own. Claude scales
//! what is larger than it reads. Who has no such end (Gemini's tiles), or tells of none, is not here.

use spillway_policy::fallback::PerImage;

const fn tiles(base: u64, tile: u64) -> Option<PerImage> {
    Some(PerImage { most: base + 8 * tile, low: base })
}

/// `percent`: of a token for a patch.
const fn patches(percent: u64) -> Option<PerImage> {
    let most = (1_536 * percent).div_ceil(100);
    Some(PerImage { most, low: most })
}

const fn always(most: u64) -> Option<PerImage> {
    Some(PerImage { most, low: most })
}

/// Families by how their names begin, the more special ones first.
const FAMILIES: [(&str, Option<PerImage>); 20] = [
    ("gpt-4o-mini", tiles(2_833, 5_667)),
    ("gpt-4o", tiles(85, 170)),
    ("chatgpt-4o", tiles(85, 170)),
    ("gpt-4.1-mini", patches(162)),
    ("gpt-4.1-nano", patches(246)),
    ("gpt-4.1", tiles(85, 170)),
    ("gpt-4.5", tiles(85, 170)),
    ("gpt-4-turbo", tiles(85, 170)),
    ("gpt-5-mini", patches(162)),
    ("gpt-5-nano", patches(246)),
    ("gpt-5-chat", tiles(70, 140)),
    ("gpt-5-20", tiles(70, 140)),
    ("o4-mini", patches(172)),
    ("o1-pro", tiles(75, 150)),
    ("o1-20", tiles(75, 150)),
    ("o3-20", tiles(75, 150)),
    ("claude-3", always(1_600)),
    ("claude-haiku-4-5", always(1_600)),
    ("claude-sonnet-4-5", always(1_600)),
    // The newest ones read larger images than the others.
    ("claude-", always(4_784)),
];

/// Names that are no beginning: what comes after them is another family.
const WHOLE: [(&str, Option<PerImage>); 3] =
    [("gpt-5", tiles(70, 140)), ("o1", tiles(75, 150)), ("o3", tiles(75, 150))];

/// By a model's name, whoever serves it: `gpt-4o`, `openai/gpt-4o`, `ft:gpt-4o:acme`, `us.anthropic.claude-sonnet-4-5`.
pub(crate) fn per_image(model: &str) -> Option<PerImage> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let name = name.find("anthropic.").map_or(name, |at| &name[at + "anthropic.".len()..]);
    let whole = WHOLE.iter().find(|(whole, _)| *whole == name);
    let family = || FAMILIES.iter().find(|(start, _)| name.starts_with(start));
    whole.or_else(family).and_then(|(_, found)| *found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_costs_no_more_than_its_family_says_and_nobody_guesses_for_the_others() {
        let rows = [
            ("gpt-4o-mini", Some((48_169, 2_833))),
            ("ft:gpt-4o-mini-2024-07-18:acme::x", Some((48_169, 2_833))),
            ("openai/gpt-4o", Some((1_445, 85))),
            ("gpt-4.1-mini", Some((2_489, 2_489))),
            ("gpt-4.1-nano", Some((3_779, 3_779))),
            ("gpt-5", Some((1_190, 70))),
            ("gpt-5-2025-08-07", Some((1_190, 70))),
            ("gpt-5.4", None),
            ("o3", Some((1_275, 75))),
            ("o3-mini", None),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((1_600, 1_600))),
            ("claude-opus-4-7", Some((4_784, 4_784))),
            ("gemini-2.5-pro", None),
            ("qwen2.5-vl", None),
        ];
        for (model, want) in rows {
            assert_eq!(per_image(model).map(|PerImage { most, low }| (most, low)), want, "{model}");
        }
    }
}
