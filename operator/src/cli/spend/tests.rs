use clap::Parser;
use spillway_wire::{Ack, Delivery, Report, SidecarIdentity, UsageKey, UsageLine};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &str) -> Args {
    Line::try_parse_from(std::iter::once("spend").chain(line.split_whitespace())).map(|line| line.args).unwrap()
}

/// A pod of an edition of a workload that asks a model for so much on a day.
fn delivery(uid: &str, namespace: &str, revision: &str, tenant: Option<&str>, lines: &[(&str, &str, u64)]) -> Delivery {
    let text = str::to_owned;
    let usage = lines.iter().map(|(day, model, cost)| UsageLine {
        key: UsageKey {
            day: text(day),
            route: format!("{namespace}/chat"),
            backend: text("a"),
            provider: text("ai/openai"),
            model: text(model),
        },
        totals: UsageTotals {
            requests: 1,
            input_tokens: 10,
            output_tokens: 5,
            cost_nanos: *cost,
            ..UsageTotals::default()
        },
    });
    let from = SidecarIdentity {
        namespace: text(namespace),
        pod: format!("pod-{uid}"),
        uid: text(uid),
        workload: text("Deployment/web"),
        revision: Some(text(revision)),
        tenant: tenant.map(text),
        job: None,
    };
    let (ack, backends) = (Ack::default(), Vec::new());
    Delivery {
        from,
        report: Report { boot: text("b"), sequence: 1, ack, usage: usage.collect(), last: false, backends },
    }
}

fn ledger() -> ledger::Ledger {
    let mut ledger = ledger::Ledger::default();
    let (m1, m2) = ("gpt-4o", "gpt, mini");
    ledger.merge(&delivery("1", "shop", "7d4b", None, &[("2026-11-20", m1, 1_000_000_000), ("2026-11-21", m1, 5)]));
    ledger.merge(&delivery("2", "shop", "9f00", Some("acme"), &[("2026-11-21", m2, 20)]));
    ledger.merge(&delivery("3", "mail", "1111", None, &[("2026-10-31", m1, 3_000_000_000), ("2026-11-21", m1, 1)]));
    // The same ledger as it is read from storage.
    ledger::decode(&ledger::encode(&ledger)).unwrap()
}

fn printed(line: &str, print: fn(&Args, &Bill) -> String) -> String {
    let args = args(line);
    let days = Days::read(&args.period, "2026-11-21".parse().unwrap()).unwrap();
    print(&args, &Bill::of(&ledger(), &args.by, days, args.namespace.as_deref()))
}

#[test]
fn the_dearest_comes_first_and_the_end_is_the_sum() {
    let want = "\
NAMESPACE  WORKLOAD        REQUESTS  ERRORS  INPUT  OUTPUT          COST
shop       Deployment/web         3       0     30      15  $1.000000025
mail       Deployment/web         1       0     10       5  $0.000000001
total                             4       0     40      20  $1.000000026
";
    assert_eq!(printed("", table), want);
    let want = "\
REVISION  TENANT  REQUESTS  ERRORS  INPUT  OUTPUT          COST
7d4b      -              2       0     20      10  $1.000000005
total                    3       0     30      15  $1.000000025
";
    assert_eq!(printed("-n shop --by revision,tenant --top 1", table), want, "the sum is of all");
    assert_eq!(printed("-n nobody", table), "");
}

#[test]
fn days_come_in_their_order_and_names_with_commas_are_quoted() {
    let want = "\
day,model,requests,errors,input_tokens,output_tokens,unpriced,cost_usd
2026-10-31,gpt-4o,1,0,10,5,0,3.00
2026-11-20,gpt-4o,1,0,10,5,0,1.00
2026-11-21,\"gpt, mini\",1,0,10,5,0,0.00000002
2026-11-21,gpt-4o,2,0,20,10,0,0.000000006
";
    assert_eq!(printed("--by day,model --period 2026-10-31..2026-11-30", csv), want);
}

#[test]
fn json_says_which_days_and_what_each_line_is_about() {
    let args = args("--by tenant --period today");
    let days = Days::read(&args.period, "2026-11-21".parse().unwrap()).unwrap();
    let shown = as_json(&args, &Bill::of(&ledger(), &args.by, days, None));
    assert_eq!((&shown["from"], &shown["to"]), (&json!("2026-11-21"), &json!("2026-11-21")));
    assert_eq!(shown["lines"][0]["tenant"], "acme");
    assert_eq!(shown["lines"][0]["costUsd"], "0.00000002");
    assert_eq!(shown["total"]["requests"], 3);
}

#[test]
fn nobody_is_asked_for_what_does_not_exist() {
    for line in ["--by pod", "--output yaml", "--top many"] {
        assert!(Line::try_parse_from(std::iter::once("spend").chain(line.split_whitespace())).is_err(), "{line}");
    }
}
