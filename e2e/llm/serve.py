"""A real LLM server: llama.cpp on the tiny model. It speaks OpenAI (chat, completions, embeddings) and Anthropic (messages).

    python serve.py tiny.gguf --port 18080 --context 512 --alias small --api-key-file key

The key is read from a file or from the variable LLM_API_KEY, never from the command line, where `ps` would show it.
"""

import argparse
import os
import pathlib
import signal
import sys

import xllamacpp


def arguments():
    parser = argparse.ArgumentParser(description="llama.cpp on the tiny model")
    parser.add_argument("model", help="the file that tiny_gguf.py wrote")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--context", type=int, default=512, help="context window in tokens")
    parser.add_argument("--alias", default="tiny", help="the model's name in answers")
    parser.add_argument("--parallel", type=int, default=4, help="requests at a time")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--embedding", action="store_true", help="serve embeddings instead of text")
    parser.add_argument("--api-key-file", type=pathlib.Path)
    return parser.parse_args()


def parameters(options):
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    params.model_alias = {options.alias}
    params.n_ctx = options.context
    params.n_parallel = options.parallel
    params.kv_unified = True  # every request may use the whole window, as with a hosted model
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.warmup = False
    if options.embedding:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    key = options.api_key_file.read_text().strip() if options.api_key_file else os.environ.get("LLM_API_KEY", "")
    if key:
        params.api_keys = [key]
    return params


def main():
    # Process number 1 of a container gets no default handlers: without this a pod takes its whole grace period to stop.
    # os._exit, because the server's threads would not let the interpreter finish.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    server = xllamacpp.Server(parameters(arguments()))
    print(server.listening_address, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
