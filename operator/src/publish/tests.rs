use std::time::Duration;

use super::samples::{Sample, delivery, identity, labels, pod, resting, running, subscribe};
use super::*;
use crate::conditions::Breakers;

mod wire;

fn publisher(entries: impl IntoIterator<Item = PodEntry>) -> (Publisher, Pods) {
    let pods = Pods::fixed(entries);
    (Publisher::new(pods.clone(), Changes::default(), Metrics::new()), pods)
}

fn two_routes() -> Sample {
    Sample::default().route("chat", "openai", Some("web")).route("mail", "openai", Some("web")).key("openai", "k")
}

fn compiled(sample: Sample) -> Arc<Compiled> {
    Arc::new(sample.build())
}

fn revision(sample: Sample, app: &str) -> String {
    sample.build().view("shop", &labels(app)).revision
}

fn offered(slot: &mut Slot) -> Option<String> {
    slot.push.borrow_and_update().as_ref().map(|push| push.view.revision.clone())
}

/// Whether the stream would be woken.
fn is_woken(slot: &Slot) -> bool {
    slot.push.has_changed().unwrap()
}

#[test]
fn a_publication_wakes_only_those_it_changes_something_for() {
    let (publisher, _) = publisher([pod("u1", "web"), pod("u2", "batch")]);
    let mut web = publisher.open(&identity("u1"), &subscribe("b", None)).unwrap();
    let mut batch = publisher.open(&identity("u2"), &subscribe("b", None)).unwrap();
    assert!(!is_woken(&web), "nothing is compiled yet");

    let all = || two_routes().route("jobs", "groq", Some("batch"));
    publisher.publish(compiled(all()));
    assert_eq!(offered(&mut web), Some(revision(all(), "web")));
    assert_eq!(offered(&mut batch), Some(revision(all(), "batch")));

    publisher.publish(compiled(all()));
    assert!(!is_woken(&web) && !is_woken(&batch), "a resync changes nothing");

    publisher.publish(compiled(all().changed("jobs")));
    assert!(!is_woken(&web) && is_woken(&batch));
    let rotated = all().changed("jobs").key("openai", "k2");
    publisher.publish(compiled(rotated));
    assert!(is_woken(&web), "a rotated key is news although the revision is the same");
}

