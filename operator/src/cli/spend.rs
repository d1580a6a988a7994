//! `spillway spend`: who has spent what.

mod bill;
mod days;

use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::Api;
use serde_json::{Map, Value, json};
use spillway_crds::Money;
use spillway_wire::UsageTotals;

use self::{
    bill::{Bill, By},
    days::Days,
};
use super::{cluster, output};
use crate::{
    clock::Clock,
    usage::{CONFIG_MAP_NAME, LEDGER_FIELD, ledger},
};

/// Flags of `spillway spend`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// One line for each of these: several make one line for each combination.
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',', default_value = "namespace,workload")]
    by: Vec<By>,
    /// Which days, in UTC: today, yesterday, week (the last seven), month, last-month, 2026-11, 2026-11-21 or
    /// 2026-11-01..2026-11-15. Days before last month are not kept.
    #[arg(short, long, value_name = "DAYS", default_value = "month")]
    period: String,
    /// Only what this namespace has spent. Default: all.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Show so many lines, the dearest first. Default: all.
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// What is printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
    /// The operator's namespace.
    #[arg(long, value_name = "NS", default_value = "spillway-system")]
    operator_namespace: String,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

const EXAMPLES: &str = "\
Examples:
  spillway spend                                          this month, by namespace and workload
  spillway spend --by model --period today
  spillway spend --by workload,revision -n shop           did the new release make it dearer
  spillway spend --by tenant,day --period last-month -o csv > bill.csv

Namespace, workload, revision and tenant are those of the pod as the API server knows it, never what an application says:
revision is the hash that a Deployment, StatefulSet or DaemonSet gives each edition, tenant the pod's label
spillway.dev/tenant. A request counts on the day it was admitted. Costs are in US dollars; those of models whose price
nobody knows are not in them, and it is said how many.

What is read is a few seconds old. It needs leave to get ConfigMap spillway-ledger in the operator's namespace.

Exit codes: 0 printed; 1 the ledger could not be read.";

/// Prints the bill.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let days = Days::read(&args.period, Clock::system().today())?;
    let ledger = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(read(args))?;
    let bill = Bill::of(&ledger, &args.by, days, args.namespace.as_deref());
    if bill.lines.is_empty() {
        let of = args.namespace.as_ref().map(|namespace| format!(" by namespace {namespace}")).unwrap_or_default();
        output::note(&format!("spillway: nothing was spent{of} {days}"));
    } else if bill.total.unpriced > 0 {
        let requests = output::count(usize::try_from(bill.total.unpriced).unwrap_or(usize::MAX), "request");
        output::note(&format!(
            "spillway: the price of {requests} is not known (fix: spec.models[].pricing of the provider)"
        ));
    }
    output::print(&match args.output {
        Format::Table => table(args, &bill),
        Format::Json => format!("{:#}\n", as_json(args, &bill)),
        Format::Csv => csv(args, &bill),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn read(args: &Args) -> anyhow::Result<ledger::Ledger> {
    let place = format!("ConfigMap {}/{CONFIG_MAP_NAME}", args.operator_namespace);
    let maps: Api<ConfigMap> = Api::namespaced(cluster::client("").await?, &args.operator_namespace);
    let map = maps.get_opt(CONFIG_MAP_NAME).await.with_context(|| format!("cannot read {place}"))?;
    let Some(map) = map else {
        anyhow::bail!(
            "there is no {place}: no sidecar has reported anything yet, or the operator is elsewhere (fix: --operator-namespace)"
        )
    };
    let bytes = map.binary_data.as_ref().and_then(|data| data.get(LEDGER_FIELD)).map(|ByteString(bytes)| bytes);
    let bytes = bytes.with_context(|| format!("{place} has no {LEDGER_FIELD}"))?;
    ledger::decode(bytes).with_context(|| format!("{place} holds no ledger that this version reads"))
}

fn dollars(totals: &UsageTotals) -> String {
    Money::from_nanos(totals.cost_nanos).0
}

fn table(args: &Args, bill: &Bill) -> String {
    if bill.lines.is_empty() {
        return String::new();
    }
    let head = args.by.iter().map(|by| by.name().to_uppercase());
    let figures = ["REQUESTS", "ERRORS", "INPUT", "OUTPUT", "COST"].map(str::to_owned);
    let mut rows = vec![head.chain(figures).collect::<Vec<String>>()];
    let row = |names: Vec<String>, totals: &UsageTotals| {
        let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos: _, unpriced: _ } = totals;
        let figures = [requests, errors, input_tokens, output_tokens].map(ToString::to_string);
        names.into_iter().chain(figures).chain([format!("${}", dollars(totals))]).collect::<Vec<String>>()
    };
    let shown = bill.lines.iter().take(args.top.unwrap_or(usize::MAX));
    let dash = |name: &String| if name.is_empty() { "-".to_owned() } else { name.clone() };
    rows.extend(shown.map(|(names, totals)| row(names.iter().map(dash).collect(), totals)));
    let mut total = vec![String::new(); args.by.len()];
    total[0] = "total".to_owned();
    rows.push(row(total, &bill.total));
    output::table(&rows, |column| column >= args.by.len())
}

fn as_json(args: &Args, bill: &Bill) -> Value {
    let figures = |totals: &UsageTotals| {
        let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos: _, unpriced } = totals;
        json!({"requests": requests, "errors": errors, "inputTokens": input_tokens, "outputTokens": output_tokens,
               "unpriced": unpriced, "costUsd": dollars(totals)})
    };
    let line = |(names, totals): &(Vec<String>, UsageTotals)| {
        let mut line: Map<String, Value> =
            args.by.iter().zip(names).map(|(by, name)| (by.name(), name.clone().into())).collect();
        line.extend(figures(totals).as_object().cloned().unwrap_or_default());
        Value::from(line)
    };
    let lines: Vec<Value> = bill.lines.iter().take(args.top.unwrap_or(usize::MAX)).map(line).collect();
    json!({"from": bill.days.first.to_string(), "to": bill.days.last.to_string(), "lines": lines,
           "total": figures(&bill.total)})
}

fn csv(args: &Args, bill: &Bill) -> String {
    let head = args.by.iter().map(|by| by.name());
    let figures = ["requests", "errors", "input_tokens", "output_tokens", "unpriced", "cost_usd"].map(str::to_owned);
    let mut text = head.chain(figures).collect::<Vec<String>>().join(",") + "\n";
    for (names, totals) in bill.lines.iter().take(args.top.unwrap_or(usize::MAX)) {
        let UsageTotals { requests, errors, input_tokens, output_tokens, cost_nanos: _, unpriced } = totals;
        let figures = [requests, errors, input_tokens, output_tokens, unpriced].map(ToString::to_string);
        let cells = names.iter().cloned().chain(figures).chain([dollars(totals)]);
        text.push_str(&cells.map(output::quoted).collect::<Vec<String>>().join(","));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
