//! Work that would keep everybody else waiting. One thread serves all requests; what is done to a large body or answer is
//! done on another one, a few at a time, while that thread goes on.

use std::{sync::Arc, time::Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::memory::Hold;
use crate::error::ProxyError;

/// What is larger is worked on aside. To read, translate and write so much takes about a millisecond, which others can
/// wait; the way to another thread and back takes some ten microseconds, which smaller requests are not to wait.
pub(crate) const LARGE: u64 = 256 << 10;

/// At once: it takes its time from the same cores that everybody else is served by.
const PLACES: usize = 2;

/// Counts at once. Those that wait leave the processor to the requests that need none.
const COUNTS: usize = 2;

/// Where such work is done.
#[derive(Clone, Debug)]
pub(crate) struct Aside {
    places: Arc<Semaphore>,
    /// For counts, which are made to end in time and give way to nothing else.
    counts: Arc<Semaphore>,
}

/// A request whose body is large, and the memory that it takes: work that nobody waits for any more still takes it.
#[derive(Clone, Debug)]
pub(crate) struct Heavy {
    aside: Aside,
    memory: Arc<Hold>,
}

// === impl Aside ===

impl Aside {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), counts: Arc::new(Semaphore::new(COUNTS)) }
    }

    /// A place to count a prompt at, until dropped. None: there was none in time.
    pub(crate) async fn to_count(&self, until: Instant) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout_at(until.into(), Arc::clone(&self.counts).acquire_owned()).await.ok()?.ok()
    }

    /// Does work on so many bytes, aside if they are many.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        bytes: u64,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ProxyError> {
        if bytes <= LARGE { Ok(work()) } else { self.run(until, work).await }
    }

    /// Does it aside, when there is a place for it; who waits does so until then at most. Dropped while it waits, it is never
    /// begun; later it is done for nobody.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ProxyError> {
        let done = async {
            let place = Arc::clone(&self.places).acquire_owned().await;
            // The place is kept by the work, and not by who waits for it. Never closed, so there is one.
            let work = move || {
                let _place = place;
                work()
            };
            tokio::task::spawn_blocking(work).await
        };
        match tokio::time::timeout_at(until.into(), done).await {
            Ok(Ok(done)) => Ok(done),
            // It panicked, and takes nobody along.
            Ok(Err(_)) => Err(ProxyError::Broken),
            Err(_) => Err(ProxyError::Overloaded { what: "work on large bodies", limit: PLACES as u64 }),
        }
    }

    /// For a request that has so much memory.
    pub(crate) fn heavy(&self, memory: Hold) -> Heavy {
        Heavy { aside: self.clone(), memory: Arc::new(memory) }
    }
}

// === impl Heavy ===

impl Heavy {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        until: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ProxyError> {
        let memory = Arc::clone(&self.memory);
        let work = move || {
            let _memory = memory;
            work()
        };
        self.aside.run(until, work).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use futures::FutureExt as _;

    use super::*;
    use crate::{clock, runtime::Memory};

    fn later() -> Instant {
        clock::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_little_is_done_at_once_and_a_lot_elsewhere() {
        let aside = Aside::new();
        let here = std::thread::current().id();
        let at = |bytes| {
            let aside = aside.clone();
            async move { aside.work(bytes, later(), || std::thread::current().id()).await.unwrap() }
        };
        assert_eq!(at(LARGE).now_or_never(), Some(here), "without any wait");
        assert_ne!(at(LARGE + 1).await, here);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_not_begun_and_nobody_waits_beyond_the_deadline() {
        let aside = Aside::new();
        let mut busy = Vec::new();
        for _ in 0..PLACES {
            let ((go, wait), aside) = (mpsc::channel::<()>(), aside.clone());
            busy.push((go, tokio::spawn(async move { aside.run(later(), move || wait.recv().is_ok()).await })));
        }
        while aside.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let begun = Arc::new(AtomicBool::new(false));
        let begin = || {
            let begun = Arc::clone(&begun);
            move || begun.store(true, Ordering::Relaxed)
        };
        assert!(aside.run(later(), begin()).now_or_never().is_none(), "it waits, and is dropped");
        let late = aside.run(clock::now(), begin()).await.unwrap_err();
        assert!(matches!(late, ProxyError::Overloaded { limit: 2, .. }), "{late}");
        for (go, done) in busy {
            go.send(()).unwrap();
            assert!(done.await.unwrap().unwrap());
        }
        aside.run(later(), || ()).await.unwrap();
        assert!(!begun.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_panic_is_one_requests_error_and_gives_its_place_and_its_memory_back() {
        let (aside, memory) = (Aside::new(), Memory::new(10));
        for _ in 0..=PLACES {
            let mut hold = memory.hold();
            assert!(hold.grow(10), "it was given back");
            let heavy = aside.heavy(hold);
            let broken = heavy.run(later(), || [0][std::hint::black_box(1)]).await.unwrap_err();
            assert!(matches!(broken, ProxyError::Broken), "{broken}");
        }
        assert_eq!(aside.places.available_permits(), PLACES);
    }
}
