"""Compares coppice's tokenizer with Hugging Face's `tokenizers` on random texts; opt-in, not a part of the tests.

    fuzz_tokenizer.py TOOL [--corpus JSONL] [--seed N] [--texts N] [--layout NAME ...] [--tokenizer FILE ...]
                           [--pipelines N] [--code-points] [--file FILE ...]

Beside the texts a tenth as many byte strings are encoded that mostly are no UTF-8. `tokenizers` takes none of them; coppice
refuses a text that is not UTF-8 (Unicode 15, table 3-7: no surrogates, no overlong forms, nothing above U+10FFFF, nothing
cut off) with the offset of the first byte that is wrong, which is where Python's decoder finds it.

--file adds a text file to the texts, as a whole and paragraph by paragraph: prose, source code.

TOOL is the program tokenizer_ids of the build (tests/tools). Without --layout and --tokenizer every layout of
tokenizer_layouts.py is compared, trained on --corpus. --pipelines adds random pipelines of every normaliser and
pre-tokenizer that coppice knows; --code-points compares every code point, alone and among others, with a pipeline
for each class of characters, instead of random texts. Exit code 1 if anything differs.
"""
import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
from tokenizers import Tokenizer  # noqa: E402

import tokenizer_layouts as layouts  # noqa: E402

SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u180e", "\u2000", "\u2003", "\u2009",
          "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "▁", "▁▁"]
MARKS = [chr(c) for c in (0x300, 0x301, 0x308, 0x327, 0x323, 0x345, 0x5b0, 0x64b, 0x93c, 0x94d, 0xe38, 0x1dce, 0x20d0, 0x302a,
                          0x3099, 0xfe0f, 0x1d165, 0x1e8d0)]
EMOJI = ["😀", "👨‍👩‍👧‍👦", "👍🏽", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "1️⃣", "🧑🏿‍🚀", "\u200d", "☺"]
WORDS = ["the", "The", "THE", "LORD", "unto", "hello", "don't", "we'll", "I'VE", "it'S", "we'rE", "y'alſ", "'\u212a", "Größe",
         "naïve", "Ångström", "İstanbul", "Ωμέγα", "Привет", "日本語", "中文字", "한국어", "각", "עברית", "العربية", "हिन्दी",
         "ไทย", "ﬁne", "ﬃ", "½", "Ⅷ", "²³", "١٢٣", "१२", "e\u0301", "A\u030a", "ᄀ\u1161\u11a8", "unreachable", "äöü", "ſ", "ß", "ǅ",
         "ʼn", "x_y", "__init__", "https://a.b/c?d=e&f", "C++", "<0x0A>", "<unk", "▁the", "Ġthe"]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["…", "—", "“", "”", "‘", "’", "«", "。", "、", "¡", "€", "™", "§", "''", "...", "'"]


def random_code_point(rng):
    while True:
        plane = rng.random()
        code = (rng.randrange(0x80) if plane < 0.15 else rng.randrange(0x800) if plane < 0.35 else
                rng.randrange(0x10000) if plane < 0.7 else rng.randrange(0x10000, 0x20000) if plane < 0.9 else
                rng.randrange(0x20000, 0x110000))
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def random_text(rng, special):
    """A few parts of many kinds; some long, most short."""
    parts = []
    count = rng.choice((0, 1, 1, 2, 3, 4, 6, 9, 14)) if rng.random() < 0.97 else rng.randrange(30, 200)
    for _ in range(count):
        kind = rng.randrange(14)
        if kind == 0:
            parts.append("".join(random_code_point(rng) for _ in range(rng.randrange(1, 6))))
        elif kind == 1:
            parts.append("".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 5))))
        elif kind == 2:
            parts.append(rng.choice(SPACES) * rng.choice((1, 2, 3, 5, 17, 40)))
        elif kind == 3:
            parts.append(rng.choice(WORDS) + "".join(rng.choice(MARKS) for _ in range(rng.randrange(0, 4))))
        elif kind == 4:
            parts.append(rng.choice(EMOJI))
        elif kind == 5:
            parts.append("".join(rng.choice("0123456789") for _ in range(rng.choice((1, 2, 3, 4, 7, 20)))))
        elif kind == 6:
            parts.append("".join(rng.choice(PUNCTUATION) for _ in range(rng.randrange(1, 5))))
        elif kind == 7:
            parts.append("".join(chr(rng.randrange(32)) for _ in range(rng.randrange(1, 4))))
        elif kind == 8 and special:
            parts.append(rng.choice(("", " ", "  ", "\n")) + rng.choice(special) + rng.choice(("", " ", "\n ", "x")))
        elif kind == 9 and special:
            token = rng.choice(special)
            cut = rng.randrange(len(token) + 1)
            parts.append(token[:cut] if rng.random() < 0.5 else token[cut:])
        elif kind == 10:
            parts.append("'" + rng.choice(("s", "S", "t", "re", "RE", "Ve", "m", "LL", "ll", "d", "ſ", "x", "K", "\u212a", "ß")))
        elif kind == 11 and rng.random() < 0.2:
            length = rng.choice((100, 300, 1000, 4000))
            parts.append("".join(rng.choice(rng.choice(("ab", "thean ", "aä日", "x"))) for _ in range(length)))
        else:
            parts.append(rng.choice(WORDS) + rng.choice(("", " ", " ", " ", "\n", "'s")))
    return "".join(parts)


