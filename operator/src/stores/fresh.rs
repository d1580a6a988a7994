//! Tells events that change what users wrote from echoes of our own status writes.

use std::collections::HashMap;

use kube::{Resource, ResourceExt, runtime::watcher::Event};

/// The last version seen of each object, by uid.
#[derive(Default)]
pub(super) struct Fresh {
    seen: HashMap<String, String>,
}

// === impl Fresh ===

impl Fresh {
    /// True: what users wrote is not what it was. Kinds without a generation count every version.
    pub(super) fn concerns<K: Resource>(&mut self, event: &Event<K>) -> bool {
        match event {
            // The store shows a list only when it is complete, so that is when to look.
            Event::Init | Event::InitApply(_) => false,
            Event::InitDone => {
                self.seen.clear();
                true
            }
            Event::Apply(object) => {
                let version = version(object);
                let uid = object.uid().unwrap_or_default();
                self.seen.insert(uid, version.clone()).is_none_or(|before| before != version)
            }
            Event::Delete(object) => {
                self.seen.remove(&object.uid().unwrap_or_default());
                true
            }
        }
    }
}

fn version<K: Resource>(object: &K) -> String {
    let meta = object.meta();
    match meta.generation {
        Some(generation) => format!("{generation} {}", meta.deletion_timestamp.is_some()),
        None => meta.resource_version.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn object(generation: Option<i64>, version: &str) -> Secret {
        let (uid, resource_version) = (Some("u".to_owned()), Some(version.to_owned()));
        Secret {
            metadata: ObjectMeta { uid, generation, resource_version, ..ObjectMeta::default() },
            ..Secret::default()
        }
    }

    #[test]
    fn echoes_of_status_writes_do_not_ring() {
        let mut fresh = Fresh::default();
        let rows = [
            (Event::Init, false),
            (Event::InitApply(object(Some(1), "1")), false),
            (Event::InitDone, true),
            (Event::Apply(object(Some(1), "2")), true), // the first after a list: not known whether it is new
            (Event::Apply(object(Some(1), "3")), false),
            (Event::Apply(object(Some(2), "4")), true),
            (Event::Delete(object(Some(2), "5")), true),
            (Event::Apply(object(None, "6")), true),
            (Event::Apply(object(None, "7")), true), // a Secret has no generation: its data may differ
            (Event::Apply(object(None, "7")), false),
        ];
        for (row, (event, want)) in rows.into_iter().enumerate() {
            assert_eq!(fresh.concerns(&event), want, "row {row}");
        }
    }
}
