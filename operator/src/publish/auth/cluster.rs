//! The two questions only the API server can answer: which keys sign tokens, and, where those are hidden, whether a token is good.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{Api, PostParams};

use super::keys::Published;
use super::verify::AUDIENCE;
use super::{Claims, Refusal};

const CONFIGURATION: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/openid/v1/jwks";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

type Ask<Q, A> = Box<dyn Fn(Q) -> BoxFuture<'static, A> + Send + Sync>;

/// What is asked of the API server, as two functions, so that tests can be one.
pub struct ApiServer {
    keys: Ask<(), Result<Published, String>>,
    review: Ask<String, Result<Claims, Refusal>>,
}

// === impl ApiServer ===

impl ApiServer {
    /// The API server behind this client. Needs `get` on the two discovery paths (which every ServiceAccount has by
    /// default) and, for clusters without them, `create` on tokenreviews.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        let reviewer = client.clone();
        Self {
            keys: Box::new(move |()| fetch_keys(client.clone()).boxed()),
            review: Box::new(move |token| review(reviewer.clone(), token).boxed()),
        }
    }

    /// Anything that answers the two questions.
    pub fn from_fns(
        keys: impl Fn(()) -> BoxFuture<'static, Result<Published, String>> + Send + Sync + 'static,
        review: impl Fn(String) -> BoxFuture<'static, Result<Claims, Refusal>> + Send + Sync + 'static,
    ) -> Self {
        Self { keys: Box::new(keys), review: Box::new(review) }
    }

    pub(super) async fn keys(&self) -> Result<Published, String> {
        (self.keys)(()).await
    }

    pub(super) async fn review(&self, token: &str) -> Result<Claims, Refusal> {
        (self.review)(token.to_owned()).await
    }
}

async fn fetch_keys(client: kube::Client) -> Result<Published, String> {
    let get = async |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).expect("the path is a constant");
        client.request_text(request).await.map_err(|error| format!("GET {path}: {error}"))
    };
    let (configuration, jwks) = (get(CONFIGURATION).await?, get(JWKS).await?);
    Published::parse(&configuration, &jwks)
        .map_err(|error| format!("{CONFIGURATION} or {JWKS} does not parse: {error}"))
}

async fn review(client: kube::Client, token: String) -> Result<Claims, Refusal> {
    let spec = TokenReviewSpec { token: Some(token), audiences: Some(vec![AUDIENCE.to_owned()]) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let answer = Api::<TokenReview>::all(client).create(&PostParams::default(), &review).await;
    // The error of a failed call could quote its body, which is the token.
    let answer =
        answer.map_err(|_| Refusal::Unavailable("neither token keys nor token reviews can be had".to_owned()))?;
    judge(answer.status.unwrap_or_default())
}

fn judge(status: TokenReviewStatus) -> Result<Claims, Refusal> {
    if status.authenticated != Some(true) {
        return Err(Refusal::Review);
    }
    // An API server that knows nothing of audiences answers without any; then the token was not checked for ours.
    if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return Err(Refusal::Audience);
    }
    let user = status.user.unwrap_or_default();
    let account = user.username.as_deref().and_then(|name| name.strip_prefix("system:serviceaccount:"));
    let (namespace, service_account) = account.and_then(|account| account.split_once(':')).ok_or(Refusal::NotBound)?;
    let extra: BTreeMap<String, Vec<String>> = user.extra.unwrap_or_default();
    let only = |key: &str| extra.get(key).and_then(|values| values.first()).cloned().ok_or(Refusal::NotBound);
    Ok(Claims {
        namespace: namespace.to_owned(),
        service_account: service_account.to_owned(),
        pod: only(POD_NAME)?,
        pod_uid: only(POD_UID)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_review_counts_only_for_our_audience_and_for_a_pod() {
        type Edit = fn(&mut Value);
        let good = json!({
            "authenticated": true, "audiences": ["spillway"],
            "user": {"username": "system:serviceaccount:shop:default", "extra": {POD_NAME: ["web-1"], POD_UID: ["u1"]}},
        });
        let with = |edit: Edit| {
            let mut value = good.clone();
            edit(&mut value);
            judge(serde_json::from_value(value).unwrap())
        };
        let claims = with(|_| {}).unwrap();
        assert_eq!((claims.namespace.as_str(), claims.pod.as_str(), claims.pod_uid.as_str()), ("shop", "web-1", "u1"));
        let rows: [(Edit, Refusal); 5] = [
            (|v| v["authenticated"] = json!(false), Refusal::Review),
            (|v| v["audiences"] = json!([]), Refusal::Audience),
            (|v| v["audiences"] = json!(["https://kubernetes.default.svc"]), Refusal::Audience),
            (|v| v["user"]["username"] = json!("admin"), Refusal::NotBound),
            (|v| v["user"]["extra"] = json!({}), Refusal::NotBound),
        ];
        for (edit, refusal) in rows {
            assert_eq!(with(edit).unwrap_err(), refusal);
        }
    }
}
