//! Azure: an application with its secret, Azure Workload Identity (a token of the cluster, exchanged), or a managed identity.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    Environment, Proof, Token,
    exchange::{Question, Trouble, Way, file, form},
};

#[derive(Debug)]
pub(super) enum Source {
    /// An application that proves itself to a tenant.
    Application { url: String, client_id: String, scope: String, proof: ApplicationProof },
    /// Whom the machine, or the pod, is known as.
    Managed { metadata: String, client_id: Option<String>, resource: String },
}

#[derive(Debug)]
pub(super) enum ApplicationProof {
    Secret(SecretString),
    /// A token of the cluster, in a file that the kubelet renews.
    Federated(PathBuf),
}

/// Spelt as people would, or as Azure's command line prints it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(alias = "tenant", alias = "tenant_id")]
    tenant_id: String,
    #[serde(alias = "appId", alias = "client_id")]
    client_id: String,
    #[serde(alias = "password", alias = "client_secret")]
    client_secret: String,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Seconds,
}

/// A number to some of Azure, a text to others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

const AUTHORITY: &str = "https://login.microsoftonline.com";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

// === impl Source ===

impl Source {
    pub(super) fn of_document(environment: &Environment, text: &str, scope: &str) -> Result<Self, Trouble> {
        let wrong = |_| {
            let form = r#"{"tenantId": "…", "clientId": "…", "clientSecret": "…"}"#;
            Trouble::Setup(format!("the document in the Secret is not of the form {form}"))
        };
        let Document { tenant_id, client_id, client_secret } = serde_json::from_str(text).map_err(wrong)?;
        if tenant_id.is_empty() || !tenant_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        {
            return Err(Trouble::Setup("the tenantId in the Secret is not the id or domain of a tenant".to_owned()));
        }
        let proof = ApplicationProof::Secret(SecretString::from(client_secret));
        Ok(Self::Application { url: url(environment, &tenant_id), client_id, scope: scope.to_owned(), proof })
    }

    /// Azure Workload Identity where the pod has it, and else whatever identity the node was given.
    pub(super) fn of_pod(environment: &Environment, scope: &str, role: Option<&str>) -> Self {
        let given = &environment.azure;
        let client_id = role.map(str::to_owned).or_else(|| given.client_id.clone());
        if let (Some(tenant), Some(path), Some(client_id)) = (&given.tenant_id, &given.federated_token_file, &client_id)
        {
            let proof = ApplicationProof::Federated(path.clone());
            let client_id = client_id.clone();
            return Self::Application { url: url(environment, tenant), client_id, scope: scope.to_owned(), proof };
        }
        let resource = scope.strip_suffix("/.default").unwrap_or(scope).to_owned();
        Self::Managed { metadata: environment.metadata.clone(), client_id, resource }
    }

    /// Who is asked.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Application { url, .. } | Self::Managed { metadata: url, .. } => url,
        }
    }

    pub(super) async fn fetch(&self, way: &Way) -> Result<Token, Trouble> {
        let question = match self {
            Self::Application { url, client_id, scope, proof } => {
                let mut fields =
                    vec![("grant_type", "client_credentials"), ("client_id", client_id.as_str()), ("scope", scope)];
                let assertion = match proof {
                    ApplicationProof::Secret(_) => String::new(),
                    ApplicationProof::Federated(path) => file(path)?,
                };
                match proof {
                    ApplicationProof::Secret(secret) => fields.push(("client_secret", secret.expose_secret())),
                    ApplicationProof::Federated(_) => {
                        fields.push(("client_assertion_type", ASSERTION_TYPE));
                        fields.push(("client_assertion", assertion.as_str()));
                    }
                }
                Question::form(url.clone(), &fields)
            }
            Self::Managed { metadata, client_id, resource } => {
                let mut fields = vec![("api-version", "2018-02-01"), ("resource", resource.as_str())];
                fields.extend(client_id.as_deref().map(|id| ("client_id", id)));
                Question::get(format!("{metadata}/metadata/identity/oauth2/token?{}", form(&fields)))
                    .header(HeaderName::from_static("metadata"), HeaderValue::from_static("true"))
                    .local()
            }
        };
        let Answer { access_token, expires_in } = way.ask(question).await?;
        let seconds = match expires_in {
            Seconds::Number(seconds) => Some(seconds),
            Seconds::Text(text) => text.parse().ok(),
        };
        let seconds = seconds.ok_or_else(|| Trouble::NoToken("its expires_in is no number".to_owned()))?;
        Ok(Token { proof: Proof::bearer(&access_token)?, lives: Duration::from_secs(seconds) })
    }
}

fn url(environment: &Environment, tenant: &str) -> String {
    let authority = environment.azure.authority_host.as_deref().unwrap_or(AUTHORITY);
    format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'))
}
