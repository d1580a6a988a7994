//! Tokens of one identity: kept, and fetched anew before they expire. One exchange is in flight at most, whoever asks; one
//! that failed is not repeated at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    Proof, Source, Token, Way,
    exchange::{TIMEOUT, Trouble},
};
use crate::clock;

#[derive(Debug)]
pub(super) struct Tokens {
    source: Source,
    way: Way,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// An exchange is in flight.
    asking: bool,
    /// Exchanges in a row that failed, why the last one did, and when to try again.
    failures: u32,
    trouble: Option<(String, Instant)>,
}

#[derive(Debug)]
struct Held {
    proof: Proof,
    /// From then on a new one is fetched, while this one is still good.
    refresh: Instant,
    expires: Instant,
}

/// What there is for a request at some moment.
enum Found {
    Proof(Proof),
    Nothing(String),
    Soon,
}

/// A token is renewed so long before its end, or in its last quarter if it lives shortly.
const AHEAD: Duration = Duration::from_secs(300);
/// It is not sent any more when it may expire on its way.
const LAST_SECONDS: Duration = Duration::from_secs(5);
/// After the first failure; twice as long after each one that follows, up to 32 times.
const PAUSE: Duration = Duration::from_secs(1);

// === impl Tokens ===

impl Tokens {
    pub(super) fn new(source: Source, way: Way) -> Self {
        Self { source, way, state: watch::Sender::default() }
    }

    /// A token that is still good, waited for no longer than `patience`; Err: why there is none.
    pub(super) async fn get(self: &Arc<Self>, patience: Duration) -> Result<Proof, String> {
        let mut changes = self.state.subscribe();
        let found = async {
            loop {
                match self.look(clock::now()) {
                    Found::Proof(proof) => return Ok(proof),
                    Found::Nothing(why) => return Err(why),
                    Found::Soon => {}
                }
                if changes.changed().await.is_err() {
                    return Err("it is not asked for any more".to_owned());
                }
            }
        };
        let slow = |_| Err(format!("none has come within {}ms", patience.as_millis()));
        tokio::time::timeout(patience, found).await.unwrap_or_else(slow)
    }

    /// The token at hand is good for nothing.
    pub(super) fn forget(&self) {
        self.state.send_if_modified(|state| {
            state.held = None;
            false
        });
    }

    /// What there is; begins an exchange if it is time for one.
    fn look(self: &Arc<Self>, now: Instant) -> Found {
        let mut found = Found::Soon;
        let mut ask = false;
        self.state.send_if_modified(|state| {
            let held = state.held.as_ref().filter(|held| now < held.expires);
            let resting = state.trouble.as_ref().filter(|(_, until)| now < *until);
            let is_due = held.is_none_or(|held| now >= held.refresh);
            ask = is_due && resting.is_none() && !state.asking;
            match (held, resting) {
                (Some(held), _) => found = Found::Proof(held.proof.clone()),
                (None, Some((why, until))) => {
                    let seconds = until.saturating_duration_since(now).as_secs_f64().ceil();
                    found = Found::Nothing(format!("{why} (the next try is in {seconds} s)"));
                }
                (None, None) => {}
            }
            state.asking |= ask;
            false
        });
        if ask {
            tokio::spawn(Arc::clone(self).fetch());
        }
        found
    }

    async fn fetch(self: Arc<Self>) {
        let fetched = tokio::time::timeout(TIMEOUT, self.source.fetch(&self.way)).await;
        let fetched = fetched.unwrap_or(Err(Trouble::Slow));
        let now = clock::now();
        self.state.send_modify(|state| {
            state.asking = false;
            match fetched {
                Ok(token) => {
                    (state.failures, state.trouble) = (0, None);
                    state.held = Some(Held::new(token, now));
                }
                Err(trouble) => {
                    tracing::warn!(error = %trouble, "no token");
                    let pause = PAUSE * (1 << state.failures.min(5));
                    state.failures = state.failures.saturating_add(1);
                    state.trouble = Some((trouble.to_string(), now + pause));
                }
            }
        });
    }
}

// === impl Held ===

impl Held {
    fn new(Token { proof, lives }: Token, now: Instant) -> Self {
        let expires = clock::after(now, lives.saturating_sub(LAST_SECONDS));
        let refresh = clock::after(now, lives.saturating_sub(AHEAD.min(lives / 4)));
        Self { proof, refresh: refresh.min(expires), expires }
    }
}
