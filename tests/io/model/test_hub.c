// hub.h: an id of the Hub is looked up in the cache of this machine, which is where huggingface_hub puts it.
#include "io/model/hub.h"
#include "io/model/open.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FIRST "0123456789abcdef0123456789abcdef01234567"
#define SECOND "89abcdef0123456789abcdef0123456789abcdef"

static const char *const variables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"};

static int set_up(void **state)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    *state = temporary_folder_create();
    setenv("HOME", *state, 1);
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// Makes FOLDER/a/b/c.
static void make_folder(const char *folder, const char *path)
{
    char part[PATH_SIZE];
    for (size_t i = 1; i <= strlen(path); i++)
        if (path[i] == '/' || path[i] == '\0') {
            path_format(part, sizeof part, "%s/%.*s", folder, (int)i, path);
            (void)mkdir(part, 0777);
        }
}

static void write_in(const char *folder, const char *directory, const char *name, const char *text)
{
    char path[PATH_SIZE];
    make_folder(folder, directory);
    path_format(path, sizeof path, "%s/%s", directory, name);
    write_text(folder, path, text);
}

// A repository in folder/hub: main is FIRST, v1 and refs/pr/1 are SECOND. The model of FIRST is of links.
static void make_repository(const char *folder, const char *hub, const char *name)
{
    char repository[PATH_SIZE], path[PATH_SIZE], link[PATH_SIZE];

    path_format(repository, sizeof repository, "%s/models--%s", hub, name);
    path_format(path, sizeof path, "%s/refs", repository);
    write_in(folder, path, "main", FIRST);
    write_in(folder, path, "v1", SECOND "\n");
    path_format(path, sizeof path, "%s/refs/refs/pr", repository);
    write_in(folder, path, "1", SECOND);
    path_format(path, sizeof path, "%s/blobs", repository);
    write_in(folder, path, "c0", "{}");
    write_in(folder, path, "c1", "weights");
    path_format(path, sizeof path, "%s/snapshots/" SECOND, repository);
    write_in(folder, path, "config.json", "{}");
    write_in(folder, path, "model.safetensors", "");
    path_format(path, sizeof path, "%s/snapshots/" FIRST, repository);
    make_folder(folder, path);
    path_format(link, sizeof link, "%s/%s/config.json", folder, path);
    assert_int_equal(symlink("../../blobs/c0", link), 0);
    path_format(link, sizeof link, "%s/%s/model.safetensors", folder, path);
    assert_int_equal(symlink("../../blobs/c1", link), 0);
}

// text is found in folder/hub with this commit.
static void assert_found(const char *folder, const char *hub, const char *name, const char *text,
                         const char *commit)
{
    struct error err = {0};
    struct hub_model model;
    char path[PATH_SIZE];

    assert_ok(hub_find(&model, text, NULL, &err), err);
    path_format(path, sizeof path, "%s/%s/models--%s/snapshots/%s", folder, hub, name, commit);
    assert_string_equal(model.path, path);
    assert_string_equal(model.commit, commit);
    assert_string_equal(model.notice, "");
}

static void assert_refused(const char *text, const char *commit, enum status status, const char *words)
{
    struct error err = {0};
    struct hub_model model;
    assert_int_equal(hub_find(&model, text, commit, &err), status);
    assert_error(err, status, words);
}

