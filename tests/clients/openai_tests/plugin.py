"""A pytest plugin beside OpenAI's tests, which stay as they are: tells the mock which test comes, and keeps what became of it."""

import json
import os
import urllib.parse
import urllib.request

OUTCOMES = {}


def pytest_runtest_setup(item):
    name = urllib.parse.quote(item.nodeid, safe="")
    urllib.request.urlopen(urllib.request.Request(f"{os.environ['MOCK']}/-/begin/{name}", method="POST")).close()


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        failure = str(report.longrepr)[-1500:] if report.failed else ""
        OUTCOMES[report.nodeid] = {"outcome": report.outcome, "failure": failure}


def pytest_sessionfinish():
    with open(os.environ["OUTCOMES"], "w") as file:
        json.dump(OUTCOMES, file)