#[test]
fn one_stream_per_pod_and_the_new_one_stays() {
    let (publisher, pods) = publisher([pod("u1", "web")]);
    publisher.publish(compiled(two_routes()));
    let old = publisher.open(&identity("u1"), &subscribe("b", None)).unwrap();
    let mut new = publisher.open(&identity("u1"), &subscribe("b", None)).unwrap();
    assert!(old.evicted.is_cancelled() && !new.evicted.is_cancelled());
    drop(old);
    assert_eq!(publisher.connected(), 1, "the old stream's end does not sign the new one off");
    assert!(offered(&mut new).is_some(), "a new stream starts with the current config");
    drop(new);
    assert_eq!(publisher.connected(), 0);
    pods.update(|index| index.remove("u1"));
    assert!(publisher.open(&identity("u1"), &subscribe("b", None)).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_relabelled_pod_gets_its_new_view_and_a_deleted_pods_stream_ends() {
    let (publisher, pods) = publisher([pod("u1", "web")]);
    publisher.publish(compiled(two_routes()));
    let mut slot = publisher.open(&identity("u1"), &subscribe("b", None)).unwrap();
    assert_eq!(offered(&mut slot), Some(revision(two_routes(), "web")));
    let follower = tokio::spawn({
        let publisher = publisher.clone();
        async move { publisher.follow_pods().await }
    });
    pods.update(|index| index.insert(pod("u1", "batch")));
    slot.push.changed().await.unwrap();
    assert_eq!(offered(&mut slot), Some(revision(two_routes(), "batch")));

    pods.update(|index| index.insert(PodEntry { terminating: true, ..pod("u1", "batch") }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!slot.evicted.is_cancelled(), "a terminating pod drains with its config");
    pods.update(|index| index.remove("u1"));
    slot.evicted.cancelled().await;
    follower.abort();
}

#[test]
fn fleets_count_each_route_by_what_its_sidecars_run_of_it() {
    let gone = PodEntry { terminating: true, ..pod("u4", "web") };
    let starting = PodEntry { running: false, ..pod("u5", "web") };
    let (publisher, pods) = publisher([pod("u1", "web"), pod("u2", "web"), pod("u3", "web"), gone, starting]);
    let (before, after) = (revision(two_routes(), "web"), revision(two_routes().changed("chat"), "web"));
    publisher.publish(compiled(two_routes()));
    for uid in ["u1", "u2", "u3"] {
        publisher.record(&delivery(uid, "b", 1, running(&before)));
    }
    let fleet = |route: &str| publisher.fleets(&pods.read())[route].clone();
    assert_eq!((fleet("shop/chat").expected, fleet("shop/chat").programmed), (3, 3));

    publisher.publish(compiled(two_routes().changed("chat")));
    publisher.record(&delivery("u1", "b", 2, running(&after)));
    let refused = Some((after.clone(), "too new".to_owned()));
    publisher.record(&delivery("u2", "b", 2, Ack { refused, ..running(&before) }));
    let [refuser, waiter] = ["pod-u2", "pod-u3"].map(str::to_owned);
    let rejected = vec![(refuser, "too new".to_owned())];
    let RouteFleet { expected: 3, programmed: 1, rejected: refused, waiting, .. } = fleet("shop/chat") else {
        panic!("{:?}", fleet("shop/chat"))
    };
    assert_eq!((refused, waiting), (rejected, vec![waiter]));
    assert_eq!(fleet("shop/mail").programmed, 3, "its neighbour did not change, whoever refused the revision");

    let degraded = [("shop/mail".to_owned(), "its key is missing".to_owned())].into();
    publisher.record(&delivery("u1", "b", 3, Ack { degraded, ..running(&after) }));
    assert_eq!(fleet("shop/mail").programmed, 2);
    assert_eq!(fleet("shop/mail").rejected, [("pod-u1".to_owned(), "its key is missing".to_owned())]);
}

#[test]
fn fleets_know_what_sidecars_of_the_current_route_say_of_its_backends() {
    let (publisher, pods) = publisher([pod("u1", "web"), pod("u2", "web"), pod("u3", "web")]);
    let current = revision(two_routes(), "web");
    publisher.publish(compiled(two_routes()));
    let mut want = Breakers::default();
    let breakers = || publisher.fleets(&pods.read())["shop/chat"].breakers.clone();
    assert_eq!(breakers(), want, "nobody runs it yet");

    let _slot = publisher.open(&identity("u3"), &subscribe("b", Some(&current))).unwrap();
    let mut open = delivery("u1", "b", 1, running(&current));
    open.report.backends =
        vec![resting("shop/chat", "main"), resting("shop/chat", "main"), resting("shop/mail", "main")];
    publisher.record(&open);
    publisher.record(&delivery("u2", "b", 1, running(&current)));
    want.count(Some([&resting("shop/chat", "main")].into_iter()));
    want.count(Some(std::iter::empty()));
    want.count(None::<std::iter::Empty<_>>);
    assert_eq!(breakers(), want, "a name that is told twice counts once, and who has only subscribed has said nothing");

    publisher.record(&delivery("u1", "b", 2, running(&current)));
    assert_ne!(breakers(), want, "the newest word counts");
    publisher.publish(compiled(two_routes().changed("chat")));
    assert_eq!(breakers(), Breakers::default(), "they speak of the route as it was");
}

#[test]
fn a_pod_counts_once_it_is_connected_whatever_the_watch_knows() {
    let (publisher, pods) = publisher([PodEntry { running: false, ..pod("u1", "web") }]);
    publisher.publish(compiled(two_routes()));
    assert!(publisher.fleets(&pods.read()).is_empty());
    let current = revision(two_routes(), "web");
    let _slot = publisher.open(&identity("u1"), &subscribe("b", Some(&current))).unwrap();
    let fleet = &publisher.fleets(&pods.read())["shop/chat"];
    assert_eq!((fleet.expected, fleet.programmed), (1, 1), "it came with the current revision");
}
