//! Answers that have to have a form: some JSON object, or what fits a JSON schema. One that has it not is no answer. The
//! same backend is asked once more, with its answer and what is wrong with it; what comes then may be anybody's failure.
//!
//! A stream that was not held back to its end has been read by the application before it can be judged; [`Watch`] sees to
//! it that it never ends as if it were good.

mod watch;

use std::{sync::Arc, time::Instant};

use spillway_policy::{
    Class::ContextWindowExceeded as Overflow,
    fallback::{Set, Sizes},
};
use spillway_providers::{Api, BadRequest, Body, Class, Fault, Format, Listener, Said, ask_again, asked, with_text};
use spillway_schema::{Flaw, Form, Verdict};
use spillway_wire::SchemaCheck;
use tokio::time::timeout_at;

pub(super) use watch::{Watch, Watched};

use super::{
    attempt::{Answer, Reply},
    count,
    failure::Failure,
    fallback::Plan,
    resolve::Call,
    settle::Settle,
};
use crate::{
    error::{INVALID_OUTPUT, ProxyError},
    runtime::{Aside, Runtime},
};

/// Faults that an application is told; a model is told all that are known.
const TOLD: usize = 3;

/// What the answer of one request has to be, and what has been done about it.
#[derive(Default)]
pub(super) struct Structure {
    /// None: nobody asked for one, or nobody looks.
    form: Option<Arc<Form>>,
    check: SchemaCheck,
    /// Backends that were asked to correct their answer. Once is enough.
    corrected: Set,
    /// The request as it was, while another one is made of it.
    original: Option<(Body, Sizes)>,
    /// The answer under way is a corrected one.
    again: bool,
    /// What was wrong with the one before.
    wrong: Option<Unfit>,
}

/// Whether an answer has its form.
enum Fit {
    /// It need not: it is a refusal, a call of a tool, or nobody asked for a form. Or there is more to come of it.
    Open,
    Fits,
    Unfit(Unfit),
}

/// What is wrong with an answer.
struct Unfit {
    text: String,
    flaws: Vec<Flaw>,
    /// It reached its limit of tokens.
    cut: bool,
}

/// An answer that has been looked at.
pub(super) struct Judged {
    pub(super) reply: Reply,
    fit: Fit,
    /// Nobody gets it: it is not what was asked for.
    pub(super) lost: bool,
}

/// What comes after an answer.
pub(super) enum Next {
    Give(Reply),
    /// The plan is ready to ask the same backend once more.
    Again,
    Fail(Box<Failure>),
}

/// The form that a request asks for. A schema that cannot be enforced is refused where it would have to be.
pub(super) async fn read(runtime: &Runtime, call: &Call) -> Result<Structure, ProxyError> {
    let check = call.route.schema;
    if !call.api.has_prompt() || (check == SchemaCheck::None && call.route.escalate.is_none()) {
        return Ok(Structure::default());
    }
    let form = match call.aside(|call| asked(call.api, &call.body)).await? {
        None => None,
        Some(Format::Object) => Some(Arc::new(Form::Object)),
        Some(Format::Schema(text)) => match runtime.schemas.get(text).await {
            Ok(form) => Some(form),
            Err(unusable) if check == SchemaCheck::Enforce => {
                let message = format!(
                    "the JSON schema of the answer cannot be enforced as validation.schema of the ModelRoute asks: {unusable}"
                );
                let param = match call.api {
                    Api::Messages => "output_config",
                    Api::Responses => "text",
                    Api::ChatCompletions
                    | Api::Completions
                    | Api::Embeddings
                    | Api::CountTokens
                    | Api::Tokenize
                    | Api::Pass(_) => "response_format",
                };
                return Err(BadRequest { param: Some(param.to_owned()), message }.into());
            }
            Err(unusable) => {
                tracing::debug!(route = call.route.name, %unusable, "answers are not checked against their schema");
                None
            }
        },
    };
    Ok(Structure { form, check, ..Structure::default() })
}

