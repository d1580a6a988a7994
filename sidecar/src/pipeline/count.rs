//! How long a prompt is: bounds for every request, a count only for the few near a limit.

use spillway_policy::fallback::{Counted, Sizes};
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};

use super::resolve::Call;

/// An English token is four bytes; where nobody counted, this is the guess.
const BYTES_PER_TOKEN: u64 = 4;

/// What the length alone says.
pub(super) fn bounds(api: Api, body: &Body) -> Sizes {
    let tokens::Bounds { lower, upper } = tokens::bounds(api, body);
    Sizes::bounds(lower, upper)
}

/// Counts the prompt as a backend would. The counts of one tokenizer are kept.
pub(super) async fn count(call: &mut Call, backend: usize) {
    let (tokenizer, encoding) = (call.route.candidates[backend].tokenizer, call.route.backends[backend].encoding);
    let (api, body) = (call.api, call.body.clone());
    let counted = heavy(encoding, move || tokens::count(api, &body, encoding)).await;
    let fallback = || Counted { tokens: guess(&call.sizes), exact: false };
    let counted = counted.map_or_else(fallback, |tokens::Count { tokens, exact }| Counted { tokens, exact });
    if let Some(slot) = call.sizes.counted.get_mut(tokenizer) {
        *slot = Some(counted);
    }
}

/// Counts on a thread of its own: a long prompt takes milliseconds, and the first of a process loads the tokenizer, which
/// takes many. Other requests do not wait for it. None: the thread died.
pub(super) async fn heavy<T: Send + 'static>(
    encoding: Encoding,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    match encoding {
        Encoding::Estimate => Some(work()),
        Encoding::O200k | Encoding::Cl100k => tokio::task::spawn_blocking(work).await.ok(),
    }
}

/// The best number at hand.
pub(super) fn guess(sizes: &Sizes) -> u64 {
    let counted = sizes.counted.iter().flatten().next().map(|count| count.tokens);
    counted.unwrap_or_else(|| sizes.lower.max(sizes.upper / BYTES_PER_TOKEN))
}

/// The same for text that was seen go by.
pub(super) const fn guess_output(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}
