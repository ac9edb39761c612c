#include "tests/support/made_tensors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct made_tensors {
    json_t *header;
    char *data;
    size_t bytes;
};

struct made_tensors *made_tensors_create(void)
{
    struct made_tensors *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->header = json_object();
    return made;
}

void made_tensors_add(struct made_tensors *made, const char *name, const char *dtype, size_t rank,
                      const uint64_t *shape, const void *data, size_t bytes)
{
    const size_t begin = made->bytes, end = begin + bytes;
    json_t *sizes = json_array();

    for (size_t d = 0; d < rank; d++)
        json_array_append_new(sizes, json_integer((json_int_t)shape[d]));
    json_object_set_new(made->header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", sizes, "data_offsets",
                                  (json_int_t)begin, (json_int_t)end));
    made->data = realloc(made->data, end + 1);
    assert_non_null(made->data);
    if (data != NULL)
        memcpy(made->data + begin, data, bytes);
    else
        memset(made->data + begin, 0, bytes);
    made->bytes = end;
}

void made_tensors_write(struct made_tensors *made, const char *path)
{
    char *text = json_dumps(made->header, JSON_COMPACT);
    char *temporary = malloc(strlen(path) + 5);

    assert_non_null(text);
    assert_non_null(temporary);
    sprintf(temporary, "%s.new", path);
    const uint64_t length = strlen(text);
    FILE *out = fopen(temporary, "wb");
    assert_non_null(out);
    for (int k = 0; k < 8; k++)
        fputc((int)(length >> (8 * k) & 0xff), out);
    fwrite(text, 1, length, out);
    if (made->bytes > 0)
        fwrite(made->data, 1, made->bytes, out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(temporary, path), 0);
    free(temporary);
    free(text);
    free(made->data);
    json_decref(made->header);
    free(made);
}
