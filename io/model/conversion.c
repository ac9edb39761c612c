#include "io/model/conversion.h"

#include "io/file/json.h"
#include "io/file/regular.h"
#include "io/file/run_paths.h"
#include "io/model/hub.h"

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

// An adapter of PEFT: alone, or beside a model to which the reference then applies it.
static enum status refuse_adapter(const char *folder, struct error *err)
{
    static const char name[] = "adapter_config.json";
    char path[PATH_SIZE], base[200] = "";
    json_t *json;

    if (!is_there(folder, name))
        return STATUS_OK;
    path_format(path, sizeof path, "%s/%s", folder, name);
    if (json_read(&json, path, NULL) == STATUS_OK) {
        const char *text = json_string_value(json_object_get(json, "base_model_name_or_path"));
        if (text != NULL)
            printable(base, sizeof base, text);
        json_decref(json);
    }
    return error_set(
        err, STATUS_INPUT,
        "%.300s: an adapter of PEFT%s%s%s; a model with the adapter in its weights is made by (pip "
        "install peft): python3 -c \"from peft import AutoPeftModelForCausalLM as M; "
        "M.from_pretrained('%.200s').merge_and_unload().save_pretrained('FOLDER')\"%s",
        path, base[0] != '\0' ? " for " : "", base,
        is_there(folder, "config.json") ? ", beside a model to which transformers applies it" : "", folder,
        is_there(folder, "config.json") ? "; if it is in these weights already, remove the file"
                                        : ", and its tokenizer is the base model's");
}

// The folder of a repository in the Hub's cache, and not of one of its snapshots.
static enum status refuse_repository(const char *folder, struct error *err)
{
    char id[200];

    RETURN_ERROR_IF(is_there(folder, "snapshots") && hub_id_of_path(id, sizeof id, folder), err, STATUS_INPUT,
                    "%s: a repository of the Hugging Face cache, not a model: name the model by its id, %s, "
                    "or by a folder "
                    "in %s/snapshots",
                    folder, id, folder);
    return STATUS_OK;
}

enum status model_folder_refuse(const char *folder, struct error *err)
{
    static const char *const torch[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    static const char *const others[] = {"consolidated.00.pth", "tf_model.h5", "flax_model.msgpack"};
    char name[NAME_MAX + 1], path[PATH_SIZE];

    FORWARD_IF_ERROR(refuse_adapter(folder, err));
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
    RETURN_ERROR_IF(
        is_there(folder, "consolidated.safetensors") ||
            is_there(folder, "consolidated.safetensors.index.json"),
        err, STATUS_INPUT,
        "%s: holds consolidated.safetensors, weights under the names of Mistral's own format, but no "
        "model.safetensors; take the files of the release that transformers reads: config.json and "
        "model*.safetensors",
        folder);
    FORWARD_IF_ERROR(refuse_repository(folder, err));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        RETURN_ERROR_IF(
            is_there(folder, others[i]), err, STATUS_INPUT,
            "%s: holds %s but no model.safetensors; take a release of the model that has safetensors", folder,
            others[i]);
    return STATUS_OK;
}
