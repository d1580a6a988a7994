//! Every source of tokens against somebody who answers as the real one does. What was asked is compared in full.

mod cache;

use std::net::SocketAddr;

use serde_json::{Value, json};

pub(super) use cache::Script;

use super::{
    environment::{Aws, Azure},
    *,
};
use crate::{
    clock,
    server::fake::{Act, Provider, reply},
    upstream::{address::AddressRule, connect::Dialer},
};

const SECOND: Duration = Duration::from_secs(1);
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

fn way() -> Way {
    let rule = AddressRule::new(vec!["127.0.0.0/8".parse().unwrap()]);
    Way { dialer: Dialer::new(), proxy: None, rule, insecure: true }
}

fn shown(given: &Given) -> String {
    match &given.proof {
        Proof::Header(value) => value.to_str().unwrap().to_owned(),
        Proof::Aws(credentials) => {
            let token = credentials.session_token.as_ref().map_or("", |token| token.expose_secret());
            format!("{}/{}/{token}", credentials.access_key_id, credentials.secret_access_key.expose_secret())
        }
    }
}

/// A request without the headers that every one has.
fn told(request: &str) -> Vec<String> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let usual = ["host:", "user-agent:", "accept:", "content-length:"];
    let lines = head.lines().filter(|line| !usual.iter().any(|name| line.starts_with(name)));
    lines.chain(std::iter::once(body).filter(|body| !body.is_empty())).map(str::to_owned).collect()
}

/// An identity, and whoever it asks.
async fn asking(
    cloud: Cloud,
    scope: &str,
    role: Option<&str>,
    environment: impl Fn(SocketAddr) -> Environment,
) -> (Identity, Provider) {
    let (server, addr) = Provider::start().await;
    let exchange = Exchange { cloud, scope: Some(scope.to_owned()), role: role.map(str::to_owned) };
    let environment = Arc::new(environment(addr));
    (Identity::new(exchange, Some("eu-west-1".to_owned()), way(), environment), server)
}

fn answers(server: &Provider, bodies: &[Value]) {
    server.then(bodies.iter().map(|body| Act::Write(reply(200, &[], &body.to_string()))));
}

fn document(text: &SecretString) -> Option<Document<'_>> {
    Some(Document { number: 1, version: 1, text })
}

#[tokio::test]
async fn a_service_account_signs_who_it_is_and_gets_a_token() {
    let (identity, server) = asking(Cloud::Google, SCOPE, None, |_| Environment::default()).await;
    let (tokens, addr) = Provider::start().await;
    answers(&tokens, &[json!({"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"})]);
    let token_uri = format!("http://{addr}/token");
    let file = SecretString::from(
        json!({
            "type": "service_account", "project_id": "p", "private_key_id": "kid-1", "private_key": include_str!("tests/key.pem"),
            "client_email": "a@p.iam.gserviceaccount.com", "token_uri": token_uri,
        })
        .to_string(),
    );
    let given = identity.proof(document(&file), 5 * SECOND).await.unwrap();
    assert_eq!(shown(&given), "Bearer ya29.x");
    assert!(!format!("{given:?}").contains("ya29"), "it does not print");
    assert!(server.seen().is_empty());
    let seen = told(&tokens.seen()[0]);
    let [line, kind, body] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(line, "POST /token HTTP/1.1");
    assert_eq!(kind, "content-type: application/x-www-form-urlencoded");
    let assertion =
        body.strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=").unwrap();
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(include_bytes!("tests/public.pem")).unwrap();
    let mut rule = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rule.set_audience(&["https://oauth2.googleapis.com/token"]);
    let jwt = jsonwebtoken::decode::<Value>(assertion, &key, &rule).unwrap();
    assert_eq!((jwt.header.kid.as_deref(), jwt.header.typ.as_deref()), (Some("kid-1"), Some("JWT")));
    let issued = jwt.claims["iat"].as_u64().unwrap();
    assert!(clock::since_epoch().as_secs() - issued <= 10);
    let audience = "https://oauth2.googleapis.com/token";
    assert_eq!(
        jwt.claims,
        json!({"iss": "a@p.iam.gserviceaccount.com", "scope": SCOPE, "aud": audience, "iat": issued, "exp": issued + 3600})
    );
}