static void what_can_be_an_id(void **state)
{
    static const char *const ids[] = {"Qwen/Qwen3-0.6B",   "gpt2",          "a/b", "Qwen/Qwen3-0.6B@v1.0",
                                      "x_y/z.w@refs/pr/1", "gpt2@" FIRST ""};
    static const char *const others[] = {"",
                                         "/models/llama",
                                         "./llama",
                                         "../llama",
                                         "a/b/c",
                                         "models/",
                                         "/",
                                         "a//b",
                                         "q4.gguf",
                                         "a/b.GGUF",
                                         "model.safetensors",
                                         "-a/b",
                                         "a/b-",
                                         "a--b/c",
                                         "a/b@",
                                         "a/b@@",
                                         "a/b@../x",
                                         "a b/c",
                                         "a/b@/x",
                                         "~/a",
                                         "a/é"};
    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_true(hub_is_id(ids[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(hub_is_id(others[i]));
}

static void an_address_means_an_id(void **state)
{
    static const struct {
        const char *text, *id; // NULL: none
    } cases[] = {
        {"https://huggingface.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"},
        {"https://www.huggingface.co/Qwen/Qwen3-0.6B/", "Qwen/Qwen3-0.6B"},
        {"http://hf.co/gpt2", "gpt2"},
        {"hf.co/Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"},
        {"huggingface.co/Qwen/Qwen3-0.6B/tree/main", "Qwen/Qwen3-0.6B"},
        {"https://huggingface.co/Qwen/Qwen3-0.6B/tree/v1.0", "Qwen/Qwen3-0.6B@v1.0"},
        {"https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/config.json", "Qwen/Qwen3-0.6B"},
        {"https://hf.co/gpt2/resolve/abc/model.safetensors", "gpt2@abc"},
        {"hf://Qwen/Qwen3-0.6B@v1", "Qwen/Qwen3-0.6B@v1"},
        {"Qwen/Qwen3-0.6B/", "Qwen/Qwen3-0.6B"},
        {"gpt2//", "gpt2"},
        {"Qwen/Qwen3-0.6B", NULL}, // an id already
        {"https://huggingface.co/datasets/a/b", NULL},
        {"https://huggingface.co/", NULL},
        {"https://example.org/a/b", NULL},
        {"/models/llama/", NULL},
        {"../llama/", NULL},
        {"./llama", NULL},
        {"", NULL},
    };
    char id[64];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool found = hub_id_of_address(id, sizeof id, cases[i].text);
        if (found != (cases[i].id != NULL))
            fail_msg("%s", cases[i].text);
        if (found)
            assert_string_equal(id, cases[i].id);
    }
    assert_false(hub_id_of_address(id, 10, "hf.co/Qwen/Qwen3-0.6B")); // no room
}

static void the_cache_is_where_the_variables_say(void **state)
{
    const char *folder = *state;
    char value[PATH_SIZE];

    make_repository(folder, ".cache/huggingface/hub", "Qwen--Qwen3");
    assert_found(folder, ".cache/huggingface/hub", "Qwen--Qwen3", "Qwen/Qwen3", FIRST);
    make_repository(folder, "xdg/huggingface/hub", "Qwen--Qwen3");
    path_format(value, sizeof value, "%s/xdg", folder);
    setenv("XDG_CACHE_HOME", value, 1);
    assert_found(folder, "xdg/huggingface/hub", "Qwen--Qwen3", "Qwen/Qwen3", FIRST);
    make_repository(folder, "hf/hub", "Qwen--Qwen3");
    setenv("HF_HOME", "~/hf", 1); // a tilde that no shell has replaced
    assert_found(folder, "hf/hub", "Qwen--Qwen3", "Qwen/Qwen3", FIRST);
    make_repository(folder, "old", "Qwen--Qwen3");
    setenv("HUGGINGFACE_HUB_CACHE", "$HOME/old", 1); // nor a variable
    assert_found(folder, "old", "Qwen--Qwen3", "Qwen/Qwen3", FIRST);
    make_repository(folder, "new", "Qwen--Qwen3");
    setenv("HF_HUB_CACHE", "${HOME}/new", 1);
    assert_found(folder, "new", "Qwen--Qwen3", "Qwen/Qwen3", FIRST);
    setenv("HF_HUB_CACHE", "", 1); // as if it were not set
    assert_found(folder, "old", "Qwen--Qwen3", "Qwen/Qwen3", FIRST);
}

static void a_revision_is_a_name_or_a_commit(void **state)
{
    const char *folder = *state, *hub = ".cache/huggingface/hub";

    make_repository(folder, hub, "gpt2");
    assert_found(folder, hub, "gpt2", "gpt2", FIRST);
    assert_found(folder, hub, "gpt2", "gpt2@main", FIRST);
    assert_found(folder, hub, "gpt2", "gpt2@v1", SECOND);
    assert_found(folder, hub, "gpt2", "gpt2@refs/pr/1", SECOND);
    assert_found(folder, hub, "gpt2", "gpt2@" SECOND, SECOND);
    assert_refused("gpt2@v2", NULL, STATUS_USAGE,
                   "has not its revision v2; this fetches it: hf download gpt2 --revision v2");
}

static void a_commit_that_is_given_is_taken_whatever_the_revision_is(void **state)
{
    const char *folder = *state;
    struct error err = {0};
    struct hub_model model;

    make_repository(folder, ".cache/huggingface/hub", "gpt2");
    assert_ok(hub_find(&model, "gpt2", SECOND, &err), err);
    assert_string_equal(model.commit, SECOND);
    assert_refused("gpt2", "ffff", STATUS_USAGE,
                   "has not its commit ffff; this fetches it: hf download gpt2 --revision ffff");
    assert_refused("gpt2", "..", STATUS_USAGE, "gpt2: ");
}

static void what_is_not_there_is_fetched_by_a_command(void **state)
{
    char words[PATH_SIZE];
    path_format(words, sizeof words,
                "Qwen/Qwen3-0.6B: there is no such folder, and none in the Hugging Face cache, "
                "%s/.cache/huggingface/hub; this fetches it: hf download Qwen/Qwen3-0.6B",
                (const char *)*state);
    assert_refused("Qwen/Qwen3-0.6B", NULL, STATUS_USAGE, words);
    assert_refused("Qwen/Qwen3-0.6B@v1", NULL, STATUS_USAGE, "hf download Qwen/Qwen3-0.6B --revision v1");
}

static void a_download_that_lacks_files_says_which(void **state)
{
    static const char *const repository = ".cache/huggingface/hub/models--gpt2";
    const char *folder = *state;
    char snapshot[PATH_SIZE], path[PATH_SIZE];

    path_format(snapshot, sizeof snapshot, "%s/snapshots/" FIRST, repository);
    make_repository(folder, ".cache/huggingface/hub", "gpt2");
    path_format(path, sizeof path, "%s/%s/blobs/c1", folder, repository);
    assert_int_equal(unlink(path), 0);
    assert_refused("gpt2", NULL, STATUS_INPUT, "not complete: model.safetensors is missing in ");
    path_format(path, sizeof path, "%s/%s/model.safetensors", folder, snapshot);
    assert_int_equal(unlink(path), 0);
    assert_refused("gpt2", NULL, STATUS_INPUT, "not complete: model.safetensors is missing in ");
    write_in(folder, snapshot, "model.safetensors.index.json",
             "{\"weight_map\": {\"a\": \"w-2.safetensors\", \"b\": \"w-1.safetensors\", \"c\": "
             "\"w-3.safetensors\"}}");
    assert_refused("gpt2", NULL, STATUS_INPUT, "w-1.safetensors is missing");
    write_in(folder, snapshot, "w-1.safetensors", "");
    write_in(folder, snapshot, "w-3.safetensors", "");
    assert_refused("gpt2", NULL, STATUS_INPUT, "w-2.safetensors is missing");
    path_format(path, sizeof path, "%s/blobs", repository);
    write_in(folder, path, "c2.incomplete", "");
    assert_refused("gpt2", NULL, STATUS_INPUT,
                   "blobs holds unfinished (.incomplete) files; this completes it: hf download gpt2");
    path_format(path, sizeof path, "%s/%s/config.json", folder, snapshot);
    assert_int_equal(unlink(path), 0);
    assert_refused("gpt2", NULL, STATUS_INPUT, "config.json is missing");
}

static void links_that_nothing_needs_may_lead_nowhere(void **state)
{
    static const char *const snapshot = ".cache/huggingface/hub/models--gpt2/snapshots/" FIRST;
    static const struct {
        const char *name;
        bool needed;
    } links[] = {{"README.md", false},
                 {"LICENSE", false},
                 {"plot.png", false},
                 {"consolidated.safetensors", false},
                 {"generation_config.json", true},
                 {"merges.txt", true},
                 {"model.safetensors", true}};
    const char *folder = *state;
    char path[PATH_SIZE];

    make_repository(folder, ".cache/huggingface/hub", "gpt2");
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        struct error err = {0};
        struct hub_model model;
        path_format(path, sizeof path, "%s/%s/%s", folder, snapshot, links[i].name);
        (void)unlink(path);
        assert_int_equal(symlink("../../blobs/gone", path), 0);
        assert_int_equal(hub_find(&model, "gpt2", NULL, &err), links[i].needed ? STATUS_INPUT : STATUS_OK);
        if (links[i].needed)
            assert_error(err, STATUS_INPUT, links[i].name);
        assert_int_equal(unlink(path), 0);
    }
}

// Whoever opens the model says how it is converted.
static void a_download_of_gguf_alone_lacks_nothing(void **state)
{
    static const char *const snapshot = ".cache/huggingface/hub/models--gpt2/snapshots/" FIRST;
    struct error err = {0};
    struct hub_model hub;
    struct model *model;
    char path[PATH_SIZE];

    make_repository(*state, ".cache/huggingface/hub", "gpt2");
    path_format(path, sizeof path, "%s/%s/model.safetensors", (const char *)*state, snapshot);
    assert_int_equal(unlink(path), 0);
    path_format(path, sizeof path, "%s/%s/config.json", (const char *)*state, snapshot);
    assert_int_equal(unlink(path), 0);
    write_in(*state, snapshot, "gpt2-q4.gguf", "GGUF");
    assert_ok(hub_find(&hub, "gpt2", NULL, &err), err);
    assert_int_equal(model_open(&model, hub.path, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "gguf_file='gpt2-q4.gguf'"));
}

static void files_under_way_beside_a_model_are_said(void **state)
{
    struct error err = {0};
    struct hub_model model;

    make_repository(*state, ".cache/huggingface/hub", "gpt2");
    write_in(*state, ".cache/huggingface/hub/models--gpt2/blobs", "c2.incomplete", "");
    assert_ok(hub_find(&model, "gpt2", NULL, &err), err);
    assert_non_null(strstr(model.notice,
                           "some download of it is not (.incomplete); this completes it: hf download gpt2"));
}

static void the_folder_of_a_repository_says_the_id(void **state)
{
    static const struct {
        const char *path, *id; // NULL: none
    } cases[] = {
        {"/cache/models--Qwen--Qwen3-0.6B/snapshots/c1", "Qwen/Qwen3-0.6B"},
        {"models--gpt2/snapshots/c1", "gpt2"},
        {"/cache/models--a-b--c_d.e", "a-b/c_d.e"},
        {"/models--old--one/x/models--new--one/snapshots/1/", "new/one"}, // the innermost
        {"/data/my-models--a--b", NULL},
        {"/cache/models--", NULL},
        {"/cache/models----b", NULL},
        {"/cache/models--a--b--c", NULL}, // no id has that
        {"/models/llama", NULL},
        {"", NULL},
    };
    char id[64];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool found = hub_id_of_path(id, sizeof id, cases[i].path);
        assert_int_equal(found, cases[i].id != NULL);
        if (found)
            assert_string_equal(id, cases[i].id);
    }
    assert_false(hub_id_of_path(id, 10, "/cache/models--Qwen--Qwen3-0.6B/snapshots/c1")); // no room
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_can_be_an_id, set_up, tear_down),
        cmocka_unit_test(the_folder_of_a_repository_says_the_id),
        cmocka_unit_test(an_address_means_an_id),
        cmocka_unit_test_setup_teardown(links_that_nothing_needs_may_lead_nowhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_cache_is_where_the_variables_say, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_revision_is_a_name_or_a_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_commit_that_is_given_is_taken_whatever_the_revision_is, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_fetched_by_a_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_download_that_lacks_files_says_which, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_download_of_gguf_alone_lacks_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_under_way_beside_a_model_are_said, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
