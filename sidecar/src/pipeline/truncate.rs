//! Leaving out old messages, and cutting long ones, so that a prompt fits.

use spillway_policy::{fallback::Counted, truncate::DoesNotFit};

use super::{
    conversation::{Conversation, Shortened},
    count,
    resolve::Call,
};

/// A prompt could not be shortened enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    /// What must stay of it has so many tokens.
    pub(super) needs: u64,
    pub(super) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It has no messages to leave out.
    NoConversation,
    /// What is no message has so many tokens alone.
    Fixed(u64),
    /// It would fit if fewer were kept, or what the system says were not.
    Rule { keep_last: bool, keep_system: bool },
    /// Not even one message of it fits.
    Messages,
    /// Nobody knows: there was no time to look.
    NoTime,
}

/// Shortens the prompt to the first of `rooms` that it can be shortened to, in tokens as the backend counts. Err: what has
/// to stay needs more, or it is no conversation; the prompt is as it was then.
pub(super) async fn fit(call: &mut Call, backend: usize, rooms: &[u64]) -> Result<(), TooLong> {
    let believed = counted(call, backend).await;
    let none = TooLong { needs: believed.tokens, why: Why::NoConversation };
    let (api, body, rule) = (call.api, call.body.clone(), call.route.window.truncate);
    let (encoding, rooms) = (call.route.backends[backend].encoding, rooms.to_vec());
    let work = move |goes_on: &dyn Fn() -> bool| {
        let conversation = Conversation::read(api, body, encoding, believed.tokens, goes_on);
        let mut conversation = conversation.ok_or(none)?;
        let mut too_long = TooLong { why: Why::Messages, ..none };
        for room in rooms {
            match conversation.fit(room, rule, goes_on) {
                Ok(fates) => return Ok(conversation.shorten(&fates, goes_on)),
                Err(DoesNotFit { needs }) => too_long = TooLong { needs, why: conversation.why(room, rule) },
            }
        }
        Err(too_long)
    };
    let shortened = count::heavy(call, encoding, work).await;
    let shortened = shortened.unwrap_or(Err(TooLong { why: Why::NoTime, ..none }))?;
    take(call, backend, shortened, believed.exact);
    Ok(())
}

/// Makes the conversation what it has become.
pub(super) fn take(call: &mut Call, backend: usize, shortened: Shortened, exact: bool) {
    let Shortened { body, sizes, changed, tokens } = shortened;
    (call.body, call.sizes) = (body, sizes);
    call.truncated = call.truncated.saturating_add(changed);
    // Of what a provider has counted itself, what is left is as good as an estimate.
    let exact = exact && call.told.is_empty();
    call.forget_told();
    let candidate = &call.route.candidates[backend];
    // Estimates are kept as they were made, and corrected when they are used.
    let calibration = candidate.calibration.as_ref().filter(|_| !exact);
    let tokens = calibration.map_or(tokens, |calibration| calibration.undo(tokens));
    call.sizes.counted[candidate.tokenizer] = Some(Counted { tokens, exact });
}

/// The prompt's count by this backend's tokenizer, made now if need be, and corrected if it is an estimate.
pub(super) async fn counted(call: &mut Call, backend: usize) -> Counted {
    if call.counted(backend).is_none() {
        count::count(call, backend).await;
    }
    call.counted(backend).unwrap_or_else(|| {
        let guess = Counted { tokens: count::guess(&call.sizes), exact: false };
        Counted { tokens: call.route.candidates[backend].corrected(guess), ..guess }
    })
}