#[tokio::test]
async fn a_pod_on_google_asks_the_metadata_server_and_becomes_another_account_if_it_is_told_to() {
    let rows = [(None, "Bearer own"), (Some("b@p.iam.gserviceaccount.com"), "Bearer other")];
    for (role, want) in rows {
        let at = |addr| Environment {
            metadata: format!("http://{addr}"),
            google_iam: format!("http://{addr}"),
            ..Environment::default()
        };
        let (identity, server) = asking(Cloud::Google, SCOPE, role, at).await;
        answers(
            &server,
            &[
                json!({"access_token": "own", "expires_in": 3000, "token_type": "Bearer"}),
                json!({"accessToken": "other", "expireTime": "2100-01-01T00:00:00Z"}),
            ],
        );
        assert_eq!(shown(&identity.proof(None, 5 * SECOND).await.unwrap()), want);
        let seen = server.seen();
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        let scopes = "https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform";
        assert_eq!(told(&seen[0]), [&format!("GET {path}?scopes={scopes} HTTP/1.1"), "metadata-flavor: Google"]);
        if let Some(role) = role {
            assert_eq!(
                told(&seen[1]),
                [
                    &*format!("POST /v1/projects/-/serviceAccounts/{role}:generateAccessToken HTTP/1.1"),
                    "content-type: application/json",
                    "authorization: Bearer own",
                    &json!({"scope": [SCOPE], "lifetime": "3600s"}).to_string(),
                ]
            );
        }
        assert_eq!(seen.len(), 1 + usize::from(role.is_some()));
    }
}

#[tokio::test]
async fn azure_is_told_a_secret_a_token_of_the_cluster_or_only_the_machine() {
    const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "cluster.jwt\n").unwrap();
    let secret = SecretString::from(r#"{"tenantId":"t-1","clientId":"c-1","clientSecret":"s&1"}"#.to_owned());
    let form = "content-type: application/x-www-form-urlencoded";
    let scope = "scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
    let assertion = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let rows = [
        // a document, a federated pod, what is asked
        (true, false, vec![
            "POST /t-1/oauth2/v2.0/token HTTP/1.1".to_owned(),
            form.to_owned(),
            format!("grant_type=client_credentials&client_id=c-1&{scope}&client_secret=s%261"),
        ]),
        (false, true, vec![
            "POST /t-2/oauth2/v2.0/token HTTP/1.1".to_owned(),
            form.to_owned(),
            format!("grant_type=client_credentials&client_id=c-2&{scope}&client_assertion_type={assertion}&client_assertion=cluster.jwt"),
        ]),
        (false, false, vec![
            "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=c-2 HTTP/1.1".to_owned(),
            "metadata: true".to_owned(),
        ]),
    ];
    for (with_secret, federated, want) in rows {
        let at = |addr| Environment {
            azure: Azure {
                client_id: Some("c-2".into()),
                tenant_id: Some("t-2".into()),
                federated_token_file: federated.then(|| token_file.clone()),
                authority_host: Some(format!("http://{addr}/")),
            },
            metadata: format!("http://{addr}"),
            ..Environment::default()
        };
        let (identity, server) = asking(Cloud::Azure, SCOPE, None, at).await;
        // The metadata service writes numbers as text.
        let seconds = if federated { json!(3599) } else { json!("3599") };
        answers(&server, &[json!({"access_token": "eyJ.x", "expires_in": seconds, "token_type": "Bearer"})]);
        let given = if with_secret { document(&secret) } else { None };
        assert_eq!(shown(&identity.proof(given, 5 * SECOND).await.unwrap()), "Bearer eyJ.x");
        assert_eq!(told(&server.seen()[0]), want);
    }
}

