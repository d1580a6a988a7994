//! Documents that sidecars fetch short-lived keys with, checked as far as that goes without asking anybody.
//!
//! A sidecar would find the same faults, one request at a time; here whoever writes the Secret or the ModelProvider is told.

use rustls::SignatureScheme;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Map, Value};

/// What is wrong with the key file of a service account. Never quotes any of it but its type, if that is a known one.
pub(super) fn google(document: &Map<String, Value>) -> Result<(), String> {
    const OTHERS: [&str; 4] =
        ["authorized_user", "external_account", "external_account_authorized_user", "impersonated_service_account"];
    const WANTED: &str = "make a key of a service account (type \"service_account\") and store the JSON file as it is";
    match text(document, "type") {
        Some("service_account") => {}
        Some(kind) if OTHERS.contains(&kind) => return Err(format!("is of type {kind:?}: {WANTED}")),
        Some(_) | None => return Err(format!("is no key file of a Google service account: {WANTED}")),
    }
    if text(document, "client_email").is_none() {
        return Err(format!("has no client_email: {WANTED}"));
    }
    let Some(pem) = text(document, "private_key") else { return Err(format!("has no private_key: {WANTED}")) };
    let Ok(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) else {
        return Err(format!(
            "has a private_key that is no PEM, perhaps because its line breaks (\\n) were lost: {WANTED}"
        ));
    };
    let signs = rustls::crypto::ring::sign::any_supported_type(&key)
        .is_ok_and(|key| key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).is_some());
    if !signs {
        return Err(format!("has a private_key that is no RSA key of 2048 bits or more: {WANTED}"));
    }
    let address = document.get("token_uri").filter(|address| !address.is_null());
    let is_url =
        |address: &Value| address.as_str().is_some_and(|it| it.starts_with("https://") || it.starts_with("http://"));
    if address.is_some_and(|address| !is_url(address)) {
        return Err(
            "has a token_uri that is no URL: Google's files have https://oauth2.googleapis.com/token".to_owned()
        );
    }
    Ok(())
}

/// What is wrong with the document of an application of Azure's. Never quotes any of it.
pub(super) fn azure(document: &Map<String, Value>) -> Result<(), String> {
    const WANTED: &str = r#"write {"tenantId": "…", "clientId": "…", "clientSecret": "…"}"#;
    const NAMES: [[&str; 3]; 3] = [
        ["tenantId", "tenant", "tenant_id"],
        ["clientId", "appId", "client_id"],
        ["clientSecret", "password", "client_secret"],
    ];
    let twice = |names: &&[&str; 3]| names.iter().filter(|name| document.contains_key(**name)).count() > 1;
    if let Some([name, ..]) = NAMES.iter().find(twice) {
        return Err(format!("gives its {name} under two names: {WANTED}"));
    }
    for names in NAMES {
        if names.iter().find_map(|name| text(document, name)).is_none() {
            return Err(format!("has no {}: {WANTED}", names[0]));
        }
    }
    let tenant = NAMES[0].iter().find_map(|name| text(document, name)).unwrap_or_default();
    if !tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
        return Err("has a tenantId that is neither the id nor the domain of a tenant".to_owned());
    }
    Ok(())
}

/// A field that says something.
fn text<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    document.get(name)?.as_str().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of no account: it is in this repository.
    const KEY: &str = include_str!("../../../sidecar/src/identity/tests/key.pem");

    fn checked(check: fn(&Map<String, Value>) -> Result<(), String>, document: &Value) -> Result<(), String> {
        check(document.as_object().unwrap())
    }

    #[test]
    fn a_key_file_of_google_is_checked_down_to_its_key() {
        let good =
            json!({"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": KEY});
        assert_eq!(checked(google, &good), Ok(()));
        let elliptic = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let rows = [
            ("type", json!("authorized_user"), "is of type \"authorized_user\""),
            ("type", json!("canary"), "is no key file"),
            ("type", json!(null), "is no key file"),
            ("client_email", json!(""), "has no client_email"),
            ("private_key", json!(null), "has no private_key"),
            ("private_key", json!("canary"), "that is no PEM"),
            ("private_key", json!(KEY.replace('\n', " ")), "that is no PEM"),
            ("private_key", json!(elliptic), "that is no RSA key of 2048 bits"),
            ("token_uri", json!("canary"), "token_uri that is no URL"),
        ];
        for (field, value, want) in rows {
            let mut document = good.clone();
            document[field] = value;
            let error = checked(google, &document).expect_err(want);
            assert!(error.contains(want) && !error.contains("canary"), "{field}: {error}");
        }
    }

    #[test]
    fn a_document_of_azure_has_three_parts_under_one_name_each() {
        let good = [
            json!({"tenantId": "t-1", "clientId": "c", "clientSecret": "s"}),
            json!({"tenant": "contoso.example", "appId": "c", "password": "s", "displayName": "d"}),
        ];
        for document in good {
            assert_eq!(checked(azure, &document), Ok(()), "{document}");
        }
        let rows = [
            (json!({}), "has no tenantId"),
            (json!({"tenantId": "t", "clientSecret": "canary"}), "has no clientId"),
            (json!({"tenantId": "t", "clientId": "canary", "clientSecret": ""}), "has no clientSecret"),
            (json!({"tenantId": "t", "tenant": "canary", "clientId": "c", "clientSecret": "s"}), "under two names"),
            (json!({"tenantId": "canary/../x", "clientId": "c", "clientSecret": "s"}), "neither the id nor the domain"),
        ];
        for (document, want) in rows {
            let error = checked(azure, &document).expect_err(want);
            assert!(error.contains(want) && !error.contains("canary"), "{document}: {error}");
        }
    }
}
