"""anthropic-python, by messages."""

import anthropic

from asking import MAX_TOKENS, SCHEMA, TOOL, ask_all, result_of

client = anthropic.Anthropic(max_retries=0, timeout=30)


def messages(model, case, prompt, stream):
    turns = [{"role": "user", "content": prompt}]
    if case == "object":
        return told([message(model, turns, stream, output_format=SCHEMA)])
    if case == "text":
        return told([message(model, turns, stream)])
    declared = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}
    first = message(model, turns, stream, tools=[declared])
    turns.append({"role": "assistant", "content": first.content})
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": result_of({"arguments": call.input})}
        for call in calls_of(first)
    ]
    turns.append({"role": "user", "content": results})
    return told([first, message(model, turns, stream, tools=[declared])])


def message(model, turns, stream, **more):
    more |= {"model": model, "messages": turns, "system": "Be brief.", "max_tokens": MAX_TOKENS}
    if not stream:
        return (client.messages.parse if "output_format" in more else client.messages.create)(**more)
    with client.messages.stream(**more) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    assert text == text_of(final)
    return final


def text_of(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def calls_of(answer):
    return [block for block in answer.content if block.type == "tool_use"]


def told(answers):
    parsed = getattr(answers[-1], "parsed_output", None)
    return {
        "models": [answer.model for answer in answers],
        "text": text_of(answers[-1]),
        "calls": [{"id": call.id, "name": call.name, "arguments": call.input} for call in calls_of(answers[0])],
        "object": parsed and parsed.model_dump(),
        "finish": [answer.stop_reason for answer in answers],
        "usage": [[answer.usage.input_tokens, answer.usage.output_tokens] for answer in answers],
    }


ask_all("anthropic-python", messages)
