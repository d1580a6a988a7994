//! Tokens of one identity: kept, and fetched anew before they expire. One exchange is in flight at most, whoever asks; one
//! that failed is not repeated at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    NoProof, Proof, Source, Token, Way,
    exchange::{TIMEOUT, Trouble, host},
};
use crate::{
    clock,
    secrets::{self, Secrets},
};

/// A token for a request.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) proof: Proof,
    /// Which one it is of those that have come.
    serial: u64,
    from: Arc<Tokens>,
}

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
    trouble: Option<(NoProof, Instant)>,
    /// Tokens that have come.
    serial: u64,
    /// Of the token before: what was sent with it may still be answered.
    before: Option<Arc<Secrets>>,
    /// Until then a provider's refusal is no reason for another exchange.
    replaceable: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    proof: Proof,
    serial: u64,
    secrets: Arc<Secrets>,
    /// From then on a new one is fetched, while this one is still good.
    refresh: Instant,
    expires: Instant,
}

/// What there is for a request at some moment.
enum Found {
    Proof(Proof, u64),
    Nothing(NoProof),
    Soon,
}

/// A token is renewed so long before its end, or in its last quarter if it lives shortly.
const AHEAD: Duration = Duration::from_secs(300);
/// It is not sent any more when it may expire on its way.
const LAST_SECONDS: Duration = Duration::from_secs(5);
/// After the first failure; twice as long after each one that follows, up to 32 times.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a token is replaced because a provider does not take it. Whoever refuses a new one as well means who we are, and
/// that changes no sooner for being asked with every request.
const REPLACED_EVERY: Duration = Duration::from_secs(60);

// === impl Tokens ===

impl Tokens {
    pub(super) fn new(source: Source, way: Way) -> Self {
        Self { source, way, state: watch::Sender::default() }
    }

    /// A token that is still good, waited for no longer than `patience`; Err: why there is none.
    pub(super) async fn get(self: &Arc<Self>, patience: Duration) -> Result<Given, NoProof> {
        let mut changes = self.state.subscribe();
        let found = async {
            loop {
                match self.look(clock::now()) {
                    Found::Proof(proof, serial) => return Ok(Given { proof, serial, from: Arc::clone(self) }),
                    Found::Nothing(why) => return Err(why),
                    Found::Soon => {}
                }
                if changes.changed().await.is_err() {
                    return Err(self.slow(patience).into());
                }
            }
        };
        tokio::time::timeout(patience, found).await.unwrap_or_else(|_| Err(self.slow(patience).into()))
    }

    fn slow(&self, after: Duration) -> Trouble {
        self.source.explained(Trouble::Slow { host: host(self.source.url()), after })
    }

    /// A provider does not take this token. One that has come since is another one.
    fn refused(&self, serial: u64, now: Instant) {
        self.state.send_if_modified(|state| {
            let may = state.replaceable.is_none_or(|at| now >= at);
            if may && let Some(held) = state.held.take_if(|held| held.serial == serial) {
                state.before = Some(held.secrets);
                state.replaceable = Some(now + REPLACED_EVERY);
            }
            false
        });
    }

    /// The text without the tokens at hand. None: there is none in it.
    pub(super) fn taken_out_of(&self, text: &str) -> Option<String> {
        let state = self.state.borrow();
        let held = state.held.as_ref().map(|held| &held.secrets);
        secrets::taken_out_of(text, held.into_iter().chain(&state.before), |secrets, text| secrets.taken_out_of(text))
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
                (Some(held), _) => found = Found::Proof(held.proof.clone(), held.serial),
                (None, Some((why, until))) => {
                    let seconds = until.saturating_duration_since(now).as_secs_f64().ceil();
                    found = Found::Nothing(why.and(&format!("the next try is in {seconds} s")));
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
        let explained = |trouble| self.source.explained(trouble);
        let fetched = fetched.map_or_else(|_| Err(self.slow(TIMEOUT)), |fetched| fetched.map_err(explained));
        let now = clock::now();
        self.state.send_modify(|state| {
            state.asking = false;
            match fetched {
                Ok(token) => {
                    (state.failures, state.trouble) = (0, None);
                    state.serial += 1;
                    let before = state.held.replace(Held::new(token, state.serial, now));
                    state.before = before.map(|held| held.secrets).or_else(|| state.before.take());
                }
                Err(trouble) => {
                    tracing::warn!(error = %trouble, "no token");
                    let pause = PAUSE * (1 << state.failures.min(5));
                    state.failures = state.failures.saturating_add(1);
                    state.trouble = Some((trouble.into(), now + pause));
                }
            }
        });
    }
}

// === impl Given ===

impl Given {
    /// A provider does not take it: the next request gets a new one.
    pub(crate) fn refused(&self) {
        self.from.refused(self.serial, clock::now());
    }
}

// === impl Held ===

impl Held {
    fn new(Token { proof, lives }: Token, serial: u64, now: Instant) -> Self {
        let expires = clock::after(now, lives.saturating_sub(LAST_SECONDS));
        let refresh = clock::after(now, lives.saturating_sub(AHEAD.min(lives / 4)));
        let secrets = Arc::new(proof.secrets());
        Self { proof, serial, secrets, refresh: refresh.min(expires), expires }
    }
}
