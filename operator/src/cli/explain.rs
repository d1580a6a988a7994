//! `spillway explain`: which backends a request would go to, hop by hop, and why not to the others.

mod candidate;
mod plan;
mod print;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::bail;

use self::{
    plan::{Asked, Outcome, plan},
    print::Told,
};
use super::{
    DEFAULT_NAMESPACE,
    models::tokens,
    output::{self, Format},
    world::{Place, World},
};
use crate::compile::{ObjectRef, Severity};

/// Flags of `spillway explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The name of the ModelRoute, or NAMESPACE/NAME.
    #[arg(value_name = "ROUTE")]
    route: String,
    #[command(flatten)]
    place: Place,
    /// How long the prompt is: 9000, 150k, 1.2m.
    #[arg(short, long, value_name = "TOKENS", value_parser = tokens)]
    tokens: u64,
    /// The answer's limit in the request (max_tokens). Default: it sets none.
    #[arg(long, value_name = "TOKENS", value_parser = tokens)]
    output_tokens: Option<u64>,
    /// The request has tools.
    #[arg(long)]
    tools: bool,
    /// It has images.
    #[arg(long)]
    images: bool,
    /// It wants its answer to fit a JSON schema.
    #[arg(long)]
    schema: bool,
    /// It wants a stream.
    #[arg(long)]
    stream: bool,
    /// The route's namespace, and that of objects in files that name none. Default: any with a route of that name.
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// What is printed.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  spillway explain chat examples/ --tokens 9000             whom a prompt of 9000 tokens goes to, by these files
  spillway explain chat -n shop --tokens 150k --tools       in the cluster of the current context
  spillway explain shop/chat config/ --tokens 2k --output-tokens 500 --schema
  spillway explain chat examples/ --tokens 9000 -o json | jq .backend

It shows the backends in the order in which a sidecar asks them, with the window, the most the request can cost there and
the reason for each that is passed over; then where each rule of the FallbackPolicy leads. What sidecars know beyond the
config is left out: breakers that are open, keys that are refused, latencies, what limits have left.

Exit codes: 0 somebody would answer; 1 the request would be refused, or there is no such route.";

/// Prints the plan; the exit code says whether anybody would answer.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (namespace, name) = match args.route.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (args.namespace.as_deref(), args.route.as_str()),
    };
    let world = args.place.read(args.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE))?;
    for problem in &world.problems {
        output::note(&format!("spillway: {problem}"));
    }
    let found = find(&world, namespace, name)?;
    let key = found.key();
    let Some(route) = world.compiled.routes.get(&key) else { return Err(refused(&world, &found)) };
    let asked = Asked {
        tokens: args.tokens,
        output: args.output_tokens,
        tools: args.tools,
        images: args.images,
        schema: args.schema,
        stream: args.stream,
    };
    let kind = |provider: &str| world.compiled.providers.get(provider).map_or("", |provider| provider.kind.as_str());
    let plan = plan(&route.route, kind, &asked);
    let kinds = route.route.backends.iter().map(|backend| kind(&backend.provider)).collect();
    let facts = world.compiled.facts.get(&key);
    let told = Told { key: &key, route, facts, kinds, asked: &asked, plan: &plan };
    output::print(&match args.output {
        Format::Text => told.text(),
        Format::Json => format!("{:#}\n", told.json()),
    })?;
    for left_out in world.compiled.diagnostics_of(&found) {
        output::note(&format!("note: {left_out}"));
    }
    let answered = matches!(plan.outcome, Outcome::Answer(_) | Outcome::Lowered(..) | Outcome::Shortened(..));
    Ok(if answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The one route that is meant.
fn find(world: &World, namespace: Option<&str>, name: &str) -> anyhow::Result<ObjectRef> {
    let all = world.routes();
    let is_meant =
        |route: &&ObjectRef| route.name == name && namespace.is_none_or(|namespace| route.namespace == namespace);
    let found: Vec<&ObjectRef> = all.iter().filter(is_meant).collect();
    let names =
        |routes: &mut dyn Iterator<Item = &ObjectRef>| routes.map(ObjectRef::key).collect::<Vec<_>>().join(", ");
    match found[..] {
        [only] => Ok(only.clone()),
        [] => {
            let wanted = namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
            if all.is_empty() {
                bail!("there is no ModelRoute {wanted}, nor any other");
            }
            // Applications know a route by the models that it serves, so that is what people try.
            let serves = |route: &&ObjectRef| {
                let facts = world.compiled.facts.get(&route.key());
                facts.is_some_and(|facts| facts.models.iter().any(|model| model == name))
            };
            if let Some(route) = all.iter().find(serves) {
                bail!("there is no ModelRoute {wanted}; the model {name:?} is served by {}", route.key());
            }
            bail!("there is no ModelRoute {wanted} (there is {})", names(&mut all.iter()))
        }
        _ => bail!("there are several: say which by -n ({})", names(&mut found.into_iter())),
    }
}

fn refused(world: &World, route: &ObjectRef) -> anyhow::Error {
    let mut about = world.compiled.diagnostics_of(route);
    let first = about.find(|one| one.severity == Severity::Refuse || !one.reason.is_advice());
    let why = first.map_or_else(|| "it is not sent to sidecars".to_owned(), crate::compile::Diagnostic::text);
    anyhow::anyhow!("no sidecar gets {route}: {why}")
}
