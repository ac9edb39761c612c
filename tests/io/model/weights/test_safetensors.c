// safetensors.h: what is read from a valid file, and the complaint about every malformed one.
#include "io/model/weights/safetensors.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct safetensors_tensor *find(const struct safetensors_file *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// Header length, header, then data_bytes bytes 0, 1, 2, ...; *size is all of it.
static unsigned char *build_file(const char *header, size_t data_bytes, size_t *size)
{
    const size_t length = strlen(header);
    *size = 8 + length + data_bytes;
    unsigned char *bytes = malloc(*size);
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + length + i] = (unsigned char)i;
    return bytes;
}

static const char *write_header(const char *folder, const char *header, size_t data_bytes)
{
    size_t size;
    unsigned char *bytes = build_file(header, data_bytes, &size);
    const char *path = write_file(folder, "model.safetensors", bytes, size);
    free(bytes);
    return path;
}

// Not in the order of their offsets; "empty" lies where "b" starts; padded with spaces.
static const char valid_header[] =
    "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
    "\"__metadata__\":{\"format\":\"pt\"},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[8,8]},"
    "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"caf\\u00e9\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[20,24]}}   ";

static void test_tensors_are_found_with_shape_dtype_and_data(void **state)
{
    struct error err = {0};
    struct safetensors_file *file;

    assert_ok(safetensors_open(&file, write_header(*state, valid_header, 24), &err), err);
    assert_int_equal(file->count, 4);
    assert_int_equal(file->file_bytes, 8 + strlen(valid_header) + 24);
    assert_int_equal(file->header_bytes, 8 + strlen(valid_header));
    assert_string_equal(file->metadata, "{\"format\":\"pt\"}");
    const char *const order[] = {"scalar", "empty", "b", "caf\xc3\xa9"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(file->tensors[i].name, order[i]);

    const struct safetensors_tensor *b = find(file, "b");
    assert_non_null(b);
    assert_true(b->supported);
    assert_int_equal(b->dtype, DTYPE_BF16);
    assert_string_equal(b->dtype_name, "BF16");
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->shape[1], 3);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(((const unsigned char *)b->data)[i], 8 + i);

    const struct safetensors_tensor *scalar = find(file, "scalar");
    assert_non_null(scalar);
    assert_false(scalar->supported);
    assert_int_equal(scalar->rank, 0);
    assert_string_equal(scalar->dtype_name, "I64");
    assert_non_null(find(file, "caf\xc3\xa9"));
    assert_null(find(file, "c"));
    assert_null(find(file, "__metadata__"));
    safetensors_close(file);
}

static void test_a_file_without_tensors_is_valid(void **state)
{
    struct error err = {0};
    struct safetensors_file *file;

    assert_ok(safetensors_open(&file, write_header(*state, "{}", 0), &err), err);
    assert_int_equal(file->count, 0);
    assert_null(file->metadata);
    assert_null(find(file, "a"));
    safetensors_close(file);
    safetensors_close(NULL);
}

// Names and bits as the reference implementation 0.8 has them.
static void test_every_official_dtype_is_known_with_its_size(void **state)
{
    static const struct {
        const char *name;
        size_t bits;
        bool supported;
    } official[] = {
        {"BOOL", 8, false},    {"F4", 4, false},          {"F6_E2M3", 6, false},     {"F6_E3M2", 6, false},
        {"U8", 8, false},      {"I8", 8, false},          {"F8_E5M2", 8, false},     {"F8_E4M3", 8, false},
        {"F8_E8M0", 8, false}, {"F8_E4M3FNUZ", 8, false}, {"F8_E5M2FNUZ", 8, false}, {"I16", 16, false},
        {"U16", 16, false},    {"F16", 16, true},         {"BF16", 16, true},        {"I32", 32, false},
        {"U32", 32, false},    {"F32", 32, true},         {"C64", 64, false},        {"F64", 64, false},
        {"I64", 64, false},    {"U64", 64, false},
    };
    for (size_t i = 0; i < sizeof official / sizeof official[0]; i++) {
        struct error err = {0};
        struct safetensors_file *file;
        char header[200];
        const size_t bytes = 3 * 4 * official[i].bits / 8;

        snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[3,4],\"data_offsets\":[0,%zu]}}",
                 official[i].name, bytes);
        assert_ok(safetensors_open(&file, write_header(*state, header, bytes), &err), err);
        assert_string_equal(file->tensors[0].dtype_name, official[i].name);
        assert_int_equal(file->tensors[0].supported, official[i].supported);
        if (official[i].supported)
            assert_true(file->tensors[0].dtype == (official[i].bits == 32       ? DTYPE_F32
                                                   : official[i].name[0] == 'B' ? DTYPE_BF16
                                                                                : DTYPE_F16));
        safetensors_close(file);
    }
}

