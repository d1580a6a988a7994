//! Kubernetes Events for what has turned wrong, and for what has turned right again: never for a state that merely goes on.
//! That is conditions, backends that are left alone, and percentages of budgets.

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

/// A condition or a backend that has turned, or a percentage that is reached.
#[derive(Debug, PartialEq, Eq)]
struct Turn<'a> {
    /// The type of the condition, `Backend` with its name, or `Spent` with a percentage. Events of one reason about one thing become a series.
    about: String,
    wrong: bool,
    reason: &'a str,
    note: String,
}

// === impl Events ===

impl Events {
    pub(super) fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: spillway_crds::GROUP.to_owned(), instance: Some(instance) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Tells of the conditions and backends that differ between what was shown and what has just been written.
    pub(super) async fn tell(&self, shown: &Value, written: &Wanted) {
        let (conditions, backends) = (turns(shown, &written.status), backend_turns(shown, &written.status));
        for turn in conditions.into_iter().chain(backends).chain(alerts(shown, &written.status)) {
            let event = Event {
                type_: if turn.wrong { EventType::Warning } else { EventType::Normal },
                reason: turn.reason.to_owned(),
                note: Some(cut(&turn.note)),
                action: turn.about,
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, &written.reference()).await {
                tracing::debug!(object = %written.key, %error, "an Event was not published");
            }
        }
    }
}

/// Conditions that were not false and now are, or were and are not any more; for a warning, that came. Rollouts are no Events: `Programmed` counts
/// only when a sidecar refuses.
fn turns<'a>(shown: &Value, written: &'a Value) -> Vec<Turn<'a>> {
    let mut turned = Vec::new();
    for (path, condition) in conditions(written) {
        let text = |name: &str| condition[name].as_str().unwrap_or_default();
        let before =
            conditions(shown).into_iter().find(|(other, old)| *other == path && old["type"] == condition["type"]);
        let (was_wrong, is_wrong) = (before.is_some_and(|(_, old)| is_wrong(old)), is_wrong(condition));
        if was_wrong != is_wrong {
            let about = text("type").to_owned();
            let note = format!("{about}: {}", text("message"));
            turned.push(Turn { about, wrong: is_wrong, reason: text("reason"), note });
        }
    }
    turned
}

/// Backends that were asked and now are left alone, or the other way round. One that is tried again is not well yet.
fn backend_turns(shown: &Value, written: &Value) -> Vec<Turn<'static>> {
    let backends = |status: &Value| status["backends"].as_array().cloned().unwrap_or_default();
    let is_left_alone = |backend: &Value| backend["state"] == "Open" || backend["state"] == "HalfOpen";
    let before = backends(shown);
    let turn = |backend: Value| {
        let before = before.iter().find(|before| before["name"] == backend["name"]);
        let name = backend["name"].as_str().unwrap_or_default();
        let about = format!("Backend {name}");
        let message = backend["message"].as_str();
        match (before.is_some_and(is_left_alone), is_left_alone(&backend)) {
            (false, true) => {
                let note = format!("backend {name}: {}", message.unwrap_or("left alone"));
                Some(Turn { about, wrong: true, reason: "BackendOpen", note })
            }
            (true, false) if backend["state"] == "Closed" => {
                let note = format!("backend {name}: {}", message.unwrap_or("asked again"));
                Some(Turn { about, wrong: false, reason: "BackendClosed", note })
            }
            _ => None,
        }
    };
    backends(written).into_iter().filter_map(turn).collect()
}

