use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::runtime::Limits;
use crate::server::fake::*;
use crate::server::*;

fn open(method: &str, path: &str, host: &str) -> String {
    let request = Request::builder().method(method).uri(path).header("host", host).body(()).unwrap();
    match Door::of(&request) {
        Ok(Door::Call(Api::Pass(pass))) => pass.operation.to_owned(),
        Ok(door) => format!("{door:?}"),
        Err(refused) => refused.1.shape().code,
    }
}

#[test]
fn every_door_opens_to_its_method_and_to_our_own_name_only() {
    let here = "127.0.0.1:4040";
    let rows = [
        ("POST", "/v1/chat/completions", here, "Call(ChatCompletions)"),
        ("POST", "/v1/completions?a=b", here, "Call(Completions)"),
        ("POST", "/v1/embeddings", "localhost", "Call(Embeddings)"),
        ("POST", "/v1/messages", "[::1]:4040", "Call(Messages)"),
        ("POST", "/v1/responses", here, "Call(Responses)"),
        ("GET", "/v1/responses/resp_1", here, "response"),
        ("GET", "/v1/responses", here, "method_not_allowed"),
        ("GET", "/v1/chat/completions", here, "chat_list"),
        ("DELETE", "/v1/models/m", here, "model_delete"),
        ("DELETE", "/v1/models/m", "evil.example", "invalid_request"),
        ("GET", "/v1/models", "LOCALHOST:80", "Models(None)"),
        ("GET", "/v1/models/a/b", "[::1]", "Models(Some(\"a/b\"))"),
        ("GET", "/v1/models/", here, "not_found"),
        ("POST", "/v1/models", here, "method_not_allowed"),
        ("GET", "/v1/messages", here, "method_not_allowed"),
        ("POST", "/chat/completions", here, "not_found"),
        ("POST", "/v1/../v1/messages", here, "not_found"),
        ("POST", "/v1/messages", "evil.example", "invalid_request"),
        ("POST", "/v1/messages", "127.0.0.1.evil.example:80", "invalid_request"),
        ("POST", "/v1/messages", "localhost:x", "invalid_request"),
        ("GET", "/v1/models", "", "invalid_request"),
        ("POST", "/v1/messages/count_tokens", here, "Call(CountTokens)"),
        ("GET", "/v1/messages/count_tokens", here, "method_not_allowed"),
        ("POST", "/v1/messages/batches", here, "not_found"),
        ("PUT", "/v1/files", here, "method_not_allowed"),
        ("GET", "/v1/files/a", "evil.example", "invalid_request"),
        ("OPTIONS", "/v1/files", here, "Options(\"POST, GET\")"),
        ("OPTIONS", "/v1/chat/completions", here, "Options(\"POST, GET\")"),
        ("OPTIONS", "/v1/models", here, "Options(\"GET, HEAD\")"),
        ("OPTIONS", "/v1/chat/completions", "evil.example", "invalid_request"),
    ];
    for (method, path, host, want) in rows {
        assert_eq!(open(method, path, host), want, "{method} {path} {host}");
    }
}

#[test]
fn escapes_are_undone_and_what_is_none_is_kept() {
    for (text, want) in [("a%2Fb", "a/b"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%c3%bc", "ü")] {
        assert_eq!(decoded(text), want);
    }
}

#[tokio::test]
async fn a_body_in_many_pieces_arrives_whole_and_one_too_large_is_not_kept() {
    let world = World::new(|_| ()).await;
    for (size, status) in [(50_000, 200), (99_000, 200), (100_001, 413), (40_000_000, 413)] {
        let mut body = chat();
        body["metadata"] = "x".repeat(size).into();
        assert_eq!(world.chat(&body).await.status, status, "{size}");
        if status == 200 {
            let arrived = body_of(world.provider.seen().last().unwrap());
            assert_eq!(arrived["metadata"], body["metadata"], "{size}");
        }
    }
}

#[tokio::test]
async fn a_full_budget_of_bytes_is_said_and_given_back() {
    let limits = Limits { buffered_bytes: 20_000, ..Limits::default() };
    let world = World::with_limits(limits, |_| ()).await;
    let mut large = chat();
    large["metadata"] = "x".repeat(30_000).into();
    let got = world.chat(&large).await;
    assert_eq!((got.status.as_u16(), got.code().as_str(), got.header("retry-after")), (503, "overloaded", "1"));
    for _ in 0..5 {
        assert_eq!(world.chat(&chat()).await.status, 200);
    }
}

#[tokio::test]
async fn more_requests_than_there_are_places_are_refused_at_once() {
    let world = World::with_limits(Limits { requests: 1, ..Limits::default() }, |_| ()).await;
    world.provider.then([Act::events(&[&piece("a")], false)]);
    let mut sender = connect(world.addr).await;
    let held = sender.send_request(post("/v1/chat/completions", streamed().to_string().into())).await.unwrap();
    let got = world.chat(&chat()).await;
    assert_eq!((got.status.as_u16(), got.code().as_str()), (503, "overloaded"));
    drop((held, sender));
    world.left().await;
    assert_eq!(world.chat(&chat()).await.status, 200);
}

#[tokio::test]
async fn without_a_config_the_answer_says_so() {
    let telemetry =
        Arc::new(crate::telemetry::Telemetry::new(crate::telemetry::Log::default(), &"off".parse().unwrap()));
    let runtime = Runtime::new(Limits::default(), telemetry, Arc::default(), 7);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, runtime, CancellationToken::new(), Duration::ZERO));
    let got = receive(&mut connect(addr).await, "/v1/messages", chat().to_string().into()).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, "1"), "{got:?}");
    assert_eq!(got.json()["type"], "error", "in the words of the API that was called");
}

