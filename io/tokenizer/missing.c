#include "io/tokenizer/missing.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Files that tokenizer.json can be made from, and what `transformers` wants for it.
static const struct {
    const char *name, *packages;
} sources[] = {
    {"tokenizer.model", "transformers sentencepiece protobuf tiktoken"},
    {"spiece.model", "transformers sentencepiece protobuf"},
    {"sentencepiece.bpe.model", "transformers sentencepiece protobuf"},
    {"vocab.json", "transformers"},
    {"vocab.txt", "transformers"},
};

enum status tokenizer_check(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char folder[300], beside[PATH_MAX];

    if (access(path, F_OK) == 0 || errno != ENOENT)
        return STATUS_OK;
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1,
             slash != NULL ? path : ".");
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        snprintf(beside, sizeof beside, "%.*s%s", slash != NULL ? (int)(slash + 1 - path) : 0, path,
                 sources[i].name);
        RETURN_ERROR_IF(
            access(beside, F_OK) == 0, err, STATUS_INPUT,
            "%s: is not there, and %s is: this makes the one of the other (pip install %s): python3 "
            "-c \"from transformers import AutoTokenizer as T; "
            "T.from_pretrained('%s').save_pretrained('%s')\"",
            path, sources[i].name, sources[i].packages, folder, folder);
    }
    RETURN_ERROR(err, STATUS_INPUT, "%s: is not there, nor is a tokenizer of another form", path);
}
