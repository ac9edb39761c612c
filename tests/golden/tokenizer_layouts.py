"""Small tokenizer.json files laid out like those of well-known models.

The normaliser, pre-tokenizer, post-processor, flags of the model and flags of the added tokens are those of the real
files; the vocabulary is a small one, trained here on the text that the caller gives. Facts about the layouts come from the
converters and tokenizer classes of Hugging Face transformers (convert_slow_tokenizer.py, tokenization_*.py) and
from the models' public tokenizer.json files.
"""
import base64
import json
import struct

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# tiktoken's o200k, which GPT-OSS has
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|\p{{N}}{{1,3}}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# Text beyond the King James Bible, so that the vocabularies have pieces of more than ASCII.
MORE = ["Größe naïve café façade Ångström Dvořák señor İstanbul Ωμέγα Привет мир здравствуй",
        "日本語 中文 中文字 漢字 かな カタカナ 한국어 한글 עברית العربية हिन्दी ไทย",
        "😀😀 👨‍👩‍👧‍👦 🇩🇪🇫🇷 ½ ¼ ² ™ € “quoted” – — …", "x = 1234567890; if (a != b) { return 42; }"] * 8


def added(token_id, content, special=True, normalized=False, lstrip=False, rstrip=False, single_word=False):
    return {"id": token_id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": normalized, "special": special}


def bpe_model(vocab, merges, **flags):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model.update(flags)
    model["vocab"] = vocab
    model["merges"] = merges
    return model


def tokenizer_json(model, added_tokens=(), normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": decoder, "model": model}


def byte_level(**flags):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **flags}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def sequence(kind, *members):
    return {"type": "Sequence", kind: list(members)}


def template(before, after=(), pair=True):
    """before and after: (token, id) around the text."""
    special = lambda names, type_id: [{"SpecialToken": {"id": n, "type_id": type_id}} for n, _ in names]
    text = lambda which, type_id: [{"Sequence": {"id": which, "type_id": type_id}}]
    single = special(before, 0) + text("A", 0) + special(after, 0)
    return {"type": "TemplateProcessing", "single": single,
            "pair": single + special(before, 1) + text("B", 1) + special(after, 1),
            "special_tokens": {n: {"id": n, "ids": [i], "tokens": [n]} for n, i in [*before, *after]}}


def charsmap(mapping):
    """A SentencePiece character map, in base64: the double array of darts-clone, then the strings."""
    strings, places = bytearray(), {}
    for key, value in mapping.items():
        places[key.encode()] = len(strings)
        strings += value.encode() + b"\0"
    tree = {}
    for key, place in places.items():
        node = tree
        for byte in key:
            node = node.setdefault(byte, {})
        node[-1] = place
    units, used = {}, {0}
    todo = [(0, tree, 0)]
    while todo:
        at, node, label = todo.pop()
        labels = [b for b in node if b >= 0]
        wanted = [0] * (-1 in node) + labels
        base = 1
        while any(base ^ c in used for c in wanted) or base in used:
            base += 1
        used.add(base)
        used.update(base ^ c for c in wanted)
        offset = at ^ base
        assert offset < 1 << 21
        units[at] = label | (-1 in node) << 8 | offset << 10
        if -1 in node:
            units[base] = 1 << 31 | node[-1]
        todo += [(base ^ c, node[c], c) for c in labels]
    size = (max(units) | 255) + 1
    array = struct.pack(f"<{size}I", *(units.get(i, 0) for i in range(size)))
    return base64.b64encode(struct.pack("<I", len(array)) + array + bytes(strings)).decode()


def train_byte_level(texts, size, pattern):
    """(tokens in order, merges) of a byte-level BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), model["merges"]


def train_with_ends(texts, size, pattern):
    """(vocabulary, merges) of a byte-level BPE whose words end in a suffix."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "removed", invert=True), pre_tokenizers.ByteLevel(False, use_regex=True)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, end_of_word_suffix="</w>", initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [*alphabet, *(c + "</w>" for c in alphabet if c != "~")]  # so that one of them is unknown at the end of a word
    tokens += [t for t in sorted(model["vocab"], key=model["vocab"].get) if t not in tokens and t != "~</w>"]
    return {t: i for i, t in enumerate(tokens)}, [m for m in model["merges"] if "~</w>" not in m]


def train_sentence_piece(texts, size):
    """Pieces in order of their score, as a SentencePiece BPE model has them: merged ones first, then characters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always", True)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False))
    vocab = json.loads(tokenizer.to_str())["model"]["vocab"]
    pieces = [p for p in sorted(vocab, key=vocab.get) if len(p) > 1]
    runs = ["▁▁", "▁▁▁▁", "▁▁▁▁▁▁▁▁"]
    return [*runs, *(p for p in pieces if p not in runs)], [p for p in sorted(vocab, key=vocab.get) if len(p) == 1]


def train_unigram(texts, size):
    """[[token, score], …] of a Unigram model of words that begin with ▁."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always", True)
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=size, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"))
    return [[t, round(s, 3)] for t, s in json.loads(tokenizer.to_str())["model"]["vocab"]]