BROKEN = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe2\x82", b"\xed\xa0\x80", b"\xed\xbf\xbf",
          b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe", b"\xff"]


def random_bytes(rng, special):
    """A text with something broken in it; now and then nothing is."""
    data = bytearray(random_text(rng, special).encode())
    for _ in range(rng.choice((1, 1, 2))):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(5)
        if kind == 0:
            data[at:at] = rng.choice(BROKEN)
        elif kind == 1:
            del data[at : at + 1]
        elif kind == 2:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 3:
            del data[at:]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
    return bytes(data)


HARD_LIMIT = resource.getrlimit(resource.RLIMIT_AS)[1]


class OurCrash(Exception):
    """coppice's tool ended by a signal or a sanitizer."""


def our_ids(tool, path, texts, special):
    """The ids of each text, or the message of its error."""
    data = b"".join(b"%d\n%s" % (len(t), t) for t in (text.encode() if isinstance(text, str) else text for text in texts))
    command = [tool, path] + (["--special"] if special else [])
    done = subprocess.run(command, input=data, capture_output=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (HARD_LIMIT, HARD_LIMIT)))
    if done.returncode != 0:
        raise (RuntimeError if done.returncode == 1 and b"Sanitizer" not in done.stderr else OurCrash)(f"{path}: {done.stderr.decode().strip()} ({done.returncode})")
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(texts), (len(lines), len(texts))
    return [line if line.startswith("error") else [int(i) for i in line.split()] for line in lines]


def reference_ids(reference, texts, special):
    """The ids of each text; None where `tokenizers` panics, as it does on some added tokens and normalisers."""
    try:
        return [e.ids for e in reference.encode_batch_fast(texts, add_special_tokens=special)]
    except BaseException:  # pylint: disable=broad-except  # PanicException is no Exception
        if len(texts) == 1:
            return [None]
        middle = len(texts) // 2
        return reference_ids(reference, texts[:middle], special) + reference_ids(reference, texts[middle:], special)


def reference_tokenizer(path):
    """As `transformers` calls it by default: without the file's truncation and padding."""
    reference = Tokenizer.from_file(path)
    reference.no_truncation()
    reference.no_padding()
    return reference


def compare(tool, name, path, texts, shown=8, quiet=False):
    """Number of texts whose ids differ, with and without special tokens."""
    reference = reference_tokenizer(path)
    different = panics = 0
    for special in (False, True):
        part = texts[::2] if special else texts[1::2]
        theirs = reference_ids(reference, part, special)
        for text, one, other in zip(part, our_ids(tool, path, part, special), theirs):
            if other is None:
                panics += 1
            elif one != other:
                different += 1
                if different <= shown:
                    print(f"{name}: {text[:200]!r} special={special}\n  ours   {str(one)[:300]}\n  theirs {str(other)[:300]}")
    if not quiet:
        print(f"{name}: {len(texts)} texts, {different} different" + (f", {panics} panics of the reference" if panics else ""),
              flush=True)
    return different


def compare_bytes(tool, name, path, texts):
    """Number of byte strings that one of the two takes and the other does not, or at other places."""
    reference = reference_tokenizer(path)
    different = invalid = 0
    for text, ours in zip(texts, our_ids(tool, path, texts, False)):
        try:
            expected = reference_ids(reference, [text.decode()], False)[0]
        except UnicodeDecodeError as error:
            invalid += 1
            expected = f"error: the text is not UTF-8 at byte {error.start}"
        if expected is not None and ours != expected:
            different += 1
            print(f"{name}: {text[:200]!r}\n  ours     {str(ours)[:300]}\n  expected {str(expected)[:300]}")
    print(f"{name}: {len(texts)} byte strings, {invalid} of them no UTF-8, {different} different", flush=True)
    return different


