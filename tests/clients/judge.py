"""Holds what the clients were given against what the model said: `python judge.py ROWS [SEEN DIRECT MOCK]`.

ROWS are the clients' lines and SEEN is what arrived at the providers; DIRECT are lines of the same clients that asked the
mock itself, at MOCK. What cannot be had there is listed in limits.json with the reason, and proven anew in each run: either
the same conversation goes wrong directly in the same way, or an answer of the mock shows what it lacks.
"""

import collections
import json
import pathlib
import re
import sys
import urllib.request

CASES = json.loads(pathlib.Path(__file__).with_name("cases.json").read_text())

# How an API says that an answer is whole, and that it ends in calls.
FINISH = {
    "anthropic-python": ("end_turn", "tool_use"),
    "ai-sdk": ("stop", "tool-calls"),
    "responses": ("completed", "completed"),
    "chat": ("stop", "tool_calls"),
}
# And that it is as long as it may be.
CUT = {"anthropic-python": "max_tokens", "ai-sdk": "length", "responses": "incomplete", "chat": "length"}
# Where each family is asked: what stands in the path that a request arrives at.
PATHS = {
    "openai": ["/v1/chat/completions", "/v1/responses"],
    "compatible": ["/v1/chat/completions"],
    "azure": ["/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"],
    "azure-v1": ["/openai/v1/chat/completions", "/openai/v1/responses"],
    "anthropic": ["/v1/messages"],
    "gemini": ["/v1beta/models/gemini-2.5-flash:"],
    "vertex": ["/v1/projects/my-project/locations/europe-west4/publishers/google/models/gemini-2.5-flash:"],
    "bedrock": ["/model/anthropic.claude-", "/converse"],
    "bedrock-nova": ["/model/amazon.nova-", "/converse"],
    "cohere": ["/v2/chat"],
    "ollama": ["/api/chat"],
    "ollama-v1": ["/v1/chat/completions"],
    "openrouter": ["/api/v1/chat/completions", "/api/v1/responses"],
    "volcengine": ["/api/v3/chat/completions"],
}

CASES_ASKED = ["text", "tool", "tools", "object"]
# APIs by which the programs ask.
CLIENTS = 10


def finish_of(client):
    return next(words for key, words in FINISH.items() if client.startswith(key) or client.endswith(key))


def wrong_with(row):
    """What of an answer is not as it was said."""
    if "error" in row:
        yield row["error"]
        return
    got, case, client = row["got"], CASES[row["case"]], row["client"]
    whole, called = finish_of(client)
    if row["model"] == "llama":
        cut = next(word for key, word in CUT.items() if client.startswith(key) or client.endswith(key))
        yield from wrong_with_random(row["case"], got, (whole, cut))
        return
    turns = 2 if "calls" in case else 1
    want = {
        "models": [row["model"]] * turns,
        "text": case.get("answer", got["text"]),
        "calls": case.get("calls", []),
        "object": case.get("object"),
        "finish": [called, whole] if turns == 2 else [whole],
        "usage": [list(CASES["usage"].values())] * turns,
    }
    ids = [call.pop("id", None) for call in got["calls"]]
    if len(set(ids)) != len(ids) or not all(ids):
        yield f"calls have the ids {ids}"
    for key, value in want.items():
        if got[key] != value:
            yield f"{key} is {json.dumps(got[key], ensure_ascii=False)} and not {json.dumps(value, ensure_ascii=False)}"


def wrong_with_random(case, got, finishes):
    """A model without training says anything; what is known of it is how it ends and that it is counted."""
    if got["models"] != ["llama"] or got["calls"] or got["finish"][0] not in finishes:
        yield f"it is {got['models']}, calls {got['calls']} and ends with {got['finish']}"
    if not got["text"].strip() or min(got["usage"][0]) < 1:
        yield f"the text is {got['text']!r}, the usage {got['usage']}"
    if case == "object":
        weather = got["object"] or {}
        if weather.keys() != {"sky", "windy"} or weather["sky"] not in ("clear", "cloudy") or json.loads(got["text"]) != weather:
            yield f"the object is {weather}"


