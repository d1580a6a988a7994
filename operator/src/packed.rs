//! Documents as the bytes of a ConfigMap: JSON that says its version, gzipped.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// No stored document unpacks to more; a larger one was not written by us.
const MAX_UNPACKED_BYTES: u64 = 64 << 20;

/// Why stored bytes are not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum Corrupt {
    #[error("it does not unpack")]
    Unpack(#[source] std::io::Error),
    #[error("it does not parse")]
    Parse(#[source] serde_json::Error),
    #[error("it has format {found}, this version reads {reads}")]
    Version { found: u32, reads: u32 },
    #[error("it refers to {what} {place}, which it does not list")]
    Dangling { what: &'static str, place: usize },
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The document as bytes for storage.
pub(crate) fn pack(document: &impl Serialize, level: Compression) -> Vec<u8> {
    gzip(&serde_json::to_vec(document).expect("strings and numbers always serialise"), level)
}

/// The document from stored bytes. Only this version of it is read.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8], reads: u32) -> Result<T, Corrupt> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).take(MAX_UNPACKED_BYTES).read_to_end(&mut json).map_err(Corrupt::Unpack)?;
    let Versioned { version: found } = serde_json::from_slice(&json).map_err(Corrupt::Parse)?;
    if found != reads {
        return Err(Corrupt::Version { found, reads });
    }
    serde_json::from_slice(&json).map_err(Corrupt::Parse)
}

pub(crate) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), level);
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("writing to memory cannot fail")
}
