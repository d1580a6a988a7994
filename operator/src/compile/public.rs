//! Where a provider is when its endpoint is not given, and what region and project have to do with it.

use spillway_crds::{ModelProviderSpec, ProviderType};

use super::endpoint::Endpoint;
use super::known::Known;

/// Google's multi-regions have names of their own form; every other location is a prefix, and `global` is none.
const VERTEX_MULTI_REGIONS: [&str; 2] = ["us", "eu"];

/// The public endpoint. None: it runs on someone's own machines, or its region or project is not given.
pub(crate) fn endpoint(spec: &ModelProviderSpec, known: &Known) -> Option<String> {
    let region = spec.region.as_deref();
    match spec.type_ {
        ProviderType::Bedrock => region.map(|region| format!("https://bedrock-runtime.{region}.amazonaws.com")),
        ProviderType::VertexAI => {
            let host = match region? {
                "global" => "aiplatform.googleapis.com".to_owned(),
                multi if VERTEX_MULTI_REGIONS.contains(&multi) => format!("aiplatform.{multi}.rep.googleapis.com"),
                region => format!("{region}-aiplatform.googleapis.com"),
            };
            Some(format!("https://{host}{}", below(spec)?))
        }
        _ => known.base_url.map(str::to_owned),
    }
}

/// An endpoint as one of this type looks, for those who have to write it or wrote something else.
pub(crate) fn example(kind: ProviderType, known: &Known) -> String {
    let url = example_url(kind, known);
    let insecure = if url.starts_with("http://") { " with allowInsecure: true" } else { "" };
    format!("{url}{insecure}")
}

const fn example_url(kind: ProviderType, known: &Known) -> &'static str {
    match (kind, known.base_url) {
        (_, Some(public)) => public,
        (ProviderType::AzureOpenAI, None) => "https://my-resource.openai.azure.com",
        (ProviderType::AzureAI, None) => "https://my-resource.services.ai.azure.com/models",
        (ProviderType::Bedrock, None) => "https://bedrock-runtime.us-east-1.amazonaws.com",
        (ProviderType::VertexAI, None) => "https://europe-west4-aiplatform.googleapis.com",
        (ProviderType::Cloudflare, None) => "https://api.cloudflare.com/client/v4/accounts/my-account-id/ai/v1",
        (ProviderType::Databricks, None) => "https://my-workspace.cloud.databricks.com/serving-endpoints",
        // Below /v1 it is asked in OpenAI's words instead of its own.
        (ProviderType::Ollama, None) => "http://ollama.models.svc:11434",
        (ProviderType::LMStudio, None) => "http://lmstudio.models.svc:1234/v1",
        (ProviderType::LiteLLM, None) => "http://litellm.models.svc:4000/v1",
        (ProviderType::LlamaCpp, None) => "http://llama.models.svc:8080/v1",
        (ProviderType::SGLang, None) => "http://sglang.models.svc:30000/v1",
        (ProviderType::Spillway, None) => "http://gateway.models.svc:4040/v1",
        (_, None) => "http://llm.models.svc:8000/v1",
    }
}

/// An endpoint that is a host and nothing behind it gets the path that every request of its type has.
pub(crate) fn complete(spec: &ModelProviderSpec, endpoint: Endpoint) -> Endpoint {
    match below(spec).filter(|_| endpoint.is_bare()) {
        Some(path) => endpoint.below(&path),
        None => endpoint,
    }
}

fn below(spec: &ModelProviderSpec) -> Option<String> {
    match spec.type_ {
        // What the portal shows is the resource; the API without versions is below it.
        ProviderType::AzureOpenAI if spec.api_version.is_none() => Some("/openai/v1".to_owned()),
        ProviderType::VertexAI => {
            let (project, region) = (spec.project.as_ref()?, spec.region.as_ref()?);
            Some(format!("/v1/projects/{project}/locations/{region}"))
        }
        _ => None,
    }
}

/// What is wrong with region and project: field and message.
pub(crate) fn problems(spec: &ModelProviderSpec) -> Vec<(&'static str, String)> {
    use ProviderType::{Bedrock, VertexAI};
    let mut found = Vec::new();
    let kind = spec.type_;
    match &spec.region {
        Some(_) if !matches!(kind, Bedrock | VertexAI) => {
            found.push(("region", "only Bedrock and VertexAI have regions to choose from: remove it".to_owned()));
        }
        Some(region) if !is_name(region) => {
            found.push(("region", format!("{region:?} is not a region such as us-east-1 or europe-west4")));
        }
        None if kind == Bedrock => {
            found.push(("region", "requests to Bedrock are signed for a region: name it, like us-east-1".to_owned()));
        }
        None if kind == VertexAI && spec.endpoint.is_none() => {
            found.push((
                "region",
                "VertexAI has no endpoint without one: name it, like europe-west4 or global".to_owned(),
            ));
        }
        _ => {}
    }
    match &spec.project {
        Some(_) if kind != VertexAI => found.push(("project", "only VertexAI has projects: remove it".to_owned())),
        Some(project) if !project.split(':').all(is_name) => {
            found.push(("project", format!("{project:?} is not the id of a project such as my-project-123")));
        }
        None if kind == VertexAI && spec.endpoint.is_none() => {
            found.push(("project", "VertexAI bills a project: name it, like my-project-123".to_owned()));
        }
        _ => {}
    }
    found
}

