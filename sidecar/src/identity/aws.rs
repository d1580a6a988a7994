//! AWS: the role of an annotated ServiceAccount (AssumeRoleWithWebIdentity), or the credentials that an agent on the node
//! gives (EKS Pod Identity, ECS), or the role of the node itself (IMDSv2).

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Uri, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    Environment, Proof, Token,
    exchange::{Question, Trouble, Way, element, file},
};
use crate::{clock, percent::encoded, sign::AwsCredentials};

#[derive(Debug)]
pub(super) enum Source {
    WebIdentity {
        url: String,
        role: String,
        session: String,
        token_file: PathBuf,
    },
    Container {
        url: String,
        local: bool,
        token: ContainerToken,
    },
    /// The role of the machine the pod runs on.
    Machine {
        metadata: String,
    },
}

#[derive(Debug)]
pub(super) enum ContainerToken {
    None,
    Value(SecretString),
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: String,
}

const SESSION: &str = "spillway";

/// Why a pod is asked for nothing but the role of its machine, and what to do if that is not what was meant.
pub(super) const NO_IDENTITY: &str = "neither AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE nor \
    AWS_CONTAINER_CREDENTIALS_FULL_URI are set (annotate its ServiceAccount with a role, or make a Pod Identity \
    association, and start it anew)";

/// For three questions that follow one another at once.
const METADATA_SECONDS: HeaderValue = HeaderValue::from_static("60");

// === impl Source ===

impl Source {
    pub(super) fn of_pod(environment: &Environment, region: Option<&str>, role: Option<&str>) -> Result<Self, Trouble> {
        let given = &environment.aws;
        let role = role.or(given.role_arn.as_deref());
        if let (Some(role), Some(token_file)) = (role, &given.web_identity_token_file) {
            let url =
                given.endpoint_url_sts.clone().or_else(|| Some(format!("https://sts.{}.amazonaws.com/", region?)));
            let url = url.unwrap_or_else(|| "https://sts.amazonaws.com/".to_owned());
            let session = given.role_session_name.clone().unwrap_or_else(|| SESSION.to_owned());
            let (role, token_file) = (role.to_owned(), token_file.clone());
            return Ok(Self::WebIdentity { url, role, session, token_file });
        }
        let Some(url) = &given.container_credentials_full_uri else {
            if role.is_none() && !given.ec2_metadata_disabled {
                return Ok(Self::Machine { metadata: environment.metadata.clone() });
            }
            return Err(Trouble::Setup(format!("the pod has no identity at AWS: {NO_IDENTITY}")));
        };
        if role != given.role_arn.as_deref() {
            let message = "a role is chosen by the Pod Identity association: remove workloadIdentity.role";
            return Err(Trouble::Setup(message.to_owned()));
        }
        let local = url.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http"));
        let token = match (&given.container_authorization_token_file, &given.container_authorization_token) {
            (Some(path), _) => ContainerToken::File(path.clone()),
            (None, Some(token)) => ContainerToken::Value(token.clone()),
            (None, None) => ContainerToken::None,
        };
        Ok(Self::Container { url: url.clone(), local, token })
    }

    /// Who is asked.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::WebIdentity { url, .. } | Self::Container { url, .. } | Self::Machine { metadata: url } => url,
        }
    }

    pub(super) async fn fetch(&self, way: &Way) -> Result<Token, Trouble> {
        match self {
            Self::WebIdentity { url, role, session, token_file } => {
                let token = file(token_file)?;
                let fields = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role),
                    ("RoleSessionName", session),
                    ("WebIdentityToken", &token),
                ];
                let answer = way.ask_text(Question::form(url.clone(), &fields)).await?;
                assumed(&String::from_utf8_lossy(&answer))
            }
            Self::Container { url, local, token } => {
                let token = match token {
                    ContainerToken::None => None,
                    ContainerToken::Value(token) => Some(token.clone()),
                    ContainerToken::File(path) => Some(SecretString::from(file(path)?)),
                };
                let mut question = Question::get(url.clone());
                if let Some(token) = token {
                    let value = HeaderValue::from_str(token.expose_secret());
                    let value =
                        value.map_err(|_| Trouble::Setup("the pod's token for AWS fits no header".to_owned()))?;
                    question = question.header(header::AUTHORIZATION, value);
                }
                way.ask::<Answer>(if *local { question.local() } else { question }).await?.token()
            }
            Self::Machine { metadata } => of_machine(way, metadata).await,
        }
    }
}

/// The second version of the metadata service: every question needs a token that only a PUT brings.
async fn of_machine(way: &Way, metadata: &str) -> Result<Token, Trouble> {
    let begin = Question::put(format!("{metadata}/latest/api/token"))
        .header(HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds"), METADATA_SECONDS)
        .local();
    let session = HeaderValue::from_maybe_shared(way.ask_text(begin).await?);
    let session = session.map_err(|_| Trouble::NoToken("no header carries it".to_owned()))?;
    let get = |url: String| {
        Question::get(url).header(HeaderName::from_static("x-aws-ec2-metadata-token"), session.clone()).local()
    };
    let roles = format!("{metadata}/latest/meta-data/iam/security-credentials/");
    let names = way.ask_text(get(roles.clone())).await?;
    let names = String::from_utf8_lossy(&names);
    let role = names.lines().map(str::trim).find(|name| !name.is_empty());
    let role = role.ok_or_else(|| Trouble::NoToken("the machine has no role".to_owned()))?;
    way.ask::<Answer>(get(format!("{roles}{}", encoded(role)))).await?.token()
}

impl Answer {
    fn token(self) -> Result<Token, Trouble> {
        let Self { access_key_id, secret_access_key, token, expiration } = self;
        token_of(credentials(access_key_id, secret_access_key, token), &expiration)
    }
}

/// What STS answers.
fn assumed(xml: &str) -> Result<Token, Trouble> {
    let part = |name: &str| element(xml, name).ok_or_else(|| Trouble::NoToken(format!("it has no {name}")));
    let owned = |name: &str| part(name).map(str::to_owned);
    let session_token = Some(owned("SessionToken")?);
    let credentials = credentials(owned("AccessKeyId")?, owned("SecretAccessKey")?, session_token);
    token_of(credentials, part("Expiration")?)
}

fn credentials(access_key_id: String, secret: String, session_token: Option<String>) -> AwsCredentials {
    let session_token = session_token.map(SecretString::from);
    AwsCredentials { access_key_id, secret_access_key: secret.into(), session_token }
}

fn token_of(credentials: AwsCredentials, expiration: &str) -> Result<Token, Trouble> {
    Ok(Token { proof: Proof::Aws(Arc::new(credentials)), lives: until(expiration)? })
}

/// How long until a moment such as `2026-11-21T18:00:00Z`.
pub(super) fn until(moment: &str) -> Result<Duration, Trouble> {
    let moment: jiff::Timestamp = moment.parse().map_err(|_| Trouble::NoToken("its end is no time".to_owned()))?;
    let moment = u64::try_from(moment.as_second()).unwrap_or(0);
    Ok(Duration::from_secs(moment).saturating_sub(clock::since_epoch()))
}
