//! Where tokens of a pod's own identity may be sent, and what they may be for.
//!
//! No Secret says so here, and whoever may write a ModelProvider is not whoever owns the identity of the pods: without this
//! rule such a token, good for far more than models, could be sent to a host of their own.

use spillway_crds::{ProviderType, Reason};
use spillway_wire::Cloud;

use super::credential::Problem;
use super::endpoint::Endpoint;
use super::secret::Use;

/// What each cloud's models are reached at, wherever customers cannot run code of their own.
const GOOGLE: [&str; 1] = ["googleapis.com"];
const AZURE: [&str; 10] = [
    "openai.azure.com",
    "services.ai.azure.com",
    "models.ai.azure.com",
    "cognitiveservices.azure.com",
    "openai.azure.us",
    "services.ai.azure.us",
    "cognitiveservices.azure.us",
    "openai.azure.cn",
    "services.ai.azure.cn",
    "cognitiveservices.azure.cn",
];
/// Below these there are load balancers and APIs of customers, too.
const AWS: [&str; 2] = ["amazonaws.com", "amazonaws.com.cn"];
const AWS_SERVICES: [&str; 2] = ["bedrock-runtime", "bedrock-runtime-fips"];

/// Who tokens of Azure may be for.
const AUDIENCES: [&str; 6] = [
    "https://cognitiveservices.azure.com",
    "https://ai.azure.com",
    "https://cognitiveservices.azure.us",
    "https://ai.azure.us",
    "https://cognitiveservices.azure.cn",
    "https://ai.azure.cn",
];

/// Whether whoever sees the requests belongs to the cloud.
pub(super) fn check(kind: ProviderType, cloud: Cloud, usage: &Use<'_>) -> Result<(), Problem> {
    if usage.any_host {
        return Ok(());
    }
    let refuse = |path, endpoint: &Endpoint, fix: &str| {
        let (host, hosts) = (endpoint.host_port(), hosts(cloud));
        let message = format!(
            "the token of a pod's identity may not be sent to {host}, for {kind} only to {hosts}: {fix}, or use a key from \
             a Secret that lists the host, in credentials.secretRef"
        );
        Err((Reason::HostNotAllowed, path, message))
    };
    match usage.through {
        _ if !belongs(cloud, &usage.endpoint.host) => refuse("spec.endpoint", usage.endpoint, "use such an endpoint"),
        Some(proxy) if !belongs(cloud, &proxy.host) => refuse("spec.proxy.url", proxy, "use an https:// endpoint"),
        _ => Ok(()),
    }
}

/// `audience` without a slash or a suffix.
pub(super) fn check_audience(audience: &str) -> Result<(), Problem> {
    if AUDIENCES.contains(&audience) {
        return Ok(());
    }
    let message = format!("a token for {audience:?} is good for more than models: use one of {}", AUDIENCES.join(", "));
    Err((Reason::Invalid, "spec.credentials.workloadIdentity.audience", message))
}

fn belongs(cloud: Cloud, host: &str) -> bool {
    let below = |domain: &&str| host.strip_suffix(*domain).and_then(|rest| rest.strip_suffix('.'));
    match cloud {
        Cloud::Google => GOOGLE.iter().any(|domain| below(domain).is_some()),
        Cloud::Azure => AZURE.iter().any(|domain| below(domain).is_some()),
        Cloud::Aws => AWS.iter().filter_map(below).any(is_bedrock),
    }
}

/// `bedrock-runtime.us-east-1`, or the name of an interface endpoint before it and `vpce` behind it.
fn is_bedrock(name: &str) -> bool {
    let (name, in_vpc) = name.strip_suffix(".vpce").map_or((name, false), |name| (name, true));
    let mut labels = name.rsplit('.');
    // Buckets have a place that looks much like a region: `s3-us-east-1`.
    let is_region = labels.next().is_some_and(|region| region.contains('-') && !region.starts_with("s3"));
    let is_service = labels.next().is_some_and(|service| AWS_SERVICES.contains(&service));
    is_region && is_service && labels.next().is_some() == in_vpc
}

