//! The operator in a cluster: what is started, in which order, and when it is ready.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::Client;
use spillway_wire::QuotaDelivery;
use tokio::{net::TcpListener, sync::watch, time};
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use crate::{
    admin::{self, Pages},
    changes::Changes,
    clock::Clock,
    context::Context,
    inject::Injection,
    lease::{self, Candidate, Leadership, Standing, Tenure},
    metrics::Metrics,
    models::Models,
    pods::Pods,
    publish::{
        Endpoint, Publisher,
        auth::{ApiServer, Authenticator, TokenVerifier},
    },
    quota::{self, Bank, Runner},
    reconcile,
    relay::{Link, Relay},
    resources::CompileSettings,
    settings::{ClusterSettings, Settings},
    source::Source,
    status, stores,
    stores::Stores,
    tls::{self, Limits, Tls},
    usage::{Intake, Store},
    webhook::Webhooks,
};

/// Between attempts to reach the API server at start.
const RETRY: Duration = Duration::from_secs(2);

/// The parts that several tasks share.
struct Parts {
    client: Client,
    clock: Clock,
    metrics: Metrics,
    changes: Changes,
    pods: Pods,
    publisher: Publisher,
    tls: Tls,
    leadership: watch::Receiver<Leadership>,
    tenure: watch::Receiver<Tenure>,
    relay: Relay,
    bank: Bank,
    quota_relay: Relay<QuotaDelivery>,
    intake: Intake,
}

/// Starts everything. Returns once all ports are bound; the operator is ready when every watch is complete.
pub(super) async fn start(
    settings: &Settings,
    cluster: &ClusterSettings,
    draining: CancellationToken,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("find the API server (fix: run in a pod, or set KUBECONFIG)")?;
    let sidecars = bind("--sidecar-addr", settings.sidecar_addr).await?;
    let webhooks = bind("--webhook-addr", settings.webhook_addr).await?;
    let admin = bind("--admin-addr", settings.admin_addr).await?;
    let (metrics, changes, pods) = (Metrics::new(), Changes::default(), Pods::default());
    let source = Source::Cluster(watch_cluster(settings, cluster, &client, (&changes, &pods), tasks));
    let serving = CancellationToken::new();
    let pages = pages(source.clone(), pods.clone(), metrics.clone(), serving.clone(), draining);
    tasks.spawn("admin", admin::serve(admin, pages, tasks.stop()));
    let parts = parts(settings, client, metrics, changes, pods, tasks).await?;
    let (statuses, wanted) = watch::channel(Vec::new());
    let compile = CompileSettings {
        allowed_private_ranges: settings.allowed_private_ranges.clone(),
        secret_namespaces: cluster.secret_namespaces.clone(),
        ..CompileSettings::default()
    };
    let context = Context {
        source,
        compile,
        changes: parts.changes.clone(),
        publisher: parts.publisher.clone(),
        pods: parts.pods.clone(),
        usage: parts.intake.clone(),
        bank: parts.bank.clone(),
        clock: parts.clock,
        metrics: parts.metrics.clone(),
        statuses,
    };
    serve_webhooks(settings, &parts, &context, webhooks, tasks);
    serve_sidecars(settings, &parts, sidecars, tasks);
    keep_books(settings, &parts, tasks);
    let writer = status::Writer {
        client: parts.client.clone(),
        clock: parts.clock,
        metrics: parts.metrics.clone(),
        instance: settings.pod_name.clone(),
    };
    tasks.spawn_forever("status", writer.run(wanted));
    tasks.spawn_forever("reconcile", reconcile::run(context));
    serving.cancel();
    Ok(())
}

/// Starts everything that follows the API server.
fn watch_cluster(
    settings: &Settings,
    cluster: &ClusterSettings,
    client: &Client,
    (changes, pods): (&Changes, &Pods),
    tasks: &mut Tasks,
) -> Stores {
    let ClusterSettings { secret_namespaces, catalogue } = cluster;
    let (stores, watches) = Stores::watching(client, secret_namespaces, changes);
    for (name, watch) in watches {
        tasks.spawn_forever(name, watch);
    }
    tasks.spawn_forever("pods", stores::follow_pods(client.clone(), pods.clone()));
    let models = Models {
        client: client.clone(),
        namespace: settings.namespace.clone(),
        name: catalogue.clone(),
        held: stores.models.clone(),
        changes: changes.clone(),
        instance: settings.pod_name.clone(),
    };
    tasks.spawn_forever("catalogue", models.follow());
    stores
}

