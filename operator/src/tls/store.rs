//! The authority's Secret: whoever is first creates it, everyone else reads it, and a deleted one comes back.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};

use super::{Authority, Tls, TlsError};
use crate::clock::Clock;

/// The Secret in the operator's own namespace.
pub const SECRET_NAME: &str = "spillway-ca";

/// The authority all replicas share. A race between replicas is decided by the API server: one create wins.
pub async fn load_or_create(client: &kube::Client, namespace: &str, clock: Clock) -> Result<Authority, TlsError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    loop {
        if let Some(secret) = secrets.get_opt(SECRET_NAME).await.map_err(|e| api("read", namespace, e))? {
            return read(&secret);
        }
        let authority = Authority::generate(clock.wall())?;
        match secrets.create(&PostParams::default(), &secret(&authority)).await {
            Ok(_) => return Ok(authority),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(api("create", namespace, error)),
        }
    }
}

/// Puts the Secret back if it was deleted or damaged, from memory, because running pods trust what they were
/// injected with. One that was replaced by another valid authority is adopted: that was done on purpose.
pub async fn restore(client: &kube::Client, namespace: &str, tls: &Tls) -> Result<(), TlsError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mine = tls.authority().borrow().clone();
    let Some(stored) = secrets.get_opt(SECRET_NAME).await.map_err(|e| api("read", namespace, e))? else {
        tracing::warn!(namespace, name = SECRET_NAME, "the authority's Secret was deleted, creating it again");
        return match secrets.create(&PostParams::default(), &secret(&mine)).await {
            // Another replica was faster; the next check compares.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => created.map(drop).map_err(|e| api("create", namespace, e)),
        };
    };
    match read(&stored) {
        Ok(authority) if authority.cert_pem() == mine.cert_pem() => Ok(()),
        Ok(authority) => {
            tracing::warn!(
                namespace,
                name = SECRET_NAME,
                "the authority was replaced; pods trust the new one after a restart"
            );
            tls.adopt(authority)
        }
        Err(error) => {
            tracing::warn!(namespace, name = SECRET_NAME, %error, "the authority's Secret was damaged, writing it again");
            let mut repaired = secret(&mine);
            repaired.metadata.resource_version = stored.metadata.resource_version;
            let replaced = secrets.replace(SECRET_NAME, &PostParams::default(), &repaired).await;
            replaced.map(drop).map_err(|e| api("repair", namespace, e))
        }
    }
}

fn read(secret: &Secret) -> Result<Authority, TlsError> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        let text = bytes.and_then(|ByteString(bytes)| std::str::from_utf8(bytes).ok());
        text.ok_or_else(|| TlsError::Authority(format!("Secret {SECRET_NAME} has no text under {key}")))
    };
    Authority::from_pem(text("tls.crt")?, text("tls.key")?)
}

fn secret(authority: &Authority) -> Secret {
    let data = BTreeMap::from([
        ("tls.crt".to_owned(), ByteString(authority.cert_pem().into())),
        ("tls.key".to_owned(), ByteString(authority.key_pem().into())),
    ]);
    Secret {
        metadata: ObjectMeta { name: Some(SECRET_NAME.to_owned()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

fn api(verb: &'static str, namespace: &str, source: kube::Error) -> TlsError {
    TlsError::Api { verb, object: format!("Secret {namespace}/{SECRET_NAME}"), source: Box::new(source) }
}