static void test_every_truncated_prefix_is_refused(void **state)
{
    size_t size;
    unsigned char *bytes = build_file(valid_header, 24, &size);

    for (size_t prefix = 0; prefix < size; prefix++) {
        struct error err = {0};
        struct safetensors_file *file;
        const char *path = write_file(*state, "cut.safetensors", bytes, prefix);
        assert_int_equal(safetensors_open(&file, path, &err), STATUS_INPUT);
        assert_null(file);
        assert_error(err, STATUS_INPUT, path);
    }
    free(bytes);
}

#define TENSOR(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_malformed_headers_are_refused_by_name(void **state)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        const char *complaint;
    } cases[] = {
        {"", 0, "not valid JSON"},
        {"{", 0, "not valid JSON"},
        {"[]", 0, "not a JSON object"},
        {"{} x", 0, "not valid JSON"},
        {"\xff", 0, "not valid JSON"},
        {"{\"a\":1}", 0, "'a': its entry in the header is not an object"},
        {"{\"a\":{}}", 0, "'a': 'dtype' is not a string"},
        {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,0]}}", 0, "'a': 'dtype' is not a string"},
        {"{" TENSOR("a", "F33", "[1]", "[0,4]") "}", 4, "'a': unknown dtype 'F33'"},
        {"{" TENSOR("a", "f32", "[1]", "[0,4]") "}", 4, "'a': unknown dtype 'f32'"},
        {"{" TENSOR("a", "\\u001b[31m", "[1]", "[0,4]") "}", 4, "'a': unknown dtype '?[31m'"},
        {"{" TENSOR("a\\nb", "F33", "[1]", "[0,4]") "}", 4, "'a?b': unknown dtype"},
        {"{" TENSOR("a", "F32", "4", "[0,4]") "}", 4, "'a': 'shape' is not a list"},
        {"{" TENSOR("a", "F32", "[-1]", "[0,4]") "}", 4, "'a': 'shape' [0] is not a number"},
        {"{" TENSOR("a", "F32", "[1,1.0]", "[0,4]") "}", 4, "'a': 'shape' [1] is not a number"},
        {"{" TENSOR("a", "F32", "[99999999999999999999]", "[0,4]") "}", 4, "a number is too large"},
        {"{" TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "'a': 9 dimensions"},
        {"{" TENSOR("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "'a': its shape overflows"},
        {"{" TENSOR("a", "F32", "[4294967296,4294967296,0]", "[0,0]") "}", 0, "'a': its shape overflows"},
        {"{" TENSOR("a", "F32", "[4611686018427387904]", "[0,0]") "}", 0, "'a': its shape overflows"},
        {"{" TENSOR("a", "F32", "[1]", "[0]") "}", 4, "'a': 'data_offsets' is not a pair"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4,8]") "}", 4, "'a': 'data_offsets' is not a pair"},
        {"{" TENSOR("a", "F32", "[1]", "[0,\\\"4\\\"]") "}", 4, "not valid JSON"},
        {"{" TENSOR("a", "F32", "[1]", "[0,\"4\"]") "}", 4, "'a': 'data_offsets' is not a pair"},
        {"{" TENSOR("a", "F32", "[1]", "[-4,0]") "}", 4, "'a': 'data_offsets' is not a pair"},
        {"{" TENSOR("a", "F32", "[1]", "[4,0]") "}", 4, "'a': begins at byte 4 and ends before, at 0"},
        {"{" TENSOR("a", "F32", "[2]", "[0,8]") "}", 4, "'a': ends at byte 8 of 4; is the file cut off?"},
        {"{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 4,
         "'a': 4 bytes, but its shape and dtype F32 ask for 8"},
        {"{" TENSOR("a", "F4", "[3]", "[0,1]") "}", 1,
         "'a': a F4 tensor of this shape does not fill whole bytes"},
        {"{" TENSOR("a", "F32", "[2]", "[0,8]") "," TENSOR("b", "F32", "[2]", "[4,12]") "}", 12,
         "'b': overlaps tensor 'a'"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[0,4]") "}", 4,
         "'b': overlaps tensor 'a'"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("b", "F32", "[1]", "[8,12]") "}", 12,
         "'b': bytes 4 to 8 before it belong to no tensor"},
        {"{" TENSOR("a", "F32", "[1]", "[4,8]") "}", 8, "'a': bytes 0 to 4 before it belong to no tensor"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "}", 7, "3 bytes after the last tensor"},
        {"{}", 1, "1 bytes after the last tensor"},
        {"{" TENSOR("a", "F32", "[1]", "[0,4]") "," TENSOR("a", "F32", "[1]", "[0,4]") "}", 4,
         "a key stands twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
         "a key stands twice"},
        {"{\"__metadata__\":[]}", 0, "'__metadata__' is not an object"},
        {"{\"__metadata__\":{\"n\":1}}", 0, "'__metadata__': the value of 'n' is not a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        struct safetensors_file *file;
        const char *path = write_header(*state, cases[i].header, cases[i].data_bytes);

        if (safetensors_open(&file, path, &err) == STATUS_OK)
            fail_msg("accepted: %s", cases[i].header);
        assert_null(file);
        assert_error(err, STATUS_INPUT, path);
        assert_error(err, STATUS_INPUT, cases[i].complaint);
    }
}

