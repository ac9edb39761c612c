"""Writes tests/golden/packed.h: a small text in WikiText's format, and the sequences that packing it must give, from
transformers' tokenizers and the second implementation of the draw in sample.py.

    PYTHONPATH=tests/golden python3 tests/golden/make_packed_golden.py

Documents are the lines as the `datasets` script of WikiText gives them: blank ones are empty, others keep their newline. The
field then writes tokenizer("\\n\\n".join(documents)).input_ids.
"""
import json
import pathlib

from transformers import PreTrainedTokenizerFast

from sample import draw_packed

HERE = pathlib.Path(__file__).parent
TEXT = (
    " \n = The beginning = \n \n In the beginning God created the heaven and the earth . And the earth was without form , "
    "and void ; \n and darkness was upon the face of the deep \n \n \n = = Light = = \n \n And God said , Let there be light : "
    "and there was light . \n\t\n A café of naïve “ words ” — 1 @,@ 234 times <unk> \n   two  spaces , then none \n </s> said "
    "the LORD \n \n end"
)
NAMES, SEQUENCES, LENGTH, SEED = ["llama-2", "gpt-2", "qwen2.5", "kjv-llama"], 5, 24, 11

documents = [line if line.strip() else "" for line in TEXT.splitlines(keepends=True)]
text = "// Written by tests/golden/make_packed_golden.py.\n// clang-format off\n#include <stddef.h>\n#include <stdint.h>\n"
text += "static const char golden_text[] = %s;\n" % json.dumps(TEXT, ensure_ascii=False)
text += "enum { GOLDEN_SEQUENCES = %d, GOLDEN_LENGTH = %d, GOLDEN_SEED = %d };\n" % (SEQUENCES, LENGTH, SEED)
text += "static const struct {\n    const char *tokenizer;\n    size_t tokens;\n"
text += "    int32_t ids[GOLDEN_SEQUENCES][GOLDEN_LENGTH];\n} golden_packed[] = {\n"
for name in NAMES:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "tokenizer" / f"{name}.json"))
    ids = tokenizer("\n\n".join(documents)).input_ids
    text += '    {"%s", %d, {\n' % (name, len(ids))
    for start in draw_packed(len(ids), SEQUENCES, LENGTH, SEED):
        text += "        {%s},\n" % ", ".join(map(str, ids[start : start + LENGTH]))
    text += "    }},\n"
text += "};\n"
(HERE / "packed.h").write_text(text)
