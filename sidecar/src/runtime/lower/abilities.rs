//! What a model takes, as dialects read it.

use spillway_providers::{Abilities, Efforts};
use spillway_wire as wire;

#[expect(clippy::too_many_lines, reason = "one list of names, twice")]
pub(super) const fn lower(given: &wire::Abilities) -> Abilities {
    let wire::Abilities {
        sampling,
        reasoning,
        adaptive_thinking,
        legacy_thinking,
        thinking_always_on,
        output_config,
        effort_none,
        effort_minimal,
        effort_low,
        effort_medium,
        effort_high,
        effort_xhigh,
        effort_max,
        tool_choice,
        forced_tool_use,
        parallel_tool_config,
        strict_tools,
        native_schema,
        system_messages,
        mid_conversation_system,
        assistant_prefill,
        prompt_caching,
        pdf_input,
        audio_input,
        responses_only,
    } = *given;
    Abilities {
        sampling,
        reasoning,
        adaptive_thinking,
        legacy_thinking,
        thinking_always_on,
        output_config,
        efforts: Efforts {
            none: effort_none,
            minimal: effort_minimal,
            low: effort_low,
            medium: effort_medium,
            high: effort_high,
            xhigh: effort_xhigh,
            max: effort_max,
        },
        tool_choice,
        forced_tool_use,
        parallel_tool_config,
        strict_tools,
        native_schema,
        system_messages,
        mid_conversation_system,
        assistant_prefill,
        prompt_caching,
        pdf_input,
        audio_input,
        responses_only,
    }
}
