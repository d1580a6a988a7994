use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::ExposeSecret;

use super::*;

const KEY: &str = "sk-very-secret";

fn a_secret(hosts: Option<&str>) -> Secret {
    let mut secret = Secret::default();
    secret.metadata.name = Some("openai-key".into());
    secret.metadata.namespace = Some("ai".into());
    secret.metadata.labels = Some(BTreeMap::from([(SECRET_LABEL.into(), "true".into())]));
    secret.metadata.annotations = hosts.map(|hosts| BTreeMap::from([(HOSTS_ANNOTATION.into(), hosts.into())]));
    secret.data = Some(BTreeMap::from([
        ("apiKey".into(), ByteString(format!("{KEY}\n").into_bytes())),
        ("empty".into(), ByteString(b" \n".to_vec())),
        ("binary".into(), ByteString(vec![0xff, 0xfe])),
        (
            "document".into(),
            ByteString(b"{\n  \"tenantId\": \"t\",\n\"clientId\": \"c\", \"clientSecret\": \"a\\nb\"\n}\n".to_vec()),
        ),
        ("broken".into(), ByteString(b"{\"private_key\": ".to_vec())),
        ("half".into(), ByteString(b"{\"tenantId\": \"t\"}".to_vec())),
        ("control".into(), ByteString(b"a\nb".to_vec())),
        ("long".into(), ByteString(vec![b'x'; VALUE_BYTES + 1])),
    ]));
    secret
}

fn resolve_for(secret: &Secret, key: Option<&str>, endpoint: &str, public: Option<&str>) -> Result<String, Refusal> {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    let public = public.and_then(|host| HostPort::parse(host, 443));
    let usage = Use {
        namespace: "ai",
        endpoint: &endpoint,
        through: None,
        public,
        any_host: false,
        readable: true,
        form: Form::Azure,
    };
    let wanted = SecretKeyRef { name: "openai-key".into(), key: key.map(str::to_owned) };
    resolve(&wanted, &usage, std::slice::from_ref(secret)).map(|key| key.expose_secret().to_owned())
}

