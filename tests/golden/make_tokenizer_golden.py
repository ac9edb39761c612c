"""Makes tests/golden/tokenizer/: small tokenizer.json files laid out like well-known ones (tokenizer_layouts.py), and the
ids that Hugging Face's `tokenizers` gives to some texts with them; and pipelines.json, with random combinations of
normalisers, pre-tokenizers, added tokens and post-processors.

    make_tokenizer_golden.py CORPUS.jsonl [MORE_TOKENIZER.json=NAME ...]

CORPUS.jsonl has the King James Bible ("text" members); a tokenizer given with a name is copied and gets vectors as well.
"""
import json
import os
import random
import resource
import sys

from tokenizers import Tokenizer

import fuzz_tokenizer
import tokenizer_layouts

TEXTS = [
    "", " ", "  ", "\n", "a", "hello world", "Hello, World!  How are you?", " leading and trailing  ",
    "In the beginning God created the heaven and the earth.", "And God said, Let there be light: and there was light.",
    "I'm we'll THEY'RE don't y'alſ it'S 'tis", "tabs\tand\nnew lines\r\nand   runs    of\n\n\nspace \n x", "\u00a0no-break\u3000ideographic\u2003em\u180emongolian\u200bzero",
    "1 12 123 1234 12345678901234567890 3.14 ½ Ⅷ ² ١٢٣", "naïve café Größe Ångström İstanbul", "e\u0301 A\u030a \u1100\u1161\u11a8 \u0344 \u212b ﬁ",
    "a\u0323\u0307 a\u0307\u0323 \u0301alone q\u0307\u0323\u0301", "日本語と中文、한국어 עברית العربية हिन्दी ไทย", "😀👨‍👩‍👧‍👦👍🏽🇩🇪1️⃣",
    "if (a != b) { return x[42] / y; } // C++", "__init__ https://example.org/?q=a&b=c#d", "…—“quoted”‘x’ «y»", "\x00\x01\x1f\x7f\x85\u2028\ufeff",
    "<s>text</s>", "x <|endoftext|> y", "<|endoftext|><|endoftext|>", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
    "<|im_start|>user\nHi<|im_end|>\n<tool_call>x</tool_call>", "<|user|>\n Hi <|end|>  \n<|assistant|> there</s>  x", "[INST] Hi [/INST] there [TOOL_CALLS]",
    "<bos><start_of_turn>user\nHi<end_of_turn>\n\n\n\nx\n\n\n\n\n\n\ny", "<unk> <unk><unk>", "<s", "|endoftext|>", "unreachable unreachable äöü",
    "a          b                    c                                        d", "\u2581the\u2581\u2581x \u2581 y", "<0x0A><0xE6>", "the" * 40, "supercalifragilistic" * 8,
    "ab" * 70 + "日" * 30 + " " * 50, "\U0010ffff\U000e0001\ue000\U0001e900\U00020000", "Then said the LORD unto him,\nThou shalt not\tdo this thing."]


PIPELINE_TEXTS = [
    "  the LORD  said ", "Hello World 123 4.5", "don't a  the\n\nthe</s> <s>x", "<s> </s>  </s>the <|x|><|y|>|>", "naïve É é e\u0301 ﬁ Å\u0323",
    "日本 中文日本", "\u2581the\u2581\u2581x", " \t\n", "xthe theX the", "Äb-c_d…e,(f)!", "١٢ ½Ⅷ 7a7", "\u180e\U00010d40\u2e43x\U00011de0",
    "\u0301a\u0301", "", "\x07\u200bz\ufeff", "THE ΑΣ İß"]


def first_pipelines():
    """What comes before Metaspace and may move or cut the beginning of the text, on which "first" depends."""
    one_by_one = fuzz_tokenizer.layouts.split({"Regex": "."}, "Isolated")
    first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    normalizers = ({"type": "Prepend", "prepend": "xy"}, {"type": "Strip", "strip_left": True, "strip_right": True},
                   {"type": "Replace", "pattern": {"Regex": "^ +|^n"}, "content": "qr"}, {"type": "StripAccents"}, {"type": "Nmt"},
                   {"type": "Lowercase"}, {"type": "ByteLevel"},
                   fuzz_tokenizer.layouts.sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, {"type": "NFC"}))
    for normalizer in normalizers:
        for cut in (fuzz_tokenizer.layouts.sequence("pretokenizers", one_by_one, first), first):
            yield {"added_tokens": [], "normalizer": normalizer, "pre_tokenizer": cut, "post_processor": None}


def random_flags(rng, kind):
    if kind == "Unigram":
        return {"byte_fallback": rng.random() < 0.5}
    return {"max_input_chars_per_word": rng.choice((4, 100)), "continuing_subword_prefix": rng.choice(("##", ""))}


