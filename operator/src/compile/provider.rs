//! ModelProvider -> `wire::Provider`, with its keys apart.

mod headers;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use spillway_crds::{
    AllowedNamespaces, ConditionType, Duration, FromNamespaces, ModelProvider, ModelProviderSpec, ProviderModel,
    ProviderTimeouts, ProviderType, Proxy, Quota, Reason,
};
use spillway_wire as wire;

use super::diagnostic::{Diagnostic, Kind, ObjectRef};
use super::duration::Bounds;
use super::endpoint::Endpoint;
use super::known::{Known, known};
use super::{credential, public, rest, secret};
use crate::{catalogue::Catalogue, resources::CompileSettings};

/// A provider that routes may use.
pub(crate) struct Provider {
    pub(crate) object: ObjectRef,
    pub(crate) kind: ProviderType,
    pub(crate) wire: wire::Provider,
    /// Its keys by name, without those that may not be used (and a diagnostic says why).
    pub(crate) keys: Vec<(String, SecretString)>,
    pub(crate) models: Vec<ProviderModel>,
    pub(crate) catalogue: Catalogue,
    allowed: Option<AllowedNamespaces>,
}

/// Timeouts of a provider, and what they are when nothing is said.
const CONNECT_MS: u64 = 5_000;
/// The head of a plain answer comes when all of it has been generated.
const FIRST_BYTE_MS: u64 = 60_000;
const IDLE_MS: u64 = 60_000;
const TOTAL_MS: u64 = 600_000;
/// The most an account's quota may be, as in the schema.
const REQUESTS_PER_MINUTE: u64 = 1_000_000_000;
const TOKENS_PER_MINUTE: u64 = 1_000_000_000_000;
const TIMEOUT: Bounds = Bounds { at_least: 1, at_most: 3_600_000 };

/// Compiles one provider. None: it was refused, and a diagnostic says why.
pub(crate) fn compile(
    provider: &ModelProvider,
    secrets: &[Secret],
    settings: &CompileSettings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Provider> {
    let object = ObjectRef::of(Kind::ModelProvider, provider);
    let mut found = Vec::new();
    let compiled = Draft { object: &object, found: &mut found }.compile(&provider.spec, secrets, settings);
    let refused = found.iter().any(|one| one.condition == ConditionType::Accepted && !one.reason.is_advice());
    diagnostics.append(&mut found);
    compiled.filter(|_| !refused)
}

/// A provider in the making, and what is to be said about it.
struct Draft<'a> {
    object: &'a ObjectRef,
    found: &'a mut Vec<Diagnostic>,
}

// === impl Provider ===

impl Provider {
    /// Whether routes of `namespace`, which has these labels, may use it.
    pub(crate) fn admits(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        if namespace == self.object.namespace {
            return true;
        }
        match &self.allowed {
            None => false,
            Some(AllowedNamespaces { from: FromNamespaces::Same, selector: _ }) => false,
            Some(AllowedNamespaces { from: FromNamespaces::All, selector: _ }) => true,
            Some(AllowedNamespaces { from: FromNamespaces::Selector, selector }) => {
                let none = BTreeMap::new();
                selector.as_ref().is_some_and(|selector| selector.matches(labels.unwrap_or(&none)))
            }
        }
    }
}

// === impl Draft ===

