#!/usr/bin/env python3
"""Builds catalogue.json.gz, the models the operator knows, from LiteLLM's public price list.

    python3 operator/data/build.py model_prices_and_context_window.json

Prices become whole nano-dollars per million tokens, rounded up. A price the list does not give is null, which is not 0;
so is a price of 0 for input and output both, except where nobody is paid (Ollama). The output depends on the input
only, so that building it twice changes nothing.
"""

import gzip
import json
import pathlib
import sys
from decimal import ROUND_CEILING, Decimal

# The list's name of a provider (up to the first of its suffixes) -> ModelProvider.spec.type.
PROVIDERS = {
    "openai": "OpenAI",
    "text-completion-openai": "OpenAI",
    "anthropic": "Anthropic",
    "azure": "AzureOpenAI",
    "azure_text": "AzureOpenAI",
    "gemini": "Gemini",
    "vertex_ai": "VertexAI",
    "bedrock": "Bedrock",
    "bedrock_converse": "Bedrock",
    "cohere": "Cohere",
    "cohere_chat": "Cohere",
    "cerebras": "Cerebras",
    "deepinfra": "DeepInfra",
    "deepseek": "DeepSeek",
    "fireworks_ai": "Fireworks",
    "fireworks_ai-embedding-models": "Fireworks",
    "groq": "Groq",
    "mistral": "Mistral",
    "moonshot": "Moonshot",
    "nebius": "Nebius",
    "novita": "Novita",
    "ollama": "Ollama",
    "perplexity": "Perplexity",
    "sambanova": "SambaNova",
    "together_ai": "Together",
    "xai": "XAI",
}
# How the list prefixes a provider's model names.
PREFIXES = {"text-completion-openai": "text-completion-openai", "azure_text": "azure", "fireworks_ai-embedding-models": "fireworks_ai"}
FREE = {"ollama"}
# For these the list gives the room for input alone; prompt and answer together have the sum.
INPUT_ALONE = {(272_000, 128_000), (922_000, 128_000)}


def nanos(dollars_per_token):
    """Nano-dollars per million tokens."""
    if dollars_per_token is None:
        return None
    return int((Decimal(str(dollars_per_token)) * 10**15).to_integral_value(ROUND_CEILING))


def window(row, kind):
    room, answer = row.get("max_input_tokens") or row.get("max_tokens"), row.get("max_output_tokens")
    if not room:
        return None
    if answer and ((room, answer) in INPUT_ALONE or kind in ("Gemini", "VertexAI")):
        return room + answer
    return room


def entry(row, source, kind):
    cost_in, cost_out = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    if row["mode"] == "embedding" and cost_in is not None:
        cost_out = cost_out or 0
    unpriced = cost_in is None or cost_out is None or (not cost_in and not cost_out and source not in FREE)
    prices = [None] * 4 if unpriced else [
        nanos(cost_in),
        nanos(cost_out),
        nanos(row.get("cache_read_input_token_cost")),
        nanos(row.get("cache_creation_input_token_cost")),
    ]
    flags = "".join(
        letter
        for letter, name in [
            ("t", "supports_function_calling"),
            ("p", "supports_parallel_function_calling"),
            ("v", "supports_vision"),
            ("j", "supports_response_schema"),
        ]
        if row.get(name)
    )
    # The list says nothing about parallel calls for most models; where tools work, more than one is the rule.
    if "t" in flags and "supports_parallel_function_calling" not in row:
        flags += "p"
    answer = row.get("max_output_tokens") if row["mode"] != "embedding" else None
    return [window(row, kind), answer or None, *prices, flags]


def main():
    source_file = pathlib.Path(sys.argv[1])
    catalogue = {}
    for name, row in sorted(json.loads(source_file.read_text()).items()):
        source = row.get("litellm_provider", "")
        if source.startswith("vertex_ai"):
            source = "vertex_ai"
        kind = PROVIDERS.get(source)
        if kind is None or row.get("mode") not in ("chat", "completion", "embedding", "responses"):
            continue
        model = name.removeprefix(PREFIXES.get(source, source) + "/")
        catalogue.setdefault(kind, {}).setdefault(model, entry(row, source, kind))
    out = pathlib.Path(__file__).with_name("catalogue.json.gz")
    text = json.dumps(catalogue, sort_keys=True, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{sum(map(len, catalogue.values()))} models of {len(catalogue)} providers, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
