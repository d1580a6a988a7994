//! What `analyze` and `explain` look at: resources in files, or those of the cluster of the current context.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, PartialObjectMeta},
    core::DeserializeGuard,
};
use serde::de::DeserializeOwned;
use spillway_crds::Reason;

use super::{cluster, output};
use crate::{
    catalogue::{Catalogue, Overlay},
    clock::Clock,
    compile::{Compiled, Diagnostic, Kind, ObjectRef, compile},
    gather::gather,
    models,
    resources::{CompileSettings, Resources},
    source::{Directory, Files, Problem, Source},
};

/// Where the operator is, unless a flag says otherwise: its catalogue is part of the cluster.
const OPERATOR_NAMESPACE: &str = "spillway-system";
/// What is asked of an API server at a time.
const PAGE: u32 = 500;

/// Flags that say where resources are.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Files and directories of YAML. Default: the cluster of the current context.
    #[arg(value_name = "DIR")]
    pub(super) paths: Vec<PathBuf>,
    /// What is known of models beside the built-in catalogue, as `spillway models -o json` prints it. Default in a cluster: the
    /// operator's ConfigMap.
    #[arg(long, value_name = "FILE")]
    pub(super) catalogue: Option<PathBuf>,
}

/// Resources, and what follows from them.
pub(super) struct World {
    pub(super) resources: Resources,
    pub(super) compiled: Compiled,
    /// The file of each object, by its title. Empty for a cluster.
    pub(super) origins: BTreeMap<String, PathBuf>,
    /// What could not be read.
    pub(super) problems: Vec<Problem>,
}

// === impl Place ===

impl Place {
    /// Reads everything. Objects in files that name no namespace are in `namespace`.
    pub(super) fn read(&self, namespace: &str) -> anyhow::Result<World> {
        if self.paths.is_empty() { self.cluster() } else { self.files(namespace) }
    }

    fn files(&self, namespace: &str) -> anyhow::Result<World> {
        exist(&self.paths)?;
        let directory = Directory::new(self.paths.clone(), namespace);
        let files = Files::new(directory, Vec::new(), Vec::new()).with_models(self.catalogue.clone());
        let files = Arc::new(files.map_err(|problem| anyhow::anyhow!("--catalogue {problem}"))?);
        let (origins, problems) = (files.origins(), files.problems());
        let today = Some(Clock::system().today());
        let resources = gather(&Source::Directory(files), &CompileSettings::default(), today).resources;
        if origins.is_empty() && problems.is_empty() {
            let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
            anyhow::bail!(
                "there are no resources of Spillway in {} (they are in *.yaml, *.yml and *.json)",
                paths.join(", ")
            );
        }
        let compiled = compile(&resources);
        Ok(World { resources, compiled, origins, problems })
    }

    fn cluster(&self) -> anyhow::Result<World> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = cluster::client(", or name the files or directories of the resources").await?;
            let mut resources = listed(&client).await?;
            resources.settings.catalogue = self.known(client).await?;
            resources.settings.today = Some(Clock::system().today());
            let mut compiled = compile(&resources);
            forget_secrets(&mut compiled);
            Ok(World { resources, compiled, origins: BTreeMap::new(), problems: Vec::new() })
        })
    }

    /// The catalogue that the operator has, as far as one may look.
    async fn known(&self, client: Client) -> anyhow::Result<Catalogue> {
        if let Some(file) = &self.catalogue {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(|| format!("--catalogue {name}"))?;
            return Ok(Catalogue::with(Overlay::read([(name.as_str(), text.as_str())]).context("--catalogue")?));
        }
        let name = format!("ConfigMap {OPERATOR_NAMESPACE}/{}", models::CONFIG_MAP);
        match models::read(client, OPERATOR_NAMESPACE, models::CONFIG_MAP).await {
            Ok(None) => Ok(Catalogue::default()),
            Ok(Some(documents)) => {
                let texts = documents.iter().map(|(key, text)| (key.as_str(), text.as_str()));
                // The operator has refused it as well, and told its author.
                Ok(Overlay::read(texts).map(Catalogue::with).unwrap_or_default())
            }
            Err(error) => {
                output::note(&format!(
                    "spillway: {name} cannot be read, so models are as the built-in catalogue has them: {error}"
                ));
                Ok(Catalogue::default())
            }
        }
    }
}

/// A path that leads nowhere is a mistake on the command line, and nothing in a resource.
pub(super) fn exist(paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths {
        std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(())
}

/// Everything of the cluster but Secrets: what is wrong with those is in the conditions, and no key has to travel for it.
pub(super) async fn listed(client: &Client) -> anyhow::Result<Resources> {
    let namespaces = Api::<Namespace>::all(client.clone()).list_metadata(&ListParams::default()).await;
    let labels = |it: &PartialObjectMeta<Namespace>| (it.name_any(), it.labels().clone());
    Ok(Resources {
        providers: all(client).await?,
        routes: all(client).await?,
        policies: all(client).await?,
        budgets: all(client).await?,
        namespaces: namespaces.context("cannot list Namespaces")?.items.iter().map(labels).collect(),
        ..Resources::default()
    })
}

/// All objects of a kind. One that this version cannot read is told and left out.
async fn all<K>(client: &Client) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let (mut found, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let list =
            api.list(&page).await.with_context(|| format!("cannot list {} of all namespaces", K::plural(&())))?;
        for object in list.items {
            match object.0 {
                Ok(object) => found.push(object),
                Err(invalid) => {
                    let name = invalid.metadata.name.as_deref().unwrap_or_default();
                    let namespace = invalid.metadata.namespace.as_deref().unwrap_or_default();
                    let kind = K::kind(&());
                    output::note(&format!("spillway: {kind} {namespace}/{name} cannot be read: {}", invalid.error));
                }
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// Nobody looked for Secrets, so nothing is known of them.
fn forget_secrets(compiled: &mut Compiled) {
    let Compiled { providers, diagnostics, facts, .. } = compiled;
    diagnostics.retain(|one| match one.reason {
        Reason::SecretNotFound | Reason::SecretKeyNotFound => false,
        Reason::HostNotAllowed => one.condition != spillway_crds::ConditionType::ResolvedRefs,
        // Either the provider was refused, or its key is missing; then it is there all the same.
        Reason::ProviderNotReady => !names_one_of(one, facts, providers),
        _ => true,
    });
}

fn names_one_of(
    one: &Diagnostic,
    facts: &BTreeMap<String, crate::compile::RouteFacts>,
    providers: &spillway_wire::Map<spillway_wire::Provider>,
) -> bool {
    let index = one.path.as_deref().and_then(|path| path.strip_prefix("spec.backends["));
    let index = index.and_then(|rest| rest.split_once(']')).and_then(|(index, _)| index.parse::<usize>().ok());
    let backend = index.zip(facts.get(&one.object.key())).and_then(|(index, facts)| facts.backends.get(index));
    backend.is_some_and(|backend| providers.contains_key(&backend.provider))
}

// === impl World ===

impl World {
    /// The names of all routes, for those who look for one.
    pub(super) fn routes(&self) -> Vec<ObjectRef> {
        let mut names: Vec<ObjectRef> =
            self.resources.routes.iter().map(|route| ObjectRef::of(Kind::ModelRoute, route)).collect();
        names.sort();
        names
    }
}
