//! Every CEL rule, fed with what it accepts and what it rejects, without a cluster.

#![expect(clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;

use kube::core::cel::ValidationErrors;
use serde::de::DeserializeOwned;
use serde_json::Value;
use spillway_crds::{FallbackPolicy, ModelBudget, ModelProvider, ModelRoute};

/// A spec in YAML, and the part of the message it is rejected with; empty where it is accepted.
type Row = (&'static str, &'static str);

const PROVIDER: &[Row] = &[
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {inputPerMillion: '1', outputPerMillion: '2', \
          tiers: [{aboveTokens: 200000, cacheReadPerMillion: '3'}]}}]}",
        "",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {inputPerMillion: '1', outputPerMillion: '2', \
          tiers: [{aboveTokens: 200000}]}}]}",
        "a tier without a price changes nothing",
    ),
    ("{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {perSecond: '0.0001'}}]}", ""),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {images: [{quality: high, size: 1024x1024, \
          perImage: '0.04'}]}}]}",
        "",
    ),
    ("{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {}}]}", "a pricing without a price"),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {inputPerMillion: '1'}}]}",
        "tokens have a price as input and one as output",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, models: [{name: m, pricing: {perImage: '1', cacheReadPerMillion: '1'}}]}",
        "prices of other tokens and of long prompts need",
    ),
    ("{type: OpenAI, credentials: {none: {}}}", ""),
    ("{type: OpenAI, credentials: {secretRef: {name: k}}}", ""),
    ("{type: OpenAI, credentials: {workloadIdentity: {}}}", "know pods by their workload identity"),
    ("{type: Bedrock, region: eu-west-1, credentials: {workloadIdentity: {}}}", ""),
    ("{type: OpenAI, credentials: {secretRefs: [{name: a}, {name: b, key: second}]}}", ""),
    ("{type: OpenAI, credentials: {secretRef: {name: k}, secretRefs: [{name: a}]}}", "set exactly one of secretRef"),
    ("{type: OpenAI, credentials: {}}", "set exactly one of secretRef"),
    ("{type: OpenAI, credentials: {none: {}, secretRef: {name: k}}}", "set exactly one of secretRef"),
    (
        "{type: Bedrock, region: eu-west-1, credentials: {workloadIdentity: {}, none: {}}}",
        "set exactly one of secretRef",
    ),
    ("{type: OpenAICompatible, endpoint: 'https://a.example/v1', credentials: {none: {}}}", ""),
    ("{type: OpenAICompatible, credentials: {none: {}}}", "has no public endpoint"),
    ("{type: VLLM, credentials: {none: {}}}", "has no public endpoint"),
    (
        "{type: Ollama, credentials: {none: {}}}",
        "Ollama has no public endpoint: set spec.endpoint, for example http://ollama.",
    ),
    ("{type: AzureOpenAI, credentials: {none: {}}}", "for example https://my-resource.openai.azure.com"),
    ("{type: AzureAI, credentials: {none: {}}}", "for example https://my-resource.services.ai.azure.com/models"),
    ("{type: Cloudflare, credentials: {none: {}}}", "for example https://api.cloudflare.com/"),
    ("{type: Databricks, credentials: {none: {}}}", "for example https://my-workspace.cloud.databricks.com/"),
    ("{type: Groq, credentials: {none: {}}}", ""),
    ("{type: AzureOpenAI, endpoint: 'https://a.example', apiVersion: '2024-10-21', credentials: {none: {}}}", ""),
    ("{type: OpenAI, apiVersion: '2024-10-21', credentials: {none: {}}}", "only AzureOpenAI has versions"),
    ("{type: Bedrock, region: us-east-1, credentials: {secretRef: {name: k}}}", ""),
    ("{type: Bedrock, credentials: {secretRef: {name: k}}}", "Bedrock needs spec.region"),
    (
        "{type: Bedrock, endpoint: 'https://a.example', credentials: {secretRef: {name: k}}}",
        "Bedrock needs spec.region",
    ),
    ("{type: OpenAI, region: us-east-1, credentials: {none: {}}}", "only Bedrock and VertexAI have regions"),
    ("{type: VertexAI, region: europe-west4, project: my-project-123, credentials: {secretRef: {name: k}}}", ""),
    ("{type: VertexAI, endpoint: 'https://a.example/v1', credentials: {none: {}}}", ""),
    (
        "{type: VertexAI, region: global, credentials: {secretRef: {name: k}}}",
        "VertexAI needs spec.region and spec.project",
    ),
    (
        "{type: VertexAI, project: p1, credentials: {secretRef: {name: k}}}",
        "VertexAI needs spec.region and spec.project",
    ),
    ("{type: Bedrock, region: us-east-1, project: p1, credentials: {none: {}}}", "only VertexAI has projects"),
    ("{type: OpenAI, endpoint: 'http://a.example/v1', credentials: {none: {}}}", "sends keys and prompts in clear"),
    (
        "{type: OpenAI, endpoint: 'http://a/v1', allowInsecure: false, credentials: {none: {}}}",
        "sends keys and prompts in clear",
    ),
    ("{type: OpenAI, endpoint: 'http://a.example/v1', allowInsecure: true, credentials: {none: {}}}", ""),
    ("{type: OpenAI, endpoint: 'https://a.example/v1', credentials: {none: {}}}", ""),
    ("{type: OpenAI, credentials: {none: {}}, allowedNamespaces: {from: All}}", ""),
    (
        "{type: OpenAI, credentials: {none: {}}, allowedNamespaces: {from: Selector, selector: {matchLabels: {ai: 'yes'}}}}",
        "",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, allowedNamespaces: {from: Selector}}",
        "selector goes with from: Selector",
    ),
    (
        "{type: OpenAI, credentials: {none: {}}, allowedNamespaces: {from: All, selector: {}}}",
        "selector goes with from: Selector",
    ),
];

