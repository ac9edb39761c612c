// sealed_json: a committed JSON file is read back as it was written, and any changed byte is found.
#include "io/file/commit.h"
#include "io/file/json_memory.h"
#include "io/file/sealed_json.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *sample(void)
{
    return json_pack("{s:s, s:f, s:[i, i], s:{s:n}}", "variant", "wanda-0.5", "perplexity",
                     15.641912345678901, "list", 1, 2, "nested", "nothing");
}

// A file of an earlier version, which wrote more digits than it takes, and one that somebody has rounded.
static void numbers_with_more_digits_are_those_of_earlier_versions(void **state)
{
    (void)state;
    char *folder = temporary_folder_create(), *bytes = NULL;
    char path[4096], text[4096];
    struct error err;
    size_t size = 0;
    json_t *json = json_pack("{s:f}", "sparsity", 0.3);

    snprintf(path, sizeof path, "%s/result.json", folder);
    assert_int_equal(sealed_json_write(path, json, &err), STATUS_OK);
    assert_int_equal(read_file(&bytes, &size, path, &err), STATUS_OK);
    char *number = strstr(bytes, "0.3,");
    assert_non_null(number);
    const char *const forms[] = {"0.29999999999999999", "0.30", "0.3000000000000000"};
    for (int i = 0; i < 3; i++) {
        const int used =
            snprintf(text, sizeof text, "%.*s%s%s", (int)(number - bytes), bytes, forms[i], number + 3);
        assert_int_equal(commit_bytes(path, text, (size_t)used, &err), STATUS_OK);
        assert_int_equal(sealed_json_read(NULL, path, &err), i == 0 ? STATUS_OK : STATUS_DAMAGED);
    }
    free(bytes);
    json_decref(json);
    temporary_folder_remove(folder);
}

static void a_value_that_lost_a_part_is_not_written(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    char path[4096];
    struct error err;
    json_t *json = sample();

    snprintf(path, sizeof path, "%s/result.json", folder);
    json_memory_note();
    assert_int_equal(sealed_json_write(path, json, &err), STATUS_MEMORY);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(sealed_json_write(path, json, &err), STATUS_OK); // it is forgotten
    json_decref(json);
    temporary_folder_remove(folder);
}

static void written_is_read_back(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    struct error err;
    char path[4096];
    json_t *json = sample(), *back = NULL;

    snprintf(path, sizeof path, "%s/a/b/result.json", folder);
    assert_int_equal(sealed_json_write(path, json, &err), STATUS_OK);
    assert_int_equal(sealed_json_read(&back, path, &err), STATUS_OK);
    assert_true(json_equal(json, back));
    // Sealing what is sealed already changes nothing.
    assert_int_equal(sealed_json_write(path, back, &err), STATUS_OK);
    assert_true(json_equal(json, back));
    json_decref(json);
    json_decref(back);
    temporary_folder_remove(folder);
}

static void it_says_what_it_was_made_from(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    struct error err;
    char path[4096];
    json_t *json = sample(), *back = NULL;

    snprintf(path, sizeof path, "%s/result.json", folder);
    assert_int_equal(sealed_json_write_from(path, json, NO_ORIGIN, &err), STATUS_OK);
    assert_int_equal(sealed_json_read(&back, path, &err), STATUS_OK);
    assert_null(json_object_get(back, "made_from"));
    assert_int_equal(sealed_json_made_from(back), 0);
    json_decref(back);
    assert_int_equal(
        sealed_json_write_from(path, json, (struct file_origin){0xfedcba9876543210, folder}, &err),
        STATUS_OK);
    assert_int_equal(sealed_json_read(&back, path, &err), STATUS_OK);
    assert_string_equal(json_string_value(json_object_get(back, "made_from")), "fedcba9876543210");
    assert_int_equal(sealed_json_made_from(back), 0xfedcba9876543210);
    assert_string_equal(json_string_value(json_object_get(back, "file")), "result.json");
    snprintf(path, sizeof path, "%s/other.json", folder); // a copy by hand
    assert_int_equal(sealed_json_write(path, back, &err), STATUS_OK);
    assert_int_equal(sealed_json_read(NULL, path, &err), STATUS_USAGE);
    assert_non_null(strstr(err.message, "other.json: is the file result.json of a run under another name"));
    json_decref(back);
    json_decref(json);
    temporary_folder_remove(folder);
}

static void every_changed_byte_and_every_truncation_is_found(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    struct error err;
    char path[4096], *bytes;
    size_t size;
    json_t *json = sample();

    snprintf(path, sizeof path, "%s/result.json", folder);
    assert_int_equal(sealed_json_write(path, json, &err), STATUS_OK);
    json_decref(json);
    assert_int_equal(read_file(&bytes, &size, path, &err), STATUS_OK);
    for (size_t i = 0; i < size; i++) {
        for (unsigned char flip = 1; flip != 0; flip = (unsigned char)(flip << 1)) {
            bytes[i] = (char)((unsigned char)bytes[i] ^ flip);
            assert_int_equal(commit_bytes(path, bytes, size, &err), STATUS_OK);
            assert_int_equal(sealed_json_read(NULL, path, &err), STATUS_DAMAGED);
            assert_non_null(strstr(err.message, "result.json"));
            bytes[i] = (char)((unsigned char)bytes[i] ^ flip);
            if (i % 16 != 0)
                break; // one bit of most bytes, all bits of some
        }
        assert_int_equal(commit_bytes(path, bytes, i, &err), STATUS_OK);
        assert_int_equal(sealed_json_read(NULL, path, &err), STATUS_DAMAGED);
    }
    free(bytes);
    temporary_folder_remove(folder);
}

static void a_missing_file_is_not_a_damaged_one(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    struct error err;
    char path[4096];
    snprintf(path, sizeof path, "%s/none.json", folder);
    assert_int_equal(sealed_json_read(NULL, path, &err), STATUS_FAILED);
    temporary_folder_remove(folder);
}

static void a_link_is_not_followed(void **state)
{
    (void)state;
    char *folder = temporary_folder_create();
    struct error err;
    char path[4096], link[4096];
    json_t *json = sample();

    snprintf(path, sizeof path, "%s/result.json", folder);
    snprintf(link, sizeof link, "%s/link.json", folder);
    assert_int_equal(sealed_json_write(path, json, &err), STATUS_OK);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(sealed_json_read(NULL, link, &err), STATUS_FAILED);
    assert_non_null(strstr(err.message, "link.json: a symbolic link"));
    assert_int_equal(sealed_json_write(link, json, &err), STATUS_OK); // takes its place
    assert_int_equal(sealed_json_read(NULL, link, &err), STATUS_OK);
    json_decref(json);
    temporary_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_with_more_digits_are_those_of_earlier_versions),
        cmocka_unit_test(a_value_that_lost_a_part_is_not_written),
        cmocka_unit_test(written_is_read_back),
        cmocka_unit_test(it_says_what_it_was_made_from),
        cmocka_unit_test(every_changed_byte_and_every_truncation_is_found),
        cmocka_unit_test(a_link_is_not_followed),
        cmocka_unit_test(a_missing_file_is_not_a_damaged_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
