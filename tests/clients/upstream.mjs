// All providers at once: aimock, scripted with the cases, behind a recorder of what reaches it.
//
//     node upstream.mjs            prints its port; GET /seen tells what has come: [{"path", "body"}]
import http from "node:http";
import { readFileSync } from "node:fs";
import { LLMock } from "@copilotkit/aimock";

const cases = JSON.parse(readFileSync(new URL("cases.json", import.meta.url)));
const usage = {
  prompt_tokens: cases.usage.input,
  completion_tokens: cases.usage.output,
  total_tokens: cases.usage.input + cases.usage.output,
};
// Three characters at a time, so that everything comes in many pieces.
const mock = new LLMock({ port: 0, host: "127.0.0.1", chunkSize: 3, journalMaxEntries: 1 });

const asked = (name) => ({ userMessage: cases[name].prompt });
mock.on(asked("text"), { content: cases.text.answer, usage });
for (const name of ["tool", "tools"]) {
  const { before, calls } = cases[name];
  mock.on({ ...asked(name), hasToolResult: false }, { ...(before && { content: before }), toolCalls: calls, usage });
  mock.on({ ...asked(name), hasToolResult: true }, { content: cases[name].answer, usage });
}
// A model that was given one tool, and no other way to answer with an object, calls it.
const given = (request) => request.tools?.[0]?.function.name;
mock.on({ ...asked("object"), predicate: given }, (request) => ({
  toolCalls: [{ name: given(request), arguments: JSON.stringify(cases.object.object) }],
  usage,
}));
mock.on(asked("object"), { content: JSON.stringify(cases.object.object), usage });
await mock.start();

const seen = [];
const { hostname, port } = new URL(mock.url);

// Passes a request on byte by byte, and keeps its body.
function pass(request, response) {
  const body = [];
  const { method, url: path, headers } = request;
  const onward = http.request({ hostname, port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", (error) => response.destroy(error));
  response.on("close", () => onward.destroy());
  request.on("data", (bytes) => body.push(bytes));
  request.on("end", () => seen.push({ path, body: Buffer.concat(body).toString() }));
  request.pipe(onward);
}

const server = http.createServer((request, response) => {
  if (request.url === "/seen") {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(seen));
  } else {
    pass(request, response);
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
