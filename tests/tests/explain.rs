//! What `spillway explain` foretells, against what a sidecar with the same config then does.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value, json};
use spillway_tests::client::{CHAT, post};
use spillway_tests::operator::Operator;
use spillway_tests::process::program;
use spillway_tests::provider::Provider;

/// What is around the words of a prompt.
const AROUND: usize = 7;

/// Windows of 2,000, 6,000 and 20,000 tokens; the middle one has no tools, and one is for prompts of 1,000 tokens and more.
fn resources(endpoint: &str, mode: &str) -> String {
    let model = |name: &str, window: u64, tools: bool| {
        format!(
            "{{name: {name}, contextWindow: {window}, maxOutputTokens: 1000, tokenizer: o200k_base, tools: {tools}, \
             pricing: {{inputPerMillion: '1', outputPerMillion: '2'}}}}"
        )
    };
    let models = [model("small", 2_000, true), model("middle", 6_000, false), model("large", 20_000, true)].join(", ");
    format!(
        "
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {{name: llm, namespace: shop}}
spec: {{type: OpenAICompatible, endpoint: '{endpoint}', allowInsecure: true, credentials: {{none: {{}}}}, models: [{models}]}}
---
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {{name: chat, namespace: shop}}
spec:
  maxCostPerRequest: '0.018'
  backends:
  - {{name: picky, providerRef: {{name: llm}}, model: small, when: 'request.tokens >= 1000 && !request.hasTools'}}
  - {{name: first, providerRef: {{name: llm}}, model: small}}
  - {{name: middle, providerRef: {{name: llm}}, model: middle, role: Fallback}}
  - {{name: large, providerRef: {{name: llm}}, model: large, role: Fallback}}
---
apiVersion: spillway.dev/v1alpha1
kind: FallbackPolicy
metadata: {{name: chat, namespace: shop}}
spec:
  targetRefs: [{{group: spillway.dev, kind: ModelRoute, name: chat}}]
  contextWindow: {{onExceeded: {mode}, reserveOutputTokens: 500}}
  fallbacks: [{{onErrors: [ContextWindowExceeded], to: [large, middle]}}]
"
    )
}

/// Prompts by their length, with a limit for the answer, and with tools.
const PROMPTS: [(usize, Option<u64>, bool); 11] = [
    (100, None, false),
    (1_200, None, false),
    (1_200, None, true),
    (1_499, None, false),
    (1_501, None, false),
    (1_800, None, true),
    (1_400, Some(900), false),
    (5_600, Some(300), false),
    (9_000, None, false),
    (17_900, Some(100), false),
    (25_000, None, false),
];

fn foretold(folder: &Path, (tokens, output, tools): (usize, Option<u64>, bool)) -> anyhow::Result<Value> {
    let mut command = Command::new(program("spillway")?);
    command.args(["explain", "chat", "-n", "shop", "-o", "json", "--tokens", &tokens.to_string()]).arg(folder);
    if let Some(output) = output {
        command.args(["--output-tokens", &output.to_string()]);
    }
    if tools {
        command.arg("--tools");
    }
    let said = command.output()?;
    serde_json::from_slice(&said.stdout).with_context(|| String::from_utf8_lossy(&said.stderr).into_owned())
}

fn prompt((tokens, output, tools): (usize, Option<u64>, bool)) -> Value {
    let text = |words: usize| json!([{"role": "user", "content": vec!["word"; words].join(" ")}]);
    let mut body = json!({"model": "chat", "messages": text(tokens - AROUND)});
    if let Some(output) = output {
        body["max_tokens"] = output.into();
    }
    if tools {
        let tool =
            json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}});
        body["tools"] = json!([tool]);
        // What a tool takes is no word of the prompt.
        body["messages"] = text(tokens - AROUND - 25);
    }
    body
}

#[tokio::test]
async fn a_sidecar_does_what_was_foretold() -> anyhow::Result<()> {
    for mode in ["Reject", "LargerModel", "Truncate", "Hybrid"] {
        let provider = Provider::start().await?;
        let resources = resources(&provider.base_url(), mode);
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("shop.yaml"), &resources)?;
        let operator = Operator::start(&[("shop.yaml", &resources)]).await?;
        let sidecar = operator.sidecar("app").await?;
        for asked in PROMPTS {
            let said = foretold(folder.path(), asked)?;
            let reply = post(sidecar.data, CHAT, &prompt(asked)).await?;
            let at = format!("{mode} {asked:?}: {said:#}\n{reply:?}");
            let [gone, lowered] = ["x-spillway-truncated-messages", "x-spillway-max-output-tokens"]
                .map(|name| reply.header(name).parse::<u64>().is_ok_and(|number| number > 0));
            let done = match (reply.status, gone, lowered) {
                (200, true, _) => "Shortened",
                (200, false, true) => "LimitLowered",
                (200, false, false) => "Answered",
                _ => "Refused",
            };
            assert_eq!(said["outcome"], done, "{at}");
            let backend = said["backend"].as_str().unwrap_or_default();
            assert!(done == "Refused" || reply.header("x-spillway-backend") == backend, "{at}");
        }
    }
    Ok(())
}
