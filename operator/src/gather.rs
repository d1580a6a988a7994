//! Source to values: everything `compile` may look at, copied out in one go.

use std::collections::BTreeMap;

use jiff::civil::Date;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource, ResourceExt,
    runtime::reflector::{self, Store},
};
use spillway_crds::{ConditionType, ModelProvider, Reason};

use crate::{
    compile::{Diagnostic, Kind, ObjectRef, Severity},
    resources::{CompileSettings, Resources},
    source::{Files, Object, Source},
    stores::{Stores, Tolerant},
};

/// Every namespace carries its name as a label, in a cluster because the API server says so.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    pub resources: Resources,
    /// Objects that exist but could not be read: no part of the resources, but their authors are told.
    pub unreadable: Vec<Unreadable>,
}

/// An object that could not be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    pub metadata: ObjectMeta,
    pub diagnostic: Diagnostic,
}

/// Copies out what the source holds now. Without `today` nobody asks which models are about to be switched off.
#[must_use]
pub fn gather(source: &Source, settings: &CompileSettings, today: Option<Date>) -> Gathered {
    let mut gathered = match source {
        Source::Cluster(stores) => from_cluster(stores),
        Source::Directory(files) => from_files(files),
    };
    let overrides = std::mem::take(&mut gathered.resources.settings.endpoint_overrides);
    gathered.resources.settings = settings.clone();
    gathered.resources.settings.endpoint_overrides.extend(overrides);
    gathered.resources.settings.catalogue = source.catalogue();
    gathered.resources.settings.today = today;
    gathered
}

fn from_cluster(stores: &Stores) -> Gathered {
    let mut unreadable = Vec::new();
    let resources = Resources {
        providers: readable(Kind::ModelProvider, &stores.providers, &mut unreadable),
        routes: readable(Kind::ModelRoute, &stores.routes, &mut unreadable),
        policies: readable(Kind::FallbackPolicy, &stores.policies, &mut unreadable),
        budgets: readable(Kind::ModelBudget, &stores.budgets, &mut unreadable),
        secrets: stores.secrets.iter().flat_map(Store::state).map(|secret| (*secret).clone()).collect(),
        namespaces: stores.namespaces.state().iter().map(|it| (it.name_any(), it.labels().clone())).collect(),
        settings: CompileSettings::default(),
    };
    Gathered { resources, unreadable }
}

fn readable<K>(kind: Kind, store: &Store<Tolerant<K>>, unreadable: &mut Vec<Unreadable>) -> Vec<K>
where
    K: Resource<DynamicType = ()> + reflector::Lookup<DynamicType = ()> + Clone + 'static,
{
    let mut objects = Vec::new();
    for object in store.state() {
        match &object.0 {
            Ok(object) => objects.push(object.clone()),
            Err(invalid) => unreadable.push(Unreadable {
                metadata: invalid.metadata.clone(),
                diagnostic: Diagnostic {
                    object: ObjectRef::of(kind, &*object),
                    condition: ConditionType::Accepted,
                    reason: Reason::Invalid,
                    path: None,
                    message: format!("this version of Spillway cannot read the object: {}", invalid.error),
                    severity: Severity::Refuse,
                    route: None,
                },
            }),
        }
    }
    objects
}

fn from_files(files: &Files) -> Gathered {
    let mut resources = Resources::default();
    let mut namespaces = BTreeMap::<String, BTreeMap<String, String>>::new();
    files.each(|object| {
        if let Some(namespace) = object.namespace() {
            namespaces.entry(namespace).or_default();
        }
        match object.clone() {
            Object::Provider(provider) => resources.providers.push(provider),
            Object::Route(route) => resources.routes.push(route),
            Object::Policy(policy) => resources.policies.push(policy),
            Object::Budget(budget) => resources.budgets.push(budget),
            Object::Secret(secret) => resources.secrets.push(secret),
            Object::Namespace(namespace) => {
                let labels = namespace.labels().clone();
                namespaces.entry(namespace.name_any()).or_default().extend(labels);
            }
        }
    });
    for (name, labels) in &mut namespaces {
        labels.insert(NAME_LABEL.to_owned(), name.clone());
    }
    for fill in files.fills() {
        let hosts =
            resources.providers.iter().filter(|provider| uses(provider, fill)).filter_map(host).collect::<Vec<_>>();
        fill.apply(&mut resources.secrets, &hosts);
    }
    for provider in &resources.providers {
        let name = ObjectRef::of(Kind::ModelProvider, provider);
        let endpoint = files.endpoints().iter().find(|endpoint| endpoint.is_about(&name.namespace, &name.name));
        resources.settings.endpoint_overrides.extend(endpoint.map(|endpoint| (name.key(), endpoint.url.clone())));
    }
    resources.namespaces = namespaces;
    Gathered { resources, unreadable: Vec::new() }
}

fn uses(provider: &ModelProvider, fill: &crate::source::Fill) -> bool {
    let namespace = provider.namespace().unwrap_or_default();
    let credentials = &provider.spec.credentials;
    credentials.secret_ref.iter().chain(&credentials.secret_refs).any(|secret| fill.is(&namespace, &secret.name))
}

/// `host` or `host:port` of the endpoint, when the resource gives one.
fn host(provider: &ModelProvider) -> Option<String> {
    let endpoint: http::Uri = provider.spec.endpoint.as_deref()?.parse().ok()?;
    Some(endpoint.authority()?.to_string())
}

#[cfg(test)]
mod tests;
