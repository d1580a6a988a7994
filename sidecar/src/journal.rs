//! What outlives a container restart: last-good config, provider keys, the CA bundle, and usage nobody has been told of.
//!
//! One small file per [`Slot`], each a single checked record that is replaced whole (written beside, then renamed), so a
//! reader sees an old state or a new one and nothing between. The folder is a memory-backed volume that no other container
//! mounts: writes are copies in memory, so they are done in place, and there is no disk to flush to. A file that is torn,
//! corrupt or from another format is ignored: the sidecar then starts empty and waits for its feed.

mod quota;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

pub use quota::{BudgetName, Line, QuotaFile};

/// Names the format; another one reads as corrupt.
const MAGIC: [u8; 4] = *b"SPJ1";
/// Magic, length and checksum.
const HEADER_BYTES: usize = 12;
/// Twice the largest message the operator may send.
const MAX_PAYLOAD_BYTES: usize = 32 << 20;

/// One thing that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Snapshot,
    Credentials,
    Trust,
    Usage,
}

/// The folder, or nothing: without one every save is dropped and every load is empty.
#[derive(Clone, Debug)]
pub struct Journal {
    dir: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("cannot be read")]
    Io(#[from] io::Error),
    #[error("ends after {0} bytes, before its header does")]
    Short(usize),
    #[error("does not start like a journal of this version")]
    Format,
    #[error("has {got} bytes of content, its header says {said}")]
    Length { said: usize, got: usize },
    #[error("fails its checksum")]
    Checksum,
    #[error("holds something else")]
    Content(#[from] serde_json::Error),
}

#[derive(Debug, thiserror::Error)]
enum Unwritable {
    #[error("cannot be written")]
    Io(#[from] io::Error),
    #[error("cannot be serialised")]
    Content(#[from] serde_json::Error),
    #[error("is {0} bytes, a slot takes {MAX_PAYLOAD_BYTES}")]
    TooLarge(usize),
}

// === impl Slot ===

impl Slot {
    fn file(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Credentials => "credentials",
            Self::Trust => "trust",
            Self::Usage => "usage",
        }
    }
}

// === impl Journal ===

impl Journal {
    /// Uses `dir`, made if it is missing. A folder that cannot be used costs the memory of restarts, not the service.
    #[must_use]
    pub fn open(dir: Option<PathBuf>) -> Self {
        let dir = dir.filter(|dir| match make_dir(dir) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %dir.display(), %error, "journal folder cannot be used, a restart will start empty");
                false
            }
        });
        Self { dir }
    }

    /// What was saved last, if it is whole.
    #[must_use]
    pub fn load<T: DeserializeOwned>(&self, slot: Slot) -> Option<T> {
        let path = self.dir.as_ref()?.join(slot.file());
        match read(&path) {
            Ok(value) => Some(value),
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(path = %path.display(), error, "journal is not usable and is ignored");
                None
            }
        }
    }

    /// The journal of rights, which is a file of its own kind.
    #[must_use]
    pub fn quota(&self) -> Option<QuotaFile> {
        Some(QuotaFile::at(self.dir.as_ref()?.join("rights")))
    }

    /// Replaces what was saved before. A failure is logged and the older state stays.
    pub fn save<T: Serialize>(&self, slot: Slot, value: &T) {
        let Some(dir) = &self.dir else { return };
        if let Err(error) = write(dir, slot, value) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(path = %dir.join(slot.file()).display(), error, "journal keeps its older state");
        }
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Unreadable> {
    let mut bytes = Vec::new();
    File::open(path)?.take((MAX_PAYLOAD_BYTES + HEADER_BYTES + 1) as u64).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(unseal(&bytes)?)?)
}

fn write<T: Serialize>(dir: &Path, slot: Slot, value: &T) -> Result<(), Unwritable> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, value)?;
    seal(&mut bytes)?;
    let beside = dir.join(format!("{}.new", slot.file()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&bytes)?;
    drop(file);
    fs::rename(&beside, dir.join(slot.file()))?;
    Ok(())
}

