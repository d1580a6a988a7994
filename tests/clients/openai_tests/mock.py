"""OpenAI's API as far as its SDK's own tests go: strict about what it is asked, and it remembers all of it.

    python mock.py          prints its port

What is not OpenAI's is refused: another path or method, a body that is no JSON object, a key that is not the account's
when it is asked for through Spillway. `POST /-/begin/NAME` says which test comes next, `GET /-/seen` what came of each.
"""

import collections
import http.server
import json
import re
import urllib.parse

import answers

SEEN = collections.defaultdict(list)
NOW = [""]
RESPONSE = r"/v1/responses/[^/]+"


def chat(body, _query):
    if body.get("stream"):
        return answers.completion_events(body["model"], body.get("stream_options") or {})
    return answers.completion(body["model"])


def complete(body, _query):
    if body.get("stream"):
        return answers.text_completion_events(body["model"], body.get("stream_options") or {})
    return answers.text_completion(body["model"])


def embed(body, _query):
    return answers.embeddings(body["model"])


def respond(body, _query):
    model = body.get("model", "gpt-6-astra")
    return answers.response_events(model) if body.get("stream") else answers.response(model)


def stored_response(_body, query):
    if query.get("stream") == ["true"]:
        return answers.response_events("gpt-6-astra")
    return answers.response("gpt-6-astra")


def stored(_body, _query):
    return answers.completion("gpt-6-astra", metadata={"foo": "string"})


# Method, path, the fields a request has to have, and the answer to it.
TABLE = [
    ("POST", "/v1/chat/completions", ["model", "messages"], chat),
    ("GET", "/v1/chat/completions", [], lambda body, query: answers.page([stored(body, query)])),
    ("GET", "/v1/chat/completions/[^/]+", [], stored),
    ("POST", "/v1/chat/completions/[^/]+", ["metadata"], stored),
    (
        "DELETE",
        "/v1/chat/completions/[^/]+",
        [],
        lambda _body, _query: {"id": "chatcmpl-1", "object": "chat.completion.deleted", "deleted": True},
    ),
    ("POST", "/v1/completions", ["model", "prompt"], complete),
    ("POST", "/v1/embeddings", ["model", "input"], embed),
    ("GET", "/v1/models", [], lambda _body, _query: answers.page([answers.model("gpt-6-astra")])),
    ("GET", "/v1/models/[^/]+", [], lambda _body, _query: answers.model("gpt-6-astra")),
    ("DELETE", "/v1/models/[^/]+", [], lambda _body, _query: {"id": "ft:1", "object": "model", "deleted": True}),
    ("POST", "/v1/responses", [], respond),
    ("GET", RESPONSE, [], stored_response),
    ("DELETE", RESPONSE, [], lambda _body, _query: None),
    ("POST", RESPONSE + "/cancel", [], lambda _body, _query: answers.response("gpt-6-astra", status="cancelled")),
    ("POST", "/v1/responses/compact", ["model"], lambda _body, _query: answers.compaction()),
]


class Mock(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        if path.startswith("/-/"):
            return self.remember(path)
        for method, pattern, fields, act in TABLE:
            if method == self.command and re.fullmatch(pattern, path):
                break
        else:
            return self.refuse(404, f"there is no {self.command} {path}")
        body = json.loads(raw) if raw else {}
        SEEN[NOW[0]].append({"method": self.command, "path": path, "query": query, "body": body})
        missing = [field for field in fields if field not in body]
        if missing:
            return self.refuse(400, f"missing: {missing}")
        if raw and self.headers.get("content-type") != "application/json":
            return self.refuse(400, f"content-type is {self.headers.get('content-type')}")
        if self.headers.get("authorization") not in ("Bearer My API Key", "Bearer key-of-the-account"):
            return self.refuse(401, "this is not the account's key")
        return self.send(act(body, urllib.parse.parse_qs(query)))

    do_GET = do_POST = do_DELETE = answer

    def remember(self, path):
        if path == "/-/seen":
            return self.send(SEEN)
        NOW[0] = urllib.parse.unquote(path.removeprefix("/-/begin/"))
        return self.send({})

    def refuse(self, status, message):
        self.send({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, status)

    def send(self, answer, status=200):
        """An object whole, events one by one, and nothing as nothing."""
        is_stream = answer is not None and not isinstance(answer, dict)
        content = b"" if answer is None else b"".join(map(event, answer)) + b"data: [DONE]\n\n" if is_stream else None
        if content is None:
            content = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        if answer is not None:
            self.send_header("content-type", "text/event-stream" if is_stream else "application/json")
        self.send_header("content-length", str(len(content)))
        self.send_header("x-request-id", "req_1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def event(pair):
    kind, data = pair
    head = f"event: {kind}\n" if kind else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mock)
print(server.server_port, flush=True)
server.serve_forever()
