#!/usr/bin/env python3
"""Builds catalogue.json.gz, the models the operator knows, from LiteLLM's public price list.

    python3 operator/data/build.py model_prices_and_context_window.json [--check]

Prices become whole pico-dollars per token, image, character, second or search. A price the list does not give is left out,
which is not 0; so is a price of 0 for input and output both, except where that is what is meant (Ollama's are one's own,
Z.AI gives some away, OpenAI moderates for nothing). The output depends on the input only, so that building it twice changes
nothing; --check builds it and says whether the committed file is the same.

A row has these keys, each left out where there is nothing to say (operator/src/catalogue/data.rs reads them):
  m  what it does, if that is not chat      w  context window        o  longest answer      v  size of its vectors
  f  t tools, p parallel tools, v vision, j JSON schema              y  abilities: a small letter is a yes, a capital a no
  p  prices in the order of RATES           a  {tokens: prices of prompts longer than that}
  F, P, B  the same two for the flex and priority tiers (fast answers, where a provider calls it that) and for batches
  g  thousandths of these prices where a request chooses the place of its answer             d  when it is switched off
  u  prices in the order of PIECES, of what is billed by the piece        i  {"high/1024x1024": price of such an image}
"""

import gzip
import json
import pathlib
import re
import sys
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

# The list's name of a provider (up to the first of its suffixes) -> ModelProvider.spec.type.
PROVIDERS = {
    "openai": "OpenAI",
    "text-completion-openai": "OpenAI",
    "ai21": "AI21",
    "anthropic": "Anthropic",
    "azure": "AzureOpenAI",
    "azure_ai": "AzureAI",
    "azure_text": "AzureOpenAI",
    "baseten": "Baseten",
    "bedrock": "Bedrock",
    "bedrock_converse": "Bedrock",
    "cerebras": "Cerebras",
    "cloudflare": "Cloudflare",
    "cohere": "Cohere",
    "cohere_chat": "Cohere",
    "dashscope": "DashScope",
    "databricks": "Databricks",
    "deepinfra": "DeepInfra",
    "deepseek": "DeepSeek",
    "featherless_ai": "Featherless",
    "fireworks_ai": "Fireworks",
    "fireworks_ai-embedding-models": "Fireworks",
    "friendliai": "Friendli",
    "gemini": "Gemini",
    "groq": "Groq",
    "hyperbolic": "Hyperbolic",
    "jina_ai": "Jina",
    "meta_llama": "MetaLlama",
    "mistral": "Mistral",
    "moonshot": "Moonshot",
    "nebius": "Nebius",
    "novita": "Novita",
    "nscale": "Nscale",
    "nvidia_nim": "NvidiaNim",
    "ollama": "Ollama",
    "openrouter": "OpenRouter",
    "perplexity": "Perplexity",
    "sambanova": "SambaNova",
    "together_ai": "Together",
    "vercel_ai_gateway": "Vercel",
    "vertex_ai": "VertexAI",
    "volcengine": "VolcEngine",
    "voyage": "Voyage",
    "xai": "XAI",
    "zai": "ZAI",
}
# How the list prefixes a provider's model names, where it is not by the provider's own name.
PREFIXES = {"azure_text": "azure", "fireworks_ai-embedding-models": "fireworks_ai"}
MODES = {
    "chat": None,
    "responses": "responses",
    "completion": "completion",
    "embedding": "embedding",
    "rerank": "rerank",
    "moderation": "moderation",
    "image_generation": "image",
    "image_edit": "image",
    "audio_speech": "speech",
    "audio_transcription": "transcription",
}
FREE = {"Ollama", "ZAI"}
FREE_MODES = {("OpenAI", "moderation")}
# For these the list gives the room for input alone; prompt and answer together have the sum.
INPUT_ALONE = {(272_000, 128_000), (922_000, 128_000)}
# Token kinds in the order of a row's prices -> the list's word.
RATES = [
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
    "output_cost_per_reasoning_token",
    "input_cost_per_audio_token",
    "output_cost_per_audio_token",
    "input_cost_per_image_token",
    "output_cost_per_image_token",
]
# What is billed by the piece, in the order of a row's prices: mode -> the list's words, the first that is given.
PIECES = [
    ("image", {"image_generation": ["output_cost_per_image", "input_cost_per_image"], "image_edit": ["output_cost_per_image"]}),
    ("pixel", {"image_generation": ["input_cost_per_pixel", "output_cost_per_pixel"]}),
    ("character", {"audio_speech": ["input_cost_per_character"]}),
    ("second", {"audio_transcription": ["input_cost_per_second", "output_cost_per_second"]}),
    ("search", {"rerank": ["input_cost_per_query"]}),
]
# Who says in an answer how many searches were made for it, which are billed beside its tokens.
SEARCHES = {"anthropic", "vertex_ai-anthropic_models"}
# What comes out of models that draw or speak, and goes into those that listen, is no text: where the list has one price for
# both kinds of token, or for one of them alone, it is that of the other.
KINDS = {
    "image_generation": [("output_cost_per_token", "output_cost_per_image_token")],
    "audio_speech": [("output_cost_per_audio_token", "output_cost_per_token")],
    "audio_transcription": [
        ("input_cost_per_audio_token", "input_cost_per_token"),
        ("input_cost_per_token", "input_cost_per_audio_token"),
    ],
}
# A name that is no model's: what its images cost by quality and size.
LOOK = re.compile(r"(?:(low|medium|high|standard|hd)/)?(\d+)-x-(\d+)/(.+)")
# Nor is this: what nobody can ask for by name, and nothing here counts.
STEPS = re.compile(r"(^|/)(\d+|max)-steps/")
# Those that the list gives by tier and by the length of the prompt; the others hold for all of them, or are as other output.
TIERED = RATES[:5]
TIERS = {"F": "_flex", "P": "_priority", "B": "_batches"}
# Letter -> ability, in the list's words.
ABILITIES = {
    "s": "supports_sampling_params",
    "r": "supports_reasoning",
    "a": "supports_adaptive_thinking",
    "l": "supports_legacy_thinking",
    "t": "thinking_always_on",
    "o": "supports_output_config",
    "c": "supports_tool_choice",
    "f": "supports_forced_tool_use",
    "p": "supports_parallel_tool_use_config",
    "k": "bedrock_converse_supports_strict_tools",
    "j": "supports_native_structured_output",
    "y": "supports_system_messages",
    "m": "supports_mid_conversation_system",
    "q": "supports_assistant_prefill",
    "h": "supports_prompt_caching",
    "d": "supports_pdf_input",
    "u": "supports_audio_input",
    "w": "use_openai_responses_path",
}
EFFORTS = {"0": "none", "1": "minimal", "2": "low", "3": "medium", "4": "high", "5": "xhigh", "6": "max"}