def reference(file, special):
    """The normalised contents of added tokens, and the ids of PIPELINE_TEXTS."""
    tokenizer = Tokenizer.from_str(json.dumps(file))
    normalized = [tokenizer.normalizer.normalize_str(t["content"]) for t in file["added_tokens"] if t["normalized"]]
    return normalized, fuzz_tokenizer.reference_ids(tokenizer, PIPELINE_TEXTS, special)


def in_a_process(function, *arguments):
    """The reference takes all memory on some files: then the process ends, and this is None."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        with os.fdopen(into, "w") as file:
            json.dump(function(*arguments), file)
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as file:
        answer = file.read()
    return json.loads(answer) if os.waitpid(child, 0)[1] == 0 else None


def pipelines(models, count):
    """Pipelines on the models of some layouts, most of them random, with the ids of PIPELINE_TEXTS; the model is given by name."""
    out, number = [], 0
    for parts in first_pipelines():
        tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "model": models["llama-2"]["model"], **parts}))
        ids = fuzz_tokenizer.reference_ids(tokenizer, PIPELINE_TEXTS, False)
        texts = [i for i, one in enumerate(ids) if one is not None]  # the reference may panic
        out.append({"model": "llama-2", "flags": {}, "parts": parts, "special": False, "texts": texts, "ids": [ids[i] for i in texts]})
    count += len(out)
    while len(out) < count:
        rng = random.Random(f"golden {number}")
        number += 1
        pipeline = fuzz_tokenizer.random_pipeline(rng, list(models.values()))
        name = rng.choice(sorted(models))
        model = dict(models[name]["model"])
        flags = random_flags(rng, model["type"]) if model["type"] != "BPE" else {
            k: pipeline["model"].get(k, rng.random() < 0.5) for k in ("fuse_unk", "byte_fallback", "ignore_merges")}
        model.update(flags)
        vocab, fresh = model["vocab"], 0
        if isinstance(vocab, list):
            vocab = {piece: i for i, (piece, _) in enumerate(vocab)}
        for token in pipeline["added_tokens"]:
            token["id"] = vocab.get(token["content"], len(vocab) + fresh)
            fresh += token["content"] not in vocab
        file = {**pipeline, "model": model}
        normalized, ids = in_a_process(reference, file, number % 2 == 0) or ([], [None])
        if None in ids or "" in normalized or len(set(normalized)) < len(normalized):
            continue  # the reference panics, or the file is refused
        parts = {k: v for k, v in pipeline.items() if k in ("added_tokens", "normalizer", "pre_tokenizer", "post_processor")}
        out.append({"model": name, "flags": flags, "parts": parts, "special": number % 2 == 0,
                    "texts": list(range(len(ids))), "ids": ids})
    return out


def main():
    corpus, *extra = sys.argv[1:]
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer")
    os.makedirs(folder, exist_ok=True)
    files = {name: json.dumps(layout, ensure_ascii=False, separators=(",", ":"))
             for name, layout in tokenizer_layouts.layouts(tokenizer_layouts.read_corpus(corpus), 500).items()
             if name != "xlnet"}  # the parts of which t5 and the pipelines have
    for name in files:  # training breaks ties at random: a layout that is there is kept, for other golden files have its ids
        path = os.path.join(folder, name + ".json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                files[name] = file.read()
    for item in extra:
        path, name = item.rsplit("=", 1)
        with open(path, encoding="utf-8") as file:
            files[name] = file.read()
    rng = random.Random(20260207)
    texts = TEXTS + [text for text in (fuzz_tokenizer.random_text(rng, ["<s>", "</s>", "<|x|>"]) for _ in range(60)) if len(text) < 120]
    models = {name: json.loads(files[name]) for name in ("gpt-2", "llama-2", "gemma", "unigram-bytes", "bert")}
    with open(os.path.join(folder, "pipelines.json"), "w", encoding="utf-8") as file:
        json.dump({"texts": PIPELINE_TEXTS, "pipelines": pipelines(models, 50)}, file, separators=(",", ":"))
    vectors = {"texts": texts, "ids": {}}
    for name, content in files.items():
        path = os.path.join(folder, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        tokenizer = fuzz_tokenizer.reference_tokenizer(path)
        vectors["ids"][name] = {
            "vocabulary_size": max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
            "plain": [tokenizer.encode(t, add_special_tokens=False).ids for t in texts],
            "special": [tokenizer.encode(t).ids for t in texts[:10]]}
    with open(os.path.join(folder, "vectors.json"), "w", encoding="utf-8") as file:
        json.dump(vectors, file, separators=(",", ":"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
