"""What OpenAI's API answers, whole: every field that the SDK's types have and that an answer to these requests would have."""

TIME = 1_763_700_000
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 4},
    "completion_tokens_details": {
        "accepted_prediction_tokens": 0,
        "audio_tokens": 0,
        "reasoning_tokens": 3,
        "rejected_prediction_tokens": 0,
    },
}
LOGPROB = {"token": "hi", "bytes": [104, 105], "logprob": -0.5}
LOGPROBS = {"content": [{**LOGPROB, "top_logprobs": [LOGPROB]}], "refusal": None}


# === chat completions ===

def completion(model, **more):
    message = {
        "role": "assistant",
        "content": "hi 👋",
        "refusal": None,
        "annotations": [
            {
                "type": "url_citation",
                "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "https://a.example"},
            }
        ],
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": TIME,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": LOGPROBS, "finish_reason": "stop"}],
        "usage": USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        **more,
    }


def completion_events(model, options):
    def chunk(delta, finish=None, **more):
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": TIME,
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_1",
            "choices": choices,
            "usage": None,
            **({"obfuscation": "x9"} if options.get("include_obfuscation") else {}),
            **more,
        }

    yield None, chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in ["hi", " ", "👋"]:
        yield None, chunk({"content": piece})
    yield None, chunk({}, "stop")
    if options.get("include_usage"):
        yield None, chunk({}, choices=[], usage=USAGE)


# === completions, embeddings, models ===

def text_completion(model, **more):
    logprobs = {"text_offset": [0], "token_logprobs": [-0.5], "tokens": ["hi"], "top_logprobs": [{"hi": -0.5}]}
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": TIME,
        "model": model,
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "text": "hi", "logprobs": logprobs, "finish_reason": "stop"}],
        "usage": USAGE,
        **more,
    }


def text_completion_events(model, options):
    for piece, finish in [("hi", None), (" there", None), ("", "stop")]:
        choices = [{"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}]
        yield None, text_completion(model, choices=choices, usage=None)
    if options.get("include_usage"):
        yield None, text_completion(model, choices=[])


def embeddings(model):
    """Always numbers: the SDK asks for base64, and what validates its answers strictly takes numbers only."""
    return {
        "object": "list",
        "model": model,
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "usage": {"prompt_tokens": 11, "total_tokens": 11},
    }


def model(name):
    return {"id": name, "object": "model", "created": TIME, "owned_by": "openai"}


def page(items):
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"], "has_more": False} if items else {}
    return {"object": "list", "data": items, **ends}


# === responses ===

RESPONSE_USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 18,
}
TEXT = {"type": "output_text", "text": "hi 👋", "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [TEXT]}


def response(model, **more):
    return {
        "id": "resp_677efb5139a88190b512bc3fef8e535d",
        "object": "response",
        "created_at": TIME,
        "completed_at": TIME + 1,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "instructions",
        "max_output_tokens": 16,
        "max_tool_calls": 3,
        "metadata": {"foo": "string"},
        "model": model,
        "output": [MESSAGE],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": "prompt-cache-key-1234",
        "prompt_cache_retention": "in_memory",
        "reasoning": {"effort": "none", "summary": None},
        "safety_identifier": "safety-identifier-1234",
        "service_tier": "default",
        "store": True,
        "temperature": 1,
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tool_choice": "none",
        "tools": [{"type": "function", "name": "name", "parameters": {"foo": "bar"}, "strict": True}],
        "top_logprobs": 0,
        "top_p": 1,
        "truncation": "auto",
        "usage": RESPONSE_USAGE,
        "user": "user-1234",
        **more,
    }


def response_events(model):
    begun = response(model, status="in_progress", output=[], usage=None, completed_at=None)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {**MESSAGE, "status": "in_progress", "content": []}
    events = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.content_part.added", {**place, "part": {**TEXT, "text": ""}}),
        ("response.output_text.delta", {**place, "delta": "hi 👋", "logprobs": []}),
        ("response.output_text.done", {**place, "text": "hi 👋", "logprobs": []}),
        ("response.content_part.done", {**place, "part": TEXT}),
        ("response.output_item.done", {"output_index": 0, "item": MESSAGE}),
        ("response.completed", {"response": response(model)}),
    ]
    for number, (kind, event) in enumerate(events):
        yield kind, {"type": kind, "sequence_number": number, **event}


def compaction():
    item = {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAAA"}
    return {
        "id": "resp_2",
        "object": "response.compaction",
        "created_at": TIME,
        "output": [item],
        "usage": RESPONSE_USAGE,
    }
