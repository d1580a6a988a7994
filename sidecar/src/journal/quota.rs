//! The journal of rights: what was granted, given back, spent and set aside, so that a container that dies does not bring
//! money back to life.
//!
//! A file of records that only grows, each with its length and checksum; what follows the first one that is not whole is
//! ignored. A record is a copy in memory (see the parent): it survives the process and need survive nothing more. Written
//! anew, beside and then renamed, when it has become long, and at every start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use spillway_policy::quota::{Account, Balance, BudgetId, Entry, Epoch, Period, RateId, Share};
use spillway_wire::RateName;

/// Names the format; another one is no journal.
const MAGIC: &[u8] = b"SPQ1";
/// Length and checksum.
const HEAD_BYTES: usize = 8;
/// The longest record is a name, and those are bounded.
const MAX_RECORD_BYTES: usize = 4096;
/// More than any journal comes to: ten thousand names, each with its newest balance.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// One that is shorter is not worth writing anew.
const LONG_BYTES: u64 = 256 << 10;

/// What one record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// Whose journal this is, and how often its process has started.
    Source {
        journal: String,
        life: u32,
    },
    /// What a number stands for.
    Budget {
        id: BudgetId,
        name: BudgetName,
    },
    Rate {
        id: RateId,
        name: RateName,
    },
    Entry(Entry),
}

/// One value of a budget's selector, in every period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BudgetName {
    pub budget: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The file, open.
#[derive(Debug)]
pub struct QuotaFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    /// How long it was when it was written anew.
    fresh: u64,
    /// Records on their way.
    buffer: Vec<u8>,
}

// === impl QuotaFile ===

impl QuotaFile {
    pub(super) const fn at(path: PathBuf) -> Self {
        Self { path, file: None, bytes: 0, fresh: 0, buffer: Vec::new() }
    }

    /// What an earlier process has written, as far as it is whole.
    #[must_use]
    pub fn read(&self) -> Vec<Line> {
        let mut bytes = Vec::new();
        match File::open(&self.path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)) {
            // Its newest lines count, so a part of it is worse than nothing.
            Ok(_) if bytes.len() as u64 > MAX_FILE_BYTES => {
                tracing::warn!(path = %self.path.display(), "journal of rights has more than {MAX_FILE_BYTES} bytes and is ignored");
                Vec::new()
            }
            Ok(_) => lines(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "journal of rights cannot be read and is ignored");
                Vec::new()
            }
        }
    }

    /// Begins anew with these lines.
    pub fn rewrite(&mut self, lines: impl IntoIterator<Item = Line>) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(MAGIC);
        lines.into_iter().for_each(|line| encode(&line, &mut self.buffer));
        let beside = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&self.buffer)?;
        fs::rename(&beside, &self.path)?;
        self.bytes = self.buffer.len() as u64;
        (self.file, self.fresh) = (Some(file), self.bytes);
        // It may have been long.
        self.buffer = Vec::new();
        Ok(())
    }

    /// Adds lines, in one write.
    pub fn append<'a>(&mut self, lines: impl IntoIterator<Item = &'a Line>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        self.buffer.clear();
        lines.into_iter().for_each(|line| encode(line, &mut self.buffer));
        file.write_all(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        Ok(())
    }

    /// Most of it is of no interest any more.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        let grown = self.bytes.saturating_sub(self.fresh);
        self.bytes > LONG_BYTES && self.bytes / 4 > self.fresh || self.bytes > MAX_FILE_BYTES / 2 && grown > LONG_BYTES
    }

    /// There is none any more: who starts next is somebody else. A journal that lacks the newest lines would bring back what
    /// they took.
    pub fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
impl QuotaFile {
    /// Every write fails from now on.
    pub(crate) fn break_handle(&mut self) {
        self.file = None;
    }
}

const SOURCE: u8 = 0;
const BUDGET: u8 = 1;
const RATE: u8 = 2;
const EPOCH: u8 = 3;
const BALANCE: u8 = 4;
const FLOOR: u8 = 5;

fn encode(line: &Line, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    match line {
        Line::Source { journal, life } => {
            head(out, SOURCE, &[u64::from(*life)]);
            out.extend_from_slice(journal.as_bytes());
        }
        Line::Budget { id, name } => named(out, BUDGET, id.0, name),
        Line::Rate { id, name } => named(out, RATE, id.0, name),
        Line::Entry(Entry::Epoch(epoch)) => head(out, EPOCH, &[epoch.0]),
        Line::Entry(Entry::Balance(balance)) => {
            let Balance { account: Account { budget, period }, granted, returned, spent, open } = *balance;
            head(out, BALANCE, &[budget.0, period.0, granted, returned, spent, open]);
        }
        Line::Entry(Entry::Floor(share)) => {
            // The rest does not outlive the process.
            let Share { rate, window, floor, surplus: _, least, lease: _ } = *share;
            head(out, FLOOR, &[rate.0, window, floor, least]);
        }
    }
    let (head, payload) = out[start..].split_at_mut(HEAD_BYTES);
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
}

fn head(out: &mut Vec<u8>, kind: u8, numbers: &[u64]) {
    out.push(kind);
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn named<T: Serialize>(out: &mut Vec<u8>, kind: u8, id: u64, name: &T) {
    head(out, kind, &[id]);
    serde_json::to_writer(out, name).expect("names always serialise");
}

/// The lines up to the first one that is not whole.
fn lines(bytes: &[u8]) -> Vec<Line> {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return Vec::new() };
    let mut lines = Vec::new();
    while let Some((payload, after)) = record(rest) {
        let Some(line) = decode(payload) else { break };
        lines.push(line);
        rest = after;
    }
    lines
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(0) as usize;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let (payload, after) = rest.split_at_checked(length)?;
    (crc32fast::hash(payload) == word(4)).then_some((payload, after))
}

