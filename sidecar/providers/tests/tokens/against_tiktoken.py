#!/usr/bin/env python3
"""Compares our counts with those of OpenAI's own tiktoken, over texts drawn at random from all of Unicode.

    pip install tiktoken
    against_tiktoken.py [TEXTS [SEED]]

The vocabularies tiktoken works with are unpacked from ours and checked by tiktoken against the digests it knows, so both
the tokens and how texts are cut and merged into them are compared. Nothing is fetched.
"""

import json
import random
import subprocess
import sys
import unicodedata
import zlib
from base64 import b64encode
from pathlib import Path

import tiktoken.load
from tiktoken.core import Encoding
from tiktoken_ext import openai_public

CRATE = Path(__file__).parent.parent.parent
PACKED = {"cl100k_base": "cl100k.z", "o200k_base": "o200k.z"}


def unpacked(name):
    """The tokens of one of our vocabularies, by rank."""
    raw = zlib.decompress((CRATE / "src/tokens/vocabulary" / PACKED[name]).read_bytes())
    merged = (len(raw) - 256) // 6
    planes = [raw[256 + plane * merged : 256 + (plane + 1) * merged] for plane in range(6)]
    tokens = [raw[byte : byte + 1] for byte in range(256)]
    for a, b, c, d, e, f in zip(*planes):
        tokens.append(tokens[a << 16 | b << 8 | c] + tokens[d << 16 | e << 8 | f])
    return tokens


def served(path):
    """What tiktoken would fetch."""
    name = Path(path).name.removesuffix(".tiktoken")
    return b"".join(b64encode(token) + b" %d\n" % rank for rank, token in enumerate(unpacked(name)))


WORDS = [
    "the", " The", "ing", "HTMLElement", "getElementById", " don't", "WE'LL", "'tis", "it'\u017f", "\u2019s", "naïve", "straße",
    "\n", "\r\n", "\n\n", "  ", "    ", "\t", "\u00a0", "\u3000", "\u2028", " \n ", "12", "1234567", "3.14", "½", "٣٤", "Ⅷ",
    "//", "/", "=====", "-----", "...", "!?", " {", "}", "();", "<|endoftext|>", "<|im_start|>", "<|fim_prefix|>", "<|end|>",
    "e\u0301", "\u0301", "ǅ", "ʰ", "İ", "K", "😀", "👨\u200d👩\u200d👧", "🏳️\u200d🌈", "🇩🇪", "你好", "こんにちは", "안녕", "สวัสดี",
    "नमस्ते", "مرحبا", "שלום", "Привет", "Γειά", "𝒜𝓑", "𐐀𐐨", "data:image/png;base64,iVBORw0KGgo", "https://a.b/c?d=e&f",
]
# Where letters live: Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Georgian, Hangul, kana, ideographs, symbols, and
# the planes above.
BLOCKS = [
    (0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F),
    (0xE00, 0xE7F), (0x10A0, 0x10FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2100, 0x2BFF), (0x3040, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0xFE00, 0xFFFD), (0x10000, 0x107FF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0000, 0xE01EF),
]


def any_character(roll):
    while True:
        code = roll.randrange(0x110000)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def part(roll):
    kind = roll.randrange(8)
    if kind < 3:
        return roll.choice(WORDS)
    if kind == 3:
        return "".join(any_character(roll) for _ in range(roll.randint(1, 8)))
    if kind == 4:
        first, last = roll.choice(BLOCKS)
        return "".join(chr(roll.randint(first, last)) for _ in range(roll.randint(1, 20)))
    if kind == 5:
        return roll.choice(WORDS) * roll.randint(2, 60)
    if kind == 6:
        return "".join(roll.choice(" \t\r\n\u00a0\u2003") for _ in range(roll.randint(1, 12)))
    return "".join(roll.choice("0123456789abcXYZ.,;'\"-_ ") for _ in range(roll.randint(1, 30)))


def text(roll):
    made = "".join(part(roll) for _ in range(roll.randint(0, 24)))
    return unicodedata.normalize(roll.choice(["NFC", "NFD"]), made) if roll.random() < 0.3 else made


def main():
    texts, seed = (int(given) for given in (sys.argv[1:] + ["10000", "1"][len(sys.argv) - 1 :]))
    roll = random.Random(seed)
    drawn = [text(roll) for _ in range(texts)]
    tiktoken.load.read_file = served
    tiktoken.load.read_file_cached = lambda path, digest: checked(served(path), path, digest)
    wrong = 0
    for name in PACKED:
        encoding = Encoding(**getattr(openai_public, name)())
        command = ["cargo", "run", "--quiet", "--locked", "--example", "tokens", "--", name]
        lines = "".join(json.dumps(text) + "\n" for text in drawn)
        ours = subprocess.run(command, cwd=CRATE, input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        theirs = [len(encoding.encode_ordinary(text)) for text in drawn]
        differing = [row for row in zip(drawn, map(int, ours), theirs, strict=True) if row[1] != row[2]]
        for row in differing[:5]:
            print(f"  {ascii(row[0])}: ours {row[1]}, theirs {row[2]}")
        print(f"{name}: {texts} texts, {sum(theirs)} tokens, {len(differing)} counted otherwise than tiktoken {tiktoken.__version__} does")
        wrong += len(differing)
    return 1 if wrong else 0


def checked(data, path, digest):
    if not tiktoken.load.check_hash(data, digest):
        sys.exit(f"{path}: our vocabulary is not the one that tiktoken knows")
    return data


if __name__ == "__main__":
    sys.exit(main())
