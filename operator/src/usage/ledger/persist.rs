//! The ledger as bytes: JSON, its repeated names written once, gzipped.
//!
//! Size: a ConfigMap takes 1 MiB. A live source costs some 40 bytes and 20 more for each (day, route, backend), a folded row about 25: four
//! thousand pods that use two backends each fit, and so do a year's worth of workloads.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};
use spillway_wire::{UsageKey, UsageTotals};

use super::{Ledger, Live, Owner, Row};
use crate::pods::Incarnation;

const VERSION: u32 = 1;
/// No stored ledger unpacks to more; a larger one was not written by us.
const MAX_UNPACKED_BYTES: u64 = 64 << 20;

/// Why stored bytes are not a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Corrupt {
    #[error("it does not unpack")]
    Unpack(#[source] std::io::Error),
    #[error("it does not parse")]
    Parse(#[source] serde_json::Error),
    #[error("it has format {found}, this version reads {VERSION}")]
    Version { found: u32 },
    #[error("it refers to key {0}, which it does not list")]
    Dangling(usize),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    keys: Vec<UsageKey>,
    live: Vec<StoredIncarnation>,
    folded: Vec<StoredOwner>,
    tombstones: Vec<(String, String, i64)>,
}

#[derive(Serialize, Deserialize)]
struct StoredIncarnation {
    uid: String,
    boot: String,
    #[serde(flatten)]
    bill: StoredOwner,
}

#[derive(Serialize, Deserialize)]
struct StoredOwner {
    #[serde(flatten)]
    owner: Owner,
    lines: Vec<(usize, Numbers)>,
}

type Numbers = (u64, u64, u64, u64, u64, u64);

/// The ledger as bytes for storage.
#[must_use]
pub fn encode(ledger: &Ledger) -> Vec<u8> {
    let Ledger { live, folded, tombstones } = ledger;
    let mut index: BTreeMap<&UsageKey, usize> = BTreeMap::new();
    let mut line = |key, totals| {
        let next = index.len();
        (*index.entry(key).or_insert(next), numbers(totals))
    };
    let live = live.iter().map(|(Incarnation { uid, boot }, Live { owner, totals })| {
        let lines = totals.iter().map(|(key, totals)| line(key, totals)).collect();
        let bill = StoredOwner { owner: owner.clone(), lines };
        StoredIncarnation { uid: uid.clone(), boot: boot.clone(), bill }
    });
    let live: Vec<_> = live.collect();
    let mut owners: BTreeMap<&Owner, Vec<(usize, Numbers)>> = BTreeMap::new();
    for (Row { owner, key }, totals) in folded {
        owners.entry(owner).or_default().push(line(key, totals));
    }
    let folded = owners.into_iter().map(|(owner, lines)| StoredOwner { owner: owner.clone(), lines }).collect();
    let tombstones =
        tombstones.iter().map(|(Incarnation { uid, boot }, at)| (uid.clone(), boot.clone(), *at)).collect();
    let mut keys: Vec<(&UsageKey, usize)> = index.into_iter().collect();
    keys.sort_by_key(|(_, place)| *place);
    let keys = keys.into_iter().map(|(key, _)| key.clone()).collect();
    pack(&Stored { version: VERSION, keys, live, folded, tombstones })
}

/// The ledger from stored bytes.
pub fn decode(bytes: &[u8]) -> Result<Ledger, Corrupt> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).take(MAX_UNPACKED_BYTES).read_to_end(&mut json).map_err(Corrupt::Unpack)?;
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(&json).map_err(Corrupt::Parse)?;
    if version != VERSION {
        return Err(Corrupt::Version { found: version });
    }
    let Stored { version: _, keys, live, folded, tombstones } =
        serde_json::from_slice(&json).map_err(Corrupt::Parse)?;
    let key = |place: usize| keys.get(place).cloned().ok_or(Corrupt::Dangling(place));
    let mut ledger = Ledger::default();
    for StoredIncarnation { uid, boot, bill: StoredOwner { owner, lines } } in live {
        let totals = lines.into_iter().map(|(place, numbers)| Ok((key(place)?, totals(numbers))));
        let totals = totals.collect::<Result<_, Corrupt>>()?;
        ledger.live.insert(Incarnation { uid, boot }, Live { owner, totals });
    }
    for StoredOwner { owner, lines } in folded {
        for (place, numbers) in lines {
            let row = Row { owner: owner.clone(), key: key(place)? };
            ledger.folded.insert(row, totals(numbers));
        }
    }
    ledger.tombstones = tombstones.into_iter().map(|(uid, boot, at)| (Incarnation { uid, boot }, at)).collect();
    Ok(ledger)
}

fn pack(stored: &Stored) -> Vec<u8> {
    gzip(&serde_json::to_vec(stored).expect("strings and numbers always serialise"))
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("writing to memory cannot fail")
}

fn numbers(totals: &UsageTotals) -> Numbers {
    let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced } = *totals;
    (requests, errors, input_tokens, output_tokens, cost_nanos, unpriced)
}

fn totals((requests, errors, input_tokens, output_tokens, cost_nanos, unpriced): Numbers) -> UsageTotals {
    UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced }
}
