//! The words of chat templates that are one token each where a prompt is given as its template leaves it.

use memchr::memchr2_iter;

use super::Encoding;

/// Of templates like `ChatML`, which are what most others have come from.
const CHATML: &[&str] =
    &["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];

/// What Qwen has beside them.
const QWEN: &[&str] = &[
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
];

const HARMONY: &[&str] = &[
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>",
    "<|call|>",
    "<|return|>",
    "<|startoftext|>",
    "<|endoftext|>",
];

/// Their bars are wide, and their lines low.
const DEEPSEEK: &[&str] = &[
    "<\u{ff5c}begin\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<\u{ff5c}User\u{ff5c}>",
    "<\u{ff5c}Assistant\u{ff5c}>",
    "<\u{ff5c}fim\u{2581}begin\u{ff5c}>",
    "<\u{ff5c}fim\u{2581}hole\u{ff5c}>",
    "<\u{ff5c}fim\u{2581}end\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}calls\u{2581}begin\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}calls\u{2581}end\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}call\u{2581}begin\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}call\u{2581}end\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}outputs\u{2581}begin\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}outputs\u{2581}end\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}output\u{2581}begin\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}output\u{2581}end\u{ff5c}>",
    "<\u{ff5c}tool\u{2581}sep\u{ff5c}>",
    "<think>",
    "</think>",
];

const TEKKEN: &[&str] = &[
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CONTENT]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[IMG]",
    "[ARGS]",
    "[CALL_ID]",
    "[THINK]",
    "[/THINK]",
];

/// Of Llama 3, whose tokens are estimated, and of whoever is not known; some of them speak like `ChatML`.
const OTHER: &[&str] = &[
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
    "[INST]",
    "[/INST]",
    "<s>",
    "</s>",
];

/// Where such words begin, and how long they are.
pub(super) fn find(text: &str, encoding: Encoding) -> impl Iterator<Item = (usize, usize)> {
    let lists: &[&[&str]] = match encoding {
        Encoding::O200k | Encoding::Cl100k => &[CHATML],
        Encoding::Harmony => &[HARMONY],
        Encoding::Qwen => &[CHATML, QWEN],
        Encoding::DeepSeek => &[DEEPSEEK],
        Encoding::Tekken => &[TEKKEN],
        Encoding::Estimate => &[CHATML, OTHER],
    };
    memchr2_iter(b'<', b'[', text.as_bytes()).filter_map(move |at| {
        let rest = text.as_bytes().get(at..)?;
        // Looked at first: in a text of nothing but brackets each may be the first of any word.
        let second = rest.get(1);
        let begins = |word: &&&str| word.as_bytes().get(1) == second && rest.starts_with(word.as_bytes());
        let word = lists.iter().copied().flatten().find(begins)?;
        Some((at, word.len()))
    })
}
