//! Kubernetes Events for what has turned wrong, and for what has turned right again: never for a state that merely goes on.

use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::Value;

use super::schedule::Wanted;

/// An Event's note may have 1 kB.
const NOTE_BYTES: usize = 1000;

/// Publishes Events; one that cannot be published is only logged.
pub(super) struct Events {
    recorder: Recorder,
}

/// A condition that has turned.
#[derive(Debug, PartialEq, Eq)]
struct Turn<'a> {
    condition: &'a str,
    wrong: bool,
    reason: &'a str,
    message: &'a str,
}

// === impl Events ===

impl Events {
    pub(super) fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: spillway_crds::GROUP.to_owned(), instance: Some(instance) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Tells of the conditions that differ between what was shown and what has just been written.
    pub(super) async fn tell(&self, shown: &Value, written: &Wanted) {
        for turn in turns(shown, &written.status) {
            let event = Event {
                type_: if turn.wrong { EventType::Warning } else { EventType::Normal },
                reason: turn.reason.to_owned(),
                note: Some(cut(&format!("{}: {}", turn.condition, turn.message))),
                action: turn.condition.to_owned(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, &written.reference()).await {
                tracing::debug!(object = %written.key, %error, "an Event was not published");
            }
        }
    }
}

/// Conditions that were not false and now are, or were and are not any more. Rollouts are no Events: `Programmed` counts
/// only when a sidecar refuses.
fn turns<'a>(shown: &Value, written: &'a Value) -> Vec<Turn<'a>> {
    let mut turned = Vec::new();
    for (path, condition) in conditions(written) {
        let text = |name: &str| condition[name].as_str().unwrap_or_default();
        let before =
            conditions(shown).into_iter().find(|(other, old)| *other == path && old["type"] == condition["type"]);
        let (was_wrong, is_wrong) = (before.is_some_and(|(_, old)| is_wrong(old)), is_wrong(condition));
        if was_wrong != is_wrong {
            let (condition, reason, message) = (text("type"), text("reason"), text("message"));
            turned.push(Turn { condition, wrong: is_wrong, reason, message });
        }
    }
    turned
}

fn is_wrong(condition: &Value) -> bool {
    let rollout = condition["type"] == "Programmed" && condition["reason"] != "Rejected";
    condition["status"] == "False" && !rollout
}

/// Every condition with the name of the ancestor it is about, where there is one.
fn conditions(status: &Value) -> Vec<(Option<&str>, &Value)> {
    let own = status["conditions"].as_array().into_iter().flatten().map(|condition| (None, condition));
    let ancestors = status["ancestors"].as_array().into_iter().flatten();
    let inherited = ancestors.flat_map(|ancestor| {
        let name = ancestor["ancestorRef"]["name"].as_str();
        ancestor["conditions"].as_array().into_iter().flatten().map(move |condition| (name, condition))
    });
    own.chain(inherited).collect()
}

fn cut(text: &str) -> String {
    let end = text.char_indices().map(|(start, _)| start).take_while(|start| *start <= NOTE_BYTES).last();
    if text.len() <= NOTE_BYTES { text.to_owned() } else { text[..end.unwrap_or_default()].to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(kind: &str, status: &str, reason: &str) -> Value {
        json!({"conditions": [{"type": kind, "status": status, "reason": reason, "message": "m"}]})
    }

    #[test]
    fn only_turns_are_told() {
        let rows = [
            (json!({}), status("Accepted", "True", "Accepted"), None),
            (json!({}), status("Accepted", "False", "Invalid"), Some(("Accepted", true))),
            (status("Accepted", "False", "Invalid"), status("Accepted", "False", "Conflicted"), None),
            (status("Accepted", "False", "Invalid"), status("Accepted", "True", "Accepted"), Some(("Accepted", false))),
            (json!({}), status("ResolvedRefs", "False", "SecretNotFound"), Some(("ResolvedRefs", true))),
            (status("Programmed", "True", "Programmed"), status("Programmed", "False", "Pending"), None),
            (
                status("Programmed", "True", "Programmed"),
                status("Programmed", "False", "Rejected"),
                Some(("Programmed", true)),
            ),
        ];
        for (shown, written, want) in rows {
            let got: Vec<(&str, bool)> =
                turns(&shown, &written).iter().map(|turn| (turn.condition, turn.wrong)).collect();
            assert_eq!(got, Vec::from_iter(want), "{shown} -> {written}");
        }
    }

    #[test]
    fn ancestors_are_told_apart() {
        let with = |one: &str, other: &str| {
            let ancestor = |name: &str, status: &str| json!({"ancestorRef": {"name": name}, "conditions": [{"type": "Accepted", "status": status}]});
            json!({"ancestors": [ancestor("a", one), ancestor("b", other)]})
        };
        assert_eq!(turns(&with("True", "False"), &with("False", "True")).len(), 2);
        assert_eq!(turns(&with("True", "False"), &with("True", "False")).len(), 0);
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let kept = cut(&"é".repeat(NOTE_BYTES));
        assert!(kept.len() <= NOTE_BYTES && !kept.is_empty());
    }
}
