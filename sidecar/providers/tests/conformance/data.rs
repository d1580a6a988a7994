//! The recorded rows.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

const FOLDER: &str = "sidecar/providers/tests/conformance";

/// The same from whichever crate's tests ask.
pub(crate) fn folder() -> PathBuf {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = above.find_map(|root| Some(root.join(FOLDER)).filter(|folder| folder.is_dir()));
    found.expect("the crate lies in its workspace")
}

/// The rows of one file.
pub(crate) fn rows(name: &str) -> Vec<Value> {
    let file = File::open(folder().join(format!("data/{name}.jsonl.gz"))).expect("the rows are committed");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("the rows are compressed text");
    text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
}

pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}
