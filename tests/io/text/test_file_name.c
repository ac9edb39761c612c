// file_name.h, ending.h: what the endings of names say.
#include "io/text/ending.h"
#include "io/text/file_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_name_says_packing_and_kind(void **state)
{
    static const struct {
        const char *path;
        enum packing packing;
        enum text_name name;
        size_t size; // without the packing
    } cases[] = {
        {"c4.json.gz", PACKING_GZIP, TEXT_NAME_JSON, 7},
        {"/a/b.JSONL.ZST", PACKING_ZSTD, TEXT_NAME_JSON, 10},
        {"x.ndjson", PACKING_NONE, TEXT_NAME_JSON, 8},
        {"x.jl", PACKING_NONE, TEXT_NAME_JSON, 4},
        {"wiki.test.raw", PACKING_NONE, TEXT_NAME_RAW, 13},
        {"x.Txt", PACKING_NONE, TEXT_NAME_PLAIN, 5},
        {"x.txt.gz.gz", PACKING_GZIP, TEXT_NAME_OTHER, 8},
        {"README", PACKING_NONE, TEXT_NAME_OTHER, 6},
        {"", PACKING_NONE, TEXT_NAME_OTHER, 0},
        {".gz", PACKING_GZIP, TEXT_NAME_OTHER, 0},
    };
    char text[TEXT_ENDINGS_SIZE];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(packing_of_name(cases[i].path), cases[i].packing);
        assert_int_equal(text_name_of(cases[i].path), cases[i].name);
        assert_int_equal(unpacked_name_size(cases[i].path), cases[i].size);
    }
    assert_true(unpacked_name_ends_in("x.HTM.gz", ".htm"));
    assert_string_equal(text_name_endings(text), ".jsonl, .ndjson, .jl, .json, .txt or .raw");
}

static void weights_have_many_endings(void **state)
{
    static const char *const weights[] = {"model.safetensors",
                                          "a.BIN",
                                          "a.onnx",
                                          "a.onnx_data",
                                          "a.onnx_data_1",
                                          "A.ONNX_DATA_12",
                                          "a.onnx.data_1",
                                          "a.onnx.data",
                                          "a.ckpt",
                                          "a.npz",
                                          "a.nemo",
                                          "a.tflite",
                                          "a.pt",
                                          "rust.ot",
                                          "a.h5"};
    static const char *const others[] = {"config.json",
                                         "a.npz.txt",
                                         "tokenizer.model",
                                         "data",
                                         "onnx_data",
                                         "a.onnx_data_",
                                         "a.onnx_data1",
                                         "a_1",
                                         "_1",
                                         "1",
                                         "a.onnx_data_x1",
                                         "model.safetensors.index.json"};
    (void)state;

    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        assert_true(is_name_of_weights(weights[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(is_name_of_weights(others[i]));
    assert_true(is_name_of_weights_index("model.safetensors.index.json"));
    assert_true(is_name_of_weights_index("pytorch_model.bin.INDEX.json"));
    assert_false(is_name_of_weights_index("faiss.index.json"));
    assert_false(is_name_of_weights_index(".index.json"));
    assert_false(is_name_of_weights_index("model.safetensors"));
}

static void endings_are_compared_as_they_stand(void **state)
{
    (void)state;
    assert_true(ends_with("a.h5", ".h5"));
    assert_true(ends_with(".h5", ".h5"));
    assert_false(ends_with("a.H5", ".h5"));
    assert_false(ends_with("h5", ".h5"));
    assert_true(ends_in_any_case("a.H5xyz", 4, ".h5"));
    assert_false(ends_in_any_case("a.h5", 3, ".h5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_name_says_packing_and_kind),
                                       cmocka_unit_test(weights_have_many_endings),
                                       cmocka_unit_test(endings_are_compared_as_they_stand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
