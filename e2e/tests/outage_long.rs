//! The operator is gone for ten minutes: what each promise made for such a time comes to. It takes twelve minutes, so it is
//! run by name: `e2e/run.sh --ignored ten_minutes`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use spillway_e2e::outage::{Outage, end_sidecar};
use spillway_e2e::{Answer, Space, claim, clock, manifest, wait};

const TEN_MINUTES: Duration = Duration::from_secs(600);
/// A fleet-wide limit keeps what it leased for so long, and a report's interval.
const HELD: Duration = Duration::from_secs(300);
/// What two pods may use of the fleet-wide limit in a minute.
const LIMIT: u64 = 600;
const BUDGET: &str = "0.05";

fn ask(space: &Space, app: &str, model: &str) -> Result<Answer> {
    space.python(app, &json!({"api": "openai", "model": model, "prompt": "hello"}))
}

/// A metric of the sidecar beside `app`, summed over its labels.
fn metric(space: &Space, app: &str, name: &str) -> Result<f64> {
    let read = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:4041/metrics').read().decode())";
    let text = space.kubectl(&["exec", &format!("deployment/{app}"), "-c", "app", "--", "python3", "-c", read])?;
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values = text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.reduce(|sum, value| sum + value).with_context(|| format!("{app} has no metric {name}"))
}

/// In nano-dollars, as the header of an answer says it.
fn cost(answer: &Answer) -> Result<u64> {
    nanos(answer.header("cost-usd"))
}

fn nanos(dollars: &str) -> Result<u64> {
    let (whole, part) = dollars.split_once('.').unwrap_or((dollars, ""));
    format!("{whole}{part:0<9}").parse().with_context(|| format!("{dollars:?} is no amount"))
}

fn resources() -> [Value; 4] {
    let mut rated = manifest::route("rated");
    rated["spec"]["limits"] = json!([{"name": "all", "scope": "Fleet", "requests": LIMIT, "window": "60s"}]);
    let budget = json!({
        "apiVersion": "spillway.dev/v1alpha1", "kind": "ModelBudget", "metadata": {"name": "own"},
        "spec": {"limit": BUDGET, "period": "Once", "selector": {"routes": ["paid"]}},
    });
    [manifest::route("chat"), rated, manifest::route("paid"), budget]
}

/// Spends what the sidecar beside `app` holds of the budget, and gives what it cost and the refusal.
fn spend_all(space: &Space, app: &str) -> Result<(u64, Answer)> {
    let mut spent = 0;
    for _ in 0..500 {
        let answer = ask(space, app, "paid")?;
        if !answer.ok() {
            return Ok((spent, answer));
        }
        spent += cost(&answer)?;
    }
    anyhow::bail!("{app} was answered 500 times without an operator: {spent} nano-dollars of {BUDGET}")
}

/// What both pods say while nobody tells them anything, until `until` of the outage: the shares of the fleet-wide limit.
fn stay(space: &Space, began: Instant, until: Duration) -> Result<()> {
    let mut asked = 0;
    let away = || clock::now().duration_since(began);
    while away() < until {
        for app in ["app", "other"] {
            for model in ["chat", "rated"] {
                let answer = ask(space, app, model)?;
                ensure!(answer.ok(), "{app} asked {model} after {:?}: {answer:?}", away());
                asked += 1;
            }
        }
    }
    claim(&format!("{asked} requests until {} s, all answered, those under the fleet-wide limit too", until.as_secs()));
    Ok(())
}

fn share(space: &Space, app: &str) -> Result<f64> {
    Ok(metric(space, app, "spillway_rights_share_milli")? / 1_000.0)
}

#[test]
#[ignore = "takes twelve minutes: e2e/run.sh --ignored ten_minutes"]
fn ten_minutes_without_an_operator_keep_every_promise() -> Result<()> {
    let space = Space::new("ten-minutes")?;
    space.apply(&resources())?;
    space.start_app("app", 1)?;
    space.start_app("other", 1)?;
    for route in ["chat", "rated", "paid"] {
        space.wait(&format!("modelroute/{route}"), "condition=Programmed", "10s")?;
    }
    let mut spent = 0;
    for app in ["app", "other"] {
        ensure!(ask(&space, app, "chat")?.ok() && ask(&space, app, "rated")?.ok());
        spent += cost(&ask(&space, app, "paid")?)?;
    }

    let outage = Outage::begin()?;
    let began = clock::now();
    let held = share(&space, "other")?;
    claim(&format!("a pod holds {held:.1} of the {LIMIT} requests a minute when the last operator ends"));
    end_sidecar(&space)?;
    claim("a sidecar that ends comes back and serves from its journal, for the rest of the ten minutes");
    let (more, refusal) = spend_all(&space, "other")?;
    spent += more;
    ensure!(refusal.status() == 429 && refusal.message().contains("has not been heard for"), "{refusal:?}");
    claim(&format!("what a pod holds of the budget is spent ({more} nano-dollars), then: {}", refusal.message()));

    stay(&space, began, HELD - Duration::from_secs(30))?;
    let after = share(&space, "other")?;
    ensure!((after - held).abs() < 0.5, "{held} were held, and {after} are before five minutes are over");
    stay(&space, began, HELD + Duration::from_secs(30))?;
    let floor = share(&space, "other")?;
    #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
    let fifth = LIMIT as f64 / 5.0;
    ensure!(floor > 0.0 && floor <= fifth && floor <= held, "the floor is {floor}, {held} were held");
    claim(&format!(
        "after five minutes the leased part is gone and {floor:.1} a minute are left, of {after:.1} before"
    ));
    stay(&space, began, TEN_MINUTES)?;
    ages(&space)?;

    drop(outage);
    spent += back(&space, held)?;
    let want = || nanos(&space.field("modelbudget/own", "{.status.spent}")?);
    let told = wait::until("the budget to know what was spent", Duration::from_secs(60), want, |told| *told >= spent)?;
    ensure!(told <= nanos(BUDGET)?, "{told} were spent of {BUDGET}");
    claim(&format!(
        "status.spent has {told} nano-dollars, of {spent} by the answers' headers and {BUDGET} dollars allowed"
    ));
    Ok(())
}

/// The sidecar that was restarted counts anew.
fn ages(space: &Space) -> Result<()> {
    for app in ["app", "other"] {
        let (age, silent) = (
            metric(space, app, "spillway_sidecar_config_age_seconds")?,
            metric(space, app, "spillway_rights_operator_silent_seconds")?,
        );
        claim(&format!("{app}: metrics show config {age:.0} s old, and an operator silent for {silent:.0} s"));
        ensure!(app == "app" || age >= 590.0 && silent >= 590.0);
    }
    Ok(())
}

/// What comes back with the operator, and what the request that shows it cost.
fn back(space: &Space, held: f64) -> Result<u64> {
    let promptly = Duration::from_secs(60);
    let answer = wait::until("money for both pods", promptly, || ask(space, "other", "paid"), Answer::ok)?;
    let other = wait::until("money for both pods", promptly, || ask(space, "app", "paid"), Answer::ok)?;
    claim("with the operator back, both pods are given money again");
    let share = || share(space, "other");
    let share = wait::until("the leased part", promptly, share, |share| *share >= held * 0.9)?;
    claim(&format!("and {share:.1} requests a minute"));
    space.apply(&[manifest::route("later")])?;
    space.wait("modelroute/later", "condition=Programmed", "60s")?;
    ensure!(ask(space, "app", "later")?.ok());
    claim("a route made afterwards is programmed in the same sidecars");
    Ok(cost(&answer)? + cost(&other)?)
}