/// It becomes part of a host name or a path. The schema says so too, but files are read without one.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain) && !text.contains("..") && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use spillway_wire::{AuthScheme, Dialect};

    use super::*;
    use crate::compile::known::known;

    fn spec(yaml: &str) -> ModelProviderSpec {
        serde_yaml_ng::from_str(&format!("{{credentials: {{none: {{}}}}, {yaml}}}")).unwrap()
    }

    #[test]
    fn a_region_and_a_project_say_where_a_cloud_is() {
        let known = Known::new(ProviderType::Bedrock, Dialect::OpenAi, AuthScheme::Bearer, None);
        let rows = [
            ("type: Bedrock, region: us-east-1", Some("https://bedrock-runtime.us-east-1.amazonaws.com")),
            ("type: Bedrock", None),
            (
                "type: VertexAI, region: europe-west4, project: p-1",
                Some("https://europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4"),
            ),
            (
                "type: VertexAI, region: global, project: p-1",
                Some("https://aiplatform.googleapis.com/v1/projects/p-1/locations/global"),
            ),
            (
                "type: VertexAI, region: eu, project: 'a.example:p-1'",
                Some("https://aiplatform.eu.rep.googleapis.com/v1/projects/a.example:p-1/locations/eu"),
            ),
            ("type: VertexAI, region: global", None),
            ("type: VertexAI, project: p-1", None),
        ];
        for (yaml, want) in rows {
            let found = endpoint(&spec(yaml), &known);
            assert_eq!(found.as_deref(), want, "{yaml}");
            // What is dialled and what a Secret allows are read from this text.
            if let Some(found) = found {
                assert_eq!(Endpoint::parse(&found).unwrap().to_string(), found);
            }
        }
    }

    #[test]
    fn what_people_are_told_to_write_is_an_endpoint_of_that_type() {
        let all = spillway_providers::rows().iter().map(|row| row.kind);
        for kind in all.chain(["Bedrock", "VertexAI", "Anthropic", "Gemini"]) {
            let kind = ProviderType::read(kind).unwrap();
            let known = known(kind).unwrap();
            let given = example_url(kind, &known);
            let endpoint = Endpoint::parse(given).unwrap();
            assert_eq!(endpoint.to_string(), given, "{kind}");
            let own = !matches!(kind, ProviderType::Ollama);
            assert_eq!(known.dialect_at(&endpoint), known.dialect, "{kind} is asked in its own words");
            let ours = matches!(kind, ProviderType::AzureOpenAI | ProviderType::Bedrock | ProviderType::VertexAI);
            assert!(!own || ours || !endpoint.is_bare() || known.base_url.is_some(), "{kind}: {given} has no path");
        }
    }

    #[test]
    fn a_bare_endpoint_gets_the_path_of_its_type_and_another_one_keeps_its_own() {
        let rows = [
            ("type: VertexAI, region: eu, project: p1", "https://h:8443", "https://h:8443/v1/projects/p1/locations/eu"),
            ("type: VertexAI, region: eu, project: p1", "https://h/vertex", "https://h/vertex"),
            ("type: VertexAI, region: eu", "https://h", "https://h"),
            ("type: AzureOpenAI", "https://h", "https://h/openai/v1"),
            ("type: AzureOpenAI, apiVersion: '2024-10-21'", "https://h", "https://h"),
            ("type: Bedrock, region: us-east-1", "https://h", "https://h"),
        ];
        for (yaml, endpoint, want) in rows {
            let found = complete(&spec(yaml), Endpoint::parse(endpoint).unwrap());
            assert_eq!(found.to_string(), want, "{yaml} {endpoint}");
        }
    }

    #[test]
    fn what_is_missing_or_of_no_use_is_said_by_field() {
        let rows: [(&str, &[(&str, &str)]); 9] = [
            ("type: Bedrock, region: us-east-1", &[]),
            ("type: Bedrock", &[("region", "signed for a region")]),
            ("type: Bedrock, region: us-east-1, project: p1", &[("project", "only VertexAI")]),
            ("type: OpenAI, region: us-east-1", &[("region", "only Bedrock and VertexAI")]),
            ("type: VertexAI", &[("region", "name it"), ("project", "name it")]),
            ("type: VertexAI, endpoint: 'https://h/v1'", &[]),
            ("type: VertexAI, region: 'a/b', project: p1", &[("region", "\"a/b\" is not a region")]),
            ("type: VertexAI, region: eu, project: '../x'", &[("project", "is not the id of a project")]),
            ("type: VertexAI, region: eu, project: 'p@h'", &[("project", "is not the id of a project")]),
        ];
        for (yaml, want) in rows {
            let found = problems(&spec(yaml));
            assert_eq!(found.len(), want.len(), "{yaml}: {found:?}");
            for ((field, message), (want_field, part)) in found.iter().zip(want) {
                assert!(field == want_field && message.contains(part), "{yaml}: {found:?}");
            }
        }
    }
}
