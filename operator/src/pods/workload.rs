//! The name people know a pod's owner by. Names made up by a controller for one generation are stripped, so that a bill by
//! workload does not start anew with every rollout.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// `Kind/name` of what owns the pod.
pub(super) fn of(pod: &ObjectMeta) -> String {
    let owner = pod.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let Some(owner) = owner else {
        return format!("Pod/{}", pod.name.as_deref().unwrap_or_default());
    };
    match owner.kind.as_str() {
        "ReplicaSet" => match template_hash(pod).and_then(|hash| owner.name.strip_suffix(&format!("-{hash}"))) {
            Some(deployment) => format!("Deployment/{deployment}"),
            None => format!("ReplicaSet/{}", owner.name),
        },
        "Job" => match scheduled_minute(&owner.name) {
            Some(cron_job) => format!("CronJob/{cron_job}"),
            None => format!("Job/{}", owner.name),
        },
        kind => format!("{kind}/{}", owner.name),
    }
}

/// The Job that the pod was made for.
pub(super) fn job(pod: &ObjectMeta) -> Option<String> {
    let owner = pod.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    (owner.kind == "Job").then(|| owner.name.clone())
}

fn template_hash(pod: &ObjectMeta) -> Option<&str> {
    pod.labels.as_ref()?.get("pod-template-hash").map(String::as_str)
}

/// A CronJob names its Jobs after the minute they were due, counted since 1970: eight digits until the year 2160.
fn scheduled_minute(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    (minute.len() == 8 && minute.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}
