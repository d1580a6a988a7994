//! What a cloud puts into the environment of a pod that has an identity there.

use std::path::PathBuf;

use secrecy::SecretString;

/// Read once at the start. A name here is the one that the cloud's own clients read.
#[derive(Clone, Debug)]
pub struct Environment {
    pub aws: Aws,
    pub azure: Azure,
    /// Where Google and Azure answer questions about the machine. No variable changes it.
    pub(super) metadata: String,
    /// Where Google lets one account become another.
    pub(super) google_iam: String,
}

/// What EKS sets: the webhook for annotated ServiceAccounts, and the agent of Pod Identity.
#[derive(Clone, Debug, Default)]
pub struct Aws {
    pub role_arn: Option<String>,
    pub web_identity_token_file: Option<PathBuf>,
    pub role_session_name: Option<String>,
    pub container_credentials_full_uri: Option<String>,
    pub container_authorization_token_file: Option<PathBuf>,
    pub container_authorization_token: Option<SecretString>,
    pub endpoint_url_sts: Option<String>,
    /// The machine is not to be asked.
    pub ec2_metadata_disabled: bool,
}

/// What Azure Workload Identity sets.
#[derive(Clone, Debug, Default)]
pub struct Azure {
    pub client_id: Option<String>,
    pub tenant_id: Option<String>,
    pub federated_token_file: Option<PathBuf>,
    pub authority_host: Option<String>,
}

// === impl Environment ===

impl Default for Environment {
    fn default() -> Self {
        Self {
            aws: Aws::default(),
            azure: Azure::default(),
            metadata: "http://169.254.169.254".to_owned(),
            google_iam: "https://iamcredentials.googleapis.com".to_owned(),
        }
    }
}

impl Environment {
    /// `get` returns the value of a variable that is set to something.
    #[must_use]
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name| get(name).map(PathBuf::from);
        Self {
            aws: Aws {
                role_arn: get("AWS_ROLE_ARN"),
                web_identity_token_file: path("AWS_WEB_IDENTITY_TOKEN_FILE"),
                role_session_name: get("AWS_ROLE_SESSION_NAME"),
                container_credentials_full_uri: get("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
                container_authorization_token_file: path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
                container_authorization_token: get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(SecretString::from),
                endpoint_url_sts: get("AWS_ENDPOINT_URL_STS"),
                ec2_metadata_disabled: get("AWS_EC2_METADATA_DISABLED")
                    .is_some_and(|it| it.eq_ignore_ascii_case("true")),
            },
            azure: Azure {
                client_id: get("AZURE_CLIENT_ID"),
                tenant_id: get("AZURE_TENANT_ID"),
                federated_token_file: path("AZURE_FEDERATED_TOKEN_FILE"),
                authority_host: get("AZURE_AUTHORITY_HOST"),
            },
            ..Self::default()
        }
    }
}
