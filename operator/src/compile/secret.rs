//! When a Secret's key may be used: only from its own namespace, only if it opted in by label, only towards hosts it lists.
//!
//! Without these rules, whoever may write a ModelProvider but not read Secrets could have a key sent to a host of their own.

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use serde_json::{Map, Value};
use spillway_crds::{Reason, SecretKeyRef};

use super::endpoint::{Endpoint, HostPort};
use super::{aws_key, key_document};

/// A Secret with this label, of value `"true"`, may be used for providers.
pub const SECRET_LABEL: &str = "spillway.dev/provider-key";
/// The hosts a Secret's key may be sent to: `a.example,b.example:8443`. Default: the public host of the provider's type.
pub const HOSTS_ANNOTATION: &str = "spillway.dev/allowed-hosts";
/// The key in the Secret's data when none is named.
const DEFAULT_KEY: &str = "apiKey";
/// No provider's key comes near it, and it has to fit into a header.
const VALUE_BYTES: usize = 8 << 10;

/// Where a key is to be sent.
pub(crate) struct Use<'a> {
    /// The namespace of the ModelProvider, and the only one whose Secrets it may use.
    pub(crate) namespace: &'a str,
    pub(crate) endpoint: &'a Endpoint,
    /// Who else gets to see it: a proxy that speaks to the endpoint in clear.
    pub(crate) through: Option<&'a Endpoint>,
    /// The host a Secret without a list may be sent to.
    pub(crate) public: Option<HostPort>,
    /// The endpoint comes from the command line and is trusted.
    pub(crate) any_host: bool,
    /// Whether the operator may read Secrets of the namespace at all.
    pub(crate) readable: bool,
    pub(crate) form: Form,
}

/// How a Secret's value becomes what sidecars use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It is the key, and travels in a header.
    Header,
    /// It is a key of AWS, in one of its forms.
    Aws,
    /// It is a key, or the key file of a Google service account, which is not sent itself.
    Google,
    /// It is a key, or a document that says who an application of Azure's is, which is not sent itself.
    Azure,
}

/// Why a key may not be used; never contains any of it.
pub(crate) type Refusal = (Reason, String);

/// The key itself, or why it may not be used.
pub(crate) fn resolve(wanted: &SecretKeyRef, usage: &Use<'_>, secrets: &[Secret]) -> Result<SecretString, Refusal> {
    let SecretKeyRef { name, key } = wanted;
    let namespace = usage.namespace;
    let found = secrets.iter().find(|secret| {
        let meta = &secret.metadata;
        let here = meta.name.as_deref() == Some(name) && meta.namespace.as_deref().unwrap_or("default") == namespace;
        let opted_in = meta.labels.iter().flatten().any(|(label, value)| label == SECRET_LABEL && value == "true");
        here && opted_in
    });
    let secret = found.ok_or_else(|| {
        if !usage.readable {
            let fix = format!("add it to the chart's secrets.namespaces: --set 'secrets.namespaces={{{namespace}}}'");
            return (
                Reason::SecretNotFound,
                format!("the operator may read no Secrets of namespace {namespace}: {fix}"),
            );
        }
        let fix = format!("create it, or label it {SECRET_LABEL}=true");
        (Reason::SecretNotFound, format!("no Secret {namespace}/{name} with the label {SECRET_LABEL}: {fix}"))
    })?;
    if !usage.any_host {
        check_host(name, secret, usage, usage.endpoint, "")?;
        if let Some(proxy) = usage.through {
            let who = " (the proxy in spec.proxy, which reads what goes to an http:// endpoint)";
            check_host(name, secret, usage, proxy, who)?;
        }
    }
    value(name, key.as_deref().unwrap_or(DEFAULT_KEY), usage, secret)
}

fn check_host(name: &str, secret: &Secret, usage: &Use<'_>, endpoint: &Endpoint, who: &str) -> Result<(), Refusal> {
    let wanted = endpoint.host_port();
    let listed = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(HOSTS_ANNOTATION));
    let (allowed, rule) = match listed {
        Some(hosts) => {
            let mut hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty());
            let port = endpoint.default_port();
            let allowed = hosts.any(|host| HostPort::parse(host, port).as_ref() == Some(&wanted));
            (allowed, format!("which its annotation {HOSTS_ANNOTATION} does not list"))
        }
        None => match &usage.public {
            Some(public) => (*public == wanted, format!("only to {public}, the public host of the provider's type")),
            None => (false, format!("because it has no annotation {HOSTS_ANNOTATION}")),
        },
    };
    if allowed {
        return Ok(());
    }
    let host = if endpoint.port == endpoint.default_port() {
        endpoint.host.clone()
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    };
    // What the annotation has to say as a whole: those it lists, and this one.
    let all = match listed.map(|hosts| hosts.trim().trim_end_matches(',')).filter(|hosts| !hosts.is_empty()) {
        Some(hosts) => format!("{hosts},{host}"),
        None => host.clone(),
    };
    Err((
        Reason::HostNotAllowed,
        format!(
            "the key of Secret {}/{name} may not be sent to {host}{who}, {rule}: if it may, annotate the Secret \
             {HOSTS_ANNOTATION}={all:?}",
            usage.namespace
        ),
    ))
}

fn value(name: &str, key: &str, usage: &Use<'_>, secret: &Secret) -> Result<SecretString, Refusal> {
    let namespace = usage.namespace;
    let refuse = |why: &str| Err((Reason::SecretKeyNotFound, format!("Secret {namespace}/{name} {why}")));
    // `stringData` never comes from the API server, but it does from files.
    let plain = secret.string_data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let encoded = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let Some(bytes) = plain.or(encoded) else {
        return refuse(&format!(
            "has no key {key:?}: add it to its data, or name another one in credentials.secretRef.key"
        ));
    };
    // A newline at the end comes from `echo` or an editor and is never part of a key.
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return refuse(&format!("has nothing under key {key:?}"));
    }
    if bytes.len() > VALUE_BYTES {
        return refuse(&format!(
            "has {} bytes under key {key:?}, a provider key takes at most {VALUE_BYTES}",
            bytes.len()
        ));
    }
    let bytes = match document(bytes, usage.form) {
        Ok(bytes) => bytes,
        Err(why) => return refuse(&format!("has a JSON document under key {key:?} that {why}")),
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) if usage.form == Form::Aws => aws_key::normalise(&SecretString::from(text)).or_else(|why| {
            let why = format!("holds no key of AWS under {key:?}, what is there {why}");
            refuse(&why)
        }),
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') => Ok(SecretString::from(text)),
        _ => refuse(&format!("has characters under key {key:?} that no HTTP header can carry")),
    }
}

/// A document without the line breaks that people and tools put between its fields, and anything else as it is.
fn document(bytes: &[u8], form: Form) -> Result<Vec<u8>, String> {
    let check = match form {
        Form::Google => key_document::google,
        Form::Azure => key_document::azure,
        Form::Header | Form::Aws => return Ok(bytes.to_vec()),
    };
    if !bytes.starts_with(b"{") {
        return Ok(bytes.to_vec());
    }
    // What a parser says may have a part of it in it.
    let broken = |_| "does not parse".to_owned();
    let document = serde_json::from_slice::<Map<String, Value>>(bytes).map_err(broken)?;
    check(&document)?;
    serde_json::to_vec(&document).map_err(broken)
}

#[cfg(test)]
mod tests;
