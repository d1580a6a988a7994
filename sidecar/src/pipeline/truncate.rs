//! Leaving out old messages, and cutting long ones, so that a prompt fits.

use spillway_policy::{fallback::Counted, truncate::DoesNotFit};

use super::{
    conversation::{Conversation, Shortened},
    count,
    resolve::Call,
};

/// Shortens the prompt to the first of `rooms` that it can be shortened to, in tokens as the backend counts. Err: what has
/// to stay needs more, or it is no conversation; the prompt is as it was then.
pub(super) async fn fit(call: &mut Call, backend: usize, rooms: &[u64]) -> Result<(), DoesNotFit> {
    let believed = counted(call, backend).await;
    let does_not_fit = DoesNotFit { needs: believed.tokens };
    let (api, body, rule) = (call.api, call.body.clone(), call.route.window.truncate);
    let (encoding, rooms) = (call.route.backends[backend].encoding, rooms.to_vec());
    let work = move |goes_on: &dyn Fn() -> bool| {
        let conversation = Conversation::read(api, body, encoding, believed.tokens, goes_on);
        let mut conversation = conversation.ok_or(does_not_fit)?;
        let mut fates = Err(does_not_fit);
        for room in rooms {
            fates = conversation.fit(room, rule, goes_on);
            if fates.is_ok() {
                break;
            }
        }
        Ok(conversation.shorten(&fates?, goes_on))
    };
    let shortened = count::heavy(encoding, call.is_heavy(), count::until(call), work).await;
    let shortened = shortened.unwrap_or(Err(does_not_fit))?;
    take(call, backend, shortened, believed.exact);
    Ok(())
}

/// Makes the conversation what it has become.
pub(super) fn take(call: &mut Call, backend: usize, shortened: Shortened, exact: bool) {
    let Shortened { body, sizes, changed, tokens } = shortened;
    (call.body, call.sizes) = (body, sizes);
    call.truncated = call.truncated.saturating_add(changed);
    let candidate = &call.route.candidates[backend];
    // Of what a provider has counted itself, what is left is as good as an estimate.
    let exact = exact && call.told.is_empty();
    call.told.clear();
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
