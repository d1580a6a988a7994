//! Models as a table, as JSON, as comma-separated values.

use serde_json::{Map, Value};
use spillway_crds::Money;

use super::{
    super::output,
    Line,
    args::{Args, Format},
};
use crate::catalogue::{Token, show};

/// What is printed.
pub(super) fn print(args: &Args, lines: &[Line]) -> String {
    let compares = args.compare.is_some();
    match args.output {
        Format::Table => table(lines, compares),
        Format::Json => json(lines, compares),
        Format::Csv => csv(lines, compares),
    }
}

fn table(lines: &[Line], compares: bool) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut head = vec!["PROVIDER", "MODEL", "WINDOW", "ANSWER", "$IN", "$OUT", "CAN", "SWITCHED OFF"];
    if compares {
        head.push("COST");
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<String>>()];
    rows.extend(lines.iter().map(|line| row(line, compares)));
    output::table(&rows, |at| matches!(at, 2..=5 | 8))
}

fn row(line: &Line, compares: bool) -> Vec<String> {
    let entry = &line.entry;
    let unknown = || "-".to_owned();
    let pricing = entry.pricing.as_ref();
    let others = pricing.is_some_and(|pricing| {
        !pricing.standard.above.is_empty()
            || pricing.flex.is_some()
            || pricing.priority.is_some()
            || pricing.batch.is_some()
    });
    let price = |token| {
        let mark = if others { "*" } else { "" };
        line.rates().get(token).map_or_else(unknown, |nanos| format!("{}{mark}", Money::from_nanos(nanos)))
    };
    let can = [
        (entry.tools, 't'),
        (entry.vision, 'v'),
        (entry.json_schema, 'j'),
        (entry.abilities.reasoning == Some(true), 'r'),
    ];
    let mut cells = vec![
        line.provider.to_string(),
        line.name.clone(),
        entry.context_window.map_or_else(unknown, short),
        entry.max_output_tokens.map_or_else(unknown, short),
        price(Token::Input),
        price(Token::Output),
        can.into_iter().map(|(yes, letter)| if yes { letter } else { '-' }).collect(),
        entry.deprecated_on.map(|day| day.to_string()).unwrap_or_default(),
    ];
    if compares {
        cells.push(line.cost.map_or_else(unknown, |cost| format!("${cost}")));
    }
    cells
}

/// `128000` as `128k`, where nothing is lost by it.
fn short(tokens: u64) -> String {
    match tokens {
        _ if tokens >= 1_000_000 && tokens.is_multiple_of(1_000_000) => format!("{}m", tokens / 1_000_000),
        _ if tokens >= 1_000 && tokens.is_multiple_of(1_000) => format!("{}k", tokens / 1_000),
        _ => tokens.to_string(),
    }
}

/// The form of an override, in the order of the lines; a cost beside it is passed over when it is read.
fn json(lines: &[Line], compares: bool) -> String {
    let mut kinds = Map::new();
    for line in lines {
        let mut shown = show(&line.entry);
        if compares && let Some(shown) = shown.as_object_mut() {
            let cost = line.cost.map_or(Value::Null, |cost| cost.to_string().into());
            shown.insert("cost".into(), cost);
        }
        let models = kinds.entry(line.provider.as_str()).or_insert_with(|| Map::new().into());
        if let Some(models) = models.as_object_mut() {
            models.insert(line.name.clone(), shown);
        }
    }
    format!("{:#}\n", Value::from(kinds))
}

fn csv(lines: &[Line], compares: bool) -> String {
    let mut head = vec!["provider", "model", "mode", "contextWindow", "maxOutputTokens"];
    head.extend(Token::ALL.map(Token::field));
    head.extend(["tools", "parallelTools", "vision", "jsonSchema", "reasoning", "deprecationDate"]);
    if compares {
        head.push("cost");
    }
    let mut text = head.join(",") + "\n";
    for line in lines {
        let entry = &line.entry;
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let mut cells = vec![
            line.provider.to_string(),
            line.name.clone(),
            entry.mode.to_string(),
            number(entry.context_window),
            number(entry.max_output_tokens),
        ];
        let rates = line.rates();
        let price = |token| rates.get(token).map(|nanos| Money::from_nanos(nanos).0).unwrap_or_default();
        cells.extend(Token::ALL.map(price));
        let answers = [entry.tools, entry.parallel_tools, entry.vision, entry.json_schema];
        cells.extend(answers.map(|answer| answer.to_string()));
        cells.push(entry.abilities.reasoning.map(|answer| answer.to_string()).unwrap_or_default());
        cells.push(entry.deprecated_on.map(|day| day.to_string()).unwrap_or_default());
        if compares {
            cells.push(line.cost.map(|cost| cost.to_string()).unwrap_or_default());
        }
        let cells: Vec<String> = cells.into_iter().map(output::quoted).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}
