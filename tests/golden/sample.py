"""Writes tests/golden/sample.h: what sample_sequences and pack_documents must draw, by a second implementation of their
documented rules.

Documents of given token counts are drawn without replacement by a lazy Fisher-Yates shuffle; the next pass draws from
those that were longer than the sequence, in the order in which they were found. A packed sequence starts anywhere. Pieces
of neighbouring documents are drawn until there are enough bytes. Run: python3 tests/golden/sample.py
"""
import pathlib

MASK = (1 << 64) - 1


class Generator:
    """xoshiro256** 1.0, seeded by SplitMix64 (https://prng.di.unimi.it)."""

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            self.s.append(z ^ (z >> 31))

    def next(self):
        rotl = lambda x, k: ((x << k) | (x >> (64 - k))) & MASK
        s0, s1, s2, s3 = self.s
        result = (rotl((s1 * 5) & MASK, 7) * 9) & MASK
        s2 ^= s0
        s3 ^= s1
        self.s = [s0 ^ s3, s1 ^ s2, s2 ^ ((s1 << 17) & MASK), rotl(s3, 45)]
        return result

    def below(self, bound):
        while True:
            value = self.next()
            if value >= (1 << 64) % bound:
                return value % bound


def draw(counts, sequences, length, seed):
    generator, order, found, result = Generator(seed), list(range(len(counts))), [], []
    position, size = 0, len(counts)
    while len(result) < sequences:
        if position == size:
            order, position, size, found = list(found), 0, len(found), []
        pick = position + generator.below(size - position)
        document = order[pick]
        order[pick] = order[position]
        order[position] = document
        position += 1
        if counts[document] > length:
            result.append((document, generator.below(counts[document] - length + 1)))
            found.append(document)
    return result


def draw_packed(tokens, sequences, length, seed):
    generator = Generator(seed)
    return [generator.below(tokens - length) for _ in range(sequences)]


def draw_pieces(sizes, piece, enough, seed):
    """The documents that are joined; two bytes more for each document."""
    pieces, generator, chosen, drawn = [[]], Generator(seed), [], 0
    weigh = lambda documents: sum(sizes[d] + 2 for d in documents)
    for document in range(len(sizes)):
        if weigh(pieces[-1]) >= piece:
            pieces.append([])
        pieces[-1].append(document)
    if weigh(range(len(sizes))) <= enough:
        return list(range(len(sizes)))
    while drawn < enough and len(chosen) < len(pieces):
        k = len(chosen)
        pick = k + generator.below(len(pieces) - k)
        pieces[k], pieces[pick] = pieces[pick], pieces[k]
        chosen += [pieces[k]]
        drawn += weigh(pieces[k])
    return sorted(sum(chosen, []))


def write():
    COUNTS = [3, 40, 9, 8, 120, 1, 17, 9, 30, 2, 64]  # tokens, the leading special one included
    rows = draw(COUNTS, 24, 8, 2026)
    text = "// Written by tests/golden/sample.py.\n// clang-format off\n"
    text += "#include <stdbool.h>\n#include <stddef.h>\n"
    text += "static const size_t golden_counts[] = {%s};\n" % ", ".join(map(str, COUNTS))
    text += "enum { GOLDEN_SEED = 2026, GOLDEN_LENGTH = 8, GOLDEN_SEQUENCES = %d };\n" % len(rows)
    text += "static const struct {\n    size_t document, start;\n} golden_draws[] = {\n"
    for i in range(0, len(rows), 6):
        text += "    " + " ".join("{%d, %d}," % row for row in rows[i : i + 6]) + "\n"
    text += "};\n"
    # Packed, each document has a token a byte, and the joined text a special one before it.
    TOKENS = sum(count - 1 for count in COUNTS) + 2 * (len(COUNTS) - 1) + 1
    starts = draw_packed(TOKENS, 24, 8, 2026)
    text += "static const size_t golden_starts[] = {%s};\n" % ", ".join(map(str, starts))
    SIZES = [0, 3, 12, 1, 0, 0, 30, 7, 9, 2, 14, 5, 5, 5, 21, 0, 4, 4, 90, 6, 1, 8, 0, 10, 3]
    text += "static const size_t golden_sizes[] = {%s};\n" % ", ".join(map(str, SIZES))
    text += "enum { GOLDEN_PIECE = 16, GOLDEN_ENOUGH = 100, GOLDEN_DOCUMENTS = %d };\n" % len(SIZES)
    text += "// The documents that are joined, by seed.\n"
    text += "static const bool golden_joined[][GOLDEN_DOCUMENTS] = {\n"
    for seed in range(6):
        joined = draw_pieces(SIZES, 16, 100, seed)
        text += "    {%s},\n" % ", ".join("%d" % (d in joined) for d in range(len(SIZES)))
    text += "};\n"
    pathlib.Path(__file__).with_name("sample.h").write_text(text)


if __name__ == "__main__":
    write()
