"""Nothing fails through Spillway that passes directly, and what arrives is what was sent.

    python compare.py DIRECT THROUGH

Each folder has outcomes.json, of the plugin, and seen.json, of the mock. KNOWN says what is allowed to differ, and why.
"""

import json
import pathlib
import sys
import urllib.parse

KNOWN = json.loads(pathlib.Path(__file__).with_name("known.json").read_text())


def read(folder, name):
    return json.loads((pathlib.Path(folder) / name).read_text())


def changed(sent, arrived):
    """The fields of two bodies that are not the same, with what they became."""
    for key in sorted(sent.keys() | arrived.keys()):
        if sent.get(key) != arrived.get(key) or (key in sent) != (key in arrived):
            yield f"{key}: {json.dumps(sent[key]) if key in sent else 'nothing'} -> " + (
                json.dumps(arrived[key]) if key in arrived else "nothing"
            )


def different(sent, arrived):
    """What is different between the requests of one test."""
    if len(sent) != len(arrived):
        yield f"{len(sent)} requests were sent and {len(arrived)} arrived"
    for ours, theirs in zip(sent, arrived):
        for key in ("method", "path", "query"):
            # Escapes that need not be there mean the same.
            if urllib.parse.unquote(ours[key]) != urllib.parse.unquote(theirs[key]):
                yield f"{key} {ours[key]!r} -> {theirs[key]!r}"
        yield from changed(ours["body"], theirs["body"])


def excuse(kind, test, what):
    for known in KNOWN[kind]:
        if known["test"] in test and known["what"] in what:
            known["used"] = True
            return True
    return False


def main():
    direct, through = (read(folder, "outcomes.json") for folder in sys.argv[1:3])
    sent, arrived = (read(folder, "seen.json") for folder in sys.argv[1:3])
    passes = [test for test, outcome in direct.items() if outcome["outcome"] == "passed"]
    worse, excused, unlike = [], 0, []
    for test in passes:
        outcome = through.get(test, {"outcome": "not run", "failure": ""})
        if outcome["outcome"] == "passed":
            for what in different(sent.get(test, []), arrived.get(test, [])):
                if not excuse("changes", test, what):
                    unlike.append(f"{test}: {what}")
        elif excuse("failures", test, outcome["failure"]):
            excused += 1
        else:
            worse.append(f"{test}: {outcome['outcome']}\n{outcome['failure']}")
    for failure in worse:
        print("  FAILS THROUGH SPILLWAY", failure)
    for change in unlike:
        print("  ARRIVES CHANGED", change)
    for kind in KNOWN.values():
        for known in kind:
            print(f"  known: {known['why']}")
            if not known.get("used"):
                unlike.append(known["why"])
                print("  NO LONGER, take it out of known.json")
    print(f"  of {len(direct)} tests {len(passes)} pass directly; of those fail through Spillway: {len(worse) + excused}", end="")
    print(f" ({excused} known); {len(unlike)} requests arrive changed in other ways than known")
    return 1 if worse or unlike or not passes else 0


sys.exit(main())
