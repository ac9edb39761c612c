#include "pipeline/run/committed_file.h"

#include "io/file/sealed_json.h"
#include "io/store/store.h"

#include <string.h>

enum status committed_file_check(const char *path, struct error *err)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL && strcmp(dot, ".json") == 0 ? sealed_json_read(NULL, path, err)
                                                    : store_verify(path, err);
}
