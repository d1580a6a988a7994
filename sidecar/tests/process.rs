//! The binary as a pod runs it: its settings, its start, and its end with a stream open.
#![expect(clippy::unwrap_used, reason = "what fails in a step of a test fails the test")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_spillway-sidecar");

fn a_snapshot(upstream: SocketAddr) -> Value {
    let model = json!({
        "name": "tiny", "context_window_tokens": 8192, "max_output_tokens": 1024, "tokenizer": "Estimate",
        "price": {"input_nanos": 1_000_000, "output_nanos": 2_000_000},
        "tools": true, "parallel_tools": true, "vision": false, "json_schema": false,
    });
    let route = json!({
        "namespace": "shop", "name": "chat", "models": ["chat"],
        "backends": [{"name": "only", "provider": "shop/local", "model": model, "role": "Primary"}],
        "context_window": {
            "on_exceeded": "Reject", "reserve_output_tokens": 16, "truncate": {"keep_system": true, "keep_last": 1},
        },
        "retries": {
            "attempts": 0, "on": [], "backoff_base_ms": 10, "backoff_max_ms": 100, "honour_retry_after_ms": 0,
        },
        "request": {"unsupported": "Drop", "max_body_bytes": 1_048_576, "timeout_ms": 60_000},
        "streaming": {"first_token_timeout_ms": 60_000, "idle_timeout_ms": 60_000},
    });
    let provider = json!({
        "kind": "OpenAICompatible", "dialect": "OpenAi", "base_url": format!("http://{upstream}/v1"), "auth": "None",
        "timeouts": {"connect_ms": 1000, "first_byte_ms": 60_000, "idle_ms": 60_000, "total_ms": 120_000},
    });
    json!({
        "routes": {"shop/chat": route},
        "providers": {"shop/local": provider},
        "egress": {"allowed_private_ranges": ["127.0.0.0/8"]},
    })
}

/// A provider that streams one word, and the rest when it is told to.
struct Upstream {
    address: SocketAddr,
    go_on: mpsc::Sender<()>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (go_on, told) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            read_request(&mut stream);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let chunk = |delta: Value, finish: Value| {
                let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
                format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}))
            };
            let first = chunk(json!({"role": "assistant", "content": "first"}), Value::Null);
            stream.write_all(format!("{head}{first}").as_bytes()).unwrap();
            if told.recv().is_ok() {
                let last = chunk(json!({"content": " second"}), "stop".into());
                let _ = stream.write_all(format!("{last}data: [DONE]\n\n").as_bytes());
            }
        });
        Self { address, go_on }
    }
}

fn read_request(stream: &mut TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}

/// A running sidecar, killed when dropped.
struct Sidecar {
    child: Child,
    log: BufReader<ChildStdout>,
    data: SocketAddr,
    admin: SocketAddr,
    _config: tempfile::NamedTempFile,
}

impl Sidecar {
    fn start(upstream: &Upstream, drain: &str) -> Self {
        let mut config = tempfile::NamedTempFile::new().unwrap();
        config.write_all(a_snapshot(upstream.address).to_string().as_bytes()).unwrap();
        let path = config.path().to_str().unwrap();
        let any = "127.0.0.1:0";
        let mut child = command(&[
            ("SPILLWAY_CONFIG_FILE", path),
            ("SPILLWAY_DATA_ADDR", any),
            ("SPILLWAY_ADMIN_ADDR", any),
            ("SPILLWAY_DRAIN", drain),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let starting = until(&mut log, "starting");
        until(&mut log, "config in use");
        let address = |field: &str| starting[field].as_str().unwrap().parse().unwrap();
        let (data, admin) = (address("data"), address("admin"));
        Self { child, log, data, admin, _config: config }
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// An answer that has begun.
    fn begin_stream(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.data).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let body =
            json!({"model": "chat", "stream": true, "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        while !line.contains("first") {
            line.clear();
            assert_ne!(answer.read_line(&mut line).unwrap(), 0, "the answer ended before its first word");
        }
        answer
    }

    fn status(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    /// Waits for its end: the exit code, and what it still logged.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().envs(environment.iter().copied());
    command
}

fn output(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(environment).args(arguments).output().unwrap()
}

/// The next line of the log with this message.
fn until(log: &mut impl BufRead, message: &str) -> Value {
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the log ended before {message:?}");
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["message"] == message {
            return line;
        }
    }
}

fn rest(mut answer: BufReader<TcpStream>) -> String {
    let mut rest = Vec::new();
    // A cut connection may end in a reset.
    let _ = answer.read_to_end(&mut rest);
    String::from_utf8(rest).unwrap()
}

#[test]
fn open_streams_finish_before_the_process_ends() {
    let upstream = Upstream::start();
    let mut sidecar = Sidecar::start(&upstream, "60s");
    let answer = sidecar.begin_stream();
    assert_eq!(sidecar.status("/readyz"), "200");
    sidecar.signal();
    until(&mut sidecar.log, "draining");
    assert_eq!((sidecar.status("/livez").as_str(), sidecar.status("/readyz").as_str()), ("200", "503"));
    upstream.go_on.send(()).unwrap();
    let rest = rest(answer);
    assert!(rest.contains("second") && rest.contains("[DONE]"), "{rest}");
    let (code, log) = sidecar.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("\"outcome\":\"answered\"") && log.contains("\"ended\""), "{log}");
}

#[test]
fn a_stream_that_outlives_the_drain_time_is_cut_and_not_completed() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::start(&upstream, "0s");
    let answer = sidecar.begin_stream();
    sidecar.signal();
    let (code, log) = sidecar.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("drain time is over"), "{log}");
    assert!(!rest(answer).contains("[DONE]"));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start();
    let mut sidecar = Sidecar::start(&upstream, "1h");
    let answer = sidecar.begin_stream();
    sidecar.signal();
    until(&mut sidecar.log, "draining");
    sidecar.signal();
    let (code, log) = sidecar.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("second signal"), "{log}");
    assert!(!rest(answer).contains("[DONE]"));
}

#[test]
fn bad_settings_are_exit_code_64_and_say_what_to_write() {
    let rows: BTreeMap<&str, &[(&str, &str)]> = BTreeMap::from([
        ("SPILLWAY_OPERATOR is not set", [].as_slice()),
        ("SPILLWAY_DRAIN=\"25\"", &[("SPILLWAY_CONFIG_FILE", "x"), ("SPILLWAY_DRAIN", "25")]),
    ]);
    for (want, environment) in rows {
        let output = output(environment, &[]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.starts_with(&format!("spillway-sidecar: {want}")), "{told}");
    }
}

#[test]
fn a_port_that_is_taken_is_exit_code_1_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = output(&[("SPILLWAY_CONFIG_FILE", "x"), ("SPILLWAY_DATA_ADDR", &address)], &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&address) && told.contains("data-port"), "{told}");
}

#[test]
fn help_and_version_need_no_environment() {
    let help = String::from_utf8(output(&[], &["--help"]).stdout).unwrap();
    assert!(help.contains("SPILLWAY_OPERATOR") && help.contains("[default: 25s]"), "{help}");
    let version = String::from_utf8(output(&[], &["--version"]).stdout).unwrap();
    assert_eq!(version.trim(), concat!("spillway-sidecar ", env!("CARGO_PKG_VERSION")));
}
