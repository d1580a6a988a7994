// Vercel's AI SDK, by its provider for OpenAI (chat completions and responses) and the one for servers like it.
import assert from "node:assert";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, Output, streamText, tool as declare } from "ai";
import { askAll, MAX_TOKENS, resultOf, schema, tool } from "./asking.mjs";

const openai = createOpenAI({});
const compatible = createOpenAICompatible({
  name: "spillway",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});

const ask = (provide) => async (model, name, prompt, stream) => {
  const request = { model: provide(model), system: "Be brief.", prompt, maxRetries: 0, maxOutputTokens: MAX_TOKENS };
  if (name === "object") request.output = Output.object({ schema });
  if (name === "tool" || name === "tools") {
    // The SDK calls the tool and goes on by itself.
    const inputSchema = jsonSchema(tool.parameters);
    const execute = async (given) => resultOf(given);
    request.tools = { [tool.name]: declare({ description: tool.description, inputSchema, execute }) };
    request.stopWhen = isStepCount(3);
  }
  return told(await (stream ? streamed : generateText)(request), name);
};

async function streamed(request) {
  const errors = [];
  const result = streamText({ ...request, onError: ({ error }) => errors.push(error) });
  let text = "";
  for await (const delta of result.textStream) text += delta;
  if (errors.length) throw errors[0];
  const [steps, last] = [await result.steps, await result.text];
  assert.equal(text, steps.map((step) => step.text).join(""));
  return { steps, text: last, output: request.output ? await result.output : null };
}

function told({ steps, text, output }, name) {
  return {
    models: steps.map((step) => step.response.modelId),
    text,
    calls: steps[0].toolCalls.map((call) => ({ id: call.toolCallId, name: call.toolName, arguments: call.input })),
    object: name === "object" ? output : null,
    finish: steps.map((step) => step.finishReason),
    usage: steps.map(({ usage }) => [usage.inputTokens, usage.outputTokens]),
  };
}

await askAll("ai-sdk chat", ask((model) => openai.chat(model)));
await askAll("ai-sdk responses", ask((model) => openai.responses(model)));
await askAll("ai-sdk compatible", ask((model) => compatible(model)));