/// The same for people.
fn hosts(cloud: Cloud) -> String {
    let below = |domains: &[&str]| domains.iter().map(|domain| format!("*.{domain}")).collect::<Vec<_>>().join(", ");
    match cloud {
        Cloud::Google => below(&GOOGLE),
        Cloud::Azure => below(&AZURE),
        Cloud::Aws => AWS.map(|domain| format!("bedrock-runtime.REGION.{domain}")).join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::secret::Form;

    fn checked(cloud: Cloud, endpoint: &str, proxy: Option<&str>, any_host: bool) -> Result<(), Problem> {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        let proxy = proxy.map(|url| Endpoint::parse(url).unwrap());
        let (namespace, endpoint, through) = ("ai", &endpoint, proxy.as_ref());
        let form = Form::Google;
        let usage = Use { namespace, endpoint, through, public: None, any_host, readable: true, form };
        check(ProviderType::VertexAI, cloud, &usage)
    }

    #[test]
    fn a_token_of_a_pod_goes_to_its_own_cloud_only() {
        let rows = [
            (Cloud::Google, "https://europe-west4-aiplatform.googleapis.com/v1", true),
            (Cloud::Google, "https://aiplatform.eu.rep.googleapis.com", true),
            (Cloud::Google, "https://AIPLATFORM.googleapis.com.", true),
            (Cloud::Google, "https://evil.example", false),
            (Cloud::Google, "https://evilgoogleapis.com", false),
            (Cloud::Google, "https://googleapis.com.evil.example", false),
            (Cloud::Google, "https://a.openai.azure.com", false),
            (Cloud::Azure, "https://a.openai.azure.com/openai/v1", true),
            (Cloud::Azure, "https://a.services.ai.azure.com/models", true),
            (Cloud::Azure, "https://a.cognitiveservices.azure.us", true),
            (Cloud::Azure, "https://a.azure-api.net", false),
            (Cloud::Azure, "https://a.blob.core.windows.net", false),
            (Cloud::Aws, "https://bedrock-runtime.us-east-1.amazonaws.com", true),
            (Cloud::Aws, "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", true),
            (Cloud::Aws, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn", true),
            (Cloud::Aws, "https://vpce-1-a.bedrock-runtime.us-east-1.vpce.amazonaws.com", true),
            (Cloud::Aws, "https://a-1.us-east-1.elb.amazonaws.com", false),
            (Cloud::Aws, "https://bedrock-runtime.us-east-1.elb.amazonaws.com", false),
            (Cloud::Aws, "https://bedrock-runtime.s3.amazonaws.com", false),
            (Cloud::Aws, "https://bedrock-runtime.s3-us-west-2.amazonaws.com", false),
            (Cloud::Aws, "https://x.execute-api.us-east-1.amazonaws.com", false),
        ];
        for (cloud, endpoint, want) in rows {
            assert_eq!(checked(cloud, endpoint, None, false).is_ok(), want, "{endpoint}");
            assert_eq!(checked(cloud, endpoint, None, true), Ok(()), "{endpoint}, which the command line says");
        }
    }

    #[test]
    fn a_refusal_names_the_field_the_host_and_the_fix() {
        let google = "http://a.googleapis.com";
        let rows = [
            ("https://evil.example", None, "spec.endpoint", "to evil.example, for VertexAI only to *.googleapis.com"),
            (google, Some("http://evil.example:3128"), "spec.proxy.url", "to evil.example:3128,"),
        ];
        for (endpoint, proxy, path, part) in rows {
            let (reason, found, message) = checked(Cloud::Google, endpoint, proxy, false).unwrap_err();
            assert_eq!((reason, found), (Reason::HostNotAllowed, path));
            assert!(message.contains(part) && message.contains("credentials.secretRef"), "{message}");
        }
    }
}
