//! Cheap first: an answer that is not good enough is kept aside while the next backend is asked. It is better than an
//! error, so it is the application's after all if nobody else answers.

use std::sync::Arc;

use spillway_expression::{Expression, Value};
use spillway_providers::{Said, Usage};

use super::{
    attempt::{Answer, Reply},
    count,
    fallback::Plan,
    resolve::Call,
    settle::Settle,
    structure::Judged,
};
use crate::{error::ProxyError, runtime::Runtime};

/// What an expression sees of an answer's text.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// Where a cascade stands.
#[derive(Default)]
pub(super) struct Cascade {
    /// The best answer so far, if it was not good enough. What it used is with the settling.
    aside: Option<Reply>,
}

// === impl Cascade ===

impl Cascade {
    /// Some: the answer is good enough, or there is nobody who could give a better one. None: the plan is ready to ask the
    /// next one.
    pub(super) async fn judge(
        &mut self,
        runtime: &Runtime,
        call: &mut Call,
        plan: &mut Plan,
        mut judged: Judged,
        settle: &mut Settle,
    ) -> Option<Judged> {
        // It is not the first; whatever comes of it, it takes the place of the one before. Unless nobody gets it.
        if !judged.lost {
            settle.drop_aside();
            self.aside = None;
        }
        let route = Arc::clone(&call.route);
        let Some(expression) = route.escalate.as_ref().filter(|_| call.api.has_prompt()) else { return Some(judged) };
        let Some((said, usage)) = read(call, &mut judged.reply, settle).await else { return Some(judged) };
        let backend = &route.backends[plan.backend].name;
        match is_wanted(expression, call, said, usage, judged.fits()) {
            Ok(true) => {}
            Ok(false) => return Some(judged),
            Err(failed) => {
                tracing::debug!(route = route.name, backend, %failed, "whether an answer is good enough is open");
                runtime.telemetry.metrics.escalated(&route.name, backend, "failed");
                return Some(judged);
            }
        }
        if !Box::pin(plan.escalate(call)).await {
            runtime.telemetry.metrics.escalated(&route.name, backend, "nobody");
            return Some(judged);
        }
        runtime.telemetry.metrics.escalated(&route.name, backend, "escalated");
        if judged.lost {
            settle.discard();
        } else {
            settle.set_aside();
            self.aside = Some(judged.reply);
        }
        None
    }

    /// The answer that was put aside, rather than an error.
    pub(super) fn or(self, error: ProxyError, settle: &mut Settle) -> Result<Reply, ProxyError> {
        let Some(reply) = self.aside else { return Err(error) };
        settle.take_back();
        Ok(reply)
    }
}

/// What an answer says and used. None: a stream that was too long to be held back to its end.
async fn read(call: &Call, reply: &mut Reply, settle: &mut Settle) -> Option<(Said, Option<Usage>)> {
    let (api, aside) = (call.api, settle.runtime().aside.clone());
    let said = match &mut reply.body {
        Answer::Whole(bytes) => {
            let bytes = bytes.clone();
            aside.work(bytes.len() as u64, call.deadline, move || Said::read(api, &bytes)).await.ok()?
        }
        Answer::Stream(started) => {
            let measured = started.complete()?;
            settle.used(measured.usage);
            settle.seen(measured.output_bytes);
            Said::read_stream(call.api, started.events())
        }
        Answer::Through(_) => return None,
    };
    Some((said, settle.usage()))
}

fn is_wanted(
    expression: &Expression,
    call: &Call,
    mut said: Said,
    usage: Option<Usage>,
    fits: Option<bool>,
) -> Result<bool, spillway_expression::Failed> {
    let output = usage.map_or_else(|| count::guess_output(said.text.len() as u64), |usage| usage.output);
    // Where a schema cannot be enforced, JSON of any kind is as good as it.
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(&said.text).is_ok();
    let valid = fits.unwrap_or_else(|| !call.need.json_schema || said.tool_calls > 0 || is_json());
    expression.is_true(|field| match field {
        "text" => {
            let mut text = std::mem::take(&mut said.text);
            text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
            Value::Text(text)
        }
        "refusal" => Value::Bool(said.refusal),
        "finishReason" => Value::Text(said.finish_reason.clone()),
        "toolCalls" => Value::Int(said.tool_calls),
        "outputTokens" => Value::Int(output),
        "schemaValid" => Value::Bool(valid),
        // The expression was checked against the same list.
        _ => Value::Bool(false),
    })
}
