"""An application that calls a language model: the vendor's SDK as it comes, and nothing that knows Spillway.

    python3 app.py                        a question, a streamed answer, and a prompt that is too long for a small model
    python3 app.py ask "Where is my order?"
    python3 app.py ask --stream "Where is my order?"
    python3 app.py ask --words 900        a prompt of about that many words
    python3 app.py wait                   do nothing until told to stop

There is no address and no key in here. `OpenAI()` takes OPENAI_BASE_URL and OPENAI_API_KEY from the environment, where
Spillway has put them.
"""

import argparse
import itertools
import signal
import sys

import openai

# What a long prompt is made of.
FILLER = "the customer wrote again about the parcel that was to arrive on monday and asks where it is now".split()


def ask(client, model, prompt, stream):
    print(f"  > {prompt if len(prompt) < 70 else prompt[:60] + f'… ({len(prompt.split())} words)'}")
    answer = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": prompt}], max_tokens=24, stream=stream
    )
    if stream:
        pieces = [choice.delta.content or "" for chunk in answer.parse() for choice in chunk.choices]
        text = f"{''.join(pieces)}   [{len(pieces)} pieces]"
    else:
        text = answer.parse().choices[0].message.content
    print(f"  < {' '.join(text.split())}")
    for name, value in answer.headers.items():
        if name.lower().startswith("x-spillway-"):
            print(f"      {name.lower()}: {value}")


def wait():
    """A program that is process 1 of its container has to say itself that it wants to stop."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


def main():
    parser = argparse.ArgumentParser(description="an application that calls a language model")
    parser.add_argument("what", nargs="?", choices=["all", "ask", "wait"], default="all")
    parser.add_argument("prompt", nargs="?", default="Where is my order?")
    parser.add_argument("--model", default="chat", help="the name of a ModelRoute, or one of its spec.models")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--words", type=int, help="make the prompt this long")
    options = parser.parse_intermixed_args()
    if options.what == "wait":
        wait()
    long = " ".join(itertools.islice(itertools.cycle(FILLER), options.words or 900))
    prompt = long if options.words else options.prompt
    client = openai.OpenAI()
    try:
        if options.what == "ask":
            ask(client, options.model, prompt, options.stream)
        else:
            print("a question")
            ask(client, options.model, prompt, stream=False)
            print("the same, streamed")
            ask(client, options.model, prompt, stream=True)
            print("a prompt that is too long for the small model")
            ask(client, options.model, long, stream=False)
    except openai.APIStatusError as error:
        print(f"  ! {error.status_code}: {error.body.get('message') if isinstance(error.body, dict) else error.body}")
        sys.exit(1)
    except openai.APIConnectionError as error:
        print(f"  ! no connection to {client.base_url}: {error.__cause__}")
        sys.exit(1)


if __name__ == "__main__":
    main()
