//! The two child processes of `spillway dev`: the sidecar and the command, and the signals between them.

use std::{
    ffi::OsString,
    io::IsTerminal,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time,
};

/// What a shell says of a command that is there but cannot be run, and of one that is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// How long the sidecar has for its last report.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts the sidecar in a process group of its own: Ctrl-C ends the command first, and the sidecar after it.
pub(super) fn spawn_sidecar(binary: &OsString, env: &[(&str, String)], verbose: bool) -> std::io::Result<Child> {
    let mut command = Command::new(binary);
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let log = || if verbose { Stdio::inherit() } else { Stdio::null() };
    command.stdout(log()).stderr(log());
    for (name, value) in env {
        command.env(name, value);
    }
    command.spawn()
}

/// Asks the sidecar to end, and insists after a while.
pub(super) async fn end_sidecar(mut sidecar: Child) {
    send(&sidecar, Signal::TERM);
    if time::timeout(FAREWELL, sidecar.wait()).await.is_err() {
        let _ = sidecar.kill().await;
    }
}

/// Runs the command to its end with signals passed on; its code becomes ours.
pub(super) async fn run_command(command: &[OsString], env: &[(&str, String)]) -> std::io::Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::SUCCESS) };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut child = match Command::new(program).args(arguments).envs(env.iter().map(|(n, v)| (n, v))).spawn() {
        Ok(child) => child,
        Err(error) => {
            super::output::note(&format!("spillway: {} cannot be run: {error}", program.display()));
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return Ok(ExitCode::from(if missing { NOT_FOUND } else { CANNOT_RUN }));
        }
    };
    // A terminal sends Ctrl-C to the command as well; passing it on would interrupt it twice.
    let at_terminal = std::io::stdin().is_terminal();
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            _ = interrupt.recv() => if !at_terminal { send(&child, Signal::INT) },
            _ = terminate.recv() => send(&child, Signal::TERM),
            _ = hangup.recv() => send(&child, Signal::HUP),
        }
    }
}

/// Waits for the person at the terminal, when there is no command to wait for.
pub(super) async fn until_interrupted() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended this very moment, which is what was wanted.
        let _ = kill_process(pid, signal);
    }
}

/// As a shell reports it: the code, or 128 and the signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(line: &[&str]) -> ExitCode {
        let command: Vec<OsString> = line.iter().map(OsString::from).collect();
        run_command(&command, &[("OPENAI_BASE_URL", "http://127.0.0.1:1/v1".into())]).await.unwrap()
    }

    #[tokio::test]
    async fn the_commands_code_is_ours() {
        let rows: [(&[&str], u8); 5] = [
            (&["true"], 0),
            (&["sh", "-c", "exit 7"], 7),
            (&["sh", "-c", "kill -TERM $$"], 143),
            (&["/nonexistent/program"], NOT_FOUND),
            (&["sh", "-c", "test \"$OPENAI_BASE_URL\" = http://127.0.0.1:1/v1"], 0),
        ];
        for (line, want) in rows {
            assert_eq!(run(line).await, ExitCode::from(want), "{line:?}");
        }
    }
}
