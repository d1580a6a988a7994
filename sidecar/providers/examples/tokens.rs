//! Counts texts: `tokens o200k_base < texts`, where each line of the input is a text as JSON has it.

use std::io::{self, BufRead as _, Write as _};

use bytes::Bytes;
use spillway_providers::{
    Api, Body,
    tokens::{self, Encoding},
};

fn main() -> io::Result<()> {
    let encoding = match std::env::args().nth(1).as_deref() {
        Some("o200k_base") => Encoding::O200k,
        Some("cl100k_base") => Encoding::Cl100k,
        other => return Err(io::Error::other(format!("encoding {other:?} is neither o200k_base nor cl100k_base"))),
    };
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let body = Body::parse(Bytes::from(format!("{{\"input\":{}}}", line?)))
            .map_err(|bad| io::Error::other(format!("a line is no JSON: {bad:?}")))?;
        writeln!(out, "{}", tokens::count(Api::Embeddings, &body, encoding).tokens)?;
    }
    Ok(())
}
