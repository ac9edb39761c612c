"""Makes io/tokenizer/unicode_data.c: where Hugging Face's `tokenizers` and the C libraries disagree about Unicode.

    make_tokenizer_unicode.py > io/tokenizer/unicode_data.c && clang-format -i io/tokenizer/unicode_data.c

`tokenizers` mixes versions of Unicode, one for each library that it uses: Oniguruma for the regular expressions of Split,
Replace and ByteLevel, the regex crate for Whitespace, the standard library of Rust for Digits and Lowercase, the
unicode_categories crate for Punctuation, unicode-normalization-alignments for normal forms and StripAccents, unicode-segmentation for graphemes. PCRE2
and utf8proc have versions of their own. Everything here is asked of the installed libraries, over all code points.
"""
import base64
import ctypes
import ctypes.util
import sys

import tokenizer_layouts
from tokenizers import Regex, normalizers, pre_tokenizers
import tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODES))
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()
SCRIPTS = ("Han Hiragana Katakana Hangul Latin Arabic").split()  # with code points in dispute


def load(name):
    return ctypes.CDLL(ctypes.util.find_library(name))


def kept(pre_tokenizer):
    """The code points that a pre-tokenizer leaves in its pieces."""
    return {CODES[i] for _, (start, end) in pre_tokenizer.pre_tokenize_str(ALL) for i in range(start, end)}


def oniguruma(expression):
    """The code points that a class of one character matches."""
    return set(CODES) - kept(pre_tokenizers.Split(Regex(expression), "removed"))


def delimiters(pre_tokenizer):
    return {c for c in CODES if len(pre_tokenizer.pre_tokenize_str(f"a{chr(c)}b")) == 3}


class Pcre2:
    def __init__(self):
        self.lib = load("pcre2-8")
        for name in ("compile", "match_data_create"):
            getattr(self.lib, f"pcre2_{name}_8").restype = ctypes.c_void_p
        self.lib.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
        self.text = ALL.encode()

    def version(self):
        out = ctypes.create_string_buffer(64)
        self.lib.pcre2_config_8(ctypes.c_uint32(10), out)  # PCRE2_CONFIG_UNICODE_VERSION
        return out.value.decode()

    def matched(self, expression):
        """The code points that a class of one character matches."""
        utf, ucp, no_check = 0x00080000, 0x00020000, 0x40000000
        error, offset, size = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_size_t
        pattern = (expression + "++").encode()
        code = ctypes.c_void_p(self.lib.pcre2_compile_8(pattern, size(len(pattern)), ctypes.c_uint32(utf | ucp),
                                                        ctypes.byref(error), ctypes.byref(offset), None))
        assert code.value, (expression, error.value, offset.value)
        self.lib.pcre2_jit_compile_8(code, ctypes.c_uint32(1))
        data = ctypes.c_void_p(self.lib.pcre2_match_data_create_8(ctypes.c_uint32(4), None))
        found, position = set(), 0
        while True:
            result = self.lib.pcre2_match_8(code, self.text, size(len(self.text)), size(position), ctypes.c_uint32(no_check),
                                            data, None)
            if result == -1:
                return found
            assert result > 0, (expression, result)
            ends = self.lib.pcre2_get_ovector_pointer_8(data)
            found.update(map(ord, self.text[ends[0]:ends[1]].decode()))
            position = ends[1]


class Utf8proc:
    def __init__(self):
        self.lib = load("utf8proc")
        self.lib.utf8proc_category_string.restype = ctypes.c_char_p
        self.lib.utf8proc_unicode_version.restype = ctypes.c_char_p
        self.lib.utf8proc_map.restype = ctypes.c_ssize_t
        self.category = {c: self.lib.utf8proc_category_string(c).decode() for c in CODES}
        self.libc = load("c")

    def version(self):
        return self.lib.utf8proc_unicode_version().decode()

    def normalize(self, form, text):
        stable, compat, compose, decompose = 1 << 1, 1 << 2, 1 << 3, 1 << 4
        options = stable | (compose if form.endswith("C") else decompose) | (compat if "K" in form else 0)
        data, out = text.encode(), ctypes.c_void_p()
        size = self.lib.utf8proc_map(data, ctypes.c_ssize_t(len(data)), ctypes.byref(out), ctypes.c_int(options))
        assert size >= 0
        result = ctypes.string_at(out, size).decode()
        self.libc.free(out)
        return result


