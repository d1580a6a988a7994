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

/// An encoding, how many tokens in front of its bytes are no text, and how many of its first tokens are those of another that
/// it goes on from.
const ENCODINGS: [(&str, u32, usize); 4] =
    [("llama3", 0, 100_256), ("qwen2", 0, 0), ("deepseek_v3", 3, 0), ("mistral_v3", 1_000, 0)];

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let row = ENCODINGS.iter().find(|row| row.0 == name);
    let (encoding, (_, skipped, known)) = tiktoken::get_encoding(&name)
        .zip(row)
        .ok_or_else(|| io::Error::other(format!("encoding {name:?} is none of {ENCODINGS:?}")))?;
    let tokens: Vec<Vec<u8>> =
        (*skipped..encoding.vocab_size() as u32).map(|token| encoding.decode(&[token])).collect();
    let (merged, alone) = merges(&tokens, BYTES.max(*known));
    writeln!(io::stderr(), "{} tokens are merged, {} are whole pieces alone", merged.len(), alone.len())?;
    let halves = numbered(&tokens, merged, alone)?;
    let mut raw: Vec<u8> = if *known == 0 { tokens[..BYTES].concat() } else { Vec::new() };
    for (side, plane) in [(0, 16), (0, 8), (0, 0), (1, 16), (1, 8), (1, 0)] {
        raw.extend(halves.iter().map(|halves| (halves[side] >> plane) as u8));
    }
    let mut packed = ZlibEncoder::new(io::stdout().lock(), Compression::best());
    packed.write_all(&raw)?;
    packed.finish()?.flush()
}

/// A token and its two halves.
type Merge = (usize, [usize; 2]);

/// The tokens from one on, and what each is merged from; and those that no merges of tokens in front of them lead to.
fn merges(tokens: &[Vec<u8>], from: usize) -> (Vec<Merge>, Vec<usize>) {
    let mut ranks: HashMap<&[u8], usize> = tokens[..from].iter().map(Vec::as_slice).zip(0..).collect();
    let (mut found, mut alone) = (Vec::new(), Vec::new());
    for (rank, token) in tokens.iter().enumerate().skip(from) {
        match merged(token, &ranks).as_slice() {
            [left, right] => {
                found.push((rank, [*left, *right]));
                ranks.insert(token, rank);
            }
            _ => alone.push(rank),
        }
    }
    (found, alone)
}

/// The halves of all of them, those that are alone at the end, by the numbers that they have then.
fn numbered(tokens: &[Vec<u8>], merged: Vec<Merge>, alone: Vec<usize>) -> io::Result<Vec<[usize; 2]>> {
    let known = tokens.len() - merged.len() - alone.len();
    let mut numbers: HashMap<&[u8], usize> = tokens[..known].iter().map(Vec::as_slice).zip(0..).collect();
    let mut halves = Vec::new();
    for (rank, [left, right]) in merged {
        halves.push([numbers[tokens[left].as_slice()], numbers[tokens[right].as_slice()]]);
        numbers.insert(&tokens[rank], known + halves.len() - 1);
    }
    for rank in alone {
        let token = &tokens[rank];
        let number = |part: &[u8]| numbers.get(part).copied();
        let split = (1..token.len()).find_map(|at| Some([number(&token[..at])?, number(&token[at..])?]));
        halves.push(split.ok_or_else(|| io::Error::other(format!("token {rank}, {token:?}, is no two others")))?);
        numbers.insert(token, known + halves.len() - 1);
    }
    Ok(halves)
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
