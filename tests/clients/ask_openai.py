"""openai-python, by chat completions and by responses."""

import json

import openai

from asking import MAX_TOKENS, SCHEMA, TOOL, ask_all, result_of

client = openai.OpenAI(max_retries=0, timeout=30)


# === chat completions ===

def chat(model, case, prompt, stream):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]
    if case == "object":
        return told_chat([completion(model, messages, stream, response_format=SCHEMA)])
    if case == "text":
        return pieces(model, messages) if stream else told_chat([completion(model, messages, stream)])
    tools = [{"type": "function", "function": TOOL}]
    first = completion(model, messages, stream, tools=tools)
    calls = first.choices[0].message.tool_calls
    # As it came: what an application keeps of an answer is what it sends back.
    messages.append(first.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"}))
    for call in calls:
        arguments = json.loads(call.function.arguments)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result_of({"arguments": arguments})})
    return told_chat([first, completion(model, messages, stream, tools=tools)])


def completion(model, messages, stream, **more):
    more["max_completion_tokens"] = MAX_TOKENS
    if not stream:
        make = client.chat.completions.parse if "response_format" in more else client.chat.completions.create
        return make(model=model, messages=messages, **more)
    more["stream_options"] = {"include_usage": True}
    with client.chat.completions.stream(model=model, messages=messages, **more) as events:
        deltas = [event.delta for event in events if event.type == "content.delta"]
    final = events.get_final_completion()
    assert "".join(deltas) == (final.choices[0].message.content or "")
    return final


def pieces(model, messages):
    """A stream as it comes, without the SDK's help."""
    told = {"models": [], "text": "", "calls": [], "object": None, "finish": [], "usage": []}
    options = {"max_completion_tokens": MAX_TOKENS, "stream": True, "stream_options": {"include_usage": True}}
    for chunk in client.chat.completions.create(model=model, messages=messages, **options):
        told["models"] = [chunk.model]
        for choice in chunk.choices:
            told["text"] += choice.delta.content or ""
            told["finish"] += [choice.finish_reason] if choice.finish_reason else []
        if chunk.usage:
            told["usage"].append([chunk.usage.prompt_tokens, chunk.usage.completion_tokens])
    return told


def told_chat(answers):
    messages = [answer.choices[0].message for answer in answers]
    parsed = getattr(messages[-1], "parsed", None)
    return {
        "models": [answer.model for answer in answers],
        "text": messages[-1].content,
        "calls": [
            {"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
            for call in messages[0].tool_calls or []
        ],
        "object": parsed and parsed.model_dump(),
        "finish": [answer.choices[0].finish_reason for answer in answers],
        "usage": [[answer.usage.prompt_tokens, answer.usage.completion_tokens] for answer in answers],
    }


# === responses ===

def responses(model, case, prompt, stream):
    items = [{"role": "user", "content": prompt}]
    if case == "object":
        return told_responses([response(model, items, stream, text_format=SCHEMA)])
    if case == "text":
        return told_responses([events_of(model, items) if stream else response(model, items, stream)])
    tools = [{"type": "function", **TOOL, "strict": True}]
    first = response(model, items, stream, tools=tools)
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    for call in calls_of(first):
        result = result_of({"arguments": json.loads(call.arguments)})
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    return told_responses([first, response(model, items, stream, tools=tools)])


def response(model, items, stream, **more):
    more |= {"instructions": "Be brief.", "max_output_tokens": MAX_TOKENS}
    if not stream:
        make = client.responses.parse if "text_format" in more else client.responses.create
        return make(model=model, input=items, **more)
    with client.responses.stream(model=model, input=items, **more) as events:
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    assert "".join(deltas) == final.output_text
    return final


def events_of(model, items):
    """A stream as it comes, without the SDK's help."""
    given = {"instructions": "Be brief.", "max_output_tokens": MAX_TOKENS, "stream": True}
    events = list(client.responses.create(model=model, input=items, **given))
    numbers = [event.sequence_number for event in events]
    # The mock numbers none of its own.
    assert numbers in (list(range(len(events))), [None] * len(events)), numbers
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert events[-1].type in ("response.completed", "response.incomplete"), events[-1].type
    assert "".join(deltas) == events[-1].response.output_text
    return events[-1].response


def calls_of(answer):
    return [item for item in answer.output if item.type == "function_call"]


def told_responses(answers):
    parsed = getattr(answers[-1], "output_parsed", None)
    return {
        "models": [answer.model for answer in answers],
        "text": answers[-1].output_text,
        "calls": [
            {"id": call.call_id, "name": call.name, "arguments": json.loads(call.arguments)}
            for call in calls_of(answers[0])
        ],
        "object": parsed and parsed.model_dump(),
        "finish": [answer.status for answer in answers],
        "usage": [[answer.usage.input_tokens, answer.usage.output_tokens] for answer in answers],
    }


ask_all("openai-python chat", chat)
ask_all("openai-python responses", responses)