def ranges(values):
    """[(first, last, value)] of a dict of code points."""
    out = []
    for code in sorted(values):
        if out and out[-1][1] == code - 1 and out[-1][2] == values[code]:
            out[-1][1] = code
        else:
            out.append([code, code, values[code]])
    return out


def stand_ins(pcre2):
    theirs = {c: g for g in CATEGORIES for c in oniguruma(rf"\p{{{g}}}")}
    ours = {c: g for g in CATEGORIES for c in pcre2.matched(rf"\p{{{g}}}")}
    script = {c: s for s in SCRIPTS for c in oniguruma(rf"\p{{{s}}}")}
    our_script = {c: s for s in SCRIPTS for c in pcre2.matched(rf"\p{{sc:{s}}}")}
    spaces, our_spaces = oniguruma(r"\s"), pcre2.matched(r"\s")
    size = lambda c: len(chr(c).encode())
    candidates = {}
    for c in CODES:
        if theirs[c] == ours[c] and script.get(c) == our_script.get(c) and (c in spaces) == (c in our_spaces):
            candidates.setdefault((size(c), ours[c], our_script.get(c), c in spaces), []).append(c)
    found = {}
    for c in CODES:
        if theirs[c] != ours[c] or (c in spaces) != (c in our_spaces):
            wanted = (size(c), theirs[c], script.get(c), c in spaces)
            plain = (size(c), theirs[c], None, c in spaces)
            # the nearest one is the likeliest to be on the same side of the ranges that a pattern spells out
            found[c] = min(candidates.get(wanted) or candidates[plain], key=lambda other: abs(other - c))
    return found


def corrections(theirs, ours):
    return {c: c in theirs for c in CODES if (c in theirs) != (c in ours)}


def inert(utf8proc):
    """What utf8proc decomposes, composes or orders and `tokenizers` does not."""
    forms = {f: getattr(normalizers, f)() for f in ("NFC", "NFD", "NFKC", "NFKD")}
    found = set()
    for c in CODES[1:]:
        text = chr(c)
        for form, reference in forms.items():
            theirs = reference.normalize_str(text)
            if theirs != utf8proc.normalize(form, text):
                assert theirs == text, (hex(c), form)
                found.add(c)
        ordered = "a\u0345" + text  # U+0345 has the largest combining class
        if utf8proc.normalize("NFD", ordered) != forms["NFD"].normalize_str(ordered):
            assert forms["NFD"].normalize_str(ordered) == ordered, hex(c)
            found.add(c)
        parts = utf8proc.normalize("NFD", text)
        if len(parts) > 1 and forms["NFC"].normalize_str(parts) != utf8proc.normalize("NFC", parts):
            assert len(parts) == 2, hex(c)
            found.add(ord(parts[1]))  # no character that `tokenizers` knows ends with it
    return dict.fromkeys(found, True)


def precompiled(mapping):
    return normalizers.Precompiled(base64.b64decode(tokenizer_layouts.charsmap(mapping))).normalize_str