def pico(dollars):
    """Whole pico-dollars; what only a float would add is taken off, what the list means by a fraction rounds up."""
    exact = Decimal(str(dollars)) * 10**12
    near = exact.to_integral_value(ROUND_HALF_EVEN)
    return int(near if abs(exact - near) < Decimal("0.001") else exact.to_integral_value(ROUND_CEILING))


def trimmed(prices):
    while prices and prices[-1] is None:
        prices.pop()
    return prices


def rates(row, names, suffix=""):
    found = [row.get(name + suffix) if name in names else None for name in RATES]
    return trimmed([None if one is None else pico(one) for one in found])


def steps(row, suffix, inclusive):
    """Prices of long prompts. The list's own bound is exceeded by one token more, or reached where `inclusive`."""
    words = {re.search(r"_above_(\d+)(k?)_tokens" + suffix + "$", key) for key in row}
    bounds = {(int(found[1]) * (1000 if found[2] else 1), found[1] + found[2]) for found in words - {None}}
    of = lambda word: rates(row, TIERED, f"_above_{word}_tokens{suffix}")
    return {str(bound - inclusive): of(word) for bound, word in sorted(bounds) if of(word)}


def ranges(row):
    """`tiered_pricing`: the first range is the price, the others are those of longer prompts. Nothing is inherited."""
    tiers = sorted(row["tiered_pricing"], key=lambda tier: tier["range"][0])
    card = lambda tier: {name: tier[name] for name in RATES if name in tier}
    first, more = card(tiers[0]), {}
    for tier in tiers[1:]:
        own = card(tier)
        for name in ("cache_read_input_token_cost", "cache_creation_input_token_cost"):
            if name in first:
                own.setdefault(name, tier.get("input_cost_per_token"))
        more[str(int(tier["range"][0]))] = rates(own, RATES)
    return first, more