/// Fills in the header of a record whose payload starts after it.
fn seal(record: &mut [u8]) -> Result<(), Unwritable> {
    let (header, payload) = record.split_at_mut(HEADER_BYTES);
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD_BYTES);
    let length = length.ok_or(Unwritable::TooLarge(payload.len()))?;
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    Ok(())
}

/// The payload of a whole record.
fn unseal(record: &[u8]) -> Result<&[u8], Unreadable> {
    let (header, payload) = record.split_first_chunk::<HEADER_BYTES>().ok_or(Unreadable::Short(record.len()))?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[..4] != MAGIC {
        return Err(Unreadable::Format);
    }
    let said = word(4) as usize;
    if said != payload.len() {
        return Err(Unreadable::Length { said, got: payload.len() });
    }
    if word(8) != crc32fast::hash(payload) {
        return Err(Unreadable::Checksum);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn journal() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(Some(dir.path().join("deep/journal")));
        (dir, journal)
    }

    fn path(dir: &tempfile::TempDir, slot: Slot) -> PathBuf {
        dir.path().join("deep/journal").join(slot.file())
    }

    #[test]
    fn slots_are_remembered_apart_and_readable_by_the_owner_only() {
        let (dir, journal) = journal();
        assert_eq!(journal.load::<String>(Slot::Trust), None, "nothing was saved yet");
        journal.save(Slot::Trust, &"first");
        journal.save(Slot::Trust, &"second");
        journal.save(Slot::Usage, &7);
        assert_eq!(journal.load::<String>(Slot::Trust).as_deref(), Some("second"));
        assert_eq!(journal.load::<u32>(Slot::Usage), Some(7));
        let mode = fs::metadata(path(&dir, Slot::Trust)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_journal_torn_at_any_byte_is_ignored() {
        let (dir, journal) = journal();
        journal.save(Slot::Credentials, &["some", "keys"]);
        let whole = fs::read(path(&dir, Slot::Credentials)).unwrap();
        for end in 0..whole.len() {
            fs::write(path(&dir, Slot::Credentials), &whole[..end]).unwrap();
            assert_eq!(journal.load::<Vec<String>>(Slot::Credentials), None, "cut after {end} bytes");
        }
        fs::write(path(&dir, Slot::Credentials), [whole.as_slice(), b"!"].concat()).unwrap();
        assert_eq!(journal.load::<Vec<String>>(Slot::Credentials), None, "a byte too many");
    }

    #[test]
    fn a_journal_with_any_bit_flipped_is_ignored() {
        let mut record = [&[0; HEADER_BYTES][..], b"[1,2,3]"].concat();
        seal(&mut record).unwrap();
        assert_eq!(unseal(&record).unwrap(), b"[1,2,3]");
        for bit in 0..record.len() * 8 {
            record[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&record).is_err(), "bit {bit}");
            record[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_record_of_another_type_is_ignored() {
        let (_dir, journal) = journal();
        journal.save(Slot::Snapshot, &"not a number");
        assert_eq!(journal.load::<u64>(Slot::Snapshot), None);
    }

    #[test]
    fn a_torn_write_leaves_the_older_state() {
        let (dir, journal) = journal();
        journal.save(Slot::Usage, &1);
        fs::write(path(&dir, Slot::Usage).with_extension("new"), b"SPJ1half").unwrap();
        assert_eq!(journal.load::<u32>(Slot::Usage), Some(1));
        journal.save(Slot::Usage, &2);
        assert_eq!(journal.load::<u32>(Slot::Usage), Some(2));
    }

    #[test]
    fn without_a_folder_nothing_is_remembered_and_nothing_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for journal in [Journal::open(None), Journal::open(Some(file.path().join("below-a-file")))] {
            journal.save(Slot::Usage, &1);
            assert_eq!(journal.load::<u32>(Slot::Usage), None);
        }
    }
}