/// Percentages of a budget that were not reached and now are.
fn alerts(shown: &Value, written: &Value) -> Vec<Turn<'static>> {
    let alerted = |status: &Value| status["alerted"].as_array().cloned().unwrap_or_default();
    let before = if shown["periodStart"] == written["periodStart"] { alerted(shown) } else { Vec::new() };
    let new = alerted(written).into_iter().filter(|percent| !before.contains(percent));
    let text = |name: &str| written[name].as_str().unwrap_or("?").to_owned();
    let turn = |percent: Value| {
        let resets = written["resetsAt"].as_str().map(|at| format!("; it starts again at {at}")).unwrap_or_default();
        Turn {
            about: format!("Spent {percent}%"),
            wrong: percent.as_u64().is_some_and(|percent| percent >= 100),
            reason: "BudgetAlert",
            note: format!("{percent} % is spent: ${} with ${} left{resets}", text("spent"), text("remaining")),
        }
    };
    new.map(turn).collect()
}

fn is_wrong(condition: &Value) -> bool {
    if condition["type"] == "Warning" {
        return condition["status"] == "True";
    }
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
            (json!({}), status("Warning", "True", "ModelsDeprecated"), Some(("Warning", true))),
            (status("Programmed", "True", "Programmed"), status("Programmed", "False", "Pending"), None),
            (
                status("Programmed", "True", "Programmed"),
                status("Programmed", "False", "Rejected"),
                Some(("Programmed", true)),
            ),
        ];
        for (shown, written, want) in rows {
            let told = turns(&shown, &written);
            let got: Vec<(&str, bool)> = told.iter().map(|turn| (&*turn.about, turn.wrong)).collect();
            assert_eq!(got, Vec::from_iter(want), "{shown} -> {written}");
        }
    }

    #[test]
    fn a_backend_is_told_when_it_is_left_alone_and_when_it_is_asked_again() {
        let with = |name: &str, state: &str, message: Option<&str>| json!({"backends": [{"name": name, "state": state, "message": message}]});
        let [closed, open] =
            [("Closed", None), ("Open", Some("open in 1 of 1 sidecars: x"))].map(|(state, why)| with("a", state, why));
        let (trying, unresolved) = (with("a", "HalfOpen", None), with("a", "Unresolved", None));
        let was_open = Some(("BackendOpen", "backend a: open in 1 of 1 sidecars: x"));
        let rows = [
            (&json!({}), &closed, None),
            (&json!({}), &open, was_open),
            (&closed, &open, was_open),
            (&unresolved, &open, was_open),
            (&with("b", "Open", None), &open, was_open),
            (&open, &open, None),
            (&open, &trying, None),
            (&trying, &open, None),
            (&open, &unresolved, None),
            (&open, &json!({}), None),
            (&trying, &closed, Some(("BackendClosed", "backend a: asked again"))),
        ];
        for (shown, written, want) in rows {
            let told = backend_turns(shown, written);
            let told: Vec<_> = told.iter().map(|turn| (turn.reason, turn.note.as_str(), turn.wrong)).collect();
            let want = want.map(|(reason, note)| (reason, note, reason == "BackendOpen"));
            assert_eq!(told, Vec::from_iter(want), "{shown} -> {written}");
        }
    }

    #[test]
    fn a_budget_tells_of_each_percentage_once_in_a_period() {
        let with = |start: &str, alerted: &[u32]| json!({"periodStart": start, "alerted": alerted, "spent": "4.00", "remaining": "1.00"});
        let rows = [
            (json!({}), with("1", &[]), vec![]),
            (json!({}), with("1", &[50, 80]), vec!["Spent 50%", "Spent 80%"]),
            (with("1", &[50]), with("1", &[50, 80]), vec!["Spent 80%"]),
            (with("1", &[50]), with("1", &[50]), vec![]),
            (with("1", &[50]), with("2", &[]), vec![]),
            (with("1", &[50]), with("2", &[50]), vec!["Spent 50%"]),
        ];
        for (shown, written, want) in rows {
            let told: Vec<_> = alerts(&shown, &written).into_iter().map(|turn| turn.about).collect();
            assert_eq!(told, want, "{shown} -> {written}");
        }
        let told = alerts(&json!({}), &with("1", &[100]));
        assert_eq!((told[0].wrong, told[0].note.as_str()), (true, "100 % is spent: $4.00 with $1.00 left"));
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
