//! What a provider says is left of its account, in the headers of its answers. Every sidecar hears a part of it; the operator
//! puts it together, so that what others use of the same account is not asked for a second time.

use std::time::Duration;

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use crate::{
    clock,
    runtime::{Allowance, Provider, Rights},
};

/// What is counted, and the words for what there is, what is left, and when there is all of it again.
const HEADERS: [(&str, [&str; 3]); 4] = [
    ("requests", ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
    ("tokens", ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
    (
        "requests",
        [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
    ),
    (
        "tokens",
        [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
    ),
];
/// Longer than any account is counted over.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// Takes note of what an answer says of an account that is shared out. Of several keys each is another account, and nothing
/// is known of them together.
pub(super) fn hear(rights: &Rights, provider: &Provider, headers: &HeaderMap) {
    let Some(quota) = provider.quota.as_ref().filter(|_| provider.keys.len() <= 1) else { return };
    let rates = quota.rates(rights, &[]);
    for (counts, names) in HEADERS {
        let rate = if counts == "tokens" { rates.tokens } else { rates.requests };
        if let (Some(rate), Some(allowance)) = (rate, read(headers, names)) {
            rights.said(rate, allowance);
        }
    }
}

/// None: it does not say all of it, or in words of its own.
fn read(headers: &HeaderMap, names: [&str; 3]) -> Option<Allowance> {
    let [limit, remaining, reset] = names.map(|name| headers.get(name)?.to_str().ok().map(str::trim));
    let limit = limit?.parse().ok().filter(|limit| *limit > 0)?;
    Some(Allowance { limit, remaining: remaining?.parse().ok()?, resets: until(reset?)?.min(LONGEST) })
}

/// `6m0s`, seconds, or a moment.
fn until(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        let at = Duration::from_secs(u64::try_from(moment.as_second()).ok()?);
        return Some(at.saturating_sub(clock::since_epoch()));
    }
    Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_is_left_is_read_in_every_spelling_and_nonsense_is_ignored() {
        let rows = [
            (["100", "7", "1s"], Some((100, 7, 1_000))),
            (["100", " 0 ", "6m0s"], Some((100, 0, 360_000))),
            (["14400", "14370", "2m59.56s"], Some((14_400, 14_370, 179_560))),
            (["100", "7", "12ms"], Some((100, 7, 12))),
            (["100", "7", "1.5"], Some((100, 7, 1_500))),
            (["100", "7", "2020-01-01T00:00:00Z"], Some((100, 7, 0))),
            (["100", "7", "1e300"], None),
            (["100", "7", "-1s"], None),
            (["100", "7", "soon"], None),
            (["0", "0", "1s"], None),
            (["100", "-1", "1s"], None),
        ];
        for (values, want) in rows {
            for (_, names) in HEADERS {
                let pairs = names.into_iter().zip(values);
                let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
                let headers: HeaderMap = pairs.map(header).collect();
                let got = read(&headers, names).map(|it| (it.limit, it.remaining, it.resets.as_millis()));
                assert_eq!(got, want, "{values:?}");
            }
        }
        assert_eq!(read(&HeaderMap::new(), HEADERS[0].1), None);
    }
}