def clusters(utf8proc):
    """(stand-ins, conjuncts). Precompiled looks up graphemes of up to five bytes, and replaces a whole one by the string of
    its shortest prefix: what is left of a text tells what belongs together."""
    breaks = lambda a, b: bool(utf8proc.lib.utf8proc_grapheme_break(a, b))
    after_e = precompiled({"e": "X"})
    consonant = precompiled({"\u0958": "X"})  # with a mark of two bytes: the mark goes, unless the grapheme is longer
    ends = lambda text: consonant(text).endswith("X\u0301")
    stand_ins, conjuncts = {}, {}
    for c in CODES[1:]:
        if chr(c) == "e":
            continue
        one = precompiled({chr(c): "X"})
        joins, prepends = after_e("e" + chr(c)) == "X", one(chr(c) + "f") == "X"
        controls = c < 0x10000 and one(chr(c) + "\u0301") == "X\u0301"
        theirs = (not breaks(0x65, c), not breaks(c, 0x66), c < 0x10000 and breaks(c, 0x301))
        if (joins, prepends, controls) != theirs:
            stand_ins[c] = 0x301 if joins else 0x600 if prepends else 0x200B if controls else 0x61
        if joins and ends("\u0915" + chr(c) + "\u0958\u0301"):
            conjuncts[c] = 2
        elif joins and not ends("\u0915" + chr(c) + "\u094d\u0958\u0301"):
            conjuncts[c] = 3
        elif not joins and not controls and c >= 0x900 and one("\u0915\u094d" + chr(c) + "\u0301").endswith("X\u0301") and len(chr(c).encode()) == 3:
            conjuncts[c] = 1
        elif not joins and c >= 0x10000 and consonant(chr(c) + "\u094d\u0958\u0301").endswith("X\u0301"):
            conjuncts[c] = 1
    return stand_ins, conjuncts


def main():
    pcre2, utf8proc = Pcre2(), Utf8proc()
    category = utf8proc.category
    circled = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A), 0x200C, 0x200D}
    ascii_signs = {c for c in range(0x21, 0x7F) if not chr(c).isalnum()}
    lower = {c: normalizers.Lowercase().normalize_str(chr(c)) for c in CODES}
    utf8proc_lower = {c: utf8proc.lib.utf8proc_tolower(c) for c in CODES}
    lower = {c: ord(t) - c for c, t in lower.items() if len(t) == 1 and ord(t) != utf8proc_lower[c]}
    stand_in, conjuncts = clusters(utf8proc)
    bert = normalizers.BertNormalizer
    gone = lambda normalizer: {c for c in CODES if normalizer.normalize_str(f"a{chr(c)}b") == "ab"}
    tables = {
        "unicode_numeric_corrections": corrections(
            delimiters(pre_tokenizers.Digits(True)), {c for c in CODES if category[c] in ("Nd", "Nl", "No")}),
        "unicode_punctuation_corrections": corrections(
            delimiters(pre_tokenizers.Punctuation()), {c for c in CODES if category[c][0] == "P"} | ascii_signs),
        "unicode_mark_corrections": corrections(
            {c for c in CODES if normalizers.StripAccents().normalize_str(chr(c)) == ""},
            {c for c in CODES if category[c][0] == "M"}),
        "unicode_nonspacing_corrections": corrections(
            gone(bert(False, False, True, False)), {c for c in CODES if category[c] == "Mn"}),
        "unicode_other_corrections": corrections(
            gone(bert(True, False, False, False)) - {0, 0xFFFD}, {c for c in CODES if category[c] in ("Cc", "Cf", "Co")} - {0, 9, 10, 13}),
        "unicode_word_corrections": corrections(
            {c for c in CODES if len(pre_tokenizers.Whitespace().pre_tokenize_str(f"a{chr(c)}a")) == 1},
            {c for c in CODES if category[c][0] in "LM" or category[c] in ("Nd", "Nl", "Pc")} | circled),
        "unicode_inert": inert(utf8proc), "unicode_lower_corrections": lower, "unicode_stand_ins": stand_ins(pcre2),
        "unicode_cluster_stand_ins": stand_in, "unicode_conjuncts": conjuncts}
    print(f"""// Made by tests/golden/make_tokenizer_unicode.py with tokenizers {tokenizers.__version__}, PCRE2 with Unicode
// {pcre2.version()} and utf8proc with Unicode {utf8proc.version()}.
#include "io/tokenizer/unicode_data.h"
""")
    for name, values in tables.items():
        rows = ranges(values)
        shown = ((lambda v: f"0x{v:x}") if name.endswith("stand_ins") else str if name == "unicode_lower_corrections" else
                 lambda v: str(int(v)))
        print(f"const struct unicode_range {name}[] = {{")
        print(", ".join(f"{{0x{first:x}, 0x{last:x}, {shown(value)}}}" for first, last, value in rows))
        print(f"}};\nconst size_t {name}_count = sizeof {name} / sizeof {name}[0];\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