def in_a_process(function, *arguments):
    """What function returns; 0 if one of the two tokenizers refuses the file, or the reference crashes.

    Some pipelines make `tokenizers` ask for any amount of memory: Strip of a text that is all whitespace, for one.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, HARD_LIMIT))  # of the reference: a sanitizer takes more
        try:
            os._exit(min(function(*arguments), 250))
        except OurCrash as problem:
            print(f"{arguments[1]}: OUR CRASH {str(problem)[:300]}", flush=True)
            os._exit(1)
        except BaseException as problem:  # pylint: disable=broad-except
            print(f"{arguments[1]}: {str(problem)[:300]}", flush=True)
        os._exit(251)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        print(f"{arguments[1]}: the reference crashed", flush=True)
    return code if 0 <= code <= 250 else 0


# ---- every code point --------------------------------------------------------------------------------------

CUT = ("a{0}b", "1{0}2 {0}", ".{0}' {0}{0}")
CHANGED = ("{0}", "e{0}\u0301", "\u0345{0}\u0323 {0}{0}")
GRAPHEMES = ("1{0}e{0}", "{0}e\u0301{0}\u0323", "\u0915{0}\u0958\u0301", "\u0958\u094d{0}\u0958\u0301", "©\u200d{0}")


def every_code_point(contexts, step=1 << 15):
    """Lists of texts."""
    for start in range(0, 0x110000, step):
        yield [context.format(chr(c)) for c in range(start, start + step) if not 0xD800 <= c < 0xE000 for context in contexts]


def components(model):
    """name -> tokenizer.json: one class of characters each; a space before every piece shows where text was cut."""
    shown = layouts.byte_level(add_prefix_space=True, use_regex=False)
    cut = {"gpt-2": layouts.byte_level(add_prefix_space=True), "Digits": {"type": "Digits", "individual_digits": True},
           "Punctuation": {"type": "Punctuation", "behavior": "Isolated"}, "Whitespace": {"type": "Whitespace"},
           "WhitespaceSplit": {"type": "WhitespaceSplit"}}
    expressions = {"llama-3": layouts.LLAMA3, "tekken": layouts.TEKKEN, "\\s": r"\s", "\\w": r"\w", "\\d": r"\d", "caseless": "(?i)[a-z]",
                   "scripts": r"\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Hangul}", "categories": r"\p{Mn}|\p{Mc}|\p{Sm}|\p{So}|\p{Po}|\p{Cf}|\p{Lm}"}
    for name, expression in expressions.items():
        cut[name] = layouts.split({"Regex": expression})
    out = {name: layouts.tokenizer_json(model, (), None, layouts.sequence("pretokenizers", one, shown)) for name, one in cut.items()}
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"):
        out[name] = layouts.tokenizer_json(model, (), {"type": name}, shown)
    word = layouts.added(max(model["vocab"].values()) + 1, "zz", True, False, True, True, True)
    for name in ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"):
        off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
        out[f"Bert {name}"] = layouts.tokenizer_json(model, (), {"type": "BertNormalizer", **off, name: True}, shown)
    for name, rules in {"graphemes": {"e": "X", "1": "Y"}, "rules": layouts.RULES, "conjuncts": {"\u0958": "X", "a": ""}}.items():
        out[name] = layouts.tokenizer_json(model, (), {"type": "Precompiled", "precompiled_charsmap": layouts.charsmap(rules)}, shown)
    out["single_word"] = layouts.tokenizer_json(model, [word], None, shown)
    return out


# ---- random pipelines --------------------------------------------------------------------------------------

BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
PATTERNS = ({"String": " "}, {"String": "the"}, {"String": "▁"}, {"Regex": r"\s+"}, {"Regex": r"\p{L}+|\p{N}"}, {"Regex": r"[aeiou]"},
            {"Regex": r"\p{N}{1,3}"}, {"Regex": layouts.LLAMA3}, {"Regex": layouts.TEKKEN}, {"Regex": r"\w+|[^\w\s]+"},
            {"Regex": r"[^\S\n]+"}, {"Regex": r"(?<=a)b*"}, {"Regex": r"\d"}, {"Regex": r"(?i)THE|[\p{P}\p{S}]"}, {"Regex": r"\p{Lu}\p{Ll}*"},
            {"Regex": r"\p{Han}+|\p{Hiragana}"}, {"Regex": r"x*"}, {"Regex": r"[\r\n]"}, {"Regex": r"(?=[A-Z])"}, {"Regex": r"\s?\p{L}+"})


def random_rules(rng):
    """Rules of a character map: single characters, and some that a mark follows, to nothing, to one or to several."""
    keys = {rng.choice("eaATthe.\t\r日ªﬁÅ\u0344\u0301क़한ß©\u0600") + rng.choice(("", "", "", "\u0301", "\u0323", "\n")) for _ in range(rng.randrange(1, 9))}
    return {key: rng.choice(("", "", "x", "ab", "the ", "é", "日本", "\u0301")) for key in sorted(keys)}


def random_normalizer(rng):
    kind = rng.randrange(15)
    return ({"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"},
            {"type": "StripAccents"}, {"type": "Nmt"},
            {"type": "Strip", "strip_left": rng.random() < 0.6, "strip_right": rng.random() < 0.6},
            {"type": "Prepend", "prepend": rng.choice(("▁", " ", "xy", "é"))},
            {"type": "Replace", "pattern": rng.choice(PATTERNS[:7]), "content": rng.choice(("▁", "", " ", "ab"))},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            {"type": "ByteLevel"},
            {"type": "BertNormalizer", "clean_text": rng.random() < 0.7, "handle_chinese_chars": rng.random() < 0.7,
             "strip_accents": rng.choice((None, True, False)), "lowercase": rng.random() < 0.5},
            {"type": "Precompiled", "precompiled_charsmap": layouts.charsmap(layouts.RULES if rng.random() < 0.5 else random_rules(rng))},
            {"type": "Precompiled", "precompiled_charsmap": layouts.charsmap(random_rules(rng))})[kind]


def random_pre_tokenizer(rng):
    behavior = rng.choice(BEHAVIORS)
    return rng.choice((
        layouts.split(rng.choice(PATTERNS), behavior, rng.random() < 0.3),
        layouts.split(rng.choice(PATTERNS), behavior, rng.random() < 0.3),
        layouts.byte_level(add_prefix_space=rng.random() < 0.5, use_regex=rng.random() < 0.5),
        {"type": "Metaspace", "replacement": rng.choice("▁_é"), "prepend_scheme": rng.choice(("first", "never", "always")),
         "split": rng.random() < 0.5},
        {"type": "Digits", "individual_digits": rng.random() < 0.5}, {"type": "Punctuation", "behavior": behavior},
        {"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"},
        {"type": "CharDelimiterSplit", "delimiter": rng.choice(" e▁")}))


def random_unigram(rng, model):
    """(model, vocabulary)"""
    pieces = [list(p) for p in model["vocab"]]
    for missing in rng.sample(BYTES_AND_LETTERS, rng.choice((0, 0, 3, 40))):
        pieces = [p for p in pieces if p[0] != missing]
    for piece in rng.sample(pieces, rng.choice((0, 0, 5, 50))):  # ties, and pieces that lose against unknown characters
        piece[1] = rng.choice((0.0, -3.0, -30.0, -3, 1.5))
    pieces += [[rng.choice(("qz", "日本", "xyz", "the", "é!", "<unk>x")), rng.choice((-50.0, -2.0))] for _ in range(rng.choice((0, 2)))]
    unk = rng.choice((None, *(i for i, p in enumerate(pieces) if p[0] == "<unk>"), rng.randrange(len(pieces))))
    return ({**model, "vocab": pieces, "unk_id": unk, "byte_fallback": rng.random() < 0.5}, {p[0]: i for i, p in enumerate(pieces)}, len(pieces))


def random_word_piece(rng, model):
    vocab = dict(model["vocab"])
    for missing in rng.sample(BYTES_AND_LETTERS, rng.choice((0, 0, 3, 40))):
        vocab.pop(missing, None)
    vocab = {t: i for i, t in enumerate([*vocab, *(rng.choice(("▁the", "Ġthe", "▁", "日", "##日", "##", "thethe")) for _ in range(3))])}
    vocab = {t: i for i, t in enumerate(vocab)}
    return ({**model, "vocab": vocab, "unk_token": rng.choice(("[UNK]", "[UNK]", "nothing")), "max_input_chars_per_word": rng.choice((0, 5, 100, 1000)),
             "continuing_subword_prefix": rng.choice(("##", "##", "", "t"))}, vocab, len(vocab))


def random_bpe(rng, model):
    vocab = dict(model["vocab"])
    for missing in rng.sample(BYTES_AND_LETTERS, rng.choice((0, 0, 3, 40))):  # some bytes or letters are unknown
        vocab.pop(missing, None)
    merges = [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]
    model["merges"] = [m for m in merges if m[0] in vocab and m[1] in vocab and "".join(m) in vocab]
    if rng.random() < 0.2:
        rng.shuffle(model["merges"])
    vocab.setdefault("<unk>", max(vocab.values()) + 1)
    model["vocab"] = {t: i for i, t in enumerate(vocab)}
    model["unk_token"] = rng.choice((None, "<unk>", "<unk>"))
    for flag in ("fuse_unk", "byte_fallback", "ignore_merges"):
        model[flag] = rng.random() < 0.5
    return model, model["vocab"], len(vocab)


def random_pipeline(rng, models):
    """A tokenizer.json with a model of one of the layouts and everything else at random."""
    model = dict(rng.choice(models)["model"])
    model, vocab, size = {"BPE": random_bpe, "Unigram": random_unigram, "WordPiece": random_word_piece}[model["type"]](rng, model)
    added = []
    for content in rng.sample(ADDED, rng.randrange(0, 9)):
        token_id = vocab.get(content, size + sum(a["content"] not in vocab for a in added))
        added.append(layouts.added(token_id, content, *(rng.random() < p for p in (0.5, 0.5, 0.3, 0.3, 0.3))))
    several = lambda make, key, counts: layouts.sequence(key, *(make(rng) for _ in range(rng.choice(counts))))
    post = rng.choice((None, layouts.template([("<unk>", 3)], [("<unk>", 3), ("a", 5)]), layouts.byte_level(),
                       layouts.sequence("processors", layouts.byte_level(), layouts.template([("a", 7), ("b", 8)])),
                       {"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]},
                       {"type": "RobertaProcessing", "sep": ["a", 1], "cls": ["b", 2], "trim_offsets": True, "add_prefix_space": False}))
    return layouts.tokenizer_json(model, added, several(random_normalizer, "normalizers", (0, 0, 1, 1, 2, 3)),
                                  several(random_pre_tokenizer, "pretokenizers", (0, 1, 1, 2, 3)), post)


BYTES_AND_LETTERS = layouts.BYTES + list("eatoinshrGĠä日")
ADDED = ["<s>", "</s>", "  ", "the", "LORD", "<|x|>", "<|x|><|y|>", "|>", "é", "É", "日本", "\n\n", "▁▁", "don't", "a", "</s> <s>", "Ang", "\u0301", "ﬁ"]


def read_text(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def write(folder, layout, name="tokenizer"):
    path = os.path.join(folder, name + ".json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(layout, file, ensure_ascii=False)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("--corpus")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--layout", action="append", default=[])
    parser.add_argument("--tokenizer", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--pipelines", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first pipeline")
    parser.add_argument("--code-points", action="store_true")
    options = parser.parse_args()
    different = 0

    with tempfile.TemporaryDirectory() as folder:
        written = [part for file in options.file for text in [read_text(file)] for part in (text, *text.split("\n\n"))]
        cases = [(path, path) for path in options.tokenizer]
        made = layouts.layouts(layouts.read_corpus(options.corpus) if options.corpus else layouts.MORE)
        if options.code_points:
            for name, layout in components(made["gpt-2"]["model"]).items():
                path = write(folder, layout)
                found = 0
                changed = GRAPHEMES if "Precompiled" in str(layout["normalizer"]) else CHANGED
                for texts in every_code_point(changed if layout["normalizer"] else CUT):
                    if name == "single_word":
                        texts = [t.replace("a", "zz") for t in texts]
                    found += compare(options.tool, name, path, texts, quiet=True)
                print(f"{name}: every code point in its contexts, {found} different", flush=True)
                different += found
            return 1 if different else 0
        only_files = options.tokenizer and not options.layout
        for name in [] if only_files or options.pipelines else options.layout or made:
            cases.append((name, write(folder, made[name], name)))
        for name, path in cases:
            with open(path, encoding="utf-8") as file:
                special = [t["content"] for t in json.load(file)["added_tokens"]]
            rng = random.Random(f"{options.seed} {os.path.basename(path)}")
            different += compare(options.tool, name, path, [random_text(rng, special) for _ in range(options.texts)] + written)
            different += compare_bytes(options.tool, name, path, [random_bytes(rng, special) for _ in range(options.texts // 10)])
        for number in range(options.first, options.first + options.pipelines):
            rng = random.Random(f"{options.seed} pipeline {number}")
            pipeline = random_pipeline(rng, list(made.values()))
            path = write(folder, pipeline)
            texts = [random_text(rng, [t["content"] for t in pipeline["added_tokens"]] or ["x"]) for _ in range(options.texts)]
            found = in_a_process(compare, options.tool, f"pipeline {number}", path, texts, 3)
            if found:
                print({k: v for k, v in pipeline.items() if k not in ("model",)}, {k: v for k, v in pipeline["model"].items() if k not in ("vocab", "merges")})
            different += found
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
