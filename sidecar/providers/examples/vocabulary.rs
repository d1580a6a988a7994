//! Packs the vocabulary of an encoding as the sidecar carries it: `vocabulary qwen2 > qwen.z`.
//!
//! A token is written as the two tokens that it was merged from, which are found by merging its bytes as far as the tokens
//! in front of it go.

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use flate2::{Compression, write::ZlibEncoder};

/// Tokens of one byte: all of them.
const BYTES: usize = 256;

/// An encoding, and how many tokens in front of its bytes are no text.
const ENCODINGS: [(&str, u32); 3] = [("qwen2", 0), ("deepseek_v3", 3), ("mistral_v3", 1_000)];

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let row = ENCODINGS.iter().find(|row| row.0 == name);
    let (encoding, (_, skipped)) = tiktoken::get_encoding(&name)
        .zip(row)
        .ok_or_else(|| io::Error::other(format!("encoding {name:?} is none of {ENCODINGS:?}")))?;
    let tokens: Vec<Vec<u8>> =
        (*skipped..encoding.vocab_size() as u32).map(|token| encoding.decode(&[token])).collect();
    let halves = merges(&tokens)?;
    let mut raw: Vec<u8> = tokens[..BYTES].concat();
    for (side, plane) in [(0, 16), (0, 8), (0, 0), (1, 16), (1, 8), (1, 0)] {
        raw.extend(halves.iter().map(|halves| (halves[side] >> plane) as u8));
    }
    let mut packed = ZlibEncoder::new(io::stdout().lock(), Compression::best());
    packed.write_all(&raw)?;
    packed.finish()?.flush()
}

/// What each token after the bytes is merged from.
fn merges(tokens: &[Vec<u8>]) -> io::Result<Vec<[usize; 2]>> {
    let mut ranks: HashMap<&[u8], usize> = tokens[..BYTES].iter().map(Vec::as_slice).zip(0..).collect();
    let mut found = Vec::new();
    for (rank, token) in tokens.iter().enumerate().skip(BYTES) {
        let &[left, right] = merged(token, &ranks).as_slice() else {
            return Err(io::Error::other(format!(
                "no merges of tokens in front of it lead to token {rank}, {token:?}"
            )));
        };
        found.push([left, right]);
        ranks.insert(token, rank);
    }
    Ok(found)
}

/// What the bytes of a token come to by merges.
fn merged(token: &[u8], ranks: &HashMap<&[u8], usize>) -> Vec<usize> {
    let mut ends: Vec<usize> = (0..=token.len()).collect();
    let found = |from: usize, to: usize| ranks.get(&token[from..to]).copied();
    loop {
        let pairs = ends.windows(3).enumerate();
        let pairs = pairs.filter_map(|(at, ends)| Some((found(ends[0], ends[2])?, at)));
        let Some((_, at)) = pairs.min() else { break };
        ends.remove(at + 1);
    }
    ends.windows(2).map(|ends| found(ends[0], ends[1]).unwrap_or(usize::MAX)).collect()
}
