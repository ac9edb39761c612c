// wrap: write
// The event log: one JSON object a line, each in one write, and what a kill may leave behind.
#include "pipeline/record/log.h"
#include "version.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);

static struct {
    int interruptions; // so many times EINTR first
    int error;         // then this errno
    bool half;         // then only half of the bytes
    int writes;        // how often write was called
} fake;

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    fake.writes++;
    if (fake.interruptions > 0) {
        fake.interruptions--;
        errno = EINTR;
        return -1;
    }
    if (fake.error != 0) {
        errno = fake.error;
        return -1;
    }
    return __real_write(fd, bytes, fake.half ? size / 2 : size);
}

struct fixture {
    char run[64], path[96];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->run, "/tmp/coppice-test-log-XXXXXX");
    if (f == NULL || mkdtemp(f->run) == NULL)
        return -1;
    snprintf(f->path, sizeof f->path, "%s/log.jsonl", f->run);
    memset(&fake, 0, sizeof fake);
    unsetenv("SLURM_JOB_ID");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    rmdir(f->run);
    free(f);
    return 0;
}

static struct event_log *open_log(const struct fixture *f, int ranks)
{
    struct event_log *log = NULL;
    struct error err = {0};
    if (log_open(&log, f->run, ranks, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return log;
}

static void put_file(const struct fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *file_text(const struct fixture *f)
{
    static char text[65536];
    FILE *file = fopen(f->path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

// The index-th line of the file as JSON, NULL when it is not JSON. The caller decrefs.
static json_t *line_json(const struct fixture *f, size_t index)
{
    const char *text = file_text(f);
    for (; index > 0; index--)
        text += strcspn(text, "\n") + 1;
    return json_loadb(text, strcspn(text, "\n"), 0, NULL);
}

static const char *text_of(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

static bool is_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return true;
}

static void a_line_says_what_when_and_who(void **state)
{
    struct event_log *log = open_log(*state, 3);
    struct error err = {0};
    assert_int_equal(
        log_event(log, &err, "unit", "{s:s, s:i, s:f}", "stage", "score", "layer", 3, "seconds", 1.5),
        STATUS_OK);
    log_close(log);

    json_t *line = line_json(*state, 0);
    assert_string_equal(text_of(line, "event"), "unit");
    assert_true(is_time(text_of(line, "time")));
    assert_string_equal(text_of(line, "version"), COPPICE_VERSION);
    assert_int_equal(json_integer_value(json_object_get(line, "ranks")), 3);
    assert_null(json_object_get(line, "slurm_job"));
    assert_string_equal(text_of(line, "stage"), "score");
    assert_int_equal(json_integer_value(json_object_get(line, "layer")), 3);
    assert_true(json_real_value(json_object_get(line, "seconds")) == 1.5);
    json_decref(line);
    assert_memory_equal(file_text(*state), "{\"time\":", 8); // in an order that people can read
}

static void an_event_may_have_nothing_more_to_say(void **state)
{
    struct event_log *log = open_log(*state, 1);
    struct error err = {0};
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_OK);
    log_close(log);
    json_t *line = line_json(*state, 0);
    assert_string_equal(text_of(line, "event"), "start");
    json_decref(line);
}

static void inside_slurm_the_job_is_named(void **state)
{
    setenv("SLURM_JOB_ID", "4711", 1);
    struct event_log *log = open_log(*state, 1);
    struct error err = {0};
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_OK);
    log_close(log);
    unsetenv("SLURM_JOB_ID");
    json_t *line = line_json(*state, 0);
    assert_string_equal(text_of(line, "slurm_job"), "4711");
    json_decref(line);
}

static void an_event_cannot_change_what_every_line_has(void **state)
{
    struct event_log *log = open_log(*state, 1);
    struct error err = {0};
    assert_int_equal(log_event(log, &err, "start", "{s:s, s:i}", "event", "other", "ranks", 9), STATUS_OK);
    log_close(log);
    json_t *line = line_json(*state, 0);
    assert_string_equal(text_of(line, "event"), "start");
    assert_int_equal(json_integer_value(json_object_get(line, "ranks")), 1);
    json_decref(line);
}

static void what_was_there_stays(void **state)
{
    struct error err = {0};
    for (int start = 0; start < 3; start++) {
        struct event_log *log = open_log(*state, start);
        assert_int_equal(log_event(log, &err, "start", NULL), STATUS_OK);
        log_close(log);
    }
    for (size_t i = 0; i < 3; i++) {
        json_t *line = line_json(*state, i);
        assert_int_equal(json_integer_value(json_object_get(line, "ranks")), i);
        json_decref(line);
    }
}

static void each_event_is_one_write(void **state)
{
    struct event_log *log = open_log(*state, 1);
    struct error err = {0};
    assert_int_equal(fake.writes, 0);
    assert_int_equal(log_event(log, &err, "a", NULL), STATUS_OK);
    assert_int_equal(fake.writes, 1);
    assert_int_equal(log_event(log, &err, "b", "{s:s}", "text", "with \n a newline and \"quotes\""),
                     STATUS_OK);
    assert_int_equal(fake.writes, 2);
    log_close(log);
    json_t *line = line_json(*state, 1);
    assert_string_equal(text_of(line, "text"), "with \n a newline and \"quotes\"");
    json_decref(line);
}

static void a_torn_last_line_is_ended_first(void **state)
{
    struct error err = {0};
    put_file(*state, "{\"event\":\"start\"}\n{\"event\":\"un");
    struct event_log *log = open_log(*state, 1);
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_OK);
    log_close(log);
    assert_memory_equal(file_text(*state), "{\"event\":\"start\"}\n{\"event\":\"un\n{\"time\":", 39);
    assert_null(line_json(*state, 1));
    json_t *line = line_json(*state, 2);
    assert_string_equal(text_of(line, "event"), "start");
    json_decref(line);
}

static void a_whole_last_line_gets_no_empty_line_after_it(void **state)
{
    put_file(*state, "{}\n");
    log_close(open_log(*state, 1));
    assert_string_equal(file_text(*state), "{}\n");
}

static void an_interrupted_write_is_tried_again(void **state)
{
    struct event_log *log = open_log(*state, 1);
    struct error err = {0};
    fake.interruptions = 3;
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_OK);
    assert_int_equal(fake.writes, 4);
    log_close(log);
}

static void a_full_disk_is_said(void **state)
{
    const struct fixture *f = *state;
    struct event_log *log = open_log(f, 1);
    struct error err = {0};
    char expected[256];
    fake.error = ENOSPC;
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_FAILED);
    snprintf(expected, sizeof expected, "%s: cannot write: No space left on device", f->path);
    assert_string_equal(err.message, expected);

