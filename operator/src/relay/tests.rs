use std::io::Write;

use http::Response;
use http_body_util::BodyExt;
use spillway_wire::{Ack, Report, SidecarIdentity};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::tls::{Authority, Limits, full, serve};

const HOST: &str = "spillway.spillway-system.svc";

fn delivery(uid: &str, sequence: u64) -> Delivery {
    Delivery {
        from: SidecarIdentity {
            namespace: "shop".into(),
            pod: uid.into(),
            uid: uid.into(),
            workload: "Pod/x".into(),
            ..SidecarIdentity::default()
        },
        report: Report {
            boot: "b".into(),
            sequence,
            ack: Ack::default(),
            usage: Vec::new(),
            last: false,
            backends: Vec::new(),
        },
    }
}

fn leader(name: &str) -> Leadership {
    Leadership::Following { name: name.into(), ip: [127, 0, 0, 1].into() }
}

/// A leader that says `421` to the first request, and passes on what it is told after that.
async fn listen(tls: &Tls, stop: &CancellationToken) -> (u16, mpsc::UnboundedReceiver<(String, Vec<Delivery>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = mpsc::unbounded_channel();
    let refused = Arc::new(Mutex::new(false));
    let handler = move |request: http::Request<hyper::body::Incoming>, _| {
        let (heard, refused) = (heard.clone(), refused.clone());
        async move {
            if !std::mem::replace(&mut *refused.lock().unwrap(), true) {
                return Response::builder().status(421).body(full("")).unwrap();
            }
            let token = request.headers()["authorization"].to_str().unwrap().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            heard.send((token, serde_json::from_slice(&body).unwrap())).unwrap();
            Response::builder().status(204).body(full("")).unwrap()
        }
    };
    tokio::spawn(serve(listener, tls.sidecar_config(), Limits::default(), handler, stop.clone()));
    (port, hears)
}

#[tokio::test]
async fn reports_reach_the_leader_and_every_new_leader_hears_all_of_them() {
    let clock = Clock::system();
    let tls = Tls::new(Authority::generate(clock.wall()).unwrap(), [HOST.to_owned()], clock).unwrap();
    let stop = CancellationToken::new();
    let (port, mut hears) = listen(&tls, &stop).await;
    let mut token = tempfile::NamedTempFile::new().unwrap();
    writeln!(token, "operator-token").unwrap();
    let (host, token_file, metrics) = (HOST.to_owned(), token.path().to_owned(), Metrics::new());
    let link = Link { tls, host, port, token_file, metrics: metrics.clone() };
    let (leadership, follows) = watch::channel(Leadership::Leading);
    let relay = Relay::default();
    relay.offer(delivery("a", 1));
    relay.offer(delivery("a", 2));
    let runs = tokio::spawn({
        let (relay, stop) = (relay.clone(), stop.clone());
        async move { relay.run(link, follows, stop).await }
    });
    leadership.send_replace(leader("spillway-b"));
    let (token, deliveries) = hears.recv().await.unwrap();
    assert_eq!(token, "Bearer operator-token");
    assert_eq!(deliveries, [delivery("a", 2)], "only the newest, and in spite of the first refusal");
    assert_eq!(metrics.relay_failures.get(), 1);

    relay.offer(delivery("b", 1));
    assert_eq!(hears.recv().await.unwrap().1, [delivery("b", 1)]);
    leadership.send_replace(Leadership::Unknown);
    tokio::task::yield_now().await;
    while leadership.receiver_count() > 0 && !relay.queue().batch().len().eq(&2) {
        tokio::task::yield_now().await;
    }
    leadership.send_replace(leader("spillway-c"));
    assert_eq!(hears.recv().await.unwrap().1, [delivery("a", 2), delivery("b", 1)]);
    stop.cancel();
    runs.await.unwrap();
}
