// The Node SDK of OpenAI, by chat completions and by responses.
import assert from "node:assert";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { askAll, MAX_TOKENS, resultOf, schema, tool } from "./asking.mjs";

const client = new OpenAI({ maxRetries: 0, timeout: 30_000 });

// === chat completions ===

async function chat(model, name, prompt, stream) {
  const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: prompt }];
  if (name === "text") return toldChat([await completion({ model, messages }, stream)]);
  if (name === "object") {
    const response_format = zodResponseFormat(schema, "answer");
    return toldChat([await completion({ model, messages, response_format }, stream)]);
  }
  const tools = [{ type: "function", function: tool }];
  const first = await completion({ model, messages, tools }, stream);
  const { content, tool_calls } = first.choices[0].message;
  messages.push({ role: "assistant", content, tool_calls });
  for (const call of tool_calls) {
    const result = resultOf(JSON.parse(call.function.arguments));
    messages.push({ role: "tool", tool_call_id: call.id, content: result });
  }
  return toldChat([first, await completion({ model, messages, tools }, stream)]);
}

async function completion(request, stream) {
  request.max_completion_tokens = MAX_TOKENS;
  if (!stream) return client.chat.completions[request.response_format ? "parse" : "create"](request);
  const events = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
  let text = "";
  events.on("content", (delta) => (text += delta));
  const final = await events.finalChatCompletion();
  assert.equal(text, final.choices[0].message.content ?? "");
  return final;
}

function toldChat(answers) {
  const messages = answers.map((answer) => answer.choices[0].message);
  const last = messages.at(-1);
  return {
    models: answers.map((answer) => answer.model),
    text: last.content,
    calls: (messages[0].tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    })),
    object: last.parsed ?? null,
    finish: answers.map((answer) => answer.choices[0].finish_reason),
    usage: answers.map(({ usage }) => [usage.prompt_tokens, usage.completion_tokens]),
  };
}

// === responses ===

async function responses(model, name, prompt, stream) {
  const input = [{ role: "user", content: prompt }];
  if (name === "text") return toldResponses([await response({ model, input }, stream)]);
  if (name === "object") {
    const text = { format: zodTextFormat(schema, "answer") };
    return toldResponses([await response({ model, input, text }, stream)]);
  }
  const tools = [{ type: "function", ...tool, strict: true }];
  const first = await response({ model, input, tools }, stream);
  for (const { parsed_arguments, ...item } of first.output) input.push(item);
  for (const call of callsOf(first)) {
    const output = resultOf(JSON.parse(call.arguments));
    input.push({ type: "function_call_output", call_id: call.call_id, output });
  }
  return toldResponses([first, await response({ model, input, tools }, stream)]);
}

async function response(request, stream) {
  Object.assign(request, { instructions: "Be brief.", max_output_tokens: MAX_TOKENS });
  if (!stream) return client.responses[request.text ? "parse" : "create"](request);
  const events = client.responses.stream(request);
  let text = "";
  events.on("response.output_text.delta", ({ delta }) => (text += delta));
  const final = await events.finalResponse();
  assert.equal(text, final.output_text);
  return final;
}

const callsOf = (answer) => answer.output.filter((item) => item.type === "function_call");

function toldResponses(answers) {
  return {
    models: answers.map((answer) => answer.model),
    text: answers.at(-1).output_text,
    calls: callsOf(answers[0]).map((call) => ({
      id: call.call_id,
      name: call.name,
      arguments: JSON.parse(call.arguments),
    })),
    object: answers.at(-1).output_parsed ?? null,
    finish: answers.map((answer) => answer.status),
    usage: answers.map(({ usage }) => [usage.input_tokens, usage.output_tokens]),
  };
}

await askAll("openai-node chat", chat);
await askAll("openai-node responses", responses);