impl Draft<'_> {
    fn invalid(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Diagnostic::refuse(self.object, Reason::Invalid, path, message));
    }

    fn compile(
        &mut self,
        spec: &ModelProviderSpec,
        secrets: &[Secret],
        settings: &CompileSettings,
    ) -> Option<Provider> {
        let Some(known) = known(spec.type_) else {
            let message = format!(
                "this version cannot talk to {}: use another type, or OpenAICompatible behind a gateway",
                spec.type_
            );
            self.found.push(Diagnostic::refuse(self.object, Reason::UnsupportedValue, "spec.type", message));
            return None;
        };
        self.check(spec);
        let timeouts = self.timeouts(spec.timeouts.clone().unwrap_or_default());
        let headers = self.headers(spec.headers.clone().unwrap_or_default());
        let public = public::endpoint(spec, &known);
        let example = public::example(spec.type_, &known);
        let endpoint = self.endpoint(spec, (public.as_deref(), &example), settings)?;
        let proxy = self.proxy(spec.proxy.as_ref());
        let place = (&endpoint, proxy.as_ref(), public.as_deref());
        let mut credentials = self.credentials(spec, known.auth, place, (secrets, settings))?;
        let keys = std::mem::take(&mut credentials.keys);
        Some(Provider {
            object: self.object.clone(),
            kind: spec.type_,
            wire: sent(spec, &known, (endpoint, proxy), credentials, (headers, timeouts)),
            keys,
            models: spec.models.clone(),
            catalogue: settings.catalogue.clone(),
            allowed: spec.allowed_namespaces.clone(),
        })
    }

    /// What is wrong with the fields that nothing else depends on.
    fn check(&mut self, spec: &ModelProviderSpec) {
        self.check_version(spec);
        for (field, message) in public::problems(spec) {
            self.invalid(format!("spec.{field}"), message);
        }
        self.check_models(&spec.models);
        self.check_selector(spec.allowed_namespaces.as_ref());
        if let Some(health) = &spec.health {
            rest::check_health(health, &mut |path, message| self.invalid(path, message));
        }
        self.check_quota(spec.quota.as_ref());
    }

    /// What an account allows at one time cannot be shared out: a pod that is cut off would keep its part for ever.
    fn check_quota(&mut self, quota: Option<&Quota>) {
        let Some(Quota { requests_per_minute, tokens_per_minute, concurrency }) = quota else { return };
        if concurrency.is_some() {
            let message = "cannot be kept for the whole fleet: remove it, and limit each pod's requests in flight by a \
                           limit with concurrency in its ModelRoutes";
            self.invalid("spec.quota.concurrency", message);
        }
        let amounts = [
            ("requestsPerMinute", requests_per_minute.map(u64::from), REQUESTS_PER_MINUTE),
            ("tokensPerMinute", *tokens_per_minute, TOKENS_PER_MINUTE),
        ];
        for (field, amount, most) in amounts {
            if let Some(amount) = amount.filter(|amount| !(1..=most).contains(amount)) {
                self.invalid(format!("spec.quota.{field}"), format!("{amount} is outside of 1 to {most}"));
            }
        }
    }

    fn endpoint(
        &mut self,
        spec: &ModelProviderSpec,
        (public, example): (Option<&str>, &str),
        settings: &CompileSettings,
    ) -> Option<Endpoint> {
        let overridden = settings.endpoint_overrides.get(&self.object.key());
        let Some(text) = overridden.map(String::as_str).or(spec.endpoint.as_deref()).or(public) else {
            if matches!(spec.type_, ProviderType::Bedrock | ProviderType::VertexAI) {
                // What is missing is the region or the project, and that was said.
                return None;
            }
            let message = format!("type {} has no public endpoint: say where it is, like {example}", spec.type_);
            self.invalid("spec.endpoint", message);
            return None;
        };
        match Endpoint::parse(text).map(|endpoint| public::complete(spec, endpoint)) {
            Ok(endpoint) if endpoint.https || overridden.is_some() || spec.allow_insecure == Some(true) => {
                Some(endpoint)
            }
            Ok(_) => {
                let message =
                    format!("{text:?} sends keys and prompts in clear: use https://, or set spec.allowInsecure: true");
                self.invalid("spec.endpoint", message);
                None
            }
            Err(message) => {
                self.invalid("spec.endpoint", format!("{message}: write it like {example}"));
                None
            }
        }
    }

    /// The proxy, checked like an endpoint.
    fn proxy(&mut self, given: Option<&Proxy>) -> Option<Endpoint> {
        let Proxy { url } = given?;
        match Endpoint::parse(url) {
            Ok(proxy) if proxy.is_bare() => return Some(proxy),
            Ok(_) => self.invalid("spec.proxy.url", format!("{url:?}: a proxy has no path, only a host and a port")),
            Err(message) => {
                self.invalid("spec.proxy.url", format!("{message}: write it like http://egress.corp:3128"));
            }
        }
        None
    }

    fn credentials(
        &mut self,
        spec: &ModelProviderSpec,
        auth: wire::AuthScheme,
        (endpoint, proxy, public): (&Endpoint, Option<&Endpoint>, Option<&str>),
        (secrets, settings): (&[Secret], &CompileSettings),
    ) -> Option<credential::Found> {
        let usage = secret::Use {
            namespace: &self.object.namespace,
            endpoint,
            through: proxy.filter(|_| !endpoint.https),
            public: public.and_then(|url| Endpoint::parse(url).ok()).map(|url| url.host_port()),
            any_host: settings.endpoint_overrides.contains_key(&self.object.key()),
            form: credential::form(spec.type_),
            readable: settings.secret_namespaces.is_empty()
                || settings.secret_namespaces.contains(&self.object.namespace),
        };
        match credential::compile(&self.object.key(), spec.type_, &spec.credentials, auth, (&usage, secrets)) {
            Ok(mut found) => {
                for (path, (reason, message)) in found.missing.drain(..) {
                    let about = (ConditionType::ResolvedRefs, reason);
                    self.found.push(Diagnostic::warn(self.object, about, path, message));
                }
                Some(found)
            }
            Err((reason, path, message)) => {
                self.found.push(Diagnostic::refuse(self.object, reason, path, message));
                None
            }
        }
    }

    fn timeouts(&mut self, given: ProviderTimeouts) -> wire::ProviderTimeouts {
        let ProviderTimeouts { connect, first_byte, idle, total } = given;
        let total_ms = self.timeout("total", total.as_ref()).unwrap_or(TOTAL_MS);
        let mut part = |field: &str, value: Option<&Duration>, default: u64| {
            let wanted = self.timeout(field, value);
            if let (Some(ms), Some(value)) = (wanted, value)
                && ms > total_ms
            {
                self.invalid(
                    format!("spec.timeouts.{field}"),
                    format!("{value} is longer than timeouts.total ({total_ms} ms)"),
                );
            }
            wanted.unwrap_or(default).min(total_ms)
        };
        wire::ProviderTimeouts {
            connect_ms: part("connect", connect.as_ref(), CONNECT_MS),
            first_byte_ms: part("firstByte", first_byte.as_ref(), FIRST_BYTE_MS),
            idle_ms: part("idle", idle.as_ref(), IDLE_MS),
            total_ms,
        }
    }

    fn timeout(&mut self, field: &str, value: Option<&Duration>) -> Option<u64> {
        TIMEOUT.read(value).unwrap_or_else(|message| {
            self.invalid(format!("spec.timeouts.{field}"), message);
            None
        })
    }

    fn check_version(&mut self, spec: &ModelProviderSpec) {
        let Some(version) = &spec.api_version else { return };
        if spec.type_ != ProviderType::AzureOpenAI {
            self.invalid("spec.apiVersion", "only AzureOpenAI has versions of its API to choose from: remove it");
        }
        let plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !plain || version.is_empty() || version.len() > 32 {
            self.invalid("spec.apiVersion", format!("{version:?} is not a version such as 2024-10-21"));
        }
        if spec.endpoint.as_deref().is_some_and(|endpoint| endpoint.trim_end_matches('/').ends_with("/openai/v1")) {
            let message = "the endpoint ends in /openai/v1, which has no versions: remove one of the two";
            self.invalid("spec.apiVersion", message);
        }
    }

    fn check_models(&mut self, models: &[ProviderModel]) {
        for (index, model) in models.iter().enumerate() {
            let path = format!("spec.models[{index}]");
            if models[..index].iter().any(|earlier| earlier.name == model.name) {
                self.invalid(format!("{path}.name"), format!("{:?} is described twice", model.name));
            }
            if let Err((field, error)) = super::model::prices(model.pricing.as_ref()) {
                self.invalid(format!("{path}.pricing.{field}"), error);
            }
            if let (Some(window), Some(answer)) = (model.context_window, model.max_output_tokens)
                && answer > window
            {
                let message = format!(
                    "{answer} is more than the contextWindow of {window}, which the answer shares with the prompt"
                );
                self.invalid(format!("{path}.maxOutputTokens"), message);
            }
        }
    }

    fn check_selector(&mut self, allowed: Option<&AllowedNamespaces>) {
        let Some(AllowedNamespaces { from, selector }) = allowed else { return };
        if (*from == FromNamespaces::Selector) != selector.is_some() {
            self.invalid("spec.allowedNamespaces.selector", "selector goes with from: Selector, and only with it");
        }
    }
}