/// Judges texts, away from the threads that serve others: how long it takes is the schema's and the model's business. Who
/// waits for it does so no longer than `until`.
async fn check(form: Arc<Form>, texts: Vec<String>, until: Instant) -> Vec<Verdict> {
    let count = texts.len();
    let judge = move || texts.iter().map(|text| form.check(text)).collect();
    let unclear = || {
        let flaw = Flaw { path: String::new(), message: "it could not be checked in time".to_owned() };
        vec![Verdict::Unfit(vec![flaw]); count]
    };
    let judged = timeout_at(until.into(), tokio::task::spawn_blocking(judge)).await;
    judged.ok().and_then(Result::ok).unwrap_or_else(unclear)
}

/// What the form is asked of: neither refusals nor calls of tools.
fn is_bound(said: &Said) -> bool {
    !said.refusal && said.tool_calls == 0
}

fn is_cut(said: &Said) -> bool {
    matches!(
        said.finish_reason.as_str(),
        "length" | "max_tokens" | "max_output_tokens" | "model_context_window_exceeded"
    )
}

// === impl Structure ===

impl Structure {
    /// The request as the application wrote it, whatever was made of it for the last attempt.
    pub(super) fn restore(&mut self, call: &mut Call) {
        self.again = self.original.is_some();
        if let Some((body, sizes)) = self.original.take() {
            (call.body, call.sizes) = (body, sizes);
            call.forget_told();
        }
    }

    /// Looks at an answer that is here as a whole, and sets a watch over one that is not.
    pub(super) async fn judge(&self, call: &Call, settle: &mut Settle, mut reply: Reply) -> Result<Judged, ProxyError> {
        let Some(form) = &self.form else { return Ok(Judged::open(reply)) };
        let (api, until, aside) = (call.api, call.deadline, settle.runtime().aside.clone());
        let said = match &mut reply.body {
            Answer::Whole(bytes) => {
                let bytes = bytes.clone();
                aside.work(bytes.len() as u64, until, move || Said::read_all(api, &bytes)).await?
            }
            Answer::Through(_) => return Ok(Judged::open(reply)),
            Answer::Stream(started) => {
                let Some(measured) = started.complete() else {
                    if self.check != SchemaCheck::None {
                        let memory = settle.runtime().memory.hold();
                        started.watch = Some(Watch::new(call.api, Arc::clone(form), self.check, memory));
                    }
                    return Ok(Judged::open(reply));
                };
                settle.used(measured.usage);
                settle.seen(measured.output_bytes);
                let mut listener = Listener::new(call.api);
                started.events().for_each(|event| listener.hear(event));
                listener.said()
            }
        };
        let fit = self.fit(call, form, said, &mut reply, &aside).await?;
        if self.check != SchemaCheck::None {
            self.count(settle, &fit);
        }
        let lost = self.check == SchemaCheck::Enforce && matches!(fit, Fit::Unfit(_));
        Ok(Judged { reply, fit, lost })
    }

    async fn fit(
        &self,
        call: &Call,
        form: &Arc<Form>,
        said: Vec<Said>,
        reply: &mut Reply,
        aside: &Aside,
    ) -> Result<Fit, ProxyError> {
        let bound: Vec<(usize, Said)> = said.into_iter().enumerate().filter(|(_, said)| is_bound(said)).collect();
        if bound.is_empty() {
            return Ok(Fit::Open);
        }
        let texts = bound.iter().map(|(_, said)| said.text.clone()).collect();
        let verdicts = check(Arc::clone(form), texts, call.deadline).await;
        for ((choice, said), verdict) in bound.into_iter().zip(verdicts) {
            let flaws = match (verdict, &mut reply.body) {
                (Verdict::Fits, _) => continue,
                (Verdict::Fenced(inside), Answer::Whole(bytes)) if self.check == SchemaCheck::Enforce => {
                    let (api, answer) = (call.api, bytes.clone());
                    let work = move || with_text(api, &answer, choice, &inside);
                    *bytes = aside.work(bytes.len() as u64, call.deadline, work).await?;
                    continue;
                }
                // What has been written as events is not written anew.
                (Verdict::Fenced(_), _) => vec![fence()],
                (Verdict::Unfit(flaws), _) => flaws,
            };
            return Ok(Fit::Unfit(Unfit { cut: is_cut(&said), text: said.text, flaws }));
        }
        Ok(Fit::Fits)
    }

    fn count(&self, settle: &mut Settle, fit: &Fit) {
        let outcome = match (fit, self.again) {
            (Fit::Open, _) => return,
            (Fit::Fits, false) => "fits",
            (Fit::Fits, true) => "corrected",
            (Fit::Unfit(_), false) => "unfit",
            (Fit::Unfit(_), true) => "uncorrected",
        };
        settle.checked(outcome);
    }

