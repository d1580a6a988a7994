//! The `caBundle` of our two webhook configurations, which tells the API server whom to trust.

use std::fmt::Debug;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Api, Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::TlsError;

/// Installed by the chart without a bundle.
const MUTATING: &str = "spillway-inject";
const VALIDATING: &str = "spillway-validate";

/// Writes our authority into both configurations where it is not there already. A configuration that is not installed is skipped.
pub async fn patch_webhooks(client: &kube::Client, ca_pem: &str) -> Result<(), TlsError> {
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    patch(&mutating, MUTATING, |config| {
        bundles(config.webhooks.iter().flatten().map(|hook| &hook.client_config), ca_pem)
    })
    .await?;
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    patch(&validating, VALIDATING, |config| {
        bundles(config.webhooks.iter().flatten().map(|hook| &hook.client_config), ca_pem)
    })
    .await
}

async fn patch<K>(api: &Api<K>, name: &str, wanted: impl Fn(&K) -> Vec<Value>) -> Result<(), TlsError>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug,
{
    let failed = |verb| move |source| TlsError::Api { verb, object: name.to_owned(), source: Box::new(source) };
    let Some(config) = api.get_opt(name).await.map_err(failed("read"))? else { return Ok(()) };
    let operations = wanted(&config);
    if operations.is_empty() {
        return Ok(());
    }
    tracing::info!(name, "writing the authority into the webhook configuration");
    let patch = serde_json::from_value(Value::Array(operations)).expect("the operations are a JSON patch");
    api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await.map(drop).map_err(failed("patch"))
}

/// JSON patch operations for the webhooks whose bundle is not ours. `add` also replaces.
fn bundles<'a>(configs: impl Iterator<Item = &'a WebhookClientConfig>, ca_pem: &str) -> Vec<Value> {
    let ours = ByteString(ca_pem.into());
    let differing = configs.enumerate().filter(|(_, config)| config.ca_bundle.as_ref() != Some(&ours));
    differing
        .map(|(place, _)| json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": ours}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bundles_that_differ_are_written() {
        let with = |bundle: Option<&str>| WebhookClientConfig {
            ca_bundle: bundle.map(|pem| ByteString(pem.into())),
            ..WebhookClientConfig::default()
        };
        let configs = [with(Some("ours")), with(None), with(Some("theirs"))];
        let operations = bundles(configs.iter(), "ours");
        let paths: Vec<_> = operations.iter().map(|op| op["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["/webhooks/1/clientConfig/caBundle", "/webhooks/2/clientConfig/caBundle"]);
        assert_eq!(operations[0]["value"], "b3Vycw==");
        assert!(bundles(configs[..1].iter(), "ours").is_empty());
        serde_json::from_value::<json_patch::Patch>(Value::Array(operations)).unwrap();
    }
}