async fn parts(
    settings: &Settings,
    client: Client,
    metrics: Metrics,
    changes: Changes,
    pods: Pods,
    tasks: &mut Tasks,
) -> anyhow::Result<Parts> {
    let clock = Clock::system();
    let tls = certificates(settings, &client, clock).await?;
    let (leadership, tenure) = compete(settings, &client, (&changes, clock), &metrics, tasks);
    let publisher = Publisher::new(pods.clone(), changes.clone(), metrics.clone());
    let relay = Relay::default();
    let intake = Intake::new(relay.clone(), leadership.clone(), changes.clone(), clock);
    let quota_relay = Relay::default();
    let bank = Bank::new(quota_relay.clone(), leadership.clone(), clock);
    Ok(Parts {
        client,
        clock,
        metrics,
        changes,
        pods,
        publisher,
        tls,
        leadership,
        tenure,
        relay,
        bank,
        quota_relay,
        intake,
    })
}

/// The shared authority and this replica's certificate. Waits for an API server that is not there yet.
async fn certificates(settings: &Settings, client: &Client, clock: Clock) -> anyhow::Result<Tls> {
    let authority = loop {
        match tls::load_or_create(client, &settings.namespace, clock).await {
            Ok(authority) => break authority,
            Err(error) => tracing::warn!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "no certificate authority yet, trying again"
            ),
        }
        time::sleep(RETRY).await;
    };
    let host = host(settings);
    let mut names = vec![format!("{host}.cluster.local"), host, "localhost".to_owned()];
    names.extend(settings.pod_ip.map(|ip| ip.to_string()));
    Ok(Tls::new(authority, names, clock)?)
}

/// Competes for the Lease, or leads alone; either way a change is a reason to look at statuses.
fn compete(
    settings: &Settings,
    client: &Client,
    (changes, clock): (&Changes, Clock),
    metrics: &Metrics,
    tasks: &mut Tasks,
) -> (watch::Receiver<Leadership>, watch::Receiver<Tenure>) {
    let (Some(pod_ip), true) = (settings.pod_ip, settings.leader_election) else {
        metrics.leader.set(1);
        return (lease::always(), watch::channel(None).1);
    };
    let (sender, leadership) = watch::channel(Leadership::Unknown);
    let candidate = Candidate {
        client: client.clone(),
        namespace: settings.namespace.clone(),
        pod_name: settings.pod_name.clone(),
        pod_ip,
        clock,
    };
    let (until, tenure) = watch::channel(Some(clock.monotonic()));
    let standing = Standing { leadership: sender, tenure: until };
    tasks.spawn("lease", candidate.run(standing, tasks.stop()));
    let (mut seen, changes, leader) = (leadership.clone(), changes.clone(), metrics.leader.clone());
    tasks.spawn_forever("leadership", async move {
        while seen.changed().await.is_ok() {
            leader.set(i64::from(seen.borrow_and_update().is_leading()));
            changes.fleet();
        }
        std::future::pending::<()>().await;
    });
    (leadership, tenure)
}

fn serve_webhooks(settings: &Settings, parts: &Parts, context: &Context, listener: TcpListener, tasks: &mut Tasks) {
    let injection = Injection {
        image: settings.sidecar_image.clone(),
        pull_policy: settings.sidecar_image_pull_policy.clone(),
        operator_url: format!("https://{}:{}", host(settings), settings.sidecar_addr.port()),
        ca_pem: String::new(),
    };
    let webhooks = Arc::new(Webhooks {
        source: context.source.clone(),
        compile: context.compile.clone(),
        tls: parts.tls.clone(),
        metrics: parts.metrics.clone(),
        clock: parts.clock,
        injection,
    });
    let handler = move |request, _closing| webhooks.clone().answer(request);
    let config = parts.tls.webhook_config();
    tasks.spawn("webhooks", tls::serve(listener, config, Limits::default(), handler, tasks.stop()));
}

