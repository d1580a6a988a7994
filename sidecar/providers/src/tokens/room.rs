//! Memory that goes back to the system when it is dropped.

/// The C library serves what is at least this large by mapping pages, however it has adjusted itself to what was freed
/// before, and unmaps them when they are freed. Anything smaller it may keep, megabytes of it, for as long as the process
/// lives.
const MAPPED_BYTES: usize = (32 << 20) + 1;

/// An empty list in memory of its own. Pages nobody writes to take nothing but addresses; where even those are short, it
/// grows as any list does.
pub(super) fn list<T>() -> Vec<T> {
    let mut list = Vec::new();
    let _ = list.try_reserve_exact(MAPPED_BYTES.div_ceil(size_of::<T>()));
    list
}