#[test]
fn a_key_of_aws_may_have_lines_and_is_made_one() {
    let mut secret = a_secret(Some("bedrock-runtime.us-east-1.amazonaws.com"));
    let file = "[default]\naws_access_key_id = AKIAX\naws_secret_access_key = canary\n";
    secret.data.as_mut().unwrap().insert("file".into(), ByteString(file.as_bytes().to_vec()));
    let endpoint = Endpoint::parse("https://bedrock-runtime.us-east-1.amazonaws.com").unwrap();
    let resolved = |key: &str| {
        let form = Form::Aws;
        let (namespace, endpoint) = ("ai", &endpoint);
        let usage = Use { namespace, endpoint, through: None, public: None, any_host: false, readable: true, form };
        let wanted = SecretKeyRef { name: "openai-key".into(), key: Some(key.into()) };
        resolve(&wanted, &usage, std::slice::from_ref(&secret)).map(|key| key.expose_secret().to_owned())
    };
    assert_eq!(resolved("file").unwrap(), r#"{"accessKeyId":"AKIAX","secretAccessKey":"canary"}"#);
    assert_eq!(resolved("apiKey").unwrap(), KEY, "an API key of Bedrock's");
    let (reason, message) = resolved("control").unwrap_err();
    assert_eq!(reason, Reason::SecretKeyNotFound);
    assert!(message.contains("holds no key of AWS under \"control\""), "{message}");
}

#[test]
fn a_key_goes_only_where_its_secret_lets_it() {
    let public = Some("api.openai.com");
    let rows = [
        // the Secret's list, the endpoint, the type's public host, may it
        (None, "https://api.openai.com/v1", public, true),
        (None, "https://API.openai.com.:443/v1", public, true),
        (None, "https://api.openai.com:8443/v1", public, false),
        (None, "http://api.openai.com/v1", public, false),
        (None, "https://evil.example/v1", public, false),
        (None, "https://api.openai.com.evil.example/v1", public, false),
        (None, "https://llm.svc/v1", None, false),
        (Some("llm.svc"), "https://llm.svc/v1", None, true),
        (Some("llm.svc"), "http://llm.svc/v1", None, true),
        (Some("llm.svc"), "http://llm.svc:8000/v1", None, false),
        (Some("a.example, llm.svc:8000"), "http://llm.svc:8000/v1", None, true),
        (Some("a.example,b.example:8443"), "https://b.example:8443", None, true),
        (Some("a.example"), "https://api.openai.com/v1", public, false),
        (Some(""), "https://api.openai.com/v1", public, false),
        (Some("*"), "https://evil.example/v1", public, false),
        (Some("openai.com"), "https://api.openai.com/v1", public, false),
    ];
    for (hosts, endpoint, public, want) in rows {
        let got = resolve_for(&a_secret(hosts), None, endpoint, public);
        match &got {
            Ok(key) => assert_eq!(key, KEY, "without the newline"),
            Err((reason, message)) => {
                assert_eq!(*reason, Reason::HostNotAllowed, "{message}");
                assert!(message.contains("ai/openai-key") && !message.contains(KEY), "{message}");
            }
        }
        assert_eq!(got.is_ok(), want, "{hosts:?} {endpoint}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_refused_by_name() {
    let rows = [
        ("other", Reason::SecretKeyNotFound, "has no key \"other\""),
        ("empty", Reason::SecretKeyNotFound, "has nothing under key"),
        ("binary", Reason::SecretKeyNotFound, "no HTTP header can carry"),
        ("broken", Reason::SecretKeyNotFound, "a JSON document under key \"broken\" that does not parse"),
        ("half", Reason::SecretKeyNotFound, "a JSON document under key \"half\" that has no clientId"),
        ("control", Reason::SecretKeyNotFound, "no HTTP header can carry"),
        ("long", Reason::SecretKeyNotFound, "takes at most 8192"),
    ];
    for (key, reason, part) in rows {
        let (got, message) = resolve_for(&a_secret(Some("h")), Some(key), "https://h", None).unwrap_err();
        assert_eq!(got, reason, "{key}");
        assert!(message.contains(part), "{key}: {message}");
    }
}

#[test]
fn a_secret_that_did_not_opt_in_does_not_exist() {
    let mut elsewhere = a_secret(Some("h"));
    elsewhere.metadata.namespace = Some("shop".into());
    let mut unlabelled = a_secret(Some("h"));
    unlabelled.metadata.labels = None;
    let mut opted_out = a_secret(Some("h"));
    opted_out.metadata.labels = Some(BTreeMap::from([(SECRET_LABEL.into(), "false".into())]));
    for (name, secret) in [("another namespace", elsewhere), ("no label", unlabelled), ("label false", opted_out)] {
        let (reason, message) = resolve_for(&secret, None, "https://h", None).unwrap_err();
        assert_eq!(reason, Reason::SecretNotFound, "{name}");
        assert!(message.contains("ai/openai-key") && message.contains(SECRET_LABEL), "{name}: {message}");
    }
}

#[test]
fn string_data_from_a_file_is_read_too() {
    let mut secret = a_secret(Some("h"));
    secret.data = None;
    secret.string_data = Some(BTreeMap::from([("apiKey".into(), "from-file".into())]));
    assert_eq!(resolve_for(&secret, None, "https://h", None).as_deref(), Ok("from-file"));
}

#[test]
fn a_document_in_place_of_a_key_becomes_one_line() {
    let found = resolve_for(&a_secret(Some("h")), Some("document"), "https://h", None);
    assert_eq!(found.as_deref(), Ok(r#"{"tenantId":"t","clientId":"c","clientSecret":"a\nb"}"#));
}

#[test]
fn a_proxy_that_gets_to_see_the_key_has_to_be_allowed_as_well() {
    let endpoint = Endpoint::parse("http://llm.svc/v1").unwrap();
    let proxy = Endpoint::parse("http://egress.corp:3128").unwrap();
    let rows = [("llm.svc", false), ("llm.svc,egress.corp:3128", true), ("egress.corp:3128", false)];
    for (hosts, want) in rows {
        let usage = Use {
            namespace: "ai",
            endpoint: &endpoint,
            through: Some(&proxy),
            public: None,
            any_host: false,
            readable: true,
            form: Form::Header,
        };
        let wanted = SecretKeyRef { name: "openai-key".into(), key: None };
        let found = resolve(&wanted, &usage, &[a_secret(Some(hosts))]);
        assert_eq!(found.is_ok(), want, "{hosts}: {:?}", found.as_ref().err());
        if let Err((_, message)) = found {
            let of_proxy = message.contains("to egress.corp:3128 (the proxy in spec.proxy,");
            assert_eq!(of_proxy, hosts == "llm.svc", "{hosts}: {message}");
            assert_eq!(message.ends_with("=\"llm.svc,egress.corp:3128\""), hosts == "llm.svc", "{hosts}: {message}");
        }
    }
}
