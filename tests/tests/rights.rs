//! Budgets across processes: what the operator grants, what sidecars spend of it, and what becomes of it when they die.

use serde_json::{Value, json};
use spillway_tests::client::{self, CHAT, Reply, chat, post, send};
use spillway_tests::operator::Operator;
use spillway_tests::provider::{INPUT_TOKENS, OUTPUT_TOKENS, Provider};
use spillway_tests::sidecar::Sidecar;

/// What every answer costs, at $1 and $10 per million tokens.
const ANSWER_NANOS: u64 = INPUT_TOKENS * 1_000 + OUTPUT_TOKENS * 10_000;

/// Routes `chat` and `slow`, whose provider never answers, under one budget.
fn resources(provider: &Provider, limit: &str) -> String {
    let model = |name: &str| {
        format!(
            "{{name: {name}, contextWindow: 100000, maxOutputTokens: 4000, pricing: {{inputPerMillion: '1', outputPerMillion: '10'}}}}"
        )
    };
    let route = |name: &str, model: &str| {
        format!(
            "
---
apiVersion: spillway.dev/v1alpha1
kind: ModelRoute
metadata: {{name: {name}, namespace: shop}}
spec:
  backends: [{{name: main, providerRef: {{name: llm}}, model: {model}}}]
"
        )
    };
    format!(
        "
apiVersion: spillway.dev/v1alpha1
kind: ModelProvider
metadata: {{name: llm, namespace: shop}}
spec:
  type: OpenAICompatible
  endpoint: {}
  allowInsecure: true
  credentials: {{none: {{}}}}
  models: [{}, {}]
{}{}
---
apiVersion: spillway.dev/v1alpha1
kind: ModelBudget
metadata: {{name: month, namespace: shop}}
spec:
  selector: {{routes: [chat, slow], per: Namespace}}
  limit: '{limit}'
  period: Month
  enforcement: Strict
  onExhausted: {{action: Block}}
",
        provider.base_url(),
        model("well"),
        model("hang"),
        route("chat", "well"),
        route("slow", "hang"),
    )
}

/// A request that can cost more than it does: the provider bills a hundred tokens and twenty whatever it is asked.
fn request(route: &str) -> Value {
    let mut body = chat(route);
    body["messages"] = json!([{"role": "user", "content": "what a long day it was ".repeat(30)}]);
    body["max_tokens"] = 100.into();
    body
}

async fn ask(sidecar: &Sidecar) -> anyhow::Result<Reply> {
    post(sidecar.data, CHAT, &request("chat")).await
}

async fn rights(sidecar: &Sidecar) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&sidecar.admin_get("/debug/rights").await?.1)?)
}

/// Asks until there is no more. Gives how many were answered, and the first refusal.
async fn use_up(sidecar: &Sidecar) -> anyhow::Result<(u64, Reply)> {
    let mut answered = 0;
    loop {
        let reply = ask(sidecar).await?;
        match reply.code().as_str() {
            "" => answered += 1,
            // Somebody else holds it, and gives it back.
            "budget_share_exceeded" => {}
            _ => return Ok((answered, reply)),
        }
        anyhow::ensure!(answered < 1_000, "the budget has no end");
    }
}

#[tokio::test]
async fn a_budget_is_spent_nearly_to_its_end_and_never_passed() -> anyhow::Result<()> {
    const LIMIT: u64 = 20_000_000;
    let provider = Provider::start().await?;
    let operator = Operator::start(&[("shop.yaml", &resources(&provider, "0.02"))]).await?;
    // Without a cluster there is one pod, so there is one sidecar: `make fleet` has many.
    let one = operator.sidecar("one").await?;
    let (answered, reply) = use_up(&one).await?;
    let spent = answered * ANSWER_NANOS;
    assert!((LIMIT / 10 * 8..=LIMIT).contains(&spent), "{spent} of {LIMIT}");
    assert_eq!((reply.status, reply.code().as_str()), (429, "insufficient_quota"), "{reply:?}");
    assert_eq!(reply.header("x-should-retry"), "false");
    let message = reply.message();
    assert!(message.starts_with("budget shop/month of $0.02 a month has $0.00"), "{message}");
    assert!(message.contains("; it begins anew at 20"), "{message}");
    let (_, metrics) = one.admin_get("/metrics").await?;
    assert!(
        metrics.contains("spillway_budget_refusals_total{budget=\"shop/month\",reason=\"exhausted\"} 1"),
        "{metrics}"
    );
    Ok(())
}

