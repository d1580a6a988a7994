//! What the operator would tell a sidecar of a model: the built-in catalogue, read as the operator reads it.

use std::collections::HashMap;
use std::fs::File;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::Value;
use spillway_providers::Abilities;

use crate::data::folder;

/// Kind, then model, then its row.
type Rows = HashMap<String, HashMap<String, Value>>;

static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let root = folder().join("../../../../operator/data/catalogue.json.gz");
    let file = File::open(root).expect("the catalogue is committed");
    serde_json::from_reader(GzDecoder::new(file)).expect("the catalogue is compressed JSON")
});

pub(crate) fn known(kind: &str, model: &str) -> Abilities {
    let mut known = Abilities::default();
    let row = ROWS.get(kind).and_then(|models| models.get(model));
    let mut no = false;
    for letter in row.and_then(|row| row["y"].as_str()).unwrap_or_default().chars() {
        if letter == '!' {
            no = true;
            continue;
        }
        let answer = !std::mem::take(&mut no) && !letter.is_ascii_uppercase();
        let ability = ability(&mut known, letter.to_ascii_lowercase());
        *ability.expect("every letter of the catalogue is known here") = Some(answer);
    }
    known
}

/// The letters of `operator/src/catalogue/data.rs`.
fn ability(known: &mut Abilities, letter: char) -> Option<&mut Option<bool>> {
    Some(match letter {
        's' => &mut known.sampling,
        'r' => &mut known.reasoning,
        'a' => &mut known.adaptive_thinking,
        'l' => &mut known.legacy_thinking,
        't' => &mut known.thinking_always_on,
        'o' => &mut known.output_config,
        'c' => &mut known.tool_choice,
        'f' => &mut known.forced_tool_use,
        'p' => &mut known.parallel_tool_config,
        'k' => &mut known.strict_tools,
        'j' => &mut known.native_schema,
        'y' => &mut known.system_messages,
        'm' => &mut known.mid_conversation_system,
        'q' => &mut known.assistant_prefill,
        'h' => &mut known.prompt_caching,
        'd' => &mut known.pdf_input,
        'u' => &mut known.audio_input,
        'w' => &mut known.responses_only,
        '0' => &mut known.efforts.none,
        '1' => &mut known.efforts.minimal,
        '2' => &mut known.efforts.low,
        '3' => &mut known.efforts.medium,
        '4' => &mut known.efforts.high,
        '5' => &mut known.efforts.xhigh,
        '6' => &mut known.efforts.max,
        _ => return None,
    })
}

#[test]
fn the_catalogue_is_read_as_the_operator_reads_it() {
    let opus = known("Anthropic", "claude-opus-5");
    assert_eq!((opus.sampling, opus.adaptive_thinking, opus.legacy_thinking), (Some(false), Some(true), None));
    assert_eq!(known("Anthropic", "claude-of-nobody"), Abilities::default());
    for model in ["claude-opus-5", "claude-opus-4-6"] {
        assert_eq!(known("Anthropic", model).efforts.max, Some(true), "{model}");
    }
}
