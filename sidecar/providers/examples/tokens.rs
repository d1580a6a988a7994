//! Counts texts: `tokens o200k_base < texts`, where each line of the input is a text as JSON has it.

use std::io::{self, BufRead as _, Write as _};

use bytes::Bytes;
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};

const ENCODINGS: [Encoding; 5] =
    [Encoding::O200k, Encoding::Cl100k, Encoding::Qwen, Encoding::DeepSeek, Encoding::Tekken];

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let encoding = ENCODINGS.into_iter().find(|encoding| encoding.name() == name);
    let encoding = encoding.ok_or_else(|| io::Error::other(format!("encoding {name:?} is none of {ENCODINGS:?}")))?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let body = Body::parse(Bytes::from(format!("{{\"input\":{}}}", line?)))
            .map_err(|bad| io::Error::other(format!("a line is no JSON: {bad:?}")))?;
        writeln!(out, "{}", tokens::count(Api::Embeddings, &body, encoding).tokens)?;
    }
    Ok(())
}