const ROUTE: &[Row] = &[
    ("{backends: [{name: a, providerRef: {name: p}, model: m}]}", ""),
    ("{backends: [{name: a, providerRef: {name: p}, model: m, role: Primary}]}", ""),
    (
        "{backends: [{name: a, providerRef: {name: p}, model: m, role: Fallback}]}",
        "at least one backend the role Primary",
    ),
    (
        "{backends: [{name: a, providerRef: {name: p}, model: m, role: Shadow}]}",
        "at least one backend the role Primary",
    ),
    (
        "{backends: [{name: a, providerRef: {name: p}, model: m}], request: {passThrough: [Files, Batches, Responses, ChatCompletions, Models]}}",
        "",
    ),
    ("{strategy: Weighted, backends: [{name: a, providerRef: {name: p}, model: m, weight: 9}]}", ""),
    (
        "{strategy: Weighted, backends: [{name: a, providerRef: {name: p}, model: m}]}",
        "needs a weight on every Primary",
    ),
    (
        "{strategy: Weighted, backends: [{name: a, providerRef: {name: p}, model: m, weight: 1}, \
          {name: b, providerRef: {name: p}, model: m, role: Fallback}]}",
        "",
    ),
    (
        "{strategy: Cascade, cascade: {escalateWhen: 'true'}, backends: [{name: a, providerRef: {name: p}, model: m}]}",
        "",
    ),
    ("{strategy: Cascade, backends: [{name: a, providerRef: {name: p}, model: m}]}", "needs spec.cascade.escalateWhen"),
    (
        "{workloadSelector: {matchExpressions: [{key: a, operator: In, values: [b]}]}, backends: [{name: a, providerRef: {name: p}, model: m}]}",
        "",
    ),
    (
        "{workloadSelector: {matchExpressions: [{key: a, operator: In}]}, backends: [{name: a, providerRef: {name: p}, model: m}]}",
        "In and NotIn need values",
    ),
    (
        "{workloadSelector: {matchExpressions: [{key: a, operator: Exists}]}, backends: [{name: a, providerRef: {name: p}, model: m}]}",
        "",
    ),
    (
        "{workloadSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}, backends: [{name: a, providerRef: {name: p}, model: m}]}",
        "In and NotIn need values",
    ),
];

/// One limit of a route with one good backend.
const LIMIT: &[Row] = &[
    ("{name: l, requests: 60, window: 1m}", ""),
    ("{name: l, tokens: 60, requests: 60, window: 1m}", ""),
    ("{name: l, concurrency: 5}", ""),
    ("{name: l}", "a limit limits something"),
    ("{name: l, requests: 60}", "are counted over a window"),
    ("{name: l, concurrency: 5, window: 1m}", "are counted over a window"),
    ("{name: l, concurrency: 5, per: Header, header: x-tenant}", ""),
    ("{name: l, concurrency: 5, per: Header}", "needs the header's name"),
    ("{name: l, concurrency: 5, per: Pod, header: x-tenant}", "needs the header's name"),
    ("{name: l, concurrency: 5, header: x-tenant}", "needs the header's name"),
    ("{name: l, concurrency: 5, per: User}", ""),
    ("{name: l, concurrency: 5, per: User, header: x-tenant}", "needs the header's name"),
];

