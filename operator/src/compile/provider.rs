//! ModelProvider -> `wire::Provider`, with its key apart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use spillway_crds::{
    AllowedNamespaces, ConditionType, Duration, FromNamespaces, HeaderRules, ModelProvider, ModelProviderSpec,
    ProviderModel, ProviderTimeouts, ProviderType, Reason,
};
use spillway_wire as wire;

use super::diagnostic::{Diagnostic, Kind, ObjectRef};
use super::duration::Bounds;
use super::endpoint::Endpoint;
use super::known::known;
use super::{public, rest, secret, unsupported};
use crate::resources::CompileSettings;

/// A provider that routes may use.
pub(crate) struct Provider {
    pub(crate) object: ObjectRef,
    pub(crate) kind: ProviderType,
    pub(crate) wire: wire::Provider,
    /// None: it takes no key, or the key may not be used (and a diagnostic says why).
    pub(crate) key: Option<SecretString>,
    pub(crate) models: Vec<ProviderModel>,
    allowed: Option<AllowedNamespaces>,
}

/// Timeouts of a provider, and what they are when nothing is said.
const CONNECT_MS: u64 = 5_000;
/// The head of a plain answer comes when all of it has been generated.
const FIRST_BYTE_MS: u64 = 60_000;
const IDLE_MS: u64 = 60_000;
const TOTAL_MS: u64 = 600_000;
const TIMEOUT: Bounds = Bounds { at_least: 1, at_most: 3_600_000 };

/// Headers that the sidecar writes itself, that say how a connection is used, or that carry keys.
const OWN_HEADERS: [&str; 18] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
];