    /// What is done with an answer that nobody else would do better.
    pub(super) async fn next(
        &mut self,
        call: &mut Call,
        plan: &mut Plan,
        settle: &mut Settle,
        Judged { reply, fit, lost }: Judged,
    ) -> Next {
        let Fit::Unfit(unfit) = fit else { return Next::Give(reply) };
        if !lost {
            return Next::Give(reply);
        }
        settle.discard();
        if Box::pin(self.ask_again(call, plan, &unfit)).await {
            self.wrong = Some(unfit);
            Next::Again
        } else {
            Next::Fail(unfit.into_failure())
        }
    }

    /// What a failed attempt amounts to. A request for a correction that turns out to be too long says nothing about the
    /// prompt, which was not: then the answer before it is what failed.
    pub(super) fn failed(&mut self, failure: Box<Failure>) -> Box<Failure> {
        let wrong = self.wrong.take().filter(|_| self.again && failure.class == Overflow);
        wrong.map_or(failure, Unfit::into_failure)
    }

    /// Makes the request one for a correction. False: it is left as it is.
    async fn ask_again(&mut self, call: &mut Call, plan: &mut Plan, unfit: &Unfit) -> bool {
        // The same limit would cut it off again.
        if unfit.cut || self.corrected.contains(plan.backend) {
            return false;
        }
        self.corrected.insert(plan.backend);
        let (answer, request) = (unfit.text.clone(), unfit.request());
        let another = call.aside(move |call| {
            let mut body = call.body.clone();
            ask_again(call.api, &mut body, &answer, &request);
            let sizes = count::bounds(call.api, &body);
            (body, sizes)
        });
        // The answer at hand is what failed, then as before.
        let Ok((body, sizes)) = another.await else { return false };
        self.original = Some((std::mem::replace(&mut call.body, body), std::mem::replace(&mut call.sizes, sizes)));
        call.forget_told();
        if plan.ask_again(call).await {
            return true;
        }
        self.restore(call);
        false
    }
}

// === impl Judged ===

impl Judged {
    const fn open(reply: Reply) -> Self {
        Self { reply, fit: Fit::Open, lost: false }
    }

    /// Whether it has the form that was asked for. None: it need not, or nobody can say.
    pub(super) const fn fits(&self) -> Option<bool> {
        match self.fit {
            Fit::Open => None,
            Fit::Fits => Some(true),
            Fit::Unfit(_) => Some(false),
        }
    }
}

// === impl Unfit ===

impl Unfit {
    /// What is said to the model.
    fn request(&self) -> String {
        let mut text = "Your last answer is not what was asked for:\n".to_owned();
        for flaw in &self.flaws {
            text.push_str(&format!("- {flaw}\n"));
        }
        text.push_str("Answer with the corrected JSON document and nothing else: no explanation, no code fence.");
        text
    }

    fn into_failure(self) -> Box<Failure> {
        let said = Fault::local(Class::UnprocessableEntity, told(&self.flaws, self.cut));
        let fault = Fault { code: Some(INVALID_OUTPUT.to_owned()), ..said };
        Box::new(Failure { unfit: true, ..*Failure::new(fault) })
    }
}

fn fence() -> Flaw {
    Flaw { path: String::new(), message: "there is a code fence around it".to_owned() }
}

/// What is wrong with an answer, for a person.
fn told(flaws: &[Flaw], cut: bool) -> String {
    let mut text = flaws.iter().take(TOLD).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if flaws.len() > TOLD {
        text.push_str(&format!("; and {} more", flaws.len() - TOLD));
    }
    if cut {
        text.push_str(" (it was cut off by its limit of tokens: give it a larger max_tokens)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_check_beyond_the_deadline() {
        let text = format!("{{\"a\": [{}0]}}", "0,".repeat(2_000_000));
        let verdicts = check(Arc::new(Form::Object), vec![text.clone(), text], crate::clock::now()).await;
        let [Verdict::Unfit(flaws), Verdict::Unfit(_)] = &verdicts[..] else { panic!("{verdicts:?}") };
        assert_eq!(flaws[0].message, "it could not be checked in time");
    }
}
