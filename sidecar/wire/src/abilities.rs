//! What a model takes and what it refuses, as far as anybody has said.

use serde::{Deserialize, Serialize};

/// Declares a struct of abilities, each of them yes, no or unknown.
macro_rules! abilities {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a model takes beside text. None: nobody has said, and a dialect goes by the model's name.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Abilities {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<bool>,)*
        }

        impl Abilities {
            /// Their names, in this order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];

            /// Each with its name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<bool>)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// The one with this name.
            pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<bool>> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

abilities! {
    /// `temperature`, `top_p`, `top_k`.
    sampling,
    /// It thinks before it answers, or can be told to.
    reasoning,
    /// It thinks as much as it finds right, within an effort.
    adaptive_thinking,
    /// It takes a budget of tokens for its thoughts.
    legacy_thinking,
    /// It cannot be told not to think.
    thinking_always_on,
    /// Anthropic's `output_config`, which carries the effort.
    output_config,
    /// Efforts by name. `medium` and `high` are known to all that take one, unless it is said otherwise.
    effort_none,
    effort_minimal,
    effort_low,
    effort_medium,
    effort_high,
    effort_xhigh,
    effort_max,
    /// A `tool_choice`.
    tool_choice,
    /// A `tool_choice` that makes it call a tool.
    forced_tool_use,
    /// Being told not to call several tools at once.
    parallel_tool_config,
    /// `strict` tools.
    strict_tools,
    /// A JSON schema for its answer, as a parameter of its own.
    native_schema,
    /// The role `system`.
    system_messages,
    /// The role `system` between other messages.
    mid_conversation_system,
    /// A last message of the assistant's that it goes on from.
    assistant_prefill,
    /// It keeps prompts in a cache.
    prompt_caching,
    pdf_input,
    audio_input,
    /// It is served at `/responses` and not at `/chat/completions`.
    responses_only,
}

impl Abilities {
    /// Nobody has said anything.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_written() {
        let mut abilities = Abilities::default();
        assert!(abilities.is_unknown());
        assert_eq!(serde_json::to_string(&abilities).unwrap(), "{}");
        *abilities.get_mut("sampling").unwrap() = Some(false);
        let text = r#"{"sampling":false}"#;
        assert_eq!(serde_json::to_string(&abilities).unwrap(), text);
        assert_eq!(serde_json::from_str::<Abilities>(text).unwrap(), abilities);
        assert_eq!(abilities.iter().filter(|(_, known)| known.is_some()).count(), 1);
        assert_eq!(abilities.get_mut("hovering"), None);
    }
}
