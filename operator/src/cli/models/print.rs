//! Models as a table, as JSON, as comma-separated values.

use serde_json::{Map, Value};
use spillway_crds::Money;

use super::{
    super::output,
    Line,
    args::{Args, Format},
};
use crate::catalogue::{Entry, Mode, PIECES, Token, for_one, show};

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
    // Most people ask for what chats, and is billed by the token.
    let modes = lines.iter().any(|line| !matches!(line.entry.mode, Mode::Chat | Mode::Responses));
    let pieces = lines.iter().any(|line| line.entry.pieces.is_some());
    let shown = [true, true, modes, true, true, true, true, pieces, true, true, compares];
    let kept = |cells: Vec<String>| cells.into_iter().zip(shown).filter_map(|(cell, shown)| shown.then_some(cell));
    let rows = std::iter::once(HEAD.map(str::to_owned).to_vec()).chain(lines.iter().map(row));
    let rows: Vec<Vec<String>> = rows.map(|cells| kept(cells).collect()).collect();
    let right: Vec<bool> = kept(HEAD.map(str::to_owned).to_vec()).map(|head| RIGHT.contains(&head.as_str())).collect();
    output::table(&rows, |at| right.get(at).copied().unwrap_or_default())
}

const HEAD: [&str; 11] =
    ["PROVIDER", "MODEL", "MODE", "WINDOW", "ANSWER", "$IN", "$OUT", "PER PIECE", "CAN", "SWITCHED OFF", "COST"];
/// Columns of numbers.
const RIGHT: [&str; 5] = ["WINDOW", "ANSWER", "$IN", "$OUT", "COST"];

fn row(line: &Line) -> Vec<String> {
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
    vec![
        line.provider.to_string(),
        line.name.clone(),
        entry.mode.to_string(),
        entry.context_window.map_or_else(unknown, short),
        entry.max_output_tokens.map_or_else(unknown, short),
        price(Token::Input),
        price(Token::Output),
        by_piece(entry).unwrap_or_else(unknown),
        can.into_iter().map(|(yes, letter)| if yes { letter } else { '-' }).collect(),
        entry.deprecated_on.map(|day| day.to_string()).unwrap_or_default(),
        line.cost.map_or_else(unknown, |cost| format!("${cost}")),
    ]
}

/// `$0.04/image`, `$15.00/1M characters`.
fn by_piece(entry: &Entry) -> Option<String> {
    let pieces = entry.pieces.as_deref()?;
    let prices = PIECES.iter().filter_map(|piece| Some(format!("${}/{}", piece.price(pieces)?, piece.unit)));
    let mut prices: Vec<String> = prices.collect();
    if let Some(least) =
        pieces.looks.iter().min_by_key(|look| look.image_nanos).filter(|_| pieces.image_nanos.is_none())
    {
        prices.push(format!("${}*/image", for_one(least.image_nanos)));
    } else if let Some(price) = prices.first_mut().filter(|_| !pieces.looks.is_empty()) {
        *price = price.replace('/', "*/");
    }
    Some(prices.join(" "))
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
    head.extend(PIECES.map(|piece| piece.field));
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
        let pieces = entry.pieces.as_deref();
        cells.extend(PIECES.map(|piece| pieces.and_then(|pieces| piece.price(pieces)).unwrap_or_default()));
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
