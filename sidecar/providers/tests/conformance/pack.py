#!/usr/bin/env python3
"""Packs recorded cases into data/*.jsonl.gz, the form the conformance tests read.

    python3 sidecar/providers/tests/conformance/pack.py FOLDER

FOLDER holds the recordings as JSON lines. Rows are sorted by case, so that what 47 providers made of one request lies
side by side and compresses; what no test looks at is left out. The output depends on the input only.
"""

import gzip
import json
import pathlib
import sys

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
}


def main():
    source = pathlib.Path(sys.argv[1])
    target = pathlib.Path(__file__).resolve().parent / "data"
    target.mkdir(exist_ok=True)
    for name, unused in FILES.items():
        rows = [json.loads(line) for line in (source / f"{name}.jsonl").open()]
        rows.sort(key=lambda row: (row["id"].split("/")[-1], row["id"]))
        for row in rows:
            for key in unused:
                row.pop(key, None)
            result = row.get("result")
            if isinstance(result, dict):
                row["result"] = {key: result[key] for key in ("class", "status_code", "should_retry") if key in result}
        text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        (target / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
