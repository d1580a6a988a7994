// What the Node clients have in common: the cases, and one line of JSON for each answer. As asking.py has it.
import { readFileSync } from "node:fs";
import { z } from "zod";

export const cases = JSON.parse(readFileSync(new URL("cases.json", import.meta.url)));
export const tool = cases.tool_declaration;
const isReal = "ASK_A_REAL_MODEL" in process.env;
const City = z.object({
  name: z.string(),
  population: z.int(),
  rivers: z.array(z.string()),
  country: z.object({ code: z.string(), landlocked: z.boolean() }),
});
const Weather = z.object({ sky: z.enum(["clear", "cloudy"]), windy: z.boolean() });
export const schema = isReal ? Weather : City;
export const MAX_TOKENS = 300;
const AT_ONCE = 8;

export const resultOf = ({ city }) => cases.results[city];

// `ask(model, case, prompt, stream)` for everything.
export async function askAll(client, ask) {
  const rows = [];
  for (const model of process.argv.slice(2)) {
    for (const name of isReal ? ["text", "object"] : ["text", "tool", "tools", "object"]) {
      for (const stream of [false, true]) rows.push({ client, model, case: name, stream });
    }
  }
  const told = async (row) => {
    row.id = `${client}/${row.model}/${row.case}/${row.stream ? "stream" : "plain"}`.replaceAll(" ", "-");
    try {
      row.got = await ask(row.model, row.case, `${cases[row.case].prompt} (${row.id})`, row.stream);
    } catch (error) {
      row.error = `${error.constructor.name}: ${error.message} ${error.cause?.message ?? ""}`.slice(0, 2000);
    }
    console.log(JSON.stringify(row));
  };
  const worker = async () => {
    for (let row = rows.shift(); row; row = rows.shift()) await told(row);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
