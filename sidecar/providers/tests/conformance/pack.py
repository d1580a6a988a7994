#!/usr/bin/env python3
"""Packs recorded cases into data/*.jsonl.gz, the form the conformance tests read.

    python3 sidecar/providers/tests/conformance/pack.py FOLDER

FOLDER holds the recordings as JSON lines. Rows are sorted by case, so that what 47 providers made of one request lies
side by side and compresses; what no test looks at is left out. The output depends on the input only.
"""

import gzip
import importlib.util
import json
import pathlib
import sys
from decimal import Decimal

# File -> fields no test looks at.
FILES = {
    "requests": {"strict_error", "upstream_calls", "client_error"},
    "requests_other": {"strict_error", "upstream_calls", "client_error"},
    "responses": {"upstream_calls", "openai_chunks"},
    "responses_other": {"upstream_calls"},
    "errors": {"upstream_calls"},
    "sigv4": {"canonical_request"},
    "tokens_messages": set(),
    "tokens_text": {"tokens"},
    "costs": set(),
}


def builder():
    """The script that makes the operator's catalogue: a recorded price reads as one of its rows would."""
    place = pathlib.Path(__file__).resolve().parents[4] / "operator/data/build.py"
    spec = importlib.util.spec_from_file_location("build", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = builder()


def cost(row):
    """A recorded cost with the catalogue's row it goes by, in whole pico-dollars."""
    provider = row["litellm_provider"]
    kind = BUILD.kind_of(provider)
    prefix = "vertex_ai" if provider.startswith("vertex_ai") else BUILD.PREFIXES.get(provider, provider)
    pico = lambda dollars: int((Decimal(str(dollars)) * 10**12).to_integral_value())
    return {
        "id": row["id"],
        "provider": row["custom_llm_provider"],
        "kind": kind,
        "model": row["model"].removeprefix(prefix + "/"),
        "tier": row["service_tier"],
        "usage": row["usage"],
        "entry": json.dumps(BUILD.priced(row["catalogue_entry"], kind), separators=(",", ":")),
        "prompt": pico(row["prompt_cost"]),
        "answer": pico(row["completion_cost"]),
    }


def main():
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(__file__).resolve().parent / "data"
    target.mkdir(exist_ok=True)
    for name, unused in FILES.items():
        rows = [json.loads(line) for line in (source / f"{name}.jsonl").open()]
        if name == "costs":
            rows = [cost(row) for row in rows if "error" not in row]
        rows.sort(key=lambda row: (row["id"].split("/")[-1], row["id"]))
        for row in rows:
            for key in unused:
                row.pop(key, None)
            result = row.get("result")
            if isinstance(result, dict):
                kept = ("class", "original_class", "status_code", "should_retry")
                row["result"] = {key: result[key] for key in kept if key in result}
        text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        (target / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
