"""langchain-openai, by chat completions and by responses."""

import functools

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI

from asking import MAX_TOKENS, SCHEMA, TOOL, ask_all, result_of


def ask(model, case, prompt, stream, by_responses):
    llm = ChatOpenAI(
        model=model,
        max_retries=0,
        timeout=30,
        max_tokens=MAX_TOKENS,
        use_responses_api=by_responses,
        stream_usage=True,
        streaming=stream,
    )
    turns = [SystemMessage("Be brief."), HumanMessage(prompt)]
    if case == "object":
        structured = llm.with_structured_output(SCHEMA, method="json_schema", include_raw=True)
        if not stream:
            answer = structured.invoke(turns)
            return told([answer["raw"]], answer["parsed"])
        parts = list(structured.stream(turns))
        raw = functools.reduce(lambda one, other: one + other, [part["raw"] for part in parts if "raw" in part])
        return told([raw], [part["parsed"] for part in parts if "parsed" in part][-1])
    if case == "text":
        return told([message(llm, turns, stream)])
    able = llm.bind_tools([{"type": "function", "function": TOOL}])
    first = message(able, turns, stream)
    turns.append(first)
    for call in first.tool_calls:
        turns.append(ToolMessage(result_of({"arguments": call["args"]}), tool_call_id=call["id"]))
    return told([first, message(able, turns, stream)])


def message(llm, turns, stream):
    if not stream:
        return llm.invoke(turns)
    return functools.reduce(lambda one, other: one + other, llm.stream(turns))


def told(answers, parsed=None):
    return {
        "models": [answer.response_metadata.get("model_name") for answer in answers],
        "text": answers[-1].text,
        "calls": [
            {"id": call["id"], "name": call["name"], "arguments": call["args"]} for call in answers[0].tool_calls
        ],
        "object": parsed and parsed.model_dump(),
        "finish": [
            answer.response_metadata.get("finish_reason") or answer.response_metadata.get("status") for answer in answers
        ],
        "usage": [
            [(answer.usage_metadata or {}).get(key) for key in ("input_tokens", "output_tokens")] for answer in answers
        ],
    }


ask_all("langchain-openai chat", functools.partial(ask, by_responses=False))
ask_all("langchain-openai responses", functools.partial(ask, by_responses=True))