    fake.error = 0;
    fake.half = true;
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_FAILED);
    assert_non_null(strstr(err.message, "bytes were written"));
    log_close(log);

    fake.half = false; // and the half line does no harm later
    log = open_log(f, 1);
    assert_int_equal(log_event(log, &err, "start", NULL), STATUS_OK);
    log_close(log);
    json_t *line = line_json(f, 1);
    assert_string_equal(text_of(line, "event"), "start");
    json_decref(line);
}

static void a_run_directory_that_is_not_there_is_said(void **state)
{
    struct event_log *log = (void *)"not touched";
    struct error err = {0};
    (void)state;
    assert_int_equal(log_open(&log, "/nowhere/run", 1, &err), STATUS_FAILED);
    assert_string_equal(err.message, "/nowhere/run/log.jsonl: No such file or directory");
    assert_null(log);
}

static void a_wrong_format_is_an_error_and_writes_nothing(void **state)
{
    struct event_log *log = open_log(*state, 1);
    struct error err = {0};
    assert_int_equal(log_event(log, &err, "unit", "{s:q}", "stage"), STATUS_FAILED);
    assert_int_equal(log_event(log, &err, "unit", "[i]", 1), STATUS_FAILED);
    assert_int_equal(log_event(log, &err, "unit", "{s:s}", "text", "\xff"), STATUS_FAILED);
    assert_int_equal(log_event(log, &err, "\xff", NULL), STATUS_FAILED);
    log_close(log);
    assert_string_equal(file_text(*state), "");
}

static void other_ranks_have_no_log(void **state)
{
    struct error err = {0};
    (void)state;
    assert_int_equal(log_event(NULL, &err, "unit", "{s:i}", "layer", 1), STATUS_OK);
    log_close(NULL);
}

// Two programs at once (one watches, one works) do not mix their lines.
static void lines_of_two_processes_do_not_mix(void **state)
{
    enum { LINES = 200 };
    struct error err = {0};
    int status;
    struct event_log *log = open_log(*state, 1);
    const pid_t child = fork();
    assert_true(child >= 0);
    for (int i = 0; i < LINES; i++)
        if (log_event(log, &err, "unit", "{s:i, s:s}", "layer", i, "who", child == 0 ? "child" : "parent") !=
            STATUS_OK)
            exit(1);
    if (child == 0)
        _exit(0);
    log_close(log);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    size_t next[2] = {0, 0};
    const char *text = file_text(*state);
    for (size_t i = 0; i < 2 * LINES; i++) {
        const size_t length = strcspn(text, "\n");
        json_t *line = json_loadb(text, length, 0, NULL);
        assert_non_null(line);
        const size_t who = strcmp(text_of(line, "who"), "child") == 0;
        assert_int_equal(json_integer_value(json_object_get(line, "layer")), next[who]++);
        json_decref(line);
        text += length + 1;
    }
    assert_string_equal(text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_says_what_when_and_who),
        TEST(an_event_may_have_nothing_more_to_say),
        TEST(inside_slurm_the_job_is_named),
        TEST(an_event_cannot_change_what_every_line_has),
        TEST(what_was_there_stays),
        TEST(each_event_is_one_write),
        TEST(a_torn_last_line_is_ended_first),
        TEST(a_whole_last_line_gets_no_empty_line_after_it),
        TEST(an_interrupted_write_is_tried_again),
        TEST(a_full_disk_is_said),
        TEST(a_run_directory_that_is_not_there_is_said),
        TEST(a_wrong_format_is_an_error_and_writes_nothing),
        TEST(other_ranks_have_no_log),
        TEST(lines_of_two_processes_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
