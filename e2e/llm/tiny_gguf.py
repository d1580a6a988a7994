"""Writes a very small language model: the llama architecture, random weights, 1.4 MB.

What it says is noise. Everything around it is real: a byte-level BPE vocabulary, a context window, usage figures,
streams. The vocabulary is learnt from this Python's own library, so no data is downloaded.

    python tiny_gguf.py tiny.gguf
"""

import json
import pathlib
import sys
import sysconfig

import gguf
import numpy
import tokenizers

VOCABULARY = 2000
WIDTH = 64
LAYERS = 2
HEADS = 4
FEED_FORWARD = 128
# What the model file claims. The server's own --context decides how much of it is there.
TRAINED_CONTEXT = 131_072

BEGIN, END = "<|bos|>", "<|eos|>"
CHAT_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def learn_vocabulary():
    """Tokens in the order of their numbers, and the merges that make them."""
    bytes_of = tokenizers.pre_tokenizers.ByteLevel
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = bytes_of(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[BEGIN, END], initial_alphabet=bytes_of.alphabet(), show_progress=False
    )
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    tokenizer.train([str(path) for path in sorted(library.glob("*.py"))[:150]], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    number_of = model["vocab"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return sorted(number_of, key=number_of.get), merges


def describe(file, tokens, merges):
    file.add_context_length(TRAINED_CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(LAYERS)
    file.add_feed_forward_length(FEED_FORWARD)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(tokens)
    file.add_token_merges(merges)
    file.add_token_types([gguf.TokenType.CONTROL if t in (BEGIN, END) else gguf.TokenType.NORMAL for t in tokens])
    file.add_bos_token_id(tokens.index(BEGIN))
    file.add_eos_token_id(tokens.index(END))
    file.add_chat_template(CHAT_TEMPLATE)


def add_weights(file, vocabulary):
    source = numpy.random.default_rng(seed=20)  # always the same model

    def noise(name, *shape):
        file.add_tensor(f"{name}.weight", (0.05 * source.standard_normal(shape)).astype(numpy.float32))

    def ones(name):
        file.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))

    noise("token_embd", vocabulary, WIDTH)
    ones("output_norm")
    noise("output", vocabulary, WIDTH)
    for layer in (f"blk.{number}." for number in range(LAYERS)):
        ones(layer + "attn_norm")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            noise(layer + part, WIDTH, WIDTH)
        ones(layer + "ffn_norm")
        noise(layer + "ffn_gate", FEED_FORWARD, WIDTH)
        noise(layer + "ffn_up", FEED_FORWARD, WIDTH)
        noise(layer + "ffn_down", WIDTH, FEED_FORWARD)


def main(path):
    tokens, merges = learn_vocabulary()
    file = gguf.GGUFWriter(path, "llama")
    describe(file, tokens, merges)
    add_weights(file, len(tokens))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


if __name__ == "__main__":
    main(sys.argv[1])
