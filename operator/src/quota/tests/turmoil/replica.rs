//! A replica: the bank and its loop, with simulated connections in place of HTTP.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::{cell::RefCell, net::IpAddr};

use serde::{Deserialize, Serialize};
use spillway_wire::{QuotaDelivery, Rights, RightsDelivery};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use turmoil::net::{TcpListener, TcpStream};

use super::faults::Dice;
use super::{MEMBERS, REPLICAS, api, lines, member, observer::Observer};
use crate::changes::Changes;
use crate::clock::Clock;
use crate::compile::compile;
use crate::lease::{Leadership, Tenure};
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::publish::Publisher;
use crate::quota::{Bank, Runner, Store};
use crate::relay::Relay;
use crate::resources::world::{object, world};

pub(super) const PORT: u16 = 8443;
const RENEW: Duration = Duration::from_secs(2);
/// As the real one takes them to be apart.
const CLOCKS_APART: Duration = Duration::from_secs(1);

/// Who calls.
#[derive(Serialize, Deserialize)]
pub(super) enum Hello {
    /// A sidecar: reports go up, rights come down.
    Member { uid: String },
    /// A replica that follows: the same for all of its sidecars.
    Replica,
}

type Streams = Rc<RefCell<HashMap<String, mpsc::UnboundedSender<Rights>>>>;

/// One life of a replica.
pub(super) async fn serve(index: usize, observer: Observer) -> turmoil::Result {
    let mut dice = Dice::new(observer.seed() ^ (index as u64 + 77));
    // Two seconds off at most, either way.
    let wall = jiff::Timestamp::from_millisecond(1_795_262_400_000 + dice.below(4_000) as i64 - 2_000)?;
    let (lead, leadership) = watch::channel(Leadership::Unknown);
    let (hold, tenure) = watch::channel(None);
    let (relay, streams) = (Relay::default(), Streams::default());
    let bank = Bank::new(relay, leadership.clone(), Clock::starting_at(wall));
    let budget = format!("{{limit: '{}', period: Once}}", super::LIMIT / 1_000_000_000);
    let route = super::limited(observer.seed());
    bank.follow(&Arc::new(compile(&world(&[&route, &object("ModelBudget", &budget)]))));
    let pods = Pods::fixed((0..MEMBERS).map(member::pod));
    let metrics = Metrics::new();
    let runner = Runner {
        bank: bank.clone(),
        store: Store::Simulated,
        publisher: Publisher::new(pods.clone(), Changes::default(), metrics.clone()),
        pods,
        tenure,
        metrics,
        instance: format!("{index}/{:?}", turmoil::sim_elapsed()),
    };
    tokio::spawn(runner.run(CancellationToken::new()));
    tokio::task::spawn_local(compete(index, lead, hold));
    let (reported, reports) = mpsc::unbounded_channel();
    tokio::task::spawn_local(follow(leadership, reports, streams.clone()));
    tokio::task::spawn_local(hand_out(bank.clone(), streams.clone()));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::task::spawn_local(converse(stream, bank.clone(), reported.clone(), streams.clone()));
    }
}

/// Tries to hold the Lease, and says for how long nobody else can.
async fn compete(index: usize, lead: watch::Sender<Leadership>, hold: watch::Sender<Tenure>) {
    let own = REPLICAS[index];
    let mut tick = interval(RENEW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = tokio::time::Instant::now().into_std();
        match api::lease(own).await {
            Some(leader) if leader == own => {
                hold.send_replace(Some(asked + api::LEASE - CLOCKS_APART));
                lead.send_replace(Leadership::Leading);
            }
            Some(leader) => _ = lead.send_replace(Leadership::Following { ip: address(&leader), name: leader }),
            None => {
                let over = hold.borrow().is_none_or(|until| until <= tokio::time::Instant::now().into_std());
                if over {
                    lead.send_replace(Leadership::Unknown);
                }
            }
        }
    }
}

fn address(replica: &str) -> IpAddr {
    turmoil::lookup(replica)
}

/// What the leader's loop says goes to the streams that end here; replicas that follow listen for themselves.
async fn hand_out(bank: Bank, streams: Streams) {
    let mut rights = bank.lines();
    loop {
        if let Ok(line) = rights.recv().await {
            deliver(&streams, serde_json::from_slice(&line).unwrap());
        }
    }
}

fn deliver(streams: &Streams, RightsDelivery { uid, rights }: RightsDelivery) {
    if let Some(stream) = streams.borrow().get(&uid) {
        // It may have ended a moment ago.
        let _ = stream.send(rights);
    }
}

/// One connection, to its end.
async fn converse(stream: TcpStream, bank: Bank, reported: mpsc::UnboundedSender<QuotaDelivery>, streams: Streams) {
    let (mut reader, mut writer) = lines::split(stream);
    match reader.next::<Hello>().await {
        Some(Hello::Member { uid }) => {
            let (rights, mut down) = mpsc::unbounded_channel();
            streams.borrow_mut().insert(uid, rights);
            loop {
                tokio::select! {
                    delivery = reader.next::<QuotaDelivery>() => {
                        let Some(delivery) = delivery else { return };
                        bank.receive(delivery.clone()).unwrap();
                        let _ = reported.send(delivery);
                    }
                    rights = down.recv() => {
                        // None: it has come back on another connection.
                        let Some(rights) = rights else { return };
                        if writer.send(&rights).await.is_err() { return }
                    }
                }
            }
        }
        Some(Hello::Replica) => {
            let mut rights = bank.lines();
            loop {
                tokio::select! {
                    delivery = reader.next::<QuotaDelivery>() => {
                        let Some(delivery) = delivery else { return };
                        bank.receive_relayed(&delivery).unwrap();
                    }
                    line = rights.recv() => {
                        let Ok(line) = line else { return };
                        let delivery: RightsDelivery = serde_json::from_slice(&line).unwrap();
                        if writer.send(&delivery).await.is_err() { return }
                    }
                }
            }
        }
        None => {}
    }
}

/// Passes reports on to whoever leads, and takes what comes back.
async fn follow(
    mut leadership: watch::Receiver<Leadership>,
    mut reports: mpsc::UnboundedReceiver<QuotaDelivery>,
    streams: Streams,
) {
    loop {
        let leader = match &*leadership.borrow_and_update() {
            Leadership::Following { name, .. } => Some(name.clone()),
            Leadership::Leading | Leadership::Unknown => None,
        };
        let talk = async {
            let Some(leader) = leader else { return std::future::pending().await };
            let connected = TcpStream::connect((leader, PORT)).await;
            if let Ok(stream) = connected {
                let (mut reader, mut writer) = lines::split(stream);
                let _ = writer.send(&Hello::Replica).await;
                loop {
                    tokio::select! {
                        Some(delivery) = reports.recv() => if writer.send(&delivery).await.is_err() { break },
                        delivery = reader.next::<RightsDelivery>() => match delivery {
                            Some(delivery) => deliver(&streams, delivery),
                            None => break,
                        },
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        tokio::select! {
            () = talk => {}
            changed = leadership.changed() => if changed.is_err() { return },
        }
    }
}