def priced(row, kind):
    """The keys p, a, F, P and B of a row."""
    row = dict(row)
    ranged = {}
    if row.get("tiered_pricing") and all("range" in tier for tier in row["tiered_pricing"]):
        first, ranged = ranges(row)
        row = {key: value for key, value in row.items() if "_cost" not in key} | first
    for name, other in KINDS.get(row.get("mode"), []):
        if row.get(name) is None and row.get(other) is not None:
            row[name] = row[other]
    # A price per token of what draws is none for images, unless it says so.
    if row.get("mode") == "image_generation" and not row.get("output_cost_per_image_token"):
        return {}
    cost_in, cost_out = row.get("input_cost_per_token"), row.get("output_cost_per_token")
    if row.get("mode") == "embedding" and cost_in is not None:
        cost_out = row["output_cost_per_token"] = cost_out or 0
    free = kind in FREE or (kind, row.get("mode")) in FREE_MODES
    if cost_in is None or cost_out is None or (not cost_in and not cost_out and not free):
        return {}
    if kind == "Fireworks":
        row.setdefault("cache_read_input_token_cost", Decimal(str(cost_in)) / 2)
    # A reasoning price of 0 would be a gift; the list means that there is none.
    if not row.get("output_cost_per_reasoning_token"):
        row.pop("output_cost_per_reasoning_token", None)
    found = {"p": rates(row, RATES), "a": ranged or steps(row, "", kind == "XAI")}
    for letter, suffix in TIERS.items():
        names = TIERED + (["output_cost_per_reasoning_token"] if letter != "B" else [])
        own = {"p": rates(row, names, suffix), "a": steps(row, suffix, kind == "XAI")}
        own = {key: value for key, value in own.items() if value}
        if own:
            found[letter] = own
    special = row.get("provider_specific_entry") or {}
    if special.get("fast") and "P" not in found:
        times = lambda prices: [None if one is None else int(one * Decimal(str(special["fast"]))) for one in prices]
        longer = {bound: times(prices) for bound, prices in found["a"].items()}
        found["P"] = {key: value for key, value in {"p": times(found["p"]), "a": longer}.items() if value}
    if special.get("us"):
        found["g"] = int(Decimal(str(special["us"])) * 1000)
    return {key: value for key, value in found.items() if value}


def pieces(row):
    """The key u of a row."""
    mode = row.get("mode")
    first = lambda words: next((row[word] for word in words.get(mode, []) if row.get(word)), None)
    prices = [first(words) for _, words in PIECES]
    if row.get("litellm_provider") in SEARCHES and row.get("input_cost_per_token"):
        prices[-1] = row.get("search_context_cost_per_query", {}).get("search_context_size_medium")
    found = trimmed([pico(price) if price else None for price in prices])
    return {"u": found} if found else {}


def image(row, pixels):
    """What one image of so many pixels costs."""
    price = row.get("output_cost_per_image") or row.get("input_cost_per_image")
    each = row.get("input_cost_per_pixel") or row.get("output_cost_per_pixel")
    return pico(price or Decimal(str(each)) * pixels) if price or each else None


def window(row, kind):
    room, answer = row.get("max_input_tokens") or row.get("max_tokens"), row.get("max_output_tokens")
    if not room:
        return None
    if answer and ((room, answer) in INPUT_ALONE or kind in ("Gemini", "VertexAI")):
        return int(room + answer)
    return int(room)


def flags(row):
    names = [
        ("t", "supports_function_calling"),
        ("p", "supports_parallel_function_calling"),
        ("v", "supports_vision"),
        ("j", "supports_response_schema"),
    ]
    found = "".join(letter for letter, name in names if row.get(name))
    # The list says nothing about parallel calls for most models; where tools work, more than one is the rule.
    return found + ("p" if "t" in found and "supports_parallel_function_calling" not in row else "")


