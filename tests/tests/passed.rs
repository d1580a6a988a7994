//! What a sidecar passes on as it is, through processes: sound that arrives while it is still being spoken, large forms, files.

use serde_json::json;
use spillway_tests::client::{post, request, send};
use spillway_tests::http1::Connection;
use spillway_tests::process::program;
use spillway_tests::provider::{End, PIECE_BYTES, PIECES, Provider};
use spillway_tests::sidecar::Sidecar;
use spillway_tests::snapshot::{a_backend, a_provider, a_route, a_snapshot};
use spillway_wire::{Dialect, PassThrough};
use tokio::net::TcpStream;

const SPEECH: &str = "/v1/audio/speech";
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=b");
const MEGABYTE: usize = 1024 * 1024;

async fn a_sidecar() -> anyhow::Result<(Provider, Sidecar)> {
    let provider = Provider::start().await?;
    let account = a_provider("openai", Dialect::OpenAi, &provider.base_url());
    let mut route = a_route("media", vec![a_backend("openai", "ok")]);
    route.request.pass_through = vec![PassThrough::Files];
    let snapshot = a_snapshot(vec![route], vec![("openai", account)]);
    let sidecar = Sidecar::with_snapshot(&program("spillway-sidecar")?, &snapshot, None).await?;
    Ok((provider, sidecar))
}

fn speak(text: &str) -> serde_json::Value {
    json!({"model": "media", "input": text, "voice": "alloy"})
}

#[tokio::test]
async fn sound_arrives_while_it_is_spoken_and_its_end_is_an_end() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar().await?;
    let body = speak("hello").to_string();
    let mut connection = Connection::new(TcpStream::connect(sidecar.data).await?)?;
    connection.write(&request("POST", SPEECH, &[JSON], body.as_bytes())).await?;
    let head = connection.head().await?.expect("an answer");
    let first = connection.chunk().await?.expect("sound");
    assert_eq!((head.status(), first[0]), (200, b'a'));
    assert_eq!(provider.seen()[0].end, End::Open, "the provider still speaks");
    let mut bytes = first.len();
    while let Some(chunk) = connection.chunk().await? {
        bytes += chunk.len();
    }
    assert_eq!(bytes, PIECES * PIECE_BYTES);
    assert_eq!(provider.seen()[0].body["model"], "ok");

    let reply = post(sidecar.data, SPEECH, &speak("break off")).await?;
    assert_eq!((reply.status, reply.whole), (200, false), "{} bytes", reply.body.len());
    let logged = |output: &str| {
        let lines = output.lines().filter(|line| line.contains("\"operation\":\"speech\""));
        lines.map(|line| line.contains("\"outcome\":\"cut\"")).collect::<Vec<_>>() == [false, true]
    };
    sidecar.until_output(logged).await
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_of_sound_ends_it_at_the_provider() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar().await?;
    let mut connection = Connection::new(TcpStream::connect(sidecar.data).await?)?;
    connection.write(&request("POST", SPEECH, &[JSON], speak("hello").to_string().as_bytes())).await?;
    connection.head().await?;
    connection.chunk().await?;
    drop(connection);
    provider.until(|seen| seen.iter().any(|seen| seen.end == End::Abandoned)).await?;
    sidecar.until_output(|output| output.contains("\"outcome\":\"client_left\"")).await
}

#[tokio::test]
async fn a_large_form_arrives_whole_with_the_providers_name_of_the_model() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar().await?;
    let sound: Vec<u8> = (0..8 * MEGABYTE).map(|index| (index % 251) as u8).collect();
    let head =
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n";
    let tail = "\r\n--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nmedia\r\n--b--\r\n";
    let form = [head.as_bytes(), &sound, tail.as_bytes()].concat();
    let reply = send(sidecar.data, &request("POST", "/v1/audio/transcriptions", &[FORM], &form)).await?;
    assert_eq!((reply.status, &reply.json()["text"]), (200, &json!("hello")), "{reply:?}");
    let seen = &provider.seen()[0];
    let at = seen.raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    assert!(seen.raw[at..].starts_with(&sound), "the file is as it was");
    let (_, boundary) = seen.header("content-type").and_then(|kind| kind.split_once("boundary=")).expect("a boundary");
    let end = format!("name=\"model\"\r\n\r\nok\r\n--{boundary}--\r\n");
    assert!(boundary != "b" && seen.raw.ends_with(end.as_bytes()), "{boundary}");
    assert_eq!(seen.header("authorization"), Some("Bearer key-of-shop/openai"));
    Ok(())
}

#[tokio::test]
async fn files_come_and_go_without_a_model() -> anyhow::Result<()> {
    let (provider, sidecar) = a_sidecar().await?;
    let form = b"--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b--\r\n";
    let rows = [
        ("POST", "/v1/files", &[FORM][..], &form[..]),
        ("GET", "/v1/files/file-1", &[], &[]),
        ("DELETE", "/v1/files/file-1", &[], &[]),
    ];
    for (method, path, headers, body) in rows {
        let reply = send(sidecar.data, &request(method, path, headers, body)).await?;
        assert_eq!((reply.status, &reply.json()["id"]), (200, &json!("file-1")), "{method} {path}: {reply:?}");
        let seen = provider.seen().pop().expect("it was asked");
        assert_eq!((seen.method.as_str(), seen.path.as_str(), &seen.raw[..]), (method, path, body));
    }
    Ok(())
}