fn serve_sidecars(settings: &Settings, parts: &Parts, listener: TcpListener, tasks: &mut Tasks) {
    let own_account = format!("{}/{}", settings.namespace, settings.service_account);
    let verifier = TokenVerifier::new(ApiServer::new(parts.client.clone()), parts.clock);
    let endpoint = Endpoint {
        publisher: parts.publisher.clone(),
        authenticator: Authenticator::cluster(verifier, parts.pods.clone(), own_account),
        intake: parts.intake.clone(),
        bank: parts.bank.clone(),
        tls: parts.tls.clone(),
        metrics: parts.metrics.clone(),
    };
    tasks.spawn("sidecars", endpoint.serve(listener, Limits::default(), tasks.stop()));
    let publisher = parts.publisher.clone();
    tasks.spawn_forever("publisher", async move { publisher.follow_pods().await });
}

/// The ledger, the relay to the leader, and the certificates.
fn keep_books(settings: &Settings, parts: &Parts, tasks: &mut Tasks) {
    let store = Store::cluster(parts.client.clone(), &settings.namespace, parts.metrics.clone());
    tasks.spawn("ledger", store.run(parts.intake.clone(), parts.pods.clone(), tasks.stop()));
    let link = Link {
        tls: parts.tls.clone(),
        host: host(settings),
        port: settings.sidecar_addr.port(),
        token_file: settings.token_file.clone(),
        metrics: parts.metrics.clone(),
    };
    hand_out(settings, parts, &link, tasks);
    let (relay, leadership, stop) = (parts.relay.clone(), parts.leadership.clone(), tasks.stop());
    tasks.spawn("relay", async move { relay.run(link, leadership, stop).await });
    let (tls, cluster) = (parts.tls.clone(), (parts.client.clone(), settings.namespace.clone()));
    let stop = tasks.stop();
    tasks.spawn("certificates", async move { tls.keep(Some(cluster), stop).await });
}

/// Rights: handed out while this replica leads, and otherwise fetched from the one that does.
fn hand_out(settings: &Settings, parts: &Parts, link: &Link, tasks: &mut Tasks) {
    let runner = Runner {
        bank: parts.bank.clone(),
        store: quota::Store::cluster(parts.client.clone(), &settings.namespace),
        publisher: parts.publisher.clone(),
        pods: parts.pods.clone(),
        tenure: parts.tenure.clone(),
        metrics: parts.metrics.clone(),
        instance: format!("{}/{}", settings.pod_name, parts.clock.wall()),
    };
    tasks.spawn("rights", runner.run(tasks.stop()));
    let (relay, leadership, stop) = (parts.quota_relay.clone(), parts.leadership.clone(), tasks.stop());
    let to_leader = link.clone();
    tasks.spawn("quota relay", async move { relay.run(to_leader, leadership, stop).await });
    let following = quota::follow(link.clone(), parts.leadership.clone(), parts.publisher.clone());
    tasks.spawn_forever("rights from the leader", following);
}

fn pages(
    source: Source,
    pods: Pods,
    metrics: Metrics,
    serving: CancellationToken,
    draining: CancellationToken,
) -> Pages {
    Pages {
        pending: Arc::new(move || {
            let mut pending: Vec<String> = source.pending().into_iter().map(str::to_owned).collect();
            if !serving.is_cancelled() {
                pending.push("certificates".to_owned());
            }
            if !pods.read().is_ready() {
                pending.push("pods".to_owned());
            }
            if draining.is_cancelled() {
                pending.push("the end".to_owned());
            }
            pending
        }),
        metrics: Arc::new(move || metrics.render()),
        status: None,
    }
}

async fn bind(flag: &str, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("{flag} {addr}"))
}

/// The name of the operator's Service, which is the name in its certificate.
fn host(settings: &Settings) -> String {
    format!("{}.{}.svc", settings.service_name, settings.namespace)
}