/// A provider as sidecars get it. Its fields are named one by one, so that a new one is not forgotten.
fn sent(
    spec: &ModelProviderSpec,
    known: &Known,
    (endpoint, proxy): (Endpoint, Option<Endpoint>),
    credentials: credential::Found,
    (headers, timeouts): (wire::Headers, wire::ProviderTimeouts),
) -> wire::Provider {
    let ModelProviderSpec {
        type_,
        endpoint: _,
        api_version,
        region,
        project,
        allow_insecure: _,
        credentials: _,
        headers: _,
        proxy: _,
        quota,
        timeouts: _,
        health,
        models: _,
        allowed_namespaces: _,
    } = spec;
    let (passive_health, active_health) = rest::health(health.as_ref());
    let mut names = credentials.names.into_iter();
    wire::Provider {
        quota: quota.as_ref().map(|quota| wire::Quota {
            requests: quota.requests_per_minute.map(u64::from),
            tokens: quota.tokens_per_minute,
        }),
        kind: type_.as_str().to_owned(),
        dialect: known.dialect_at(&endpoint),
        base_url: endpoint.to_string(),
        api_version: api_version.clone(),
        region: region.clone(),
        project: project.clone(),
        auth: credentials.auth,
        // Sent even while there is no key: the sidecar then says so instead of calling without one.
        credential: names.next(),
        more_credentials: names.collect(),
        exchange: credentials.exchange,
        headers,
        proxy: proxy.map(|proxy| proxy.to_string()),
        timeouts,
        active_health,
        passive_health,
    }
}
