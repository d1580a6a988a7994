//! `spillway dev`: operator, sidecar and a command on one machine, configured from files.
//!
//! Nothing here is a shortcut: the resources are compiled as in a cluster and pushed over TLS to the same sidecar binary, which
//! proves itself with a random token. Only the API server is missing.

mod args;
mod process;
mod sidecar;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use kube::ResourceExt;
use secrecy::SecretString;
use tokio::time;
use tokio_util::sync::CancellationToken;

pub(super) use args::Args;

use super::{DEFAULT_NAMESPACE, output};
use crate::{
    app::{
        local::{self, Local, Plan},
        tasks::Tasks,
    },
    compile::{Kind, ObjectRef},
    gather::gather,
    inject::app_env,
    pods::PodEntry,
    resources::{CompileSettings, Resources},
    source::{Directory, Endpoint, Files, Fill, Source},
};

/// As `env` and `timeout` have it: the failure is ours and not the command's.
const OWN_FAILURE: u8 = 125;
/// As the kubelet does it, if less patiently.
const RESTART: Duration = Duration::from_secs(1);

/// Runs the command to its end.
pub(super) fn run(args: Args) -> ExitCode {
    let filter = if args.verbose { "info" } else { "warn" };
    let result = output::log_plain(filter).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(dev(args))
    });
    result.unwrap_or_else(|error| {
        output::fail(&error);
        ExitCode::from(OWN_FAILURE)
    })
}

async fn dev(args: Args) -> anyhow::Result<ExitCode> {
    if !args.path.exists() {
        bail!(
            "{} does not exist (fix: name a file or directory of ModelProviders and ModelRoutes)",
            args.path.display()
        );
    }
    let files = files(&args)?;
    for problem in files.problems() {
        output::note(&format!("spillway: {problem}"));
    }
    let files = Source::Directory(files.into());
    let resources = gather(&files, &CompileSettings::default(), None).resources;
    known(&args.endpoint, &resources)?;
    let Source::Directory(files) = files else { bail!("the source is a directory") };
    let pod = pod(&args, &resources);
    let token = random_token()?;
    let mut tasks = Tasks::new(CancellationToken::new());
    let stop = tasks.stop();
    let plan = Plan {
        files,
        allowed_private_ranges: args.private_ranges(),
        sidecar_addr: ([127, 0, 0, 1], 0).into(),
        token: token.clone(),
        pod: pod.clone(),
    };
    let local = local::start(plan, &mut tasks).await?;
    let running = tokio::spawn(tasks.run());
    let code = tokio::select! {
        code = beside_a_sidecar(&args, &local, &token, &pod, &resources) => code,
        ended = running => {
            ended??;
            bail!("the operator ended")
        }
    };
    stop.cancel();
    code
}

/// Starts the sidecar, runs the command, ends the sidecar.
async fn beside_a_sidecar(
    args: &Args,
    local: &Local,
    token: &SecretString,
    pod: &PodEntry,
    resources: &Resources,
) -> anyhow::Result<ExitCode> {
    let place = sidecar::Place::prepare(args.data_addr(), token)?;
    let binary = sidecar::binary(args.sidecar_bin.clone());
    let env = place.env(local.addr, &local.ca_pem, args.verbose);
    let hint =
        || format!("{} cannot be run (fix: build spillway-sidecar, or name it with --sidecar-bin)", binary.display());
    let spawn = || process::spawn_sidecar(&binary, &env, args.verbose);
    let mut child = spawn().with_context(hint)?;
    if let Err(error) = place.ready(&mut child).await {
        process::end_sidecar(child).await;
        return Err(error);
    }
    output::note(&format!("spillway: {}", told(resources, pod, place.data.port())));
    let mut work = std::pin::pin!(work(args, place.data.port()));
    loop {
        tokio::select! {
            code = work.as_mut() => {
                process::end_sidecar(child).await;
                return code;
            }
            ended = child.wait() => {
                let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                output::note(&format!("spillway: the sidecar ended ({ended}) and is started again"));
                time::sleep(RESTART).await;
                child = spawn().with_context(hint)?;
            }
        }
    }
}