/// Everything of a policy but its target, which is a good one.
const POLICY: &[Row] = &[
    ("{contextWindow: {onExceeded: Hybrid}}", ""),
    ("{contextWindow: {count: Provider}}", ""),
    ("{contextWindow: {onExceeded: Summarize, summarize: {backend: a}}}", ""),
    ("{contextWindow: {onExceeded: Summarize}}", "needs contextWindow.summarize"),
    ("{retries: {backoff: {base: 1s, max: 8s}}}", ""),
    ("{retries: {backoff: {base: 1s, max: 1s}}}", ""),
    ("{retries: {backoff: {base: 1m}}}", ""),
    ("{retries: {backoff: {base: 1m, max: 8s}}}", "backoff.base is longer than backoff.max"),
];

const TARGET: &[Row] = &[
    ("{group: spillway.dev, kind: ModelRoute, name: chat}", ""),
    ("{group: gateway.networking.k8s.io, kind: HTTPRoute, name: chat}", "applies to ModelRoutes"),
    ("{group: '', kind: ModelRoute, name: chat}", "applies to ModelRoutes"),
];

const BUDGET: &[Row] = &[
    ("{limit: '500.00', period: Month}", ""),
    ("{limit: '0.01', period: Day}", ""),
    ("{limit: '0', period: Day}", "a budget is more than 0"),
    ("{limit: '0.000', period: Day}", "a budget is more than 0"),
    ("{limit: '1', period: Day, selector: {per: Header, header: x-tenant}}", ""),
    ("{limit: '1', period: Day, selector: {per: Header}}", "needs the header's name"),
    ("{limit: '1', period: Day, selector: {header: x-tenant}}", "needs the header's name"),
    ("{limit: '1', period: Day, onExhausted: {action: Block}}", ""),
    ("{limit: '1', period: Day, onExhausted: {action: Downgrade, to: [mini]}}", ""),
    ("{limit: '1', period: Day, onExhausted: {action: Downgrade}}", "action: Downgrade needs"),
    ("{limit: '1', period: Day, onExhausted: {action: Block, to: [mini]}}", "action: Downgrade needs"),
];

fn check<K: DeserializeOwned>(
    kind: &str,
    rows: &[Row],
    spec: impl Fn(&str) -> String,
    validate: impl Fn(&K) -> Result<(), ValidationErrors>,
) {
    for (row, want) in rows {
        let text =
            format!("apiVersion: spillway.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {}\n", spec(row));
        let object: K = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{kind} {row}: {error}"));
        let got = validate(&object).err().map_or_else(Vec::new, ValidationErrors::into_vec);
        let messages: Vec<_> = got.iter().map(|error| error.message.as_str()).collect();
        let right =
            if want.is_empty() { messages.is_empty() } else { messages.len() == 1 && messages[0].contains(want) };
        assert!(right, "{kind} {row}\n  want {want:?}\n  got {messages:?}");
    }
}

#[test]
fn providers_are_accepted_and_rejected_by_the_rules() {
    check("ModelProvider", PROVIDER, str::to_owned, ModelProvider::validate_cel);
}

#[test]
fn routes_are_accepted_and_rejected_by_the_rules() {
    check("ModelRoute", ROUTE, str::to_owned, ModelRoute::validate_cel);
    let with_limit =
        |limit: &str| format!("{{backends: [{{name: a, providerRef: {{name: p}}, model: m}}], limits: [{limit}]}}");
    check("ModelRoute", LIMIT, with_limit, ModelRoute::validate_cel);
}

#[test]
fn policies_are_accepted_and_rejected_by_the_rules() {
    let with_target = |rest: &str| {
        let target = "{targetRefs: [{group: spillway.dev, kind: ModelRoute, name: chat}], ";
        rest.replacen('{', target, 1)
    };
    check("FallbackPolicy", POLICY, with_target, FallbackPolicy::validate_cel);
    check("FallbackPolicy", TARGET, |target| format!("{{targetRefs: [{target}]}}"), FallbackPolicy::validate_cel);
}

#[test]
fn budgets_are_accepted_and_rejected_by_the_rules() {
    check("ModelBudget", BUDGET, str::to_owned, ModelBudget::validate_cel);
}

#[test]
fn every_rule_has_a_row_that_it_rejects() {
    let mut messages = BTreeSet::new();
    collect(&serde_json::to_value(spillway_crds::crds()).unwrap(), &mut messages);
    assert!(messages.len() >= 15, "found only {}", messages.len());
    let rows = [PROVIDER, ROUTE, LIMIT, POLICY, TARGET, BUDGET].concat();
    for message in messages {
        let rejected = rows.iter().any(|(_, want)| !want.is_empty() && message.contains(want));
        assert!(rejected, "no row is rejected by the rule {message:?}");
    }
}

/// The messages of all rules; a rule without one is a failure of its own.
fn collect(value: &Value, messages: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                let message = rule["message"].as_str().unwrap_or_else(|| panic!("no message: {rule}"));
                messages.insert(message.to_owned());
            }
            fields.values().for_each(|field| collect(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, messages)),
        _ => {}
    }
}