def abilities(row, kind):
    known = {letter: row[name] for letter, name in ABILITIES.items() if isinstance(row.get(name), bool)}
    for letter, effort in EFFORTS.items():
        says = row.get(f"supports_{effort}_reasoning_effort")
        if isinstance(says, bool):
            known[letter] = says
    levels = row.get("reasoning_effort_levels")
    if levels:
        known.update({letter: effort in levels for letter, effort in EFFORTS.items()})
    if kind == "Bedrock":
        # What the model does elsewhere and Bedrock's own API does not pass on, it does not do here.
        own = row.get("supports_bedrock_native_structured_output")
        if isinstance(own, bool):
            known["j"] = own
        ceiling = row.get("bedrock_output_config_effort_ceiling")
        order = list(EFFORTS.values())
        if ceiling in order:
            known.update({letter: False for letter, effort in EFFORTS.items() if order.index(effort) > order.index(ceiling)})
    if row.get("mode") == "responses":
        known["w"] = True
    return "".join(letter if yes else letter.upper() for letter, yes in sorted(known.items()) if not letter.isdigit()) + "".join(
        letter if yes else "!" + letter for letter, yes in sorted(known.items()) if letter.isdigit()
    )


def entry(row, kind):
    mode = row.get("mode", "chat")
    room = window(row, kind)
    answer = row.get("max_output_tokens") if mode not in ("embedding", "rerank", "moderation") else None
    # No answer is longer than what holds it and its prompt.
    answer = min(int(answer), room or int(answer)) if answer else None
    found = {
        "m": MODES[mode],
        "w": room,
        "o": answer,
        "v": int(row.get("output_vector_size") or 0),
        "f": flags(row),
        "y": abilities(row, kind),
        "d": row.get("deprecation_date"),
        **priced(row, kind),
        **pieces(row),
    }
    return {key: value for key, value in found.items() if value}


def kind_of(provider):
    return PROVIDERS.get("vertex_ai" if provider.startswith("vertex_ai") else provider)


def build(rows):
    catalogue, looks = {}, {}
    for name, row in sorted(rows.items()):
        provider = row.get("litellm_provider", "")
        kind = kind_of(provider)
        if kind is None or row.get("mode") not in MODES or STEPS.search(name):
            continue
        prefix = "vertex_ai" if provider.startswith("vertex_ai") else PREFIXES.get(provider, provider)
        models, name = catalogue.setdefault(kind, {}), name.removeprefix(prefix + "/")
        look = LOOK.fullmatch(name) if row["mode"] == "image_generation" else None
        if look:
            looks.setdefault((kind, look[4]), {})[look[1] or "", int(look[2]), int(look[3])] = row
        else:
            models.setdefault(name, entry(row, kind))
    for (kind, name), rows in looks.items():
        catalogue[kind].setdefault(name, {"m": "image"}).update(looked(rows))
    return catalogue


def looked(rows):
    """The key i of a row. Models that know `low` and `high` know no other word: the list has them for its own defaults."""
    words = {quality for quality, _, _ in rows}
    known = {"low", "medium", "high"} if words & {"low", "medium", "high"} else words - {""}
    sized = {(word, width, height): image(row, width * height) for (word, width, height), row in rows.items() if word in known}
    found = {f"{word}/{width}x{height}": price for (word, width, height), price in sized.items() if price}
    return {"i": found} if found else {}


def packed(catalogue):
    text = json.dumps(catalogue, sort_keys=True, separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def main():
    source, *options = sys.argv[1:]
    out = pathlib.Path(__file__).with_name("catalogue.json.gz")
    catalogue = build(json.loads(pathlib.Path(source).read_text()))
    data = packed(catalogue)
    if options == ["--check"]:
        same = gzip.decompress(data) == gzip.decompress(out.read_bytes())
        sys.exit(None if same else f"{out} is not what {source} gives: run {sys.argv[0]} {source}")
    out.write_bytes(data)
    models = sum(map(len, catalogue.values()))
    print(f"{models} models of {len(catalogue)} providers, {len(data)} bytes, {len(gzip.decompress(data))} unpacked")


if __name__ == "__main__":
    main()
