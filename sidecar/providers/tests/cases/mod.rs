//! The golden files that go in, and whom they go to.

use std::fs;
use std::path::{Path, PathBuf};

use spillway_providers::Dialect;

/// Each with the name its files have and a model of its own.
pub(crate) const DIALECTS: [(Dialect, &str, &str); 7] = [
    (Dialect::OpenAi, "openai", "gpt-4o"),
    (Dialect::Anthropic, "anthropic", "claude-sonnet-4-5"),
    (Dialect::Gemini, "gemini", "gemini-2.5-flash"),
    (Dialect::Cohere, "cohere", "command-a-03-2025"),
    (Dialect::Bedrock, "bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    (Dialect::BedrockInvoke, "bedrock_invoke", "invoke/us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    (Dialect::Ollama, "ollama", "llama3.1"),
];

/// Files that go in: their names have one extension, those that come out have two.
pub(crate) fn cases(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let files = fs::read_dir(&folder).expect("a folder of cases");
    let paths = files.map(|file| file.expect("a readable folder").path());
    let is_case = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split_once('.').is_some_and(|(_, rest)| rest == extension)
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_case).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no cases", folder.display());
    paths
}

/// What is in a file; nothing, if there is none.
pub(crate) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}