static void test_absurd_header_lengths_are_refused(void **state)
{
    static const unsigned char enormous[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'};
    struct error err = {0};
    struct safetensors_file *file;
    const char *path = write_file(*state, "a", enormous, sizeof enormous);

    assert_int_equal(safetensors_open(&file, path, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "18446744073709551615 bytes, the file has 16");

    // Longer than the format allows, in a (sparse) file that is long enough.
    static const unsigned char long_header[8] = {0x00, 0xe1, 0xf5, 0x06}; // 116777216
    path = write_file(*state, "b", long_header, sizeof long_header);
    assert_int_equal(truncate(path, 120000000), 0);
    assert_int_equal(safetensors_open(&file, path, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "the format allows 100000000");
}

static void test_what_cannot_be_opened_is_bad_input_with_the_reason(void **state)
{
    struct error err = {0};
    struct safetensors_file *file;

    assert_int_equal(safetensors_open(&file, path_in(*state, "absent"), &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "/absent: No such file or directory");
    assert_int_equal(safetensors_open(&file, *state, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
    if (geteuid() != 0) { // root may read everything
        const char *path = write_text(*state, "secret", "x");
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(safetensors_open(&file, path, &err), STATUS_INPUT);
        assert_error(err, STATUS_INPUT, "Permission denied");
    }
}

static size_t resident_pages(const void *address, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *seen = malloc(bytes / page + 2);
    const uintptr_t first = (uintptr_t)address / page * page;
    const size_t pages = ((uintptr_t)address + bytes - first + page - 1) / page;
    size_t count = 0;

    assert_non_null(seen);
    // mincore tells about the page cache; our own page tables are in /proc/self/pagemap.
    FILE *map = fopen("/proc/self/pagemap", "rb");
    if (map == NULL) {
        free(seen);
        return SIZE_MAX;
    }
    for (size_t i = 0; i < pages; i++) {
        uint64_t entry = 0;
        fseek(map, (long)((first / page + i) * sizeof entry), SEEK_SET);
        assert_int_equal(fread(&entry, sizeof entry, 1, map), 1);
        count += entry >> 63;
    }
    fclose(map);
    free(seen);
    return count;
}

static void test_released_pages_are_given_back_and_still_readable(void **state)
{
    const size_t bytes = 64 * (size_t)sysconf(_SC_PAGESIZE);
    struct error err = {0};
    struct safetensors_file *file;
    char header[200];

    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"U8\",\"shape\":[100],\"data_offsets\":[0,100]},"
             "\"t\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[100,%zu]}}",
             bytes, bytes + 100);
    assert_ok(safetensors_open(&file, write_header(*state, header, bytes + 100), &err), err);
    const struct safetensors_tensor *tensor = find(file, "t");
    const unsigned char *data = tensor->data;
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += data[i];
    const size_t before = resident_pages(data, bytes);
    safetensors_release(file, data, bytes);
    const size_t after = resident_pages(data, bytes);
    if (before != SIZE_MAX) {
        assert_true(before >= 64);
        assert_int_equal(after, 0); // nor those that came with the first and the last
    }
    for (size_t i = 0; i < bytes; i++)
        sum -= data[i];
    assert_int_equal(sum, 0);

    safetensors_release(file, file->mapping, file->file_bytes + 1); // outside: ignored
    safetensors_release(file, data, 0);
    safetensors_release(file, data, UINT64_MAX);
    assert_int_equal(data[0], 100);
    safetensors_close(file);
}

static void test_a_real_checkpoint_opens(void **state)
{
    (void)state;
    const char *source = getenv("COPPICE_SOURCE");
    struct error err = {0};
    struct safetensors_file *file;
    char path[4096];

    snprintf(path, sizeof path, "%s/../shared/models/stories260K/model.safetensors",
             source != NULL ? source : ".");
    if (access(path, R_OK) != 0) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    assert_ok(safetensors_open(&file, path, &err), err);
    const struct safetensors_tensor *tensor = find(file, "model.layers.0.self_attn.k_proj.weight");
    assert_non_null(tensor);
    assert_int_equal(tensor->dtype, DTYPE_F32);
    assert_int_equal(tensor->rank, 2);
    safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tensors_are_found_with_shape_dtype_and_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_without_tensors_is_valid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_official_dtype_is_known_with_its_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_truncated_prefix_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_headers_are_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absurd_header_lengths_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_opened_is_bad_input_with_the_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_released_pages_are_given_back_and_still_readable, set_up,
                                        tear_down),
        cmocka_unit_test(test_a_real_checkpoint_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
