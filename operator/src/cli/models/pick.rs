//! Which models are shown, and in which order.

use jiff::civil::Date;
use spillway_crds::ProviderType;

use super::{
    Line,
    args::{Args, Sort},
    compare::Amounts,
};
use crate::catalogue::{Entry, Mode, Token};

/// How many models are named of which something is to be said.
const NAMED: usize = 3;

/// The models that were asked for, in order, and what is to be said of them.
pub(super) fn pick(args: &Args, all: Vec<(ProviderType, String, Entry)>, today: Date) -> (Vec<Line>, Vec<String>) {
    let by = args.sort.unwrap_or(if args.compare.is_some() { Sort::Cost } else { Sort::Provider });
    let known = all.len();
    let (mut lines, others): (Vec<Line>, Vec<Line>) = all
        .into_iter()
        .map(|(provider, name, entry)| Line { provider, name, entry, cost: None })
        .filter(|line| is_wanted(args, line))
        .partition(|line| has_mode(args, line.entry.mode));
    if lines.is_empty() {
        return (lines, vec![none(known, &others)]);
    }
    // Nobody compares prices to choose one of these.
    let mut gone = Vec::new();
    if args.name.is_none() && by != Sort::Deprecation {
        let is_gone = |line: &mut Line| line.entry.deprecated_on.is_some_and(|day| day < today);
        gone.extend(lines.extract_if(.., is_gone).map(|line| format!("{} {}", line.provider, line.name)));
    }
    for line in &mut lines {
        line.cost = args.compare.and_then(|amounts| amounts.cost(line.provider, &line.entry, args.tier));
    }
    let mut left_out = Vec::new();
    lines.retain(|line| match args.compare.and_then(|amounts| amounts.misfit(&line.entry)) {
        Some(why) => {
            left_out.push(format!("{} {} {why}", line.provider, line.name));
            false
        }
        None => true,
    });
    sort(args, by, &mut lines);
    lines.truncate(args.limit.unwrap_or(usize::MAX));
    let unpriced = lines.iter().filter(|line| args.compare.is_some() && line.cost.is_none());
    let unpriced: Vec<String> = unpriced.map(|line| format!("{} {}", line.provider, line.name)).collect();
    let said = [
        told(&gone, "left out, switched off by now"),
        told(&left_out, "left out, too small for this"),
        told(&unpriced, "shown without a cost, for want of a price"),
    ];
    (lines, said.into_iter().flatten().collect())
}

/// `2 models are left out, too small for this: OpenAI gpt-4 takes 8192 of the 102000 tokens, …`
fn told(models: &[String], how: &str) -> Option<String> {
    let (first, rest) = models.split_at(models.len().min(NAMED));
    let are = if models.len() == 1 { "model is" } else { "models are" };
    let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
    (!models.is_empty()).then(|| format!("{} {are} {how}: {}{more}", models.len(), first.join(", ")))
}

/// What would have helped, where nothing is found.
fn none(known: usize, others: &[Line]) -> String {
    let mut modes: Vec<Mode> = others.iter().map(|line| line.entry.mode).collect();
    modes.sort_unstable();
    modes.dedup();
    let modes: Vec<&str> = modes.into_iter().map(Mode::as_str).collect();
    let hint = if modes.is_empty() { "ask for less".to_owned() } else { format!("try --mode {}", modes.join(",")) };
    format!("none of the {known} known models is like that (hint: {hint})")
}

/// Whether models of this kind are asked for.
fn has_mode(args: &Args, mode: Mode) -> bool {
    if !args.mode.is_empty() {
        return args.mode.contains(&mode);
    }
    args.name.is_some() || args.compare.unwrap_or(Amounts::USUAL).modes().contains(&mode)
}

fn is_wanted(args: &Args, line: &Line) -> bool {
    let entry = &line.entry;
    let rates = line.rates();
    let within = |most: Option<u64>, token| most.is_none_or(|most| rates.get(token).is_some_and(|price| price <= most));
    args.name.as_deref().is_none_or(|name| is_named(&line.name, name))
        && (args.provider.is_empty() || args.provider.contains(&line.provider))
        && (!args.tools || entry.tools)
        && (!args.vision || entry.vision)
        && (!args.schema || entry.json_schema)
        && (!args.reasoning || entry.abilities.reasoning == Some(true))
        && args.window.is_none_or(|least| entry.context_window.is_some_and(|window| window >= least))
        && within(args.max_input_price, Token::Input)
        && within(args.max_output_price, Token::Output)
}

/// Whether the name has the text in it; with a `*`, whether it is like it from end to end.
fn is_named(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (name.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let Some((first, rest)) = wanted.split_once('*') else { return name.contains(&wanted) };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

/// Unknown amounts come last, whatever the order.
fn sort(args: &Args, by: Sort, lines: &mut [Line]) {
    let unknown_last = |amount: Option<u64>| (amount.is_none(), amount.unwrap_or_default());
    let usual = |line: &Line| Amounts::USUAL.cost(line.provider, &line.entry, args.tier);
    match by {
        // As they come.
        Sort::Provider => {}
        Sort::Name => lines.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::Window => lines.sort_by_key(|line| std::cmp::Reverse(line.entry.context_window)),
        Sort::Input => lines.sort_by_key(|line| unknown_last(line.rates().get(Token::Input))),
        Sort::Output => lines.sort_by_key(|line| unknown_last(line.rates().get(Token::Output))),
        Sort::Cost if args.compare.is_some() => lines.sort_by_key(|line| unknown_last(line.cost.map(|cost| cost.0))),
        Sort::Cost => lines.sort_by_cached_key(|line| unknown_last(usual(line).map(|cost| cost.0))),
        Sort::Deprecation => {
            lines.sort_by_key(|line| (line.entry.deprecated_on.is_none(), line.entry.deprecated_on));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_part_of_it_or_like_it() {
        let rows = [
            ("gpt-4o-mini", "4o", true),
            ("gpt-4o-mini", "GPT", true),
            ("gpt-4o-mini", "gpt-4o*", true),
            ("gpt-4o-mini", "*mini", true),
            ("gpt-4o-mini", "g*4*mini", true),
            ("gpt-4o-mini", "4o*", false),
            ("gpt-4o-mini", "*gpt", false),
            ("gpt-4o-mini", "mega", false),
        ];
        for (name, wanted, want) in rows {
            assert_eq!(is_named(name, wanted), want, "{name} {wanted}");
        }
    }
}