#[tokio::test]
async fn a_sidecar_that_is_killed_has_spent_what_its_requests_could_cost() -> anyhow::Result<()> {
    let provider = Provider::start().await?;
    let operator = Operator::start(&[("shop.yaml", &resources(&provider, "5"))]).await?;
    let mut sidecar = operator.sidecar("app").await?;
    assert_eq!(ask(&sidecar).await?.status, 200);
    let data = sidecar.data;
    let waiting = tokio::spawn(async move { post(data, CHAT, &request("slow")).await });
    provider.until(|seen| seen.len() == 2).await?;
    let before = rights(&sidecar).await?;
    let [spent, open] = ["spent_nanos", "open_nanos"].map(|it| before["accounts"][0][it].as_u64().unwrap_or(0));
    assert!(spent == ANSWER_NANOS && open > 100 * 10_000, "{before:#}");
    sidecar.kill_and_restart()?;
    assert!(waiting.await?.is_err(), "the sidecar died while it waited");
    sidecar.ready().await?;
    let after = rights(&sidecar).await?;
    assert_eq!((&after["journal"], after["life"].as_u64()), (&before["journal"], Some(2)), "{after:#}");
    let account = &after["accounts"][0];
    assert_eq!((account["spent_nanos"].as_u64(), account["open_nanos"].as_u64()), (Some(spent + open), Some(0)));
    assert_eq!(ask(&sidecar).await?.status, 200, "and it goes on");
    Ok(())
}

#[tokio::test]
async fn a_sidecar_that_ends_gives_back_what_it_has_not_spent() -> anyhow::Result<()> {
    const LIMIT: u64 = 20_000_000;
    let provider = Provider::start().await?;
    let operator = Operator::start(&[("shop.yaml", &resources(&provider, "0.02"))]).await?;
    let mut one = operator.sidecar("one").await?;
    assert_eq!(ask(&one).await?.status, 200);
    one.process.terminate()?;
    assert!(one.process.child().wait()?.success(), "{}", one.output());
    assert!(!one.output().contains("does not know what this pod gives back"), "{}", one.output());
    let two = operator.sidecar("two").await?;
    let (answered, _) = use_up(&two).await?;
    let spent = (answered + 1) * ANSWER_NANOS;
    assert!((LIMIT / 10 * 8..=LIMIT).contains(&spent), "{spent} of {LIMIT}");
    Ok(())
}

#[tokio::test]
async fn each_value_of_a_header_has_a_fleet_wide_limit_of_its_own() -> anyhow::Result<()> {
    const LIMIT: usize = 40;
    let provider = Provider::start().await?;
    let limit =
        format!("[{{name: tenant, scope: Fleet, per: Header, header: x-tenant, requests: {LIMIT}, window: 1h}}]");
    let backends = "  backends: [{name: main, providerRef: {name: llm}, model: well}]";
    let resources = resources(&provider, "5").replacen(backends, &format!("  limits: {limit}\n{backends}"), 1);
    let operator = Operator::start(&[("shop.yaml", &resources)]).await?;
    let sidecar = operator.sidecar("app").await?;
    let ask = async |tenant: &str| {
        let headers = [("content-type", "application/json"), ("x-tenant", tenant)];
        let body = request("chat").to_string();
        send(sidecar.data, &client::request("POST", CHAT, &headers, body.as_bytes())).await
    };
    for tenant in ["acme", "zeta"] {
        let first = ask(tenant).await?;
        assert_eq!(first.status, 200, "nobody has used any of it: {first:?}");
        let mut passed = 1;
        let refused = loop {
            let reply = ask(tenant).await?;
            if reply.status != 200 {
                break reply;
            }
            passed += 1;
            assert!(passed <= LIMIT, "the limit has no end");
        };
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"), "{refused:?}");
        assert!(refused.message().contains("limit \"tenant\""), "{refused:?}");
    }
    Ok(())
}
