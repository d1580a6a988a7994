//! How long a prompt is: bounds for every request, a count only for the few near a limit.

use std::time::{Duration, Instant};

use spillway_policy::fallback::{Counted, Sizes};
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::resolve::Call;
use crate::clock;

/// An English token is four bytes; where nobody counted, this is the guess.
const BYTES_PER_TOKEN: u64 = 4;

/// The longest a count may take. A prompt of five megabytes takes a twentieth of it on a whole core.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Vocabularies nobody has needed for so long are given back.
const IDLE: Duration = Duration::from_secs(600);

/// Counts at once. Those that wait leave the processor to the requests that need none.
static THREADS: Semaphore = Semaphore::const_new(2);

/// What the length alone says.
pub(super) fn bounds(api: Api, body: &Body) -> Sizes {
    let tokens::Bounds { lower, upper } = tokens::bounds(api, body);
    Sizes::bounds(lower, upper)
}

/// Counts the prompt as a backend would. The counts of one tokenizer are kept.
pub(super) async fn count(call: &mut Call, backend: usize) {
    let (tokenizer, encoding) = (call.route.candidates[backend].tokenizer, call.route.backends[backend].encoding);
    let (api, body, until) = (call.api, call.body.clone(), until(call));
    let counted =
        heavy(encoding, call.is_heavy(), until, move |goes_on| tokens::count_while(api, &body, encoding, goes_on))
            .await;
    let fallback = || Counted { tokens: guess(&call.sizes), exact: false };
    let counted = counted.map_or_else(fallback, |tokens::Count { tokens, exact }| Counted { tokens, exact });
    if let Some(slot) = call.sizes.counted.get_mut(tokenizer) {
        *slot = Some(counted);
    }
}

/// When to make do with an estimate: a count that takes longer is of no use to whoever waits for an answer.
pub(super) fn until(call: &Call) -> Instant {
    clock::after(clock::now(), MAX_TIME).min(call.deadline)
}

/// Counts on a thread of its own, of which there are few: a long prompt takes milliseconds, and the first of a process
/// loads the tokenizer, which takes many. Other requests do not wait for it. `work` is to ask whether to go on: it is not
/// to, past `until`, or when whoever wanted to know has left. None: the thread died.
pub(super) async fn heavy<T: Send + 'static>(
    encoding: Encoding,
    large: bool,
    until: Instant,
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> Option<T> {
    // Lengths alone are added up at once, unless there are very many.
    if encoding == Encoding::Estimate && !large {
        return Some(work(&|| true));
    }
    let place = THREADS.acquire().await.ok()?;
    let left = CancellationToken::new();
    let _left = left.clone().drop_guard();
    let work = move || {
        let _place = place;
        work(&|| !left.is_cancelled() && clock::now() < until)
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// Gives back what counting needs memory for, once nobody has counted for a while.
pub(crate) async fn give_back() {
    let mut turns = tokio::time::interval(IDLE / tokens::IDLE_TURNS);
    loop {
        turns.tick().await;
        tokens::turn();
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
