// parquet.h - Apache Parquet, which is recognised and not read.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Whether a file that begins with head[size] is Parquet: "PAR1", then the binary header of a page or of the
// file's metadata. A text may begin with "PAR1" as well.
bool parquet_begins(const char *head, size_t size);

// "convert it to JSON lines: python3 ...": the command of a shell that does it, with the paths as words of
// that shell. is_folder: of all Parquet files in it. text is cut where the path is too long. Returns
// text.
enum { PARQUET_ADVICE_SIZE = 1024 };
const char *parquet_advice(char text[PARQUET_ADVICE_SIZE], const char *path, bool is_folder);
