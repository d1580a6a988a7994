use super::*;
use crate::publish::samples::{delivery, resting, running, subscribe};

fn told(acks: &mut Acks, boot: &str, sequence: u64, revision: &str) -> (Heard, String) {
    let heard = acks.record("u1", &delivery("u1", boot, sequence, running(revision)).report);
    (heard, acks.get("u1").and_then(|word| word.ack.running.clone()).unwrap_or_default())
}

#[test]
fn the_newest_word_of_the_newest_boot_counts() {
    let mut acks = Acks::default();
    let rows = [
        ("a", 1, "r1", Heard::News, "r1"),
        ("a", 3, "r3", Heard::News, "r3"),
        ("a", 2, "r2", Heard::Nothing, "r3"),
        ("a", 4, "r3", Heard::Nothing, "r3"),
        ("b", 1, "r4", Heard::News, "r4"),
        ("a", 9, "r3", Heard::Nothing, "r4"),
        ("b", 2, "r5", Heard::News, "r5"),
    ];
    for (row, (boot, sequence, revision, heard, runs)) in rows.into_iter().enumerate() {
        assert_eq!(told(&mut acks, boot, sequence, revision), (heard, runs.to_owned()), "row {row}");
    }
}

#[test]
fn a_subscription_says_what_runs_and_does_not_undo_what_was_reported() {
    let mut acks = Acks::default();
    acks.subscribed("u1", &subscribe("a", Some("r1")));
    assert_eq!(acks.get("u1").unwrap().ack, running("r1"));
    told(&mut acks, "a", 1, "r2");
    acks.subscribed("u1", &subscribe("a", Some("r1")));
    assert_eq!(acks.get("u1").unwrap().ack, running("r2"));
    assert_eq!(acks.running(), HashSet::from(["r2".to_owned()]));
    acks.retain(|uid| uid != "u1");
    assert!(acks.get("u1").is_none());
}

#[test]
fn the_last_totals_of_a_boot_that_is_over_say_nothing_of_the_config() {
    let mut acks = Acks::default();
    told(&mut acks, "now", 1, "r1");
    for boot in ["before", "long-before", "now"] {
        let mut report = delivery("u1", boot, 9, running("r0")).report;
        report.last = true;
        assert_eq!(acks.record("u1", &report), Heard::Nothing, "{boot}");
    }
    assert_eq!(told(&mut acks, "now", 2, "r2"), (Heard::News, "r2".to_owned()));
}

#[test]
fn a_backend_that_is_left_alone_or_asked_again_is_news() {
    let mut acks = Acks::default();
    let rows = [
        (vec![], Heard::News),
        (vec![resting("shop/chat", "a")], Heard::News),
        (vec![resting("shop/chat", "a")], Heard::Nothing),
        (vec![resting("shop/chat", "a"), resting("shop/chat", "b")], Heard::News),
        (vec![], Heard::News),
        (vec![], Heard::Nothing),
    ];
    acks.subscribed("u1", &subscribe("a", Some("r1")));
    for (sequence, (backends, heard)) in (1..).zip(rows) {
        let mut report = delivery("u1", "a", sequence, running("r1")).report;
        report.backends = backends;
        assert_eq!(acks.record("u1", &report), heard, "report {sequence}");
    }
}
