use serde_json::{Value, json};

use super::*;

fn pod(uid: &str, edit: impl FnOnce(&mut Value)) -> Pod {
    let mut value = json!({
        "metadata": {"uid": uid, "name": format!("pod-{uid}"), "namespace": "shop", "labels": {"app": "checkout"}},
        "spec": {"containers": [{"name": "app"}], "initContainers": [{"name": SIDECAR_CONTAINER}]},
        "status": {"phase": "Running",
                   "initContainerStatuses": [{"name": SIDECAR_CONTAINER, "ready": true, "restartCount": 0, "image": "", "imageID": "",
                                              "state": {"running": {}}}]},
    });
    edit(&mut value);
    serde_json::from_value(value).unwrap()
}

#[test]
fn only_living_pods_with_a_sidecar_are_kept() {
    type Edit = fn(&mut Value);
    let rows: [(&str, Edit, Option<bool>); 6] = [
        ("as injected", |_| {}, Some(true)),
        ("no sidecar", |p| p["spec"]["initContainers"] = json!([]), None),
        ("a finished job", |p| p["status"]["phase"] = json!("Succeeded"), None),
        (
            "sidecar still being pulled",
            |p| p["status"]["initContainerStatuses"][0]["state"] = json!({"waiting": {}}),
            Some(false),
        ),
        ("terminating", |p| p["metadata"]["deletionTimestamp"] = json!("2026-11-21T00:00:00Z"), Some(false)),
        ("just created", |p| p["status"] = json!({}), Some(false)),
    ];
    for (row, edit, expected) in rows {
        assert_eq!(PodEntry::from_pod(&pod("1", edit)).map(|e| e.is_expected()), expected, "{row}");
    }
}

#[test]
fn a_workload_keeps_its_name_over_rollouts() {
    let rows = [
        (
            json!([{"kind": "ReplicaSet", "name": "checkout-7d4b9c", "controller": true}]),
            "7d4b9c",
            "Deployment/checkout",
        ),
        (json!([{"kind": "ReplicaSet", "name": "by-hand", "controller": true}]), "7d4b9c", "ReplicaSet/by-hand"),
        (json!([{"kind": "StatefulSet", "name": "queue", "controller": true}]), "", "StatefulSet/queue"),
        (json!([{"kind": "Job", "name": "nightly-29394720", "controller": true}]), "", "CronJob/nightly"),
        (json!([{"kind": "Job", "name": "import-2026", "controller": true}]), "", "Job/import-2026"),
        (json!([{"kind": "Tenant", "name": "not-the-controller"}]), "", "Pod/pod-1"),
        (json!([]), "", "Pod/pod-1"),
    ];
    for (owners, hash, workload) in rows {
        let pod = pod("1", |p| {
            let owners = owners.as_array().unwrap().iter().map(|owner| {
                let mut owner = owner.clone();
                owner["apiVersion"] = json!("v1");
                owner["uid"] = json!("o");
                owner
            });
            p["metadata"]["ownerReferences"] = owners.collect();
            p["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        });
        assert_eq!(PodEntry::from_pod(&pod).unwrap().workload, workload);
    }
}

#[test]
fn a_relist_shows_as_a_whole_and_only_if_it_differs() {
    let mut index = PodIndex::default();
    assert!(!index.is_ready());
    let same = |_: &mut Value| {};
    assert!(!index.apply(watcher::Event::Init));
    assert!(!index.apply(watcher::Event::InitApply(pod("1", same))));
    assert!(index.is_empty(), "half a list is not a list");
    assert!(index.apply(watcher::Event::InitDone));
    assert!(index.is_ready() && index.get("1").is_some());

    assert!(!index.apply(watcher::Event::Init));
    assert!(index.get("1").is_some(), "a relist does not look like a deletion");
    assert!(!index.apply(watcher::Event::InitApply(pod("1", same))));
    assert!(!index.apply(watcher::Event::InitDone), "nothing changed");

    assert!(!index.apply(watcher::Event::Apply(pod("1", same))));
    assert!(index.apply(watcher::Event::Apply(pod("1", |p| p["metadata"]["labels"]["app"] = json!("other")))));
    assert!(index.apply(watcher::Event::Delete(pod("1", same))));
    assert_eq!(index.in_namespace("shop").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_sees_the_pod_the_moment_it_comes() {
    let pods = Pods::default();
    let waiting = tokio::spawn({
        let pods = pods.clone();
        async move { pods.wait_for("1").await }
    });
    pods.update(|index| index.apply(watcher::Event::Apply(pod("2", |_| {}))));
    tokio::task::yield_now().await;
    pods.update(|index| index.apply(watcher::Event::Apply(pod("1", |_| {}))));
    assert_eq!(waiting.await.unwrap().unwrap().name, "pod-1");
}
