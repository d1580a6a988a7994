//! The log: JSON lines on standard output that never hold up a request.
//!
//! Lines are appended to one bounded buffer and a thread of its own writes it out, at most a hundred times a second. When
//! nobody reads our output the buffer fills and lines are lost and counted, which is better than a sidecar that hangs.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use crate::clock;

/// About two thousand lines of the access log.
const MAX_BUFFERED_BYTES: usize = 1 << 20;
/// Kept between writes, so that an idle process gives a burst's memory back.
const KEPT_BYTES: usize = 16 << 10;
/// How long lines are collected before they are written: one wake-up for many requests.
const COLLECT: Duration = Duration::from_millis(10);
/// The thread copies bytes and calls `write`.
const STACK_BYTES: usize = 64 << 10;

/// A handle to the log; clones write to the same place.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    lost: u64,
    closed: bool,
}

/// The thread that writes; [`Writer::close`] waits for the last line.
#[derive(Debug)]
pub struct Writer {
    log: Log,
    thread: thread::JoinHandle<()>,
}

// === impl Log ===

impl Log {
    /// Adds one line, which brings its own line end.
    pub fn append(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.buffer.len() + line.len() > MAX_BUFFERED_BYTES {
            state.lost += 1;
            return;
        }
        let first = state.buffer.is_empty();
        state.buffer.extend_from_slice(line);
        drop(state);
        if first {
            self.shared.changed.notify_one();
        }
    }

    /// Lines nobody will read because the output was blocked.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Starts the thread that writes to `out`.
    pub fn start(&self, out: impl Write + Send + 'static) -> io::Result<Writer> {
        let log = self.clone();
        let thread = thread::Builder::new().name("log".into()).stack_size(STACK_BYTES).spawn({
            let log = log.clone();
            move || log.write_out(out)
        })?;
        Ok(Writer { log, thread })
    }

    fn write_out(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.lock();
            while state.buffer.is_empty() && !state.closed {
                state = self.shared.changed.wait(state).expect(NEVER_POISONED);
            }
            if !state.closed {
                (state, _) = self
                    .shared
                    .changed
                    .wait_timeout_while(state, COLLECT, |state| !state.closed)
                    .expect(NEVER_POISONED);
            }
            let closed = state.closed;
            std::mem::swap(&mut state.buffer, &mut lines);
            drop(state);
            // Nobody is left to tell that standard output is gone.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            if closed {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect(NEVER_POISONED)
    }
}

/// The time of a line, as the subscriber writes it.
pub(super) fn timestamp() -> String {
    let since_epoch = clock::since_epoch();
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    let micros = since_epoch.subsec_micros().cast_signed();
    let time = jiff::Timestamp::new(seconds, micros * 1_000).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.6}")
}

const NEVER_POISONED: &str = "nothing panics while holding the log";

/// The subscriber formats each event into one buffer and writes it in one call.
impl Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

// === impl Writer ===

impl Writer {
    /// Writes what is buffered and ends the thread.
    pub fn close(self) {
        self.log.lock().closed = true;
        self.log.shared.changed.notify_one();
        // A panic in the thread has lost lines, which is no reason to fail the exit.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands over what is written, and blocks while nobody takes it.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_arrives_in_order_before_close_returns() {
        let (sender, receiver) = mpsc::sync_channel(64);
        let log = Log::default();
        let writer = log.start(Pipe(sender)).unwrap();
        for line in 0..100 {
            log.append(format!("{line}\n").as_bytes());
        }
        writer.close();
        let written: Vec<u8> = receiver.iter().flatten().collect();
        let want: String = (0..100).map(|line| format!("{line}\n")).collect();
        assert_eq!(String::from_utf8(written).unwrap(), want);
        assert_eq!(log.lost(), 0);
    }

    #[test]
    fn a_blocked_output_loses_lines_and_counts_them() {
        let log = Log::default();
        let line = [b'x'; 1024];
        for _ in 0..1025 {
            log.append(&line);
        }
        assert_eq!(log.lost(), 1, "the buffer takes 1024 lines of 1 KiB");
    }

    #[test]
    fn a_closed_output_is_no_error() {
        let (sender, receiver) = mpsc::sync_channel(0);
        drop(receiver);
        let log = Log::default();
        let writer = log.start(Pipe(sender)).unwrap();
        log.append(b"unread\n");
        writer.close();
    }
}
