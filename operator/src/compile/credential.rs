//! `spec.credentials` -> which keys there are, how they travel, and what short-lived ones are made of.

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use spillway_crds::{Credentials, ProviderType, Reason, SecretKeyRef, WorkloadIdentity};
use spillway_wire::{AuthScheme, Cloud, Exchange};

use super::identity_host;
use super::secret::{self, Form, Use};

/// The most keys one provider has.
const KEYS: usize = 8;
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const AZURE_AUDIENCE: &str = "https://cognitiveservices.azure.com";
/// How Azure writes that all of an audience is asked for.
const AZURE_SUFFIX: &str = "/.default";

/// What a provider is called with.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) auth: AuthScheme,
    /// The names of all keys, of those too that may not be used: a sidecar then knows that it waits for one.
    pub(super) names: Vec<String>,
    /// Those that may be used, by name.
    pub(super) keys: Vec<(String, SecretString)>,
    pub(super) exchange: Option<Exchange>,
    /// Keys that may not be used, by the field that names them.
    pub(super) missing: Vec<(String, secret::Refusal)>,
}

/// What is wrong with the field of this path itself.
pub(super) type Problem = (Reason, &'static str, String);

/// Reads the credentials of the provider `name` (`namespace/name`), whose keys usually travel by `auth`.
pub(super) fn compile(
    name: &str,
    kind: ProviderType,
    given: &Credentials,
    auth: AuthScheme,
    (usage, secrets): (&Use<'_>, &[Secret]),
) -> Result<Found, Problem> {
    let Credentials { secret_ref, secret_refs, workload_identity, none } = given;
    let ways = [secret_ref.is_some(), !secret_refs.is_empty(), workload_identity.is_some(), none.is_some()];
    if ways.iter().filter(|given| **given).count() != 1 {
        let message = "set exactly one of secretRef, secretRefs, workloadIdentity and none".to_owned();
        return Err((Reason::Invalid, "spec.credentials", message));
    }
    let nothing =
        Found { auth: AuthScheme::None, names: Vec::new(), keys: Vec::new(), exchange: None, missing: Vec::new() };
    if none.is_some() {
        return Ok(nothing);
    }
    if let Some(identity) = workload_identity {
        let exchange = of_pod(kind, identity)?;
        identity_host::check(kind, exchange.cloud, usage)?;
        // Tokens of Google and Azure travel alike, whatever keys do.
        let auth = if exchange.cloud == Cloud::Aws { auth } else { AuthScheme::Bearer };
        return Ok(Found { auth, exchange: Some(exchange), ..nothing });
    }
    if secret_refs.len() > KEYS {
        let message = format!("has {} keys, a provider takes at most {KEYS}", secret_refs.len());
        return Err((Reason::Invalid, "spec.credentials.secretRefs", message));
    }
    // A key of AWS signs, and nothing is fetched with it.
    let fetched = cloud(kind).filter(|cloud| *cloud != Cloud::Aws);
    let mut found = Found { auth, exchange: fetched.map(of_document), ..nothing };
    let several = secret_refs.iter().enumerate().map(|(index, wanted)| (format!("secretRefs[{index}]"), wanted));
    let only = secret_ref.iter().map(|wanted| ("secretRef".to_owned(), wanted));
    for (index, (field, wanted)) in only.chain(several).enumerate() {
        found.take(name, index, field, wanted, (usage, secrets));
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    fn take(
        &mut self,
        name: &str,
        index: usize,
        field: String,
        wanted: &SecretKeyRef,
        (usage, secrets): (&Use<'_>, &[Secret]),
    ) {
        // The first one is called as the only one of an older operator was.
        let name = if index == 0 { name.to_owned() } else { format!("{name}/{}", index + 1) };
        match secret::resolve(wanted, usage, secrets) {
            Ok(key) => self.keys.push((name.clone(), key)),
            Err(refusal) => self.missing.push((format!("spec.credentials.{field}"), refusal)),
        }
        self.names.push(name);
    }
}

/// What a Secret holds for a provider of this type.
pub(super) const fn form(kind: ProviderType) -> Form {
    match cloud(kind) {
        Some(Cloud::Aws) => Form::Aws,
        Some(Cloud::Google) => Form::Google,
        Some(Cloud::Azure) => Form::Azure,
        None => Form::Header,
    }
}

/// Whose documents and identities are exchanged for keys of this type.
const fn cloud(kind: ProviderType) -> Option<Cloud> {
    match kind {
        ProviderType::VertexAI => Some(Cloud::Google),
        ProviderType::AzureOpenAI | ProviderType::AzureAI => Some(Cloud::Azure),
        ProviderType::Bedrock => Some(Cloud::Aws),
        _ => None,
    }
}

fn of_document(cloud: Cloud) -> Exchange {
    Exchange { cloud, scope: scope(cloud, None), role: None }
}

fn of_pod(kind: ProviderType, given: &WorkloadIdentity) -> Result<Exchange, Problem> {
    let WorkloadIdentity { audience, role } = given;
    let Some(cloud) = cloud(kind) else {
        let message = format!("{kind} does not know pods by their workload identity: use secretRef");
        return Err((Reason::UnsupportedValue, "spec.credentials.workloadIdentity", message));
    };
    if audience.is_some() && cloud != Cloud::Azure {
        let message = format!("tokens for {kind} have no audience to choose: remove it");
        return Err((Reason::Invalid, "spec.credentials.workloadIdentity.audience", message));
    }
    if let Some(audience) = audience {
        identity_host::check_audience(bare(audience))?;
    }
    let path = "spec.credentials.workloadIdentity.role";
    let problem =
        |want: &str| Err((Reason::Invalid, path, format!("{:?} is not {want}", role.as_deref().unwrap_or(""))));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#%\\\"".contains(&byte));
    match (cloud, role.as_deref()) {
        (Cloud::Aws, Some(role)) if !(role.starts_with("arn:") && role.contains(":role/")) => {
            problem("the ARN of a role such as arn:aws:iam::123456789012:role/spillway")
        }
        (Cloud::Google, Some(role)) if !(role.contains('@') && plain(role)) => {
            problem("the e-mail address of a service account such as spillway@my-project-123.iam.gserviceaccount.com")
        }
        (Cloud::Azure, Some(role)) if !plain(role) => problem("the client id of a managed identity"),
        _ => Ok(Exchange { cloud, scope: scope(cloud, audience.as_deref()), role: role.clone() }),
    }
}

fn scope(cloud: Cloud, audience: Option<&str>) -> Option<String> {
    match cloud {
        Cloud::Google => Some(GOOGLE_SCOPE.to_owned()),
        Cloud::Azure => Some(format!("{}{AZURE_SUFFIX}", bare(audience.unwrap_or(AZURE_AUDIENCE)))),
        Cloud::Aws => None,
    }
}

/// An audience, however it is written.
fn bare(audience: &str) -> &str {
    audience.strip_suffix(AZURE_SUFFIX).unwrap_or(audience).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use ProviderType::{AzureAI, AzureOpenAI, Bedrock, OpenAI, VertexAI};
    use spillway_wire as wire;

    use super::*;
    use crate::compile::{compile as compile_all, endpoint::Endpoint};
    use crate::resources::world::world;

    fn found(kind: ProviderType, yaml: &str) -> Result<Found, Problem> {
        let endpoint = Endpoint::parse("https://h").unwrap();
        let usage = Use {
            namespace: "ai",
            endpoint: &endpoint,
            through: None,
            public: None,
            any_host: true,
            readable: true,
            form: Form::Google,
        };
        compile("ai/p", kind, &serde_yaml_ng::from_str(yaml).unwrap(), AuthScheme::ApiKey, (&usage, &[]))
    }

    #[test]
    fn a_pod_is_known_by_its_cloud_and_what_is_asked_for_is_written_out() {
        let rows = [
            (VertexAI, "{}", Cloud::Google, Some(GOOGLE_SCOPE), None),
            (
                VertexAI,
                "{role: a@p.iam.gserviceaccount.com}",
                Cloud::Google,
                Some(GOOGLE_SCOPE),
                Some("a@p.iam.gserviceaccount.com"),
            ),
            (AzureAI, "{}", Cloud::Azure, Some("https://cognitiveservices.azure.com/.default"), None),
            (
                AzureOpenAI,
                "{audience: 'https://ai.azure.com/', role: c-1}",
                Cloud::Azure,
                Some("https://ai.azure.com/.default"),
                Some("c-1"),
            ),
            (
                AzureOpenAI,
                "{audience: 'https://ai.azure.com/.default'}",
                Cloud::Azure,
                Some("https://ai.azure.com/.default"),
                None,
            ),
            (Bedrock, "{role: 'arn:aws:iam::1:role/r'}", Cloud::Aws, None, Some("arn:aws:iam::1:role/r")),
        ];
        for (kind, yaml, cloud, scope, role) in rows {
            let Found { auth, names, keys, exchange, missing } =
                found(kind, &format!("{{workloadIdentity: {yaml}}}")).unwrap();
            let want = Exchange { cloud, scope: scope.map(str::to_owned), role: role.map(str::to_owned) };
            assert_eq!(exchange, Some(want), "{kind} {yaml}");
            assert_eq!(
                auth,
                if cloud == Cloud::Aws { AuthScheme::ApiKey } else { AuthScheme::Bearer },
                "{kind} {yaml}"
            );
            assert!(names.is_empty() && keys.is_empty() && missing.is_empty());
        }
    }

    #[test]
    fn what_a_cloud_does_not_do_is_refused_by_field() {
        let rows = [
            (OpenAI, "{}", "spec.credentials.workloadIdentity", "use secretRef"),
            (Bedrock, "{audience: x}", "spec.credentials.workloadIdentity.audience", "remove it"),
            (VertexAI, "{audience: x}", "spec.credentials.workloadIdentity.audience", "remove it"),
            (Bedrock, "{role: admin}", "spec.credentials.workloadIdentity.role", "\"admin\" is not the ARN of a role"),
            (VertexAI, "{role: admin}", "spec.credentials.workloadIdentity.role", "is not the e-mail address"),
            (VertexAI, "{role: 'a@b/../c'}", "spec.credentials.workloadIdentity.role", "is not the e-mail address"),
            (
                AzureAI,
                "{audience: 'https://management.azure.com'}",
                "spec.credentials.workloadIdentity.audience",
                "a token for \"https://management.azure.com\" is good for more than models",
            ),
            (AzureAI, "{role: 'a b'}", "spec.credentials.workloadIdentity.role", "is not the client id"),
        ];
        for (kind, yaml, path, part) in rows {
            let (_, found, message) = found(kind, &format!("{{workloadIdentity: {yaml}}}")).unwrap_err();
            assert!(found == path && message.contains(part), "{kind} {yaml}: {found} {message}");
        }
    }

    #[test]
    fn keys_keep_their_places_whether_or_not_they_may_be_used() {
        let provider = "kind: ModelProvider\nmetadata: {name: p, namespace: ai}\n\
                        spec: {type: OpenAI, credentials: {secretRefs: [{name: a}, {name: gone}, {name: a, key: second}]}}";
        let secret = "kind: Secret\nmetadata: {name: a, namespace: ai, labels: {spillway.dev/provider-key: 'true'}}\n\
                      stringData: {apiKey: sk-1, second: sk-3}";
        let compiled = compile_all(&world(&[provider, secret]));
        let wire::Provider { credential, more_credentials, exchange, .. } = &compiled.providers["ai/p"];
        assert_eq!(credential.as_deref(), Some("ai/p"));
        assert_eq!(more_credentials, &["ai/p/2", "ai/p/3"]);
        assert_eq!(exchange, &None, "nothing is exchanged for a key of OpenAI");
        assert_eq!(compiled.credentials.keys().collect::<Vec<_>>(), ["ai/p", "ai/p/3"]);
        let [only] = &compiled.diagnostics[..] else { panic!("{:?}", compiled.diagnostics) };
        assert_eq!(
            (only.reason, only.path.as_deref()),
            (Reason::SecretNotFound, Some("spec.credentials.secretRefs[1]"))
        );
        assert!(only.message.contains("ai/gone"), "{}", only.message);
    }
}
