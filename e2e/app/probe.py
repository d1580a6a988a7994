"""One call through a vendor's own SDK, told as one line of JSON: what the end-to-end tests look at.

    python3 probe.py '{"api": "openai", "model": "chat", "prompt": "hello", "stream": true}'

Nothing here names an address or a key: the SDKs take both from the environment.
"""

import json
import sys

import anthropic
import openai


def openai_call(ask):
    client = openai.OpenAI(max_retries=0, timeout=ask.get("timeout", 60))
    kind = ask.get("kind", "chat")
    if kind == "embeddings":
        raw = client.embeddings.with_raw_response.create(model=ask["model"], input=ask["prompt"])
        return told(raw, text="", length=len(raw.parse().data[0].embedding))
    if kind == "models":
        raw = client.models.with_raw_response.list()
        return told(raw, text="", models=[model.id for model in raw.parse().data])
    messages = ask.get("messages") or [{"role": "user", "content": ask["prompt"]}]
    stream = ask.get("stream", False)
    more = {"stream_options": {"include_usage": True}} if stream else {}
    raw = client.chat.completions.with_raw_response.create(
        model=ask["model"], messages=messages, max_tokens=ask.get("max_tokens", 16), stream=stream, **more
    )
    if not ask.get("stream"):
        answer = raw.parse()
        choice = answer.choices[0]
        return told(raw, choice.message.content, finish=choice.finish_reason, model=answer.model, usage=answer.usage.model_dump())
    pieces, finish, model, usage = [], None, None, None
    for chunk in raw.parse():
        model = chunk.model
        usage = chunk.usage.model_dump() if chunk.usage else usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    return told(raw, "".join(pieces), finish=finish, model=model, chunks=len(pieces), usage=usage)


def anthropic_call(ask):
    client = anthropic.Anthropic(max_retries=0, timeout=ask.get("timeout", 60))
    messages = ask.get("messages") or [{"role": "user", "content": ask["prompt"]}]
    system = {"system": ask["system"]} if "system" in ask else {}
    if ask.get("kind") == "count":
        raw = client.messages.with_raw_response.count_tokens(model=ask["model"], messages=messages, **system)
        return told(raw, text="", tokens=raw.parse().input_tokens)
    wanted = dict(model=ask["model"], max_tokens=ask.get("max_tokens", 16), messages=messages, **system)
    raw = client.messages.with_raw_response.create(**wanted, stream=ask.get("stream", False))
    if not ask.get("stream"):
        answer = raw.parse()
        text = "".join(block.text for block in answer.content if block.type == "text")
        return told(raw, text, finish=answer.stop_reason, model=answer.model, usage=answer.usage.model_dump())
    pieces, finish, model, usage = [], None, None, None
    for event in raw.parse():
        if event.type == "message_start":
            model, usage = event.message.model, event.message.usage.model_dump()
        elif event.type == "content_block_delta":
            pieces.append(getattr(event.delta, "text", ""))
        elif event.type == "message_delta":
            finish = event.delta.stop_reason
            usage = {**usage, **event.usage.model_dump(exclude_none=True)}
    return told(raw, "".join(pieces), finish=finish, model=model, chunks=len(pieces), usage=usage)


def told(raw, text, **more):
    return {"ok": True, "status": raw.status_code, "headers": spillway_headers(raw.headers), "text": text, **more}


def spillway_headers(headers):
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith(("x-spillway-", "retry-after"))}


def failed(error):
    response = getattr(error, "response", None)
    return {
        "ok": False,
        "exception": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "headers": spillway_headers(response.headers) if response is not None else {},
        "body": getattr(error, "body", None),
        "message": str(error),
    }


def main():
    ask = json.loads(sys.argv[1])
    call = {"openai": openai_call, "anthropic": anthropic_call}[ask["api"]]
    try:
        print(json.dumps(call(ask), default=str))
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        print(json.dumps(failed(error), default=str))


if __name__ == "__main__":
    main()
