#include "io/file/process_identity.h"

#include "io/launched.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Copies text, one line and printable, into out[size].
static void copy_line(char *out, size_t size, const char *text)
{
    size_t i = 0;
    for (; i + 1 < size && text[i] != '\0'; i++)
        out[i] = text[i] > ' ' && text[i] <= '~' ? text[i] : '_';
    out[i] = '\0';
}

// First line of a small file of /proc; "" when there is none.
static void read_line(char *out, size_t size, const char *path)
{
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(out, (int)size, file) == NULL)
        out[0] = '\0';
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

// State letter and start time of a process, from /proc/PID/stat (proc(5): fields 3 and 22). False when there
// is no such process or no /proc.
static bool process_state(long pid, char *state, uint64_t *start)
{
    char path[64], line[2048];

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    read_line(line, sizeof line, path);
    // The program's name, field 2, may hold anything, also ") ": the last parenthesis ends it.
    const char *rest = strrchr(line, ')');
    if (rest == NULL || rest[1] != ' ')
        return false;
    *state = rest[2];
    for (int field = 3; field < 22 && rest != NULL; field++)
        rest = strchr(rest + (field == 3 ? 2 : 1), ' ');
    return rest != NULL && sscanf(rest, " %" SCNu64, start) == 1;
}

void process_identity_self(struct process_identity *identity)
{
    struct timespec now;
    struct tm utc;
    char text[256];
    char state;

    *identity = (struct process_identity){.pid = (long)getpid()};
    if (gethostname(text, sizeof text) != 0)
        text[0] = '\0';
    text[sizeof text - 1] = '\0';
    copy_line(identity->host, sizeof identity->host, text[0] != '\0' ? text : "unknown");
    read_line(text, sizeof text, "/proc/sys/kernel/random/boot_id");
    copy_line(identity->boot, sizeof identity->boot, text);
    const ssize_t length = readlink("/proc/self/ns/pid", text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    copy_line(identity->pid_namespace, sizeof identity->pid_namespace, text);
    if (!process_state(identity->pid, &state, &identity->start))
        identity->start = 0;

    const struct passwd *user = getpwuid(geteuid());
    snprintf(text, sizeof text, "%lu", (unsigned long)geteuid());
    copy_line(identity->user, sizeof identity->user, user != NULL ? user->pw_name : text);
    const char *job = launched_in_job();
    copy_line(identity->slurm_job, sizeof identity->slurm_job, job != NULL ? job : "");

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) == NULL ||
        strftime(identity->since, sizeof identity->since, "%FT%TZ", &utc) == 0)
        copy_line(identity->since, sizeof identity->since, "unknown");
    identity->nonce = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

size_t process_identity_format(char *out, size_t size, const struct process_identity *identity)
{
    const int used = snprintf(
        out, size,
        "host=%s\nboot=%s\npid_namespace=%s\npid=%ld\nstart=%" PRIu64 "\nuser=%s\nslurm_job=%s\nsince=%s\n"
        "nonce=%" PRIu64 "\nend=1\n",
        identity->host, identity->boot, identity->pid_namespace, identity->pid, identity->start,
        identity->user, identity->slurm_job, identity->since, identity->nonce);
    return used < 0 ? 0 : (size_t)used < size ? (size_t)used : size - 1;
}

// The value of `key` in "key=value" lines.
static bool find_value(char *out, size_t size, const char *text, const char *key)
{
    const size_t key_length = strlen(key);

    for (const char *line = text; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        if (line[length] == '\0')
            return false; // a line that is not ended is not complete
        if (length > key_length && strncmp(line, key, key_length) == 0 && line[key_length] == '=') {
            const size_t value_length = length - key_length - 1;
            if (value_length >= size)
                return false;
            memcpy(out, line + key_length + 1, value_length);
            out[value_length] = '\0';
            return true;
        }
        line += length + 1;
    }
    return false;
}

static bool find_number(uint64_t *out, const char *text, const char *key)
{
    char value[32], *end;

    if (!find_value(value, sizeof value, text, key) || value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    *out = strtoumax(value, &end, 10);
    return errno == 0 && *end == '\0';
}

bool process_identity_parse(struct process_identity *identity, const char *text)
{
    uint64_t pid, end;

    *identity = (struct process_identity){.pid = 0};
    if (!find_value(identity->host, sizeof identity->host, text, "host") ||
        !find_value(identity->boot, sizeof identity->boot, text, "boot") ||
        !find_value(identity->pid_namespace, sizeof identity->pid_namespace, text, "pid_namespace") ||
        !find_number(&pid, text, "pid") || pid == 0 || pid > INT32_MAX ||
        !find_number(&identity->start, text, "start") ||
        !find_value(identity->user, sizeof identity->user, text, "user") ||
        !find_value(identity->slurm_job, sizeof identity->slurm_job, text, "slurm_job") ||
        !find_value(identity->since, sizeof identity->since, text, "since") ||
        !find_number(&identity->nonce, text, "nonce") || !find_number(&end, text, "end"))
        return false;
    identity->pid = (long)pid;
    return true;
}

bool process_identity_same_host(const struct process_identity *a, const struct process_identity *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->boot, b->boot) == 0 &&
           strcmp(a->pid_namespace, b->pid_namespace) == 0;
}

bool process_identity_is_alive(const struct process_identity *identity)
{
    char state;
    uint64_t start;

    if (kill((pid_t)identity->pid, 0) != 0 && errno == ESRCH)
        return false;
    if (!process_state(identity->pid, &state, &start))
        return true; // there, and no /proc to tell more
    if (state == 'Z' || state == 'X')
        return false;
    return identity->start == 0 || start == identity->start;
}
