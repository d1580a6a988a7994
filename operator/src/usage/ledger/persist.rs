//! The ledger as bytes: JSON, its repeated names written once, gzipped.
//!
//! Size: a ConfigMap takes 1 MiB. A live source costs some 40 bytes and 20 more for each (day, route, backend), a folded row about 25: four
//! thousand pods that use two backends each fit, and so do a year's worth of workloads.

use std::collections::BTreeMap;

use flate2::Compression;
use serde::{Deserialize, Serialize};
use spillway_wire::{UsageKey, UsageTotals};

use super::{Ledger, Live, Owner, Row};
use crate::packed::{Corrupt, pack, unpack};
use crate::pods::Incarnation;

const VERSION: u32 = 1;

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
    pack(&Stored { version: VERSION, keys, live, folded, tombstones }, Compression::default())
}

/// The ledger from stored bytes.
pub fn decode(bytes: &[u8]) -> Result<Ledger, Corrupt> {
    let Stored { version: _, keys, live, folded, tombstones } = unpack(bytes, VERSION)?;
    let key = |place: usize| keys.get(place).cloned().ok_or(Corrupt::Dangling { what: "key", place });
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

fn numbers(totals: &UsageTotals) -> Numbers {
    let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced } = *totals;
    (requests, errors, input_tokens, output_tokens, cost_nanos, unpriced)
}

fn totals((requests, errors, input_tokens, output_tokens, cost_nanos, unpriced): Numbers) -> UsageTotals {
    UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos, unpriced }
}