/// The command, or the wait for Ctrl-C.
async fn work(args: &Args, port: u16) -> anyhow::Result<ExitCode> {
    let env = app_env(port);
    if !args.command.is_empty() {
        return Ok(process::run_command(&args.command, &env).await?);
    }
    for (name, value) in &env {
        output::note(&format!("export {name}={value}"));
    }
    process::until_interrupted().await?;
    Ok(ExitCode::SUCCESS)
}

/// Endpoints are of providers that there are: one with a misspelt name would be for nothing, and say nothing.
fn known(endpoints: &[Endpoint], resources: &Resources) -> anyhow::Result<()> {
    let names: Vec<ObjectRef> =
        resources.providers.iter().map(|provider| ObjectRef::of(Kind::ModelProvider, provider)).collect();
    let unknown = |endpoint: &&Endpoint| !names.iter().any(|name| endpoint.is_about(&name.namespace, &name.name));
    let Some(Endpoint { namespace, name, url: _ }) = endpoints.iter().find(unknown) else { return Ok(()) };
    let given = namespace.iter().chain([name]).map(String::as_str).collect::<Vec<_>>().join("/");
    let mut there: Vec<String> = names.iter().map(ObjectRef::key).collect();
    there.sort_unstable();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    bail!("--endpoint {given}: there is no such ModelProvider (there is {there})")
}

/// The files, with keys and endpoints of the command line.
fn files(args: &Args) -> anyhow::Result<Files> {
    let fill = |text: &String| Fill::parse(text, DEFAULT_NAMESPACE)?.read(|name| std::env::var(name).ok());
    let fills: Vec<Fill> = args.secret.iter().map(fill).collect::<Result<_, _>>().context("--secret")?;
    let directory = Directory::new(vec![args.path.clone()], DEFAULT_NAMESPACE);
    let files = Files::new(directory, fills, args.endpoint.clone()).with_models(args.catalogue.clone());
    files.map_err(|problem| anyhow::anyhow!("--catalogue {problem}"))
}

/// What the command is taken for.
fn pod(args: &Args, resources: &Resources) -> PodEntry {
    let mut namespaces: Vec<String> = resources.routes.iter().filter_map(ResourceExt::namespace).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let only = if let [only] = &namespaces[..] { Some(only.clone()) } else { None };
    let program = args.command.first().map(std::path::Path::new).and_then(std::path::Path::file_name);
    let name = program.map_or("shell".into(), |name| name.to_string_lossy().into_owned());
    PodEntry {
        uid: "dev".to_owned(),
        namespace: args.namespace.clone().or(only).unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        workload: format!("Process/{name}"),
        name,
        labels: args.labels(),
        job: None,
        terminating: false,
        running: true,
    }
}

/// One line on what the command finds.
fn told(resources: &Resources, pod: &PodEntry, port: u16) -> String {
    let compiled = crate::compile::compile(resources);
    let view = compiled.view(&pod.namespace, &pod.labels);
    let models: Vec<&str> = view.routes.values().flat_map(|route| &route.models).map(String::as_str).collect();
    if models.is_empty() {
        let wants: Vec<String> = compiled.routes.keys().cloned().collect();
        let wants =
            if wants.is_empty() { "there is none".to_owned() } else { format!("there is {}", wants.join(", ")) };
        return format!(
            "no ModelRoute is for a pod in namespace {:?} with labels {:?} (hint: {wants}; see --namespace and --labels)",
            pod.namespace, pod.labels
        );
    }
    format!("http://127.0.0.1:{port}/v1 serves {} in namespace {}", models.join(", "), pod.namespace)
}

/// 256 random bits.
fn random_token() -> anyhow::Result<SecretString> {
    let mut bytes = [0; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        bail!("this machine has no source of randomness");
    }
    Ok(SecretString::from(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
