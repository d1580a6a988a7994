//! Flags of `spillway models`, checked.

use std::path::PathBuf;

use clap::{ValueEnum, builder::NonEmptyStringValueParser};
use spillway_crds::{Money, ProviderType};

use super::compare::Amounts;
use crate::catalogue::Mode;

/// Flags of `spillway models`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Only models with this in their names, those that are switched off by now included. A `*` stands for any text, and then
    /// the whole name has to fit.
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) name: Option<String>,
    /// Only models of this provider, as in spec.type of a ModelProvider. Repeat for more.
    #[arg(short, long, value_name = "TYPE", value_delimiter = ',', value_parser = provider)]
    pub(super) provider: Vec<ProviderType>,
    /// Only models of this kind: chat, responses, completion, embedding, rerank, moderation, image, speech, transcription.
    /// Repeat for more. Default: chat and responses, or what --compare is about; all, where something is asked for by name.
    #[arg(long, value_name = "MODE", value_delimiter = ',', value_parser = mode)]
    pub(super) mode: Vec<Mode>,
    /// Only models that take tools.
    #[arg(long)]
    pub(super) tools: bool,
    /// Only models that take images.
    #[arg(long)]
    pub(super) vision: bool,
    /// Only models that can be held to a JSON schema.
    #[arg(long)]
    pub(super) schema: bool,
    /// Only models that think before they answer.
    #[arg(long)]
    pub(super) reasoning: bool,
    /// Only models whose window takes so many tokens: 128000, 200k, 1m.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    pub(super) window: Option<u64>,
    /// Only models whose input costs no more, in dollars per million tokens.
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub(super) max_input_price: Option<u64>,
    /// Only models whose output costs no more, in dollars per million tokens.
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub(super) max_output_price: Option<u64>,
    /// Add what a request would cost: amounts of in, out, cached, written and reasoning tokens; or of images, characters,
    /// seconds, minutes or searches. Cheapest first. Models that cannot take it are left out, and it is said how many, and
    /// how many have no price for it.
    #[arg(long, value_name = "AMOUNTS", value_parser = Amounts::read)]
    pub(super) compare: Option<Amounts>,
    /// With --compare: what it costs in this service tier, where a provider has it.
    #[arg(long, value_enum, value_name = "TIER", default_value_t = Tier::Standard, requires = "compare")]
    pub(super) tier: Tier,
    /// The order. Default: by provider and name; with --compare, by cost.
    #[arg(short, long, value_enum, value_name = "BY")]
    pub(super) sort: Option<Sort>,
    /// Show so many. Default: all.
    #[arg(short = 'n', long, value_name = "N", value_parser = limit)]
    pub(super) limit: Option<usize>,
    /// What is printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(super) output: Format,
    /// Lay the models of this file over the built-in ones. It has the form that `-o json` prints.
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    pub(super) catalogue: Option<PathBuf>,
    /// Lay the models of the cluster's ConfigMap over the built-in ones.
    #[arg(long)]
    pub(super) cluster: bool,
    /// With --cluster: the operator's namespace.
    #[arg(long, value_name = "NS", default_value = "spillway-system")]
    pub(super) namespace: String,
    /// With --cluster: the ConfigMap.
    #[arg(long, value_name = "NAME", default_value = crate::models::CONFIG_MAP)]
    pub(super) configmap: String,
}

/// The order of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    Name,
    Provider,
    /// The largest first.
    Window,
    /// The cheapest input first.
    Input,
    /// The cheapest output first.
    Output,
    /// The cheapest comparison first; without one, a million tokens in and a quarter of it out.
    Cost,
    /// Those that are switched off first.
    Deprecation,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

/// What a comparison is priced in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tier {
    Standard,
    Flex,
    Priority,
    Batch,
}

const EXAMPLES: &str = "\
Examples:
  spillway models gpt-5                                    what is known of them
  spillway models --tools --window 200k --sort cost -n 20  the cheapest that take tools and a long prompt
  spillway models --compare \"100k in, 2k out\"              what such a request would cost with each
  spillway models --compare \"10 minutes\"                   who writes down ten minutes of sound, and for how much
  spillway models --mode embedding,rerank -p Voyage        what else there is than chat
  spillway models -p OpenAI,Anthropic --compare \"1m in, 900k cached, 5k out\" --tier batch
  spillway models -p OpenAI 'gpt-4o*' -o json              the form in which a model is described

Columns: WINDOW prompt and answer together; $IN and $OUT dollars per million tokens; CAN t tools, v vision, j JSON schema,
r reasoning; a * behind a price: longer prompts, or other tiers, have another one (see -o json); PER PIECE what is not
billed by the token, a * there: it depends on an image's quality and size. A - is unknown: an unknown price is not free,
and a route with maxCostPerRequest does not use such a model.

What is missing or wrong, and what you pay instead of list prices, goes into a ConfigMap that every operator picks up at once:
  spillway models -p OpenAI gpt-4o-mini -o json > models.json     edit it: what is left out stays as it is
  spillway models --catalogue models.json gpt-4o-mini             see what comes of it
  kubectl -n spillway-system create configmap spillway-catalogue --from-file models.json

Exit codes: 0 printed, even if there is no such model; 1 the override does not read; 2 the command line was not understood.";

fn provider(text: &str) -> Result<ProviderType, String> {
    let all = crate::catalogue::providers();
    let found = all.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).copied();
    found.or_else(|| ProviderType::read(text)).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|kind| kind.as_str()).collect();
        format!("there is no such type of provider (models are known of {})", names.join(", "))
    })
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::read(text).ok_or_else(|| format!("is none of {}", Mode::names()))
}

fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("shows nothing: leave it out to see all".to_owned()),
        Ok(limit) => Ok(limit),
        Err(_) => Err("is no number of models (example: 20)".to_owned()),
    }
}

/// `200k` is 200,000.
pub(in crate::cli) fn tokens(text: &str) -> Result<u64, String> {
    let refuse = || "is no number of tokens (examples: 8192, 200k, 1.5m)".to_owned();
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix('k').map(|digits| (digits, 3)) {
        Some(scaled) => scaled,
        None => lower.strip_suffix('m').map_or((lower.as_str(), 0), |digits| (digits, 6)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > unit {
        return Err(refuse());
    }
    let number: u64 = format!("{whole}{fraction:0<unit$}").parse().map_err(|_| refuse())?;
    if number <= 1_000_000_000_000 { Ok(number) } else { Err(refuse()) }
}

fn dollars(text: &str) -> Result<u64, String> {
    Money::from(text.trim_start_matches('$')).nanos().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let rows = [
            ("8192", Some(8_192)),
            ("200k", Some(200_000)),
            ("1.5M", Some(1_500_000)),
            ("0.1k", Some(100)),
            ("1.5", None),
            ("0.0001k", None),
            ("k", None),
            ("-1", None),
            ("", None),
            ("99999999999999m", None),
        ];
        for (text, want) in rows {
            assert_eq!(tokens(text).ok(), want, "{text}");
        }
        assert_eq!(dollars("$2.50"), Ok(2_500_000_000));
        assert_eq!(provider("openai"), Ok(ProviderType::OpenAI));
        assert!(provider("opnai").unwrap_err().contains("Anthropic"));
    }
}