def wrong_before(row, arrived):
    """What of a request is not as the family has it."""
    if not arrived:
        yield "nothing has arrived"
    for request in arrived:
        if not any(path in request["path"] for path in PATHS[row["model"]]):
            yield f"{request['path']} is asked"
    case = CASES[row["case"]]
    if "calls" in case and arrived:
        if not all("get_weather" in request["body"] and "fahrenheit" in request["body"] for request in arrived):
            yield "the tool's declaration is missing"
        last = arrived[-1]["body"]
        results = [CASES["results"][call["arguments"]["city"]] for call in case["calls"]]
        if not all(json.dumps(result)[1:-1] in last.replace('\\\\\\"', '\\"') for result in results):
            yield "a tool's result is missing"
        if case.get("before", "") not in last:
            yield "what was said before the calls is missing"
    if "object" in case and not all("landlocked" in request["body"] for request in arrived):
        yield "the schema is missing"


def lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines() if line.startswith("{")]


def is_for(limit, row, wrong):
    """Whether all that is wrong is what the limit says."""
    fits = all(row[key] in values for key, values in limit["rows"].items())
    return bool(wrong) and fits and all(any(word in what for word in limit["shows"]) for what in wrong)


def is_proven(limit, direct, mock):
    """Whether the mock lacks it by itself, too."""
    if "ask" not in limit:
        return any(is_for(limit, row, list(wrong_with(row))) for row in direct)
    body = json.dumps(limit["ask"]["body"]).encode()
    request = urllib.request.Request(mock + limit["ask"]["path"], body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return limit["ask"]["says"] in answer.read().decode()


def main():
    rows = lines(sys.argv[1])
    seen, direct, limits = [], [], []
    if len(sys.argv) > 2:
        seen, direct = json.loads(pathlib.Path(sys.argv[2]).read_text()), lines(sys.argv[3])
        limits = json.loads(pathlib.Path(__file__).with_name("limits.json").read_text())
    arrivals = collections.defaultdict(list)
    for request in seen:
        for row_id in re.findall(r"\(([^()\s]+/(?:plain|stream))\)", request["body"]):
            arrivals[row_id].append(request)
    table, excused = collections.defaultdict(collections.Counter), collections.Counter()
    failures = collections.defaultdict(list)
    for row in rows:
        wrong = [*wrong_with(row), *(wrong_before(row, arrivals[row["id"]]) if seen else [])]
        excuse = next((index for index, limit in enumerate(limits) if is_for(limit, row, wrong)), None)
        if excuse is not None:
            excused[excuse] += 1
        elif wrong:
            for what in wrong:
                failures[what.replace(row["id"], "…")].append(row["id"])
        table[row["model"]]["limit" if excuse is not None else "wrong" if wrong else "right"] += 1
    for model, counts in table.items():
        print(f"  {model:14} {counts['right']:4} right {counts['limit']:4} beyond the mock {counts['wrong']:4} wrong")
    for index, limit in enumerate(limits):
        print(f"  beyond the mock, {excused[index]} times: {limit['why']}")
        if not excused[index] or not is_proven(limit, direct, sys.argv[4]):
            failures["this is no longer so, take it out of limits.json"].append(limit["why"])
    clients = {row["client"] for row in rows}
    expected = CLIENTS * len(table) * 2 * (len(CASES_ASKED) if seen else 2)
    if len(rows) != expected:
        failures[f"{len(rows)} conversations and not {expected}: a client ended early"].append(", ".join(clients))
    for what, ids in failures.items():
        print(f"  WRONG {what[:700]}\n        {len(ids)} times: {', '.join(ids[:4])}")
    wrong = sum(map(len, failures.values()))
    print(f"  {len(rows)} conversations by {len(clients)} clients, {wrong} failures")
    return 1 if failures else 0


sys.exit(main())