/// Compiles one provider. None: it was refused, and a diagnostic says why.
pub(crate) fn compile(
    provider: &ModelProvider,
    secrets: &[Secret],
    settings: &CompileSettings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Provider> {
    let object = ObjectRef::of(Kind::ModelProvider, provider);
    let mut found = unsupported::provider(&object, &provider.spec);
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
        let ModelProviderSpec {
            type_,
            endpoint: _,
            api_version,
            region,
            project,
            allow_insecure: _,
            credentials: _,
            headers,
            // Refused by `unsupported`.
            proxy: _,
            quota: _,
            timeouts,
            health,
            models,
            allowed_namespaces,
        } = spec;
        let Some(known) = known(*type_) else {
            let message =
                format!("this version cannot talk to {type_}: use another type, or OpenAICompatible behind a gateway");
            self.found.push(Diagnostic::refuse(self.object, Reason::UnsupportedValue, "spec.type", message));
            return None;
        };
        self.check_version(spec);
        for (field, message) in public::problems(spec) {
            self.invalid(format!("spec.{field}"), message);
        }
        self.check_models(models);
        self.check_selector(allowed_namespaces.as_ref());
        if let Some(health) = health {
            rest::check_health(health, &mut |path, message| self.invalid(path, message));
        }
        let (passive_health, active_health) = rest::health(health.as_ref());
        let timeouts = self.timeouts(timeouts.clone().unwrap_or_default());
        let headers = self.headers(headers.clone().unwrap_or_default());
        let public = public::endpoint(spec, &known);
        let endpoint = self.endpoint(spec, public.as_deref(), settings)?;
        let (auth, key) = self.key(spec, known, &endpoint, (public.as_deref(), secrets, settings))?;
        Some(Provider {
            object: self.object.clone(),
            kind: *type_,
            wire: wire::Provider {
                kind: type_.as_str().to_owned(),
                dialect: known.dialect_at(&endpoint),
                base_url: endpoint.to_string(),
                api_version: api_version.clone(),
                region: region.clone(),
                project: project.clone(),
                auth,
                // Sent even while there is no key: the sidecar then says so instead of calling without one.
                credential: (auth != wire::AuthScheme::None).then(|| self.object.key()),
                headers,
                timeouts,
                active_health,
                passive_health,
            },
            key,
            models: models.clone(),
            allowed: allowed_namespaces.clone(),
        })
    }

    fn endpoint(
        &mut self,
        spec: &ModelProviderSpec,
        public: Option<&str>,
        settings: &CompileSettings,
    ) -> Option<Endpoint> {
        let overridden = settings.endpoint_overrides.get(&self.object.key());
        let Some(text) = overridden.map(String::as_str).or(spec.endpoint.as_deref()).or(public) else {
            if matches!(spec.type_, ProviderType::Bedrock | ProviderType::VertexAI) {
                // What is missing is the region or the project, and that was said.
                return None;
            }
            let message = format!(
                "type {} has no public endpoint: say where it is, like http://llm.models.svc:8000/v1",
                spec.type_
            );
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
                self.invalid("spec.endpoint", message);
                None
            }
        }
    }

    fn key(
        &mut self,
        spec: &ModelProviderSpec,
        known: super::known::Known,
        endpoint: &Endpoint,
        (public, secrets, settings): (Option<&str>, &[Secret], &CompileSettings),
    ) -> Option<(wire::AuthScheme, Option<SecretString>)> {
        let spillway_crds::Credentials { secret_ref, workload_identity, none } = &spec.credentials;
        let given =
            usize::from(secret_ref.is_some()) + usize::from(workload_identity.is_some()) + usize::from(none.is_some());
        if given != 1 {
            self.invalid("spec.credentials", "set exactly one of secretRef, workloadIdentity and none");
            return None;
        }
        let Some(secret_ref) = secret_ref else { return Some((wire::AuthScheme::None, None)) };
        let usage = secret::Use {
            namespace: &self.object.namespace,
            endpoint,
            public: public.and_then(|url| Endpoint::parse(url).ok()).map(|url| url.host_port()),
            any_host: settings.endpoint_overrides.contains_key(&self.object.key()),
            readable: settings.secret_namespaces.is_empty()
                || settings.secret_namespaces.contains(&self.object.namespace),
            form: if known.auth == wire::AuthScheme::SigV4 { secret::Form::Aws } else { secret::Form::Header },
        };
        let key = secret::resolve(secret_ref, &usage, secrets).map_err(|(reason, message)| {
            let path = "spec.credentials.secretRef";
            self.found.push(Diagnostic::warn(self.object, (ConditionType::ResolvedRefs, reason), path, message));
        });
        Some((known.auth, key.ok()))
    }

    fn headers(&mut self, rules: HeaderRules) -> wire::Headers {
        let HeaderRules { set, remove } = rules;
        let mut wanted = wire::Headers::default();
        for (name, value) in set {
            let path = format!("spec.headers.set.{name}");
            let lower = name.to_ascii_lowercase();
            if let Some(why) = header_problem(&lower) {
                self.invalid(path, why);
            } else if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || value.len() > 4096 {
                self.invalid(path, "is not printable ASCII of at most 4096 bytes, which is all a header carries");
            } else if wanted.set.insert(lower.clone(), value.trim().to_owned()).is_some() {
                self.invalid(path, format!("{lower} is set twice: names of headers have no upper and lower case"));
            }
        }
        for (index, name) in remove.into_iter().enumerate() {
            let path = format!("spec.headers.remove[{index}]");
            let lower = name.to_ascii_lowercase();
            if let Some(why) = header_problem(&lower) {
                self.invalid(path, why);
            } else if wanted.set.contains_key(&lower) {
                self.invalid(path, format!("{lower} is also set: keep one of the two"));
            } else {
                wanted.remove.push(lower);
            }
        }
        wanted.remove.sort_unstable();
        wanted.remove.dedup();
        wanted
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
                self.invalid(format!("{path}.pricing.{field}"), error.to_string());
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

/// Why a header, in lower case, may not be set or removed.
fn header_problem(name: &str) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Some(format!("{name:?} is not the name of a header"));
    }
    let keys = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    if keys.contains(&name) {
        return Some(format!(
            "{name} carries the key: put it into a Secret and name that in spec.credentials.secretRef"
        ));
    }
    OWN_HEADERS.contains(&name).then(|| format!("{name} is written by the sidecar itself"))
}
