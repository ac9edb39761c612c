#include "io/text/file_name.h"

#include "io/text/ending.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const packing_endings[] = {
    [PACKING_NONE] = "", [PACKING_GZIP] = ".gz", [PACKING_ZSTD] = ".zst"};

static const struct {
    const char *ending;
    enum text_name name;
} text_endings[] = {{".jsonl", TEXT_NAME_JSON}, {".ndjson", TEXT_NAME_JSON}, {".jl", TEXT_NAME_JSON},
                    {".json", TEXT_NAME_JSON},  {".txt", TEXT_NAME_PLAIN},   {".raw", TEXT_NAME_RAW}};
enum { NUM_ENDINGS = sizeof text_endings / sizeof text_endings[0] };

enum packing packing_of_name(const char *path)
{
    for (size_t i = PACKING_GZIP; i < sizeof packing_endings / sizeof *packing_endings; i++)
        if (ends_in_any_case(path, strlen(path), packing_endings[i]))
            return (enum packing)i;
    return PACKING_NONE;
}

size_t unpacked_name_size(const char *path)
{
    return strlen(path) - strlen(packing_endings[packing_of_name(path)]);
}

bool unpacked_name_ends_in(const char *path, const char *ending)
{
    return ends_in_any_case(path, unpacked_name_size(path), ending);
}

// Of the first `size` characters of path.
static bool has_ending_of(const char *path, size_t size, const char *const *endings)
{
    for (; *endings != NULL; endings++)
        if (ends_in_any_case(path, size, *endings))
            return true;
    return false;
}

// PyTorch's, ONNX's (whose data may be beside it), TensorFlow's, Rust's, MLX's, NeMo's.
static const char *const weight_endings[] = {
    ".safetensors", ".bin",       ".pt", ".pth", ".ckpt",   ".gguf", ".msgpack", ".onnx",
    ".onnx_data",   ".onnx.data", ".h5", ".ot",  ".tflite", ".npz",  ".nemo",    NULL};

// Data beside an ONNX model are cut into parts beyond 2 GB: model.onnx_data, model.onnx_data_1 and so on.
static bool is_name_of_part(const char *path)
{
    static const char *const endings[] = {".onnx_data", ".onnx.data", NULL};
    size_t size = strlen(path), digits = 0;

    while (digits < size && isdigit((unsigned char)path[size - 1 - digits]))
        digits++;
    size -= digits;
    return digits > 0 && size > 0 && path[size - 1] == '_' && has_ending_of(path, size - 1, endings);
}

bool is_name_of_weights(const char *path)
{
    return has_ending_of(path, strlen(path), weight_endings) || is_name_of_part(path);
}

bool is_name_of_weights_index(const char *path)
{
    static const char ending[] = ".index.json";
    const size_t size = strlen(path);

    return ends_in_any_case(path, size, ending) &&
           has_ending_of(path, size - (sizeof ending - 1), weight_endings);
}

bool is_name_of_prose(const char *name)
{
    static const char *const endings[] = {".md",  ".png",  ".jpg", ".jpeg",          ".gif",
                                          ".svg", ".webp", ".pdf", ".gitattributes", NULL};
    static const char *const starts[] = {"license", "notice", "use_policy"};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncasecmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return has_ending_of(name, strlen(name), endings);
}

enum text_name text_name_of(const char *path)
{
    for (size_t i = 0; i < NUM_ENDINGS; i++)
        if (unpacked_name_ends_in(path, text_endings[i].ending))
            return text_endings[i].name;
    return TEXT_NAME_OTHER;
}

const char *text_name_endings(char text[TEXT_ENDINGS_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < NUM_ENDINGS && used < TEXT_ENDINGS_SIZE; i++)
        used += (size_t)snprintf(text + used, TEXT_ENDINGS_SIZE - used, "%s%s",
                                 i == 0                 ? ""
                                 : i + 1 == NUM_ENDINGS ? " or "
                                                        : ", ",
                                 text_endings[i].ending);
    return text;
}
