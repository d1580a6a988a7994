//! What a provider says it charges, where one says so. It is its bill, which no price list can know better.

use serde_json::Value;

const NANOS_PER_USD_DIGITS: i64 = 9;

/// xAI counts in ten-billionths of a dollar.
const TICKS_PER_NANO: u64 = 10;

/// No answer costs ten thousand dollars. Believing one that says so would fill every budget at once.
const MOST_NANOS: u64 = 10_000 * 1_000_000_000;

/// The cost in a `usage`, in nano-dollars, rounded up. None where there is none, and where it is 0: that is what proxies say of
/// models whose price they do not know.
pub(super) fn nanos(usage: &Value) -> Option<u64> {
    let ticks = || Some(usage.get("cost_in_usd_ticks")?.as_u64()?.div_ceil(TICKS_PER_NANO));
    charged(usage).or_else(ticks).filter(|nanos| (1..=MOST_NANOS).contains(nanos))
}

/// Perplexity splits its cost and gives the sum; OpenRouter gives a number, and beside it what the user's own account at the
/// provider is charged.
fn charged(usage: &Value) -> Option<u64> {
    let cost = usage.get("cost")?;
    let own = dollars(cost.get("total_cost").unwrap_or(cost))?;
    if usage.get("is_byok") != Some(&Value::Bool(true)) {
        return Some(own);
    }
    let elsewhere = usage.pointer("/cost_details/upstream_inference_cost").and_then(dollars);
    Some(own.saturating_add(elsewhere.unwrap_or(0)))
}

/// A JSON number of dollars in nano-dollars, read digit by digit: `2.4e-05` has no exact float.
fn dollars(value: &Value) -> Option<u64> {
    let text = value.as_number()?.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(NANOS_PER_USD_DIGITS)?;
    let scale = 10u128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?);
    let nanos = match scale {
        Some(scale) if shift >= 0 => digits.checked_mul(scale)?,
        Some(scale) => digits.div_ceil(scale),
        // Less than a nano-dollar by far, or more than there is.
        None if shift < 0 => u128::from(digits > 0),
        None => return None,
    };
    u64::try_from(nanos).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_providers_own_word_is_read_to_the_nano_dollar() {
        let rows = [
            (json!({"cost": 0.00014}), Some(140_000)),
            (json!({"cost": 2.4e-5}), Some(24_000)),
            (json!({"cost": 1}), Some(1_000_000_000)),
            (json!({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.0065}}), Some(6_500_000)),
            (
                json!({"cost": 0.001, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.02}}),
                Some(21_000_000),
            ),
            (
                json!({"cost": 0.02, "is_byok": false, "cost_details": {"upstream_inference_cost": 0.02}}),
                Some(20_000_000),
            ),
            (json!({"cost_in_usd_ticks": 37_756_005}), Some(3_775_601)),
            (json!({"cost": 1e-30}), Some(1)),
            (json!({"cost": 0}), None),
            (json!({"cost": 0.0}), None),
            (json!({"cost": -1}), None),
            (json!({"cost": "free"}), None),
            (json!({"cost": 1e300}), None),
            (json!({"cost": 20_000}), None),
            (json!({}), None),
        ];
        for (usage, want) in rows {
            assert_eq!(nanos(&usage), want, "{usage}");
        }
    }
}
