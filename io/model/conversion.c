#include "io/model/conversion.h"

#include "io/file/run_paths.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 16 };

static size_t read_beginning(unsigned char bytes[FIRST_BYTES], const char *path)
{
    FILE *file = fopen(path, "rb");
    const size_t size = file != NULL ? fread(bytes, 1, FIRST_BYTES, file) : 0;
    if (file != NULL)
        fclose(file);
    return size;
}

// The header's size, little-endian, and then its "{".
static bool is_safetensors(const unsigned char *bytes, size_t size)
{
    return size > 8 && bytes[8] == '{' && bytes[6] == 0 && bytes[7] == 0;
}

// A zip archive, or the pickle of older versions.
static bool is_of_torch(const unsigned char *bytes, size_t size)
{
    return size > 4 &&
           (memcmp(bytes, "PK\3\4", 4) == 0 || (bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5));
}

enum status model_file_refuse(const char *path, struct error *err)
{
    unsigned char bytes[FIRST_BYTES];
    char folder[PATH_SIZE], whole[PATH_SIZE + 8];
    const size_t size = read_beginning(bytes, path);
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

    if (slash == path)
        path_format(folder, sizeof folder, "/");
    else
        path_format(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1,
                    slash != NULL ? path : ".");
    snprintf(whole, sizeof whole, "%.300s", path);
    RETURN_ERROR_IF(
        size > 4 && memcmp(bytes, "GGUF", 4) == 0, err, STATUS_INPUT,
        "%s: a GGUF file; a model is a folder of safetensors, which this makes of it (pip install "
        "transformers gguf): python3 -c \"from transformers import AutoModelForCausalLM as M, "
        "AutoTokenizer as T; [C.from_pretrained('%.200s', gguf_file='%.100s')"
        ".save_pretrained('FOLDER') for C in (M, T)]\"",
        whole, folder, name);
    RETURN_ERROR_IF(is_of_torch(bytes, size), err, STATUS_INPUT,
                    "%s: weights of PyTorch; a model is a folder of safetensors, which this makes where "
                    "config.json stands beside them: python3 -c \"from transformers import "
                    "AutoModelForCausalLM as M, AutoTokenizer as T; [C.from_pretrained('%.200s')"
                    ".save_pretrained('FOLDER') for C in (M, T)]\"",
                    whole, folder);
    RETURN_ERROR_IF(is_safetensors(bytes, size) || (size > 0 && bytes[0] == '{'), err, STATUS_INPUT,
                    "%s: a file; a model is a folder with config.json and its safetensors: %.300s?", whole,
                    folder);
    RETURN_ERROR(err, STATUS_INPUT, "%s: a file; a model is a folder with config.json and *.safetensors",
                 whole);
}