#[tokio::test]
async fn a_pod_on_aws_becomes_a_role_or_is_given_credentials_by_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "cluster.jwt").unwrap();
    let assumed = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleWithWebIdentityResult><Credentials><SessionToken>tok+/=</SessionToken><SecretAccessKey>sec</SecretAccessKey>\
        <Expiration>2100-01-01T00:00:00Z</Expiration><AccessKeyId>ASIA1</AccessKeyId></Credentials>\
        </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    let at = |addr| Environment {
        aws: Aws {
            role_arn: Some("arn:aws:iam::1:role/r".into()),
            web_identity_token_file: Some(token_file.clone()),
            endpoint_url_sts: Some(format!("http://{addr}/")),
            ..Aws::default()
        },
        ..Environment::default()
    };
    let (identity, server) = asking(Cloud::Aws, "", None, at).await;
    server.then([Act::Write(reply(200, &[], assumed))]);
    assert_eq!(shown(&identity.proof(None, 5 * SECOND).await.unwrap()), "ASIA1/sec/tok+/=");
    assert_eq!(
        told(&server.seen()[0]),
        [
            "POST / HTTP/1.1",
            "content-type: application/x-www-form-urlencoded",
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr\
             &RoleSessionName=spillway&WebIdentityToken=cluster.jwt",
        ]
    );

    let at = |addr| Environment {
        aws: Aws {
            container_credentials_full_uri: Some(format!("http://{addr}/v1/credentials")),
            container_authorization_token_file: Some(token_file.clone()),
            ..Aws::default()
        },
        ..Environment::default()
    };
    let (identity, server) = asking(Cloud::Aws, "", None, at).await;
    let body =
        json!({"AccessKeyId": "ASIA2", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"});
    answers(&server, &[body]);
    assert_eq!(shown(&identity.proof(None, 5 * SECOND).await.unwrap()), "ASIA2/s/t");
    assert_eq!(told(&server.seen()[0]), ["GET /v1/credentials HTTP/1.1", "authorization: cluster.jwt"]);
}

#[tokio::test]
async fn a_pod_on_aws_that_nothing_was_given_to_has_the_role_of_its_machine() {
    let at = |addr| Environment { metadata: format!("http://{addr}"), ..Environment::default() };
    let (identity, server) = asking(Cloud::Aws, "", None, at).await;
    let body = json!({"Code": "Success", "AccessKeyId": "ASIA3", "SecretAccessKey": "s", "Token": "t",
        "Expiration": "2100-01-01T00:00:00Z"});
    let answers = ["session", "node-role\n", &body.to_string()];
    server.then(answers.map(|answer| Act::Write(reply(200, &[], answer))));
    assert_eq!(shown(&identity.proof(None, 5 * SECOND).await.unwrap()), "ASIA3/s/t");
    let roles = "/latest/meta-data/iam/security-credentials/";
    let with_session = |line: String| vec![line, "x-aws-ec2-metadata-token: session".to_owned()];
    let want = [
        vec!["PUT /latest/api/token HTTP/1.1".to_owned(), "x-aws-ec2-metadata-token-ttl-seconds: 60".to_owned()],
        with_session(format!("GET {roles} HTTP/1.1")),
        with_session(format!("GET {roles}node-role HTTP/1.1")),
    ];
    assert_eq!(server.seen().iter().map(|request| told(request)).collect::<Vec<_>>(), want);

    let (identity, server) = asking(Cloud::Aws, "", None, at).await;
    server.then([Act::Write(reply(404, &[], ""))]);
    let why = identity.proof(None, 5 * SECOND).await.unwrap_err();
    assert_eq!(why.lack, Lack::Refused);
    assert!(why.to_string().contains("annotate its ServiceAccount with a role"), "{why}");
}

#[tokio::test]
async fn whatever_is_wrong_is_said_and_no_secret_with_it() {
    let (identity, server) = asking(Cloud::Azure, "s", None, |addr| Environment {
        azure: Azure { authority_host: Some(format!("http://{addr}")), ..Azure::default() },
        ..Environment::default()
    })
    .await;
    let secret = SecretString::from(r#"{"tenantId":"t","clientId":"c","clientSecret":"canary"}"#.to_owned());
    let refusal = json!({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."});
    server.then([Act::Write(reply(401, &[], &refusal.to_string()))]);
    let error = identity.proof(document(&secret), 5 * SECOND).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "127.0.0.1 gives no token (status 401): invalid_client: AADSTS7000215: Invalid client secret. (the next try is in 1 s) \
         (put a document that is good into its Secret)"
    );

    let rows = [
        (Cloud::Google, r#"{"type":"authorized_user","x":"canary"}"#, "only key files of type \"service_account\""),
        (
            Cloud::Google,
            r#"{"type":"service_account","client_email":"a","private_key":"canary"}"#,
            "no private_key in PEM",
        ),
        (Cloud::Google, r#"{"canary": 1}"#, "is not the key file of a service account"),
        (Cloud::Azure, r#"{"clientSecret":"canary"}"#, "is not of the form {\"tenantId\""),
        (
            Cloud::Azure,
            r#"{"tenantId":"../canary","clientId":"c","clientSecret":"s"}"#,
            "is not the id or domain of a tenant",
        ),
    ];
    for (cloud, text, want) in rows {
        let (identity, _) = asking(cloud, "s", None, |_| Environment::default()).await;
        let text = SecretString::from(text.to_owned());
        let error = identity.proof(document(&text), SECOND).await.unwrap_err();
        assert_eq!(error.lack, Lack::Setup);
        let error = error.to_string();
        assert!(error.contains(want) && !error.contains("canary"), "{error}");
    }
    let alone = Environment { aws: Aws { ec2_metadata_disabled: true, ..Aws::default() }, ..Environment::default() };
    let (identity, _) = asking(Cloud::Aws, "", None, |_| alone.clone()).await;
    let error = identity.proof(None, SECOND).await.unwrap_err().to_string();
    assert!(error.contains("the pod has no identity at AWS"), "{error}");
}

#[tokio::test]
async fn a_new_document_is_used_at_once_and_an_old_one_is_asked_with_once() {
    let (identity, server) = asking(Cloud::Azure, "s", None, |addr| Environment {
        azure: Azure { authority_host: Some(format!("http://{addr}")), ..Azure::default() },
        ..Environment::default()
    })
    .await;
    let text = SecretString::from(r#"{"tenantId":"t","clientId":"c","clientSecret":"s"}"#.to_owned());
    let token = |name: &str| json!({"access_token": name, "expires_in": 3600});
    answers(&server, &[token("one"), token("two"), token("three")]);
    let ask = |version| identity.proof(Some(Document { number: 1, version, text: &text }), 5 * SECOND);
    for (version, want) in [(1, "Bearer one"), (1, "Bearer one"), (2, "Bearer two"), (2, "Bearer two")] {
        assert_eq!(shown(&ask(version).await.unwrap()), want);
    }
    ask(2).await.unwrap().refused();
    assert_eq!(shown(&ask(2).await.unwrap()), "Bearer three", "the provider did not take the second one");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn where_a_token_is_missing_is_told_apart() {
    let (identity, server) = asking(Cloud::Google, SCOPE, None, |addr| Environment {
        metadata: format!("http://{addr}"),
        ..Environment::default()
    })
    .await;
    let rows = [(403, Lack::Refused), (404, Lack::Refused), (429, Lack::Unreachable), (503, Lack::Unreachable)];
    for (status, want) in rows {
        server.then([Act::Write(reply(status, &[], "{}"))]);
        let identity = Identity::new(identity.exchange.clone(), None, way(), Arc::clone(&identity.environment));
        let why = identity.proof(None, 5 * SECOND).await.unwrap_err();
        assert_eq!(why.lack, want, "{status}: {why}");
        assert!(why.to_string().contains("127.0.0.1 gives no token"), "{why}");
    }
    let nobody = Environment { metadata: "http://127.0.0.1:1".to_owned(), ..Environment::default() };
    let identity = Identity::new(identity.exchange.clone(), None, way(), Arc::new(nobody));
    assert_eq!(identity.proof(None, 5 * SECOND).await.unwrap_err().lack, Lack::Unreachable);
}
