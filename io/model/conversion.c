#include "io/model/conversion.h"

#include "io/file/regular.h"
#include "io/file/run_paths.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FIRST_BYTES = 16 };

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

static enum status refuse_gguf(const char *path, const char *folder, const char *name, struct error *err)
{
    return error_set(
        err, STATUS_INPUT,
        "%.300s: a GGUF file; a model is a folder of safetensors, which this makes of it (pip install "
        "transformers gguf): python3 -c \"from transformers import AutoModelForCausalLM as M, "
        "AutoTokenizer as T; [C.from_pretrained('%.200s', gguf_file='%.100s')"
        ".save_pretrained('FOLDER') for C in (M, T)]\"",
        path, folder, name);
}

static enum status refuse_torch(const char *path, const char *folder, struct error *err)
{
    return error_set(err, STATUS_INPUT,
                     "%.300s: weights of PyTorch; a model is a folder of safetensors, which this makes where "
                     "config.json stands beside them: python3 -c \"from transformers import "
                     "AutoModelForCausalLM as M, AutoTokenizer as T; [C.from_pretrained('%.200s')"
                     ".save_pretrained('FOLDER') for C in (M, T)]\"",
                     path, folder);
}

enum status model_file_refuse(const char *path, struct error *err)
{
    unsigned char bytes[FIRST_BYTES];
    char folder[PATH_SIZE], whole[PATH_SIZE + 8];
    const size_t size = regular_read_beginning(bytes, sizeof bytes, path);
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

    if (slash == path)
        path_format(folder, sizeof folder, "/");
    else
        path_format(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) : 1,
                    slash != NULL ? path : ".");
    snprintf(whole, sizeof whole, "%.300s", path);
    if (size > 4 && memcmp(bytes, "GGUF", 4) == 0)
        return refuse_gguf(whole, folder, name, err);
    if (is_of_torch(bytes, size))
        return refuse_torch(whole, folder, err);
    RETURN_ERROR_IF(is_safetensors(bytes, size) || (size > 0 && bytes[0] == '{'), err, STATUS_INPUT,
                    "%s: a file; a model is a folder with config.json and its safetensors: %.300s?", whole,
                    folder);
    RETURN_ERROR(err, STATUS_INPUT, "%s: a file; a model is a folder with config.json and *.safetensors",
                 whole);
}

static bool is_there(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    struct stat info;
    path_format(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0;
}

// The first GGUF file of the folder, by name.
static bool find_gguf(char name[NAME_MAX + 1], const char *folder)
{
    const struct dirent *entry;
    DIR *directory = opendir(folder);
    bool found = false;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        const size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".gguf") != 0 ||
            (found && strcmp(entry->d_name, name) > 0))
            continue;
        snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
        found = true;
    }
    if (directory != NULL)
        closedir(directory);
    return found;
}

enum status model_folder_refuse(const char *folder, struct error *err)
{
    static const char *const torch[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    static const char *const others[] = {"consolidated.00.pth", "tf_model.h5", "flax_model.msgpack"};
    char name[NAME_MAX + 1], path[PATH_SIZE];

    if (is_there(folder, "model.safetensors") || is_there(folder, "model.safetensors.index.json"))
        return STATUS_OK;
    for (size_t i = 0; i < sizeof torch / sizeof *torch; i++) {
        path_format(path, sizeof path, "%s/%s", folder, torch[i]);
        if (is_there(folder, torch[i]))
            return refuse_torch(path, folder, err);
    }
    if (find_gguf(name, folder)) {
        path_format(path, sizeof path, "%s/%s", folder, name);
        return refuse_gguf(path, folder, name, err);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        RETURN_ERROR_IF(
            is_there(folder, others[i]), err, STATUS_INPUT,
            "%s: holds %s but no model.safetensors; take a release of the model that has safetensors", folder,
            others[i]);
    return STATUS_OK;
}
