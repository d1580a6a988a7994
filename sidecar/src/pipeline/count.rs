//! How long a prompt is: bounds for every request, a count only for the few near a limit.

pub(super) mod ask;

use std::time::{Duration, Instant};

use spillway_policy::fallback::{Attached, Counted, Sizes};
use spillway_providers::{
    Api, Body, StreamDecoder,
    tokens::{self, Encoding},
};
use tokio_util::sync::CancellationToken;

use super::resolve::Call;
use crate::{clock, runtime::Aside};

/// An English token is four bytes; where nobody counted, this is the guess.
const BYTES_PER_TOKEN: u64 = 4;

/// The same of an image: OpenAI's older models make so many of most of them.
const PER_IMAGE: u64 = 765;

/// The longest a count may take. A prompt of five megabytes takes a twentieth of it on a whole core.
const MAX_TIME: Duration = Duration::from_secs(2);

/// How much longer one that has been told to stop may take to do so. A vocabulary that is being loaded is not stopped.
const GRACE: Duration = Duration::from_millis(100);

/// What the length alone says.
pub(super) fn bounds(api: Api, body: &Body) -> Sizes {
    let tokens::Bounds { lower, least, upper, attached, is_list } = tokens::bounds(api, body);
    let tokens::Attached { images, low, sound, unbounded, .. } = attached;
    let attached = Attached { images, low, sound, unbounded };
    Sizes { attached, least, longest: is_list.then(Default::default), ..Sizes::bounds(lower, upper) }
}

/// Counts the prompt as a backend would. The counts of one tokenizer are kept.
pub(super) async fn count(call: &mut Call, backend: usize) {
    let (tokenizer, encoding) = (call.route.candidates[backend].tokenizer, call.route.backends[backend].encoding);
    if let Some(tokens) = told(call, backend).await {
        call.told.retain(|(index, _)| *index != backend);
        call.told.push((backend, tokens));
        return;
    }
    let (api, body) = (call.api, call.body.clone());
    let counted = heavy(call, encoding, move |goes_on| tokens::count_list_while(api, &body, encoding, goes_on)).await;
    let fallback = || (tokens::Count { tokens: guess(&call.sizes), exact: false }, 0);
    let (tokens::Count { tokens, exact }, longest) = counted.unwrap_or_else(fallback);
    if let Some(slot) = call.sizes.counted.get_mut(tokenizer) {
        *slot = Some(Counted { tokens, exact });
    }
    if let Some(slot) = call.sizes.longest.as_mut().and_then(|counted| counted.get_mut(tokenizer)) {
        *slot = Some(Counted { tokens: longest, exact });
    }
}

/// What the provider says, if the route wants to know, or has said when it refused the same prompt.
pub(super) async fn told(call: &mut Call, backend: usize) -> Option<u64> {
    let begun = clock::now();
    let told = ask::ask(call, backend, until(call)).await;
    call.waited += clock::now().saturating_duration_since(begun);
    told
}

/// When to make do with an estimate: a count that takes longer is of no use to whoever waits for an answer.
pub(super) fn until(call: &Call) -> Instant {
    let now = clock::now();
    // Whoever answers needs the rest.
    clock::after(now, part(call.deadline.saturating_duration_since(now)))
}

fn part(left: Duration) -> Duration {
    MAX_TIME.min(left / 2)
}

/// The same where nobody has set a deadline.
pub(super) fn in_time() -> Instant {
    clock::after(clock::now(), MAX_TIME)
}

/// What takes counting a request's prompt, as [`by`] does it, in the time that the request has for it.
pub(super) async fn heavy<T: Send + 'static>(
    call: &Call,
    encoding: Encoding,
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> Option<T> {
    by(&call.runtime.aside, (encoding, call.is_heavy()), until(call), work).await
}