#[tokio::test]
async fn draining_ends_idle_connections_and_lets_a_stream_finish() {
    let world = World::new(|_| ()).await;
    let mut idle = connect(world.addr).await;
    assert_eq!(receive(&mut idle, "/v1/chat/completions", chat().to_string().into()).await.status, 200);
    world.provider.then([Act::events(&[&piece("a")], false)]);
    let mut busy = connect(world.addr).await;
    let open = busy.send_request(post("/v1/chat/completions", streamed().to_string().into())).await.unwrap();
    world.shutdown.cancel();
    while idle.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!world.served.is_finished(), "the stream is still open");
    drop((open, busy));
    assert_eq!(world.served.await.unwrap(), 0, "nothing was cut off");
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off_and_still_settled() {
    let world = World::new(|_| ()).await;
    world.provider.then([Act::events(&[&piece("a")], false)]);
    let mut sender = connect(world.addr).await;
    let open = sender.send_request(post("/v1/chat/completions", streamed().to_string().into())).await.unwrap();
    world.shutdown.cancel();
    assert_eq!(world.served.await.unwrap(), 1);
    assert_eq!((world.runtime.in_flight(), world.runtime.usage.lines().len()), (0, 1));
    drop(open);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_in_the_words_of_its_api() {
    let world = World::with_limits(Limits { requests: 1, ..Limits::default() }, |_| ()).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut sender = connect(world.addr).await;
        let body = chat().to_string().into();
        assert_eq!(receive(&mut sender, "/v1/chat/completions", body).await.status, 200);
        open.push(sender);
    }
    for (path, kind) in [("/v1/chat/completions", "server_error"), ("/v1/messages", "overloaded_error")] {
        // Larger than what is read before the answer is written.
        let got = world.post(path, vec![b' '; 100_000].into()).await;
        assert_eq!((got.status.as_u16(), got.header("retry-after"), got.whole), (503, "1", true), "{path}: {got:?}");
        assert_eq!(got.header("connection"), "close");
        assert_eq!(got.json()["error"]["type"], kind, "{path}: {}", got.text);
    }
    drop(open);
    // As soon as the server has seen it.
    while world.chat(&chat()).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_are_bounded_on_all_addresses_together_and_so_is_the_crowd_that_is_told() {
    let world = World::with_limits(Limits { requests: 1, ..Limits::default() }, |_| ()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::clone(&world.runtime), world.shutdown.clone(), Duration::ZERO));
    let mut open = Vec::new();
    let path = "/v1/chat/completions";
    for addr in [world.addr, other] {
        let mut sender = connect(addr).await;
        assert_eq!(receive(&mut sender, path, chat().to_string().into()).await.status, 200, "{addr}");
        open.push(sender);
    }
    // Sixteen that say nothing yet, and one for which there is no room even to be told.
    let mut crowd = Vec::new();
    for _ in 0..16 {
        crowd.push(TcpStream::connect(other).await.unwrap());
    }
    let mut last = TcpStream::connect(other).await.unwrap();
    let mut buffer = [0; 12];
    let closed = tokio::time::timeout(Duration::from_secs(5), last.read(&mut buffer)).await.expect("it is closed");
    assert_eq!(closed.unwrap(), 0);
    for mut told in crowd {
        told.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        told.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"HTTP/1.1 503");
    }
}

#[tokio::test]
async fn a_small_text_of_more_values_than_there_is_memory_for_is_refused() {
    let limits = Limits { buffered_bytes: 100_000, ..Limits::default() };
    let world = World::with_limits(limits, |_| ()).await;
    for (values, want) in [(500, 200), (2_000, 413), (500, 200)] {
        let mut body = chat();
        body["metadata"] = vec![1; values].into();
        let got = world.chat(&body).await;
        assert_eq!(got.status, want, "{values}: {got:?}");
        let said = got.json()["error"]["message"].to_string();
        assert!(want == 200 || said.contains("values") && said.contains("100000"), "{said}");
    }
}

#[tokio::test]
async fn a_form_whose_model_is_no_text_is_told_so() {
    let world = World::new(|_| ()).await;
    let part = |head: &str, data: &[u8]| {
        [format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(), data, b"\r\n--b--\r\n"].concat()
    };
    for body in [part("name=\"model\"", b"\xff"), part("name=\"model\"; filename=\"m\"", b"chat")] {
        let got = world.send("POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=b", body).await;
        let error = &got.json()["error"];
        assert_eq!((got.status.as_u16(), error["param"].as_str()), (400, Some("model")), "{got:?}");
        assert!(error["message"].as_str().unwrap().contains("not UTF-8"), "{got:?}");
    }
}

#[tokio::test]
async fn a_body_whose_chunks_are_none_is_the_senders_mistake() {
    let world = World::new(|_| ()).await;
    let request = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n";
    let mut stream = TcpStream::connect(world.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("hexadecimal") && stream.read_buf(&mut got).await.unwrap() > 0 {}
    let got = String::from_utf8_lossy(&got);
    assert!(got.starts_with("HTTP/1.1 400 ") && got.contains("hexadecimal"), "{got}");
}