def train_word_piece(texts, size):
    """Tokens of a WordPiece model of lower-case words, in order."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, show_progress=False, special_tokens=names))
    vocab = tokenizer.get_vocab()
    return sorted(vocab, key=vocab.get)


# The kinds of rules of SentencePiece's nmt_nfkc: wide forms, ligatures, composed marks, spaces, and what goes.
RULES = {"\t": " ", "\n": " ", "\r": " ", "\x0b": "", "\x1f": "", "\x7f": "", "\u00a0": " ", "\u200b": "", "\u3000": " ", "\ufeff": " ", "ﬁ": "fi", "ﬃ": "ffi",
         "½": "1⁄2", "™": "TM", "²": "2", "Ⅷ": "VIII", "ﷺ": "صلى الله عليه وسلم", "e\u0301": "é", "A\u030a": "Å", "a\u0323": "ạ", "K": "K", "ａ": "a", "Ａ": "A",
         "！": "!", "。": ".", "が": "が", "か\u3099": "が", "क़": "क़", "\u0344": "\u0308\u0301", "\U0001f1e9": "D", "…": "...", "ſ": "s", "ĳ": "ij", "\r\n": " "}


def every_merge(pieces, vocab):
    """Every way to make each piece of two others, as the converters of SentencePiece models list them."""
    merges = []
    for rank, piece in enumerate(pieces):
        ways = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += [(rank, *way) for way in sorted(ways, key=lambda w: (vocab[w[0]], vocab[w[1]]))]
    return [[left, right] for _, left, right in sorted(merges, key=lambda m: (m[0], len(m[1]), len(m[2])))]


BYTES = [f"<0x{b:02X}>" for b in range(256)]


def layouts(texts, size=420):
    """name -> tokenizer.json as a dict."""
    texts = list(texts) + MORE
    out = {}

    # byte-level BPE
    gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    tokens, merges = train_byte_level(texts, size, gpt2)
    vocab = {t: i for i, t in enumerate([*tokens, "<|endoftext|>"])}
    legacy = [" ".join(m) for m in merges]
    out["gpt-2"] = tokenizer_json(
        bpe_model(vocab, legacy, continuing_subword_prefix="", end_of_word_suffix=""),
        [added(vocab["<|endoftext|>"], "<|endoftext|>", normalized=True)],
        pre_tokenizer=byte_level(), post_processor=byte_level(add_prefix_space=True, trim_offsets=False),
        decoder=byte_level(add_prefix_space=True))

    vocab = {t: i for i, t in enumerate(["<|endoftext|>", "<|padding|>", *tokens])}
    neox_added = [added(0, "<|endoftext|>"), added(1, "<|padding|>")]
    neox_added += [added(len(vocab) + i, " " * (24 - i), special=False, normalized=True) for i in range(23)]
    out["gpt-neox"] = tokenizer_json(
        bpe_model(vocab, legacy, continuing_subword_prefix="", end_of_word_suffix=""), neox_added,
        normalizer={"type": "NFC"}, pre_tokenizer=byte_level(), post_processor=byte_level(), decoder=byte_level())

    tokens, merges = train_byte_level(texts, size, LLAMA3)
    vocab = {t: i for i, t in enumerate([*tokens, "Ġunreachable", "Ã¤Ã¶Ã¼"])}  # found by ignore_merges alone
    base = len(vocab)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    out["llama-3"] = tokenizer_json(
        bpe_model(vocab, merges, ignore_merges=True), [added(base + i, n) for i, n in enumerate(names)],
        pre_tokenizer=sequence("pretokenizers", split({"Regex": LLAMA3}), byte_level(use_regex=False)),
        post_processor=sequence("processors", byte_level(add_prefix_space=True, trim_offsets=False),
                                template([("<|begin_of_text|>", base)])),
        decoder=byte_level(add_prefix_space=True))

    tokens, merges = train_byte_level(texts, size, QWEN2)
    vocab = {t: i for i, t in enumerate(tokens)}
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    chat = [added(len(vocab) + i, n) for i, n in enumerate(names)]
    chat += [added(len(vocab) + 3 + i, n, special=False) for i, n in enumerate(["<tool_call>", "</tool_call>"])]
    flat = {"trim_offsets": False, "use_regex": False}
    out["qwen2.5"] = tokenizer_json(
        bpe_model(vocab, [" ".join(m) for m in merges], continuing_subword_prefix="", end_of_word_suffix=""), chat,
        normalizer={"type": "NFC"}, post_processor=byte_level(**flat), decoder=byte_level(**flat),
        pre_tokenizer=sequence("pretokenizers", split({"Regex": QWEN2}), byte_level(**flat)))

    tokens, merges = train_byte_level(texts, size, TEKKEN)
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]"]
    vocab = {t: i for i, t in enumerate([*names, *tokens])}
    out["tekken"] = tokenizer_json(
        bpe_model(vocab, merges, ignore_merges=True), [added(i, n) for i, n in enumerate(names)],
        pre_tokenizer=sequence("pretokenizers", split({"Regex": TEKKEN}), byte_level(use_regex=False)),
        post_processor=template([("<s>", 1)]), decoder=byte_level())

    tokens, merges = train_byte_level(texts, size, O200K)
    vocab = {t: i for i, t in enumerate(tokens)}
    names = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|channel|>"]
    out["gpt-oss"] = tokenizer_json(
        bpe_model(vocab, merges), [added(len(vocab) + i, n) for i, n in enumerate(names)],
        pre_tokenizer=sequence("pretokenizers", split({"Regex": O200K}), byte_level(use_regex=False)),
        post_processor=byte_level(trim_offsets=False), decoder=byte_level())

    tokens, merges = train_byte_level(texts, size, QWEN2)
    vocab = {t: i for i, t in enumerate(tokens)}
    names = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
    splits = [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺǄ-ʓʕ-ʯͰ-ͳͶͷΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-ᏵᲐ-ᲺḀ-ἕꙀ-ꙭꜢ-ꝯꝱ-ꞇꞋ-ꞎﬀ-ﬆＡ-Ｚａ-ｚ𐐀-𐑏𞤀-𞥃]+",
              r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+"]  # the second one is longer in the real files
    out["deepseek"] = tokenizer_json(
        bpe_model(vocab, [" ".join(m) for m in merges]),
        [added(len(vocab) + i, n, normalized=i < 2, special=i < 2) for i, n in enumerate(names)],
        normalizer=sequence("normalizers"), post_processor=template([(names[0], len(vocab))]), decoder=byte_level(add_prefix_space=True),
        pre_tokenizer=sequence("pretokenizers", *(split({"Regex": s}) for s in splits), {"type": "Digits", "individual_digits": True},
                               byte_level(use_regex=False)))

    # CLIP's, with an end of words
    clip = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    vocab, merges = train_with_ends(texts, size, clip)
    ends = {"<|startoftext|>": len(vocab), "<|endoftext|>": len(vocab) + 1}
    out["clip"] = tokenizer_json(
        bpe_model(vocab | ends, [" ".join(m) for m in merges], unk_token="<|endoftext|>", continuing_subword_prefix="",
                  end_of_word_suffix="</w>"),
        [added(i, n, normalized=n == "<|startoftext|>") for n, i in ends.items()],
        normalizer=sequence("normalizers", {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                            {"type": "Lowercase"}),
        pre_tokenizer=sequence("pretokenizers", split({"Regex": clip}, "Removed", True), byte_level()),
        post_processor={"type": "RobertaProcessing", "sep": ["<|endoftext|>", ends["<|endoftext|>"]],
                        "cls": ["<|startoftext|>", ends["<|startoftext|>"]], "trim_offsets": False, "add_prefix_space": False},
        decoder=byte_level())

    # SentencePiece's BPE
    pieces, characters = train_sentence_piece(texts, size)
    vocab = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", *BYTES, *pieces, *characters])}
    merges = every_merge(pieces, vocab)
    flags = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}]
    prepend = sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                       {"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
    basic = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    out["llama-2"] = tokenizer_json(
        bpe_model(vocab, [" ".join(m) for m in merges], **flags), [{**t, "normalized": True} for t in basic],
        normalizer=prepend, post_processor=template([("<s>", 1)]), decoder=sequence("decoders", *decoders, strip))

    names = ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]
    out["phi-3"] = tokenizer_json(
        bpe_model(vocab, merges, **flags),
        [*basic[:2], added(2, "</s>", special=False, rstrip=True)] +
        [added(len(vocab) + i, n, rstrip=i > 0) for i, n in enumerate(names)],
        normalizer=prepend, post_processor=template([("<s>", 1)]), decoder=sequence("decoders", *decoders, strip))

    controls = ["[INST]", "[/INST]", "[TOOL_CALLS]"]
    mistral = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", *controls, *BYTES, *pieces, *characters])}
    out["mistral"] = tokenizer_json(
        bpe_model(mistral, every_merge(pieces, mistral), **flags),
        basic + [added(3 + i, n) for i, n in enumerate(controls)],
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        post_processor=template([("<s>", 1)]), decoder=sequence("decoders", *decoders, strip))

    own = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    lines = ["\n" * n for n in range(1, 6)]
    runs = ["▁" * n for n in (2, 3, 4, 8)]
    rest = [p for p in [*pieces, *characters] if p not in runs and p not in lines]
    gemma = {t: i for i, t in enumerate([*own, *lines, *runs, *BYTES, *rest])}
    gemma_pieces = [*lines[1:], *runs, *(p for p in pieces if p not in runs)]
    out["gemma"] = tokenizer_json(
        bpe_model(gemma, every_merge(gemma_pieces, gemma), **flags),
        [added(i, n) for i, n in enumerate(own)] +
        [added(gemma[n], n, special=False) for n in [*lines, *runs]],
        normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        pre_tokenizer=split({"String": " "}, "MergedWithPrevious"),
        post_processor=template([("<bos>", 2)]), decoder=sequence("decoders", *decoders))

    # SentencePiece's unigram model; "truncation" and "padding" as files of such models have them
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap(RULES)}
    pieces = train_unigram(texts, size)
    own = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    vocab = own + [p for p in pieces if p[0] != "<unk>"]
    extra = [added(len(vocab) + i, f"<extra_id_{i}>") for i in range(3)]
    out["t5"] = tokenizer_json(
        {"type": "Unigram", "unk_id": 2, "vocab": vocab + [[t["content"], 0.0] for t in extra], "byte_fallback": False},
        [added(i, t) for i, (t, _) in enumerate(own)] + extra,
        normalizer=sequence("normalizers", precompiled, {"type": "Strip", "strip_left": False, "strip_right": True},
                            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}),
        pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace),
        post_processor=template([], [("</s>", 1)]), decoder=metaspace)
    out["t5"]["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    out["t5"]["padding"] = {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}

    own = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["<cls>", 0.0], ["<sep>", 0.0]]
    vocab = own + [p for p in pieces if p[0] != "<unk>"]
    quotes = [{"type": "Replace", "pattern": {"String": q}, "content": '"'} for q in ("``", "''")]
    out["xlnet"] = tokenizer_json(
        {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False}, [added(i, t, lstrip=t == "<cls>") for i, (t, _) in enumerate(own)],
        normalizer=sequence("normalizers", *quotes, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, precompiled,
                            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}),
        pre_tokenizer=metaspace, post_processor=template([], [("<sep>", 4), ("<cls>", 3)]), decoder=metaspace)

    vocab = own[:3] + [[b, 0.0] for b in BYTES] + [p for p in pieces if p[0] != "<unk>"]
    first = {**metaspace, "prepend_scheme": "first", "split": False}
    out["unigram-bytes"] = tokenizer_json(
        {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": True}, [added(i, t) for i, (t, _) in enumerate(own[:3])],
        normalizer=precompiled, pre_tokenizer=first, post_processor=template([("<s>", 1)]), decoder=metaspace)

    # WordPiece
    vocab = {t: i for i, t in enumerate(train_word_piece(texts, size))}
    out["bert"] = tokenizer_json(
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
        [added(i, t) for i, t in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))],
        normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        pre_tokenizer={"type": "BertPreTokenizer"}, post_processor=template([("[CLS]", 2)], [("[SEP]", 3)]),
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True})
    return out


def read_corpus(path, limit=300_000):
    """The texts of a .jsonl file with "text" members, up to about `limit` characters."""
    texts, total = [], 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            texts.append(json.loads(line)["text"])
            total += len(texts[-1])
            if total > limit:
                break
    return texts