fn decode(payload: &[u8]) -> Option<Line> {
    let (&kind, rest) = payload.split_first()?;
    let line = match kind {
        SOURCE => {
            let ([life], journal) = numbers(rest)?;
            Line::Source { journal: String::from_utf8(journal.to_vec()).ok()?, life: u32::try_from(life).ok()? }
        }
        BUDGET => {
            let ([id], name) = numbers(rest)?;
            Line::Budget { id: BudgetId(id), name: serde_json::from_slice(name).ok()? }
        }
        RATE => {
            let ([id], name) = numbers(rest)?;
            Line::Rate { id: RateId(id), name: serde_json::from_slice(name).ok()? }
        }
        EPOCH => Line::Entry(Entry::Epoch(Epoch(numbers::<1>(rest)?.0[0]))),
        BALANCE => {
            let ([budget, period, granted, returned, spent, open], _) = numbers(rest)?;
            let account = Account { budget: BudgetId(budget), period: Period(period) };
            Line::Entry(Entry::Balance(Balance { account, granted, returned, spent, open }))
        }
        FLOOR => {
            let ([rate, window, floor, least], _) = numbers(rest)?;
            Line::Entry(Entry::Floor(Share { rate: RateId(rate), window, floor, surplus: 0, least, lease: 0 }))
        }
        _ => return None,
    };
    Some(line)
}

fn numbers<const N: usize>(mut bytes: &[u8]) -> Option<([u64; N], &[u8])> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (eight, rest) = bytes.split_first_chunk()?;
        (*number, bytes) = (u64::from_le_bytes(*eight), rest);
    }
    Some((numbers, bytes))
}

#[cfg(test)]
mod tests {
    use spillway_wire::{Counts, RateOf};

    use super::*;

    fn all() -> Vec<Line> {
        let of = RateOf::Limit { route: "shop/chat".into(), limit: "team".into() };
        let account = Account { budget: BudgetId(1), period: Period(1_793_491_200) };
        let share = Share { rate: RateId(7), window: 60, floor: 5, surplus: 0, least: 2, lease: 0 };
        vec![
            Line::Source { journal: "5f3a".into(), life: 3 },
            Line::Budget {
                id: BudgetId(1), name: BudgetName { budget: "shop/month".into(), value: Some("é".into()) }
            },
            Line::Rate { id: RateId(7), name: RateName { of, counts: Counts::Tokens, value: None } },
            Line::Entry(Entry::Epoch(Epoch(4))),
            Line::Entry(Entry::Balance(Balance { account, granted: u64::MAX, returned: 1, spent: 2, open: 3 })),
            Line::Entry(Entry::Floor(share)),
        ]
    }

    fn file() -> (tempfile::TempDir, QuotaFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = QuotaFile::at(dir.path().join("rights"));
        (dir, file)
    }

    #[test]
    fn what_is_written_is_read_whether_at_once_or_bit_by_bit() {
        let (_dir, mut file) = file();
        assert_eq!(file.read(), [], "there is none yet");
        assert!(file.append(&all()).is_err(), "it was never begun");
        let lines = all();
        file.rewrite(lines[..2].to_vec()).unwrap();
        file.append(&lines[2..3]).unwrap();
        file.append(&lines[3..]).unwrap();
        assert_eq!(file.read(), lines);
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.read(), []);
    }

    #[test]
    fn a_journal_torn_at_any_byte_says_what_was_whole_before_it() {
        let (_dir, mut file) = file();
        let (lines, mut ends) = (all(), Vec::new());
        for end in 0..=lines.len() {
            file.rewrite(lines[..end].to_vec()).unwrap();
            ends.push(file.bytes);
        }
        let bytes = fs::read(&file.path).unwrap();
        for cut in 0..=bytes.len() {
            fs::write(&file.path, &bytes[..cut]).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
            assert_eq!(file.read(), lines[..whole], "cut after {cut} bytes");
        }
    }

    #[test]
    fn a_journal_with_any_bit_flipped_says_nothing_that_was_not_written() {
        let (_dir, mut file) = file();
        let lines = all();
        file.rewrite(lines.clone()).unwrap();
        let mut bytes = fs::read(&file.path).unwrap();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = self::lines(&bytes);
            assert!(read.len() < lines.len() && read == lines[..read.len()], "bit {bit}: {read:?}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn it_is_long_when_most_of_it_is_old() {
        let (_dir, mut file) = file();
        let lines = all();
        file.rewrite(lines.clone()).unwrap();
        let mut writes = 0;
        while !file.is_long() {
            file.append(&lines[4..5]).unwrap();
            writes += 1;
        }
        assert!(writes > 1_000 && file.bytes < MAX_FILE_BYTES, "{writes} {}", file.bytes);
        file.rewrite(lines.clone()).unwrap();
        assert!(!file.is_long());
        assert_eq!(file.read(), lines);
    }
    #[test]
    fn it_is_written_anew_before_it_is_longer_than_is_read_and_a_longer_one_says_nothing() {
        let (_dir, mut file) = file();
        let balance = &all()[4..5];
        let many = std::iter::repeat_n(balance[0].clone(), 50_000);
        file.rewrite(many).unwrap();
        assert!(file.bytes * 4 > MAX_FILE_BYTES && !file.is_long(), "{}", file.bytes);
        while !file.is_long() {
            file.append(std::iter::repeat_n(&balance[0], 100)).unwrap();
            assert!(file.bytes < MAX_FILE_BYTES, "{}", file.bytes);
        }
        file.append(std::iter::repeat_n(&balance[0], 100_000)).unwrap();
        assert!(file.bytes > MAX_FILE_BYTES);
        assert_eq!(file.read(), [], "its newest lines would be missing");
    }
}
