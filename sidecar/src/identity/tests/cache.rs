//! The cache of tokens, by a source that does what it is told.

use std::{collections::VecDeque, sync::Mutex};

use tokio::sync::Semaphore;

use super::*;

/// What [`Source::fetch`] brings, in this order, each when there is leave for it.
#[derive(Debug)]
pub(in crate::identity) struct Script {
    answers: Mutex<VecDeque<Result<(&'static str, u64), &'static str>>>,
    leave: Arc<Semaphore>,
}

impl Script {
    pub(in crate::identity) async fn fetch(&self) -> Result<Token, Trouble> {
        self.leave.acquire().await.unwrap().forget();
        match self.answers.lock().unwrap().pop_front().expect("nobody asks more often") {
            Ok((token, seconds)) => Ok(Token { proof: Proof::bearer(token)?, lives: Duration::from_secs(seconds) }),
            Err(why) => Err(Trouble::Setup(why.to_owned())),
        }
    }
}

fn tokens(answers: &[Result<(&'static str, u64), &'static str>]) -> (Arc<Tokens>, Arc<Semaphore>) {
    let leave = Arc::new(Semaphore::new(0));
    let script = Script { answers: Mutex::new(answers.iter().copied().collect()), leave: Arc::clone(&leave) };
    (Arc::new(Tokens::new(Source::Scripted(script), way())), leave)
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_at_once_waits_for_one_exchange() {
    let (tokens, leave) = tokens(&[Ok(("a", 3600))]);
    let asking: Vec<_> = (0..5)
        .map(|_| {
            let tokens = Arc::clone(&tokens);
            tokio::spawn(async move { tokens.get(SECOND).await })
        })
        .collect();
    tokio::task::yield_now().await;
    leave.add_permits(1);
    for asked in asking {
        assert_eq!(shown(&asked.await.unwrap().unwrap()), "Bearer a");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_it_has_patience_and_the_exchange_goes_on() {
    let (tokens, leave) = tokens(&[Ok(("a", 3600))]);
    let slow = tokens.get(SECOND).await.unwrap_err();
    assert_eq!(slow.lack, Lack::Slow);
    let want = "tokens.example has given no token within 1000ms";
    assert!(slow.to_string().starts_with(want), "{slow}");
    leave.add_permits(1);
    assert_eq!(shown(&tokens.get(SECOND).await.unwrap()), "Bearer a");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end_while_it_is_still_sent() {
    // How long it lives, and how long before its end it is renewed.
    for (lives, ahead) in [(3600, 300), (400, 100)] {
        let (tokens, leave) = tokens(&[Ok(("a", lives)), Ok(("b", lives))]);
        leave.add_permits(1);
        let ask = async || shown(&tokens.get(SECOND).await.unwrap());
        assert_eq!(ask().await, "Bearer a");
        tokio::time::advance(Duration::from_secs(lives - ahead - 1)).await;
        assert_eq!(ask().await, "Bearer a");
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(ask().await, "Bearer a", "the new one is asked for, and nobody waits for it");
        leave.add_permits(1);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(ask().await, "Bearer b");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_exchange_is_repeated_after_a_pause_and_a_good_token_outlives_it() {
    let (tokens, leave) = tokens(&[Err("no"), Err("no again"), Ok(("a", 3600)), Err("not now")]);
    leave.add_permits(100);
    let ask = async || tokens.get(SECOND).await.unwrap_err().to_string();
    assert_eq!(ask().await, "no (the next try is in 1 s)");
    assert_eq!(ask().await, "no (the next try is in 1 s)", "nobody was asked");
    tokio::time::advance(SECOND).await;
    assert_eq!(ask().await, "no again (the next try is in 2 s)");
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(shown(&tokens.get(SECOND).await.unwrap()), "Bearer a");
    tokio::time::advance(3400 * SECOND).await;
    for _ in 0..2 {
        assert_eq!(shown(&tokens.get(SECOND).await.unwrap()), "Bearer a", "it could not be renewed and is still good");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_token_that_was_refused_is_replaced_and_no_more_than_one_a_minute() {
    let (tokens, leave) = tokens(&[Ok(("token-one", 3600)), Ok(("token-two", 3600)), Ok(("token-three", 3600))]);
    leave.add_permits(100);
    let ask = async || tokens.get(SECOND).await.unwrap();
    let (old, same) = (ask().await, ask().await);
    assert_eq!(tokens.taken_out_of("got token-one?").as_deref(), Some("got [redacted]?"));
    // Two requests went out with it, and the second one is told no when its successor is there.
    old.refused();
    let new = ask().await;
    assert_eq!(shown(&new), "Bearer token-two");
    same.refused();
    assert_eq!(shown(&ask().await), "Bearer token-two");
    for text in ["of token-one", "of token-two"] {
        assert_eq!(tokens.taken_out_of(text).as_deref(), Some("of [redacted]"), "an answer may still come");
    }
    for _ in 0..3 {
        ask().await.refused();
        assert_eq!(shown(&ask().await), "Bearer token-two", "whoever refuses this one, too, means something else");
    }
    tokio::time::advance(60 * SECOND).await;
    ask().await.refused();
    assert_eq!(shown(&ask().await), "Bearer token-three");
}