/// Counts on a thread of its own, of which there are few: a long prompt takes milliseconds, and the first of a process
/// loads the tokenizer, which takes many. Other requests do not wait for it. `work` is to ask whether to go on: it is not
/// to, past `until`, or when whoever wanted to know has left; whoever waits leaves soon after `until`, whatever the work
/// does. None: there was no time, or the thread died.
pub(super) async fn by<T: Send + 'static>(
    aside: &Aside,
    (encoding, large): (Encoding, bool),
    until: Instant,
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> Option<T> {
    // Lengths alone are added up at once, unless there are very many.
    if encoding == Encoding::Estimate && !large {
        return Some(work(&|| true));
    }
    let place = aside.to_count(until).await?;
    let left = CancellationToken::new();
    let _left = left.clone().drop_guard();
    let work = move || {
        let _place = place;
        work(&|| !left.is_cancelled() && clock::now() < until)
    };
    let counted = tokio::task::spawn_blocking(work);
    tokio::time::timeout_at(clock::after(until, GRACE).into(), counted).await.ok()?.ok()
}

/// Gives back what counting needs memory for, once nobody has counted for so long.
pub(crate) async fn give_back(idle: Duration) {
    turns(idle, || _ = tokens::turn()).await;
}

/// So many turns that what has been idle for all of them has been idle for so long.
async fn turns(idle: Duration, mut turn: impl FnMut()) {
    let mut turns = tokio::time::interval(idle / tokens::IDLE_TURNS);
    loop {
        turns.tick().await;
        turn();
    }
}

/// The best number at hand.
pub(super) fn guess(sizes: &Sizes) -> u64 {
    let counted = sizes.counted.iter().flatten().next().map(|count| count.tokens);
    let images = sizes.attached.images.saturating_mul(PER_IMAGE);
    counted.unwrap_or_else(|| sizes.lower.max(sizes.upper / BYTES_PER_TOKEN).saturating_add(images))
}

/// The same for text that was seen go by.
pub(super) const fn guess_output(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// What has been read of a stream, in bytes of text, for [`guess_output`]. However short a piece is, it has a token.
pub(super) fn read_output(decoder: &StreamDecoder) -> u64 {
    decoder.seen_output_bytes().max(decoder.seen_pieces().saturating_mul(BYTES_PER_TOKEN))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const IDLE: Duration = Duration::from_secs(600);
    const TOKENIZER: (Encoding, bool) = (Encoding::O200k, false);

    #[tokio::test(start_paused = true)]
    async fn ten_idle_minutes_are_as_many_turns_as_a_tokenizer_waits() {
        for (after, want) in [(IDLE - Duration::from_secs(1), tokens::IDLE_TURNS), (IDLE, tokens::IDLE_TURNS + 1)] {
            let mut seen = 0;
            let ended = tokio::time::timeout(after + Duration::from_millis(1), turns(IDLE, || seen += 1)).await;
            assert!(ended.is_err(), "it goes on for as long as the process does");
            assert_eq!(seen, want, "after {after:?}");
        }
    }

    #[test]
    fn at_least_half_of_the_time_is_left_to_whoever_answers() {
        for (left, want) in [(600_000, 2_000), (4_000, 2_000), (1_000, 500), (0, 0)] {
            assert_eq!(part(Duration::from_millis(left)), Duration::from_millis(want), "{left}");
        }
    }

    #[tokio::test]
    async fn a_count_ends_when_nobody_waits_for_it_any_more() {
        let (tell, told) = mpsc::channel();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let work = move |goes_on: &dyn Fn() -> bool| {
            _ = started.send(());
            while goes_on() {
                std::thread::yield_now();
            }
            tell.send(()).unwrap();
        };
        let until = clock::after(clock::now(), IDLE);
        let counting = tokio::spawn(async move { by(&Aside::new(), TOKENIZER, until, work).await });
        has_started.await.unwrap();
        counting.abort();
        assert!(counting.await.unwrap_err().is_cancelled());
        tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_waits_for_a_count_that_does_not_stop() {
        let (go, wait) = mpsc::channel::<()>();
        let until = clock::after(clock::now(), Duration::from_millis(1));
        assert_eq!(by(&Aside::new(), TOKENIZER, until, move |_| wait.recv().is_ok()).await, None);
        go.send(()).unwrap();
    }

    #[tokio::test]
    async fn a_count_does_not_go_on_past_its_time() {
        let aside = Aside::new();
        assert_eq!(by(&aside, TOKENIZER, clock::now(), |goes_on| goes_on()).await, Some(false));
        assert_eq!(by(&aside, TOKENIZER, in_time(), |goes_on| goes_on()).await, Some(true));
    }
}
