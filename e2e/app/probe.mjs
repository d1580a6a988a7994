// One call through the Node SDK, told as one line of JSON, like probe.py does for the Python SDKs.
//
//     node probe.mjs '{"model": "chat", "prompt": "hello", "stream": true}'
import OpenAI from "openai";

const ask = JSON.parse(process.argv[2]);
const client = new OpenAI({ maxRetries: 0, timeout: 60_000 });

function spillwayHeaders(headers) {
  return Object.fromEntries([...headers].filter(([name]) => name.startsWith("x-spillway-") || name === "retry-after"));
}

async function call() {
  const { data, response } = await client.chat.completions
    .create({
      model: ask.model,
      messages: [{ role: "user", content: ask.prompt }],
      max_tokens: ask.max_tokens ?? 16,
      stream: ask.stream ?? false,
    })
    .withResponse();
  const told = { ok: true, status: response.status, headers: spillwayHeaders(response.headers) };
  if (!ask.stream) {
    const [choice] = data.choices;
    return { ...told, text: choice.message.content, finish: choice.finish_reason, model: data.model, usage: data.usage };
  }
  let text = "", finish = null, model = null, chunks = 0;
  for await (const chunk of data) {
    model = chunk.model;
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
      chunks += 1;
    }
  }
  return { ...told, text, finish, model, chunks };
}

try {
  console.log(JSON.stringify(await call()));
} catch (error) {
  const headers = error.headers ? spillwayHeaders(error.headers) : {};
  console.log(JSON.stringify({ ok: false, exception: error.constructor.name, status: error.status, headers, body: error.error, message: error.message }));
}
