//! From the program into memory.
//!
//! A packed vocabulary is the 256 bytes in the order of their ranks, and for each further token the ranks of its two
//! halves, left ones first, all of their high bytes before the middle ones and those before the low ones: what is alike
//! is beside each other, which compresses to a third less.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use super::{super::room, Pairs, Pattern, Trie, Vocabulary};

const O200K: &[u8] = include_bytes!("o200k.z");
const CL100K: &[u8] = include_bytes!("cl100k.z");
const QWEN: &[u8] = include_bytes!("qwen.z");
const DEEPSEEK: &[u8] = include_bytes!("deepseek.z");
const TEKKEN: &[u8] = include_bytes!("tekken.z");

/// Tokens of one byte: all of them.
const BYTES: usize = 256;

/// The bytes of all tokens, one after another.
struct Spelled {
    bytes: Vec<u8>,
    /// Where each token begins, and where the last one ends.
    starts: Vec<u32>,
}

// === impl Vocabulary ===

impl Vocabulary {
    /// Takes tens of milliseconds.
    pub(in super::super) fn load(pattern: Pattern) -> Self {
        let packed = match pattern {
            Pattern::O200k => O200K,
            Pattern::Cl100k => CL100K,
            Pattern::Qwen => QWEN,
            Pattern::DeepSeek => DEEPSEEK,
            Pattern::Tekken => TEKKEN,
        };
        let raw = unpacked(packed);
        let (bytes, planes) = raw.split_at(BYTES.min(raw.len()));
        let mut halves = room::list();
        halves.extend((0..BYTES as u32).map(|byte| [byte, byte]));
        add_halves(planes, &mut halves);
        let spelled = Spelled::new(bytes, &halves);
        drop(raw);
        let (trie, shorter) = Trie::new(|token| spelled.token(token), &spelled.sorted());
        let mut lengths = room::list();
        lengths.extend(spelled.starts.windows(2).map(|pair| (pair[1] - pair[0]) as u8));
        let pairs = Pairs::new(&halves, BYTES);
        Self { pattern, trie, pairs, halves, shorter, lengths }
    }
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut raw = room::list();
    // It is part of the program, and was read by its tests.
    let _ = ZlibDecoder::new(packed).read_to_end(&mut raw);
    raw
}

/// What each token is made of.
fn add_halves(planes: &[u8], halves: &mut Vec<[u32; 2]>) {
    let merged = planes.len() / 6;
    let rank = |side: usize, token: usize| {
        let plane = |plane: usize| u32::from(planes[(side * 3 + plane) * merged + token]);
        plane(0) << 16 | plane(1) << 8 | plane(2)
    };
    halves.extend((0..merged).map(|token| [rank(0, token), rank(1, token)]));
}

// === impl Spelled ===

impl Spelled {
    fn new(bytes: &[u8], halves: &[[u32; 2]]) -> Self {
        let mut spelled = Self { bytes: room::list(), starts: room::list() };
        spelled.bytes.extend_from_slice(bytes);
        spelled.starts.extend(0..=BYTES as u32);
        for half in halves.iter().skip(BYTES).flat_map(|halves| halves.iter().enumerate()) {
            let (side, token) = (half.0, *half.1 as usize);
            let range = spelled.starts[token] as usize..spelled.starts[token + 1] as usize;
            spelled.bytes.extend_from_within(range);
            if side == 1 {
                spelled.starts.push(spelled.bytes.len() as u32);
            }
        }
        spelled
    }

    fn token(&self, token: u32) -> &[u8] {
        &self.bytes[self.starts[token as usize] as usize..self.starts[token as usize + 1] as usize]
    }

    /// The tokens' ranks in the order of their bytes.
    fn sorted(&self) -> Vec<u32> {
        let key = |token: u32| {
            let mut key = [0; 8];
            let bytes = self.token(token);
            let length = bytes.len().min(8);
            key[..length].copy_from_slice(&bytes[..length]);
            (u64::from_be_bytes(key), token)
        };
        let mut keys = room::list();
        keys.extend((0..self.starts.len() as u32 - 1).map(key));
        // Most of them differ in their first eight bytes.
        keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.token(a.1).cmp(self.token(b.1))));
        let mut sorted = room::list();
        sorted.extend(keys.into_iter().map(|(_, token)| token));
        sorted
    }
}
