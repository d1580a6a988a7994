"""What the Python clients have in common: the cases, what an answer is told as, and one line of JSON for each.

Each program is `python ask_….py MODEL…` and takes its addresses from the environment, as an application would.
"""

import concurrent.futures
import json
import os
import pathlib
import sys
from typing import Literal

from pydantic import BaseModel, ConfigDict

CASES = json.loads(pathlib.Path(__file__).with_name("cases.json").read_text())
TOOL = CASES["tool_declaration"]
# A real model, and a tiny one: it says what it likes, calls nothing, and is held to a schema by its server alone.
IS_REAL = "ASK_A_REAL_MODEL" in os.environ
CASE_NAMES = ["text", "object"] if IS_REAL else ["text", "tool", "tools", "object"]
MAX_TOKENS = 300


class Country(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: str
    landlocked: bool


class City(BaseModel):
    """A city."""

    model_config = ConfigDict(extra="forbid")
    name: str
    population: int
    rivers: list[str]
    country: Country


class Weather(BaseModel):
    """Short whoever writes it."""

    model_config = ConfigDict(extra="forbid")
    sky: Literal["clear", "cloudy"]
    windy: bool


SCHEMA = Weather if IS_REAL else City


def result_of(call):
    """What the tool says, whose arguments have been read."""
    return CASES["results"][call["arguments"]["city"]]


def ask_all(client, ask):
    """`ask(model, case, prompt, stream)` for everything, told line by line."""

    def told(row):
        model, case, stream = row["model"], row["case"], row["stream"]
        # By its end a request is found again where it arrives.
        row["id"] = f"{client}/{model}/{case}/{'stream' if stream else 'plain'}".replace(" ", "-")
        try:
            return row | {"got": ask(model, case, f"{CASES[case]['prompt']} ({row['id']})", stream)}
        except Exception as error:
            return row | {"error": f"{type(error).__name__}: {error}"[:2000]}

    rows = [
        {"client": client, "model": model, "case": case, "stream": stream}
        for model in sys.argv[1:]
        for case in CASE_NAMES
        for stream in (False, True)
    ]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for row in pool.map(told, rows):
            print(json.dumps(row), flush=True)
