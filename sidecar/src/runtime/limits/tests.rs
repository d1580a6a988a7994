use spillway_policy::limit::{LimitId, QueueRule};

use super::*;

fn rule(concurrency: Option<u32>, requests: Option<u64>) -> Rule {
    let queue = Some(QueueRule { depth: 9, timeout: 60_000_000_000 });
    Rule {
        id: LimitId(1),
        name: "a".into(),
        requests,
        tokens: None,
        window: 10_000_000_000,
        burst: None,
        concurrency,
        queue,
    }
}

fn limits(concurrency: Option<u32>, requests: Option<u64>) -> Arc<Limits> {
    let limits = Arc::new(Limits::default());
    limits.resize(&[LimitRule { rule: rule(concurrency, requests), per: Per::Pod }]);
    limits
}

fn ask(limits: &Arc<Limits>) -> Asked {
    take(limits, 1)
}

fn take(limits: &Arc<Limits>, tokens: u64) -> Asked {
    let load = Load { turn: 0, tokens, at_least: tokens, crowd: None };
    let keys = [Key { limit: LimitId(1), tenant: 0, name: "" }];
    limits.ask(&keys, load, clock::now() + Duration::from_secs(3600))
}

fn waiting(asked: Asked) -> Waiting {
    match asked {
        Asked::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn time_serves_those_who_wait_for_a_window() {
    let limits = limits(None, Some(1));
    let begin = clock::now();
    let Asked::Pass(first) = ask(&limits) else { panic!("there is room") };
    let (second, third) = (waiting(ask(&limits)), waiting(ask(&limits)));
    first.settle(1);
    for (waiting, want) in [(second, 10), (third, 20)] {
        let hold = waiting.answer().await.unwrap().unwrap();
        assert_eq!((clock::now() - begin).as_secs(), want);
        assert_eq!(hold.waited_for().as_deref(), Some("a"));
        hold.settle(1);
    }
    tokio::task::yield_now().await;
    assert!(!limits.lock().driven, "nobody waits, so nothing wakes up");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_makes_room_sooner_wakes_who_waits_sooner() {
    let second = Duration::from_secs(1);
    for row in ["settled", "given back", "left"] {
        let mut rule = rule(None, None);
        (rule.tokens, rule.window) = (Some(100), 60_000_000_000);
        rule.queue = Some(QueueRule { depth: 9, timeout: 3_600_000_000_000 });
        let limits = Arc::new(Limits::default());
        limits.resize(&[LimitRule { rule, per: Per::Pod }]);
        let begin = clock::now();
        let Asked::Pass(first) = take(&limits, 50) else { panic!("there is room") };
        first.settle(50);
        tokio::time::advance(30 * second).await;
        let Asked::Pass(second_one) = take(&limits, 50) else { panic!("there is room") };
        tokio::time::advance(second).await;
        let large = waiting(take(&limits, 60));
        let small = waiting(take(&limits, 40));
        // Whoever wakes those who wait sleeps until there is room for the large one.
        tokio::task::yield_now().await;
        tokio::time::advance(4 * second).await;
        let (hold, want) = match row {
            "settled" => {
                second_one.settle(40);
                (large.answer().await, 60)
            }
            "given back" => {
                drop(second_one);
                (large.answer().await, 60)
            }
            _ => {
                drop(large);
                (small.answer().await, 60)
            }
        };
        assert!(hold.unwrap().is_ok(), "{row}");
        assert_eq!((clock::now() - begin).as_secs(), want, "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_dropped_serves_the_next_one_at_once() {
    let limits = limits(Some(1), None);
    let begin = clock::now();
    let Asked::Pass(first) = ask(&limits) else { panic!("there is room") };
    let (left, stays, late) = (waiting(ask(&limits)), waiting(ask(&limits)), waiting(ask(&limits)));
    drop(left);
    drop(first);
    let hold = stays.answer().await.unwrap().unwrap();
    assert_eq!(clock::now(), begin);
    assert!(late.answer().await.unwrap().is_err(), "nobody makes way for it");
    assert_eq!((clock::now() - begin).as_secs(), 60);
    drop(hold);
    assert_eq!(limits.report(1)[0].waiting, 0);
    assert!(matches!(ask(&limits), Asked::Pass(_)), "everything is given back");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_is_given_back() {
    let limits = limits(Some(1), None);
    let Asked::Pass(first) = ask(&limits) else { panic!("there is room") };
    let (granted, next) = (waiting(ask(&limits)), waiting(ask(&limits)));
    drop(first);
    // Its answer is under way already.
    drop(granted);
    assert!(next.answer().await.unwrap().is_ok());
}
