// interpose.c - a shared object for LD_PRELOAD that makes one call of the real program fail, on one rank.
//
// It stands before libc and HDF5. A call counts when it comes from the program itself, or from a small
// library that works for it alone (Jansson, LibYAML, PCRE2, zlib, xxHash, LAPACKE): what Open MPI, HDF5 and
// libc do inside is left alone. The calls of each name are numbered from 1 in the order in which a rank makes
// them.
//
//   FAULT_RANK=1          the rank that is counted or failed; the others only have the watchdog
//   FAULT_COUNT=FILE      writes a line "NAME NUMBER ADDRESS ADDRESS..." per call at the end: the return
//   addresses
//                         within the program, the innermost first, relative to where it is loaded
//   FAULT_CALL=NAME:NUMBER:ERRNO   fails that call with this errno (a number); NUMBER+ : and all later ones;
//                         rename with 0 is lost: neither made nor failed
//   FAULT_REPORT=FILE     gets "TIME ADDRESSES..." once the call has failed; TIME in microseconds since 1970
//   FAULT_PAUSE=PATTERN   a rank that is to rename a file to a path like this waits there until it is killed,
//   FAULT_PAUSE_FOR=SECONDS  or so long, or until the next signal
//   FAULT_STOP=PATTERN    the same, once, and with SIGSTOP: SIGCONT lets it go on
//   FAULT_HOST=NAME       what the machine is called
//   FAULT_LOCKS=ERRNO     nobody gets a lock of a file, neither the program nor HDF5 nor MPI
//   FAULT_LIMIT=SECONDS   a rank that still runs then says where it is, and ends with 124
#include "tests/preload/rank.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fts.h>
#include <hdf5.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CALLS = 128, MAX_RANGES = 32, MAX_FRAMES = 48, EXIT_HANGS = 124 };

struct range {
    uintptr_t begin, end;
};

static struct {
    bool ready, is_counting;
    uintptr_t base;                   // where the program is loaded
    struct range program;             // its code
    struct range helpers[MAX_RANGES]; // the small libraries' code
    size_t num_helpers;
    int rank;
    const char *call, *report, *pause, *pause_for, *stop, *host;
    unsigned long number, limit;
    bool for_ever;
    int reason, lock_reason;
    int count_file;
} fault = {.count_file = -1};

static struct {
    const char *name;
    unsigned long calls;
} counters[MAX_CALLS];

// Not counted twice: what a counted call calls itself, and the backtrace's own allocations.
static _Thread_local int depth;

// ---- whose call it is -----------------------------------------------------------------------------------

static bool is_within(const struct range *range, const void *address)
{
    return (uintptr_t)address >= range->begin && (uintptr_t)address < range->end;
}

static bool is_helper(const char *path)
{
    static const char *const names[] = {"libjansson", "libyaml",   "libpcre2",
                                        "libz.",      "libxxhash", "liblapacke"};
    const char *slash = strrchr(path, '/');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(slash != NULL ? slash + 1 : path, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static int note_code(struct dl_phdr_info *info, size_t size, void *context)
{
    bool *is_first = context;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
            continue;
        const uintptr_t begin = (uintptr_t)info->dlpi_addr + (uintptr_t)segment->p_vaddr;
        const struct range range = {begin, begin + (uintptr_t)segment->p_memsz};
        if (*is_first) {
            fault.base = (uintptr_t)info->dlpi_addr;
            fault.program = range;
        } else if (is_helper(info->dlpi_name) && fault.num_helpers < MAX_RANGES) {
            fault.helpers[fault.num_helpers++] = range;
        }
    }
    *is_first = false;
    return 0;
}

// ---- what is written down --------------------------------------------------------------------------------

// " 0x1234 0x5678": the program's frames. Returns the length.
static size_t format_frames(char *text, size_t size)
{
    void *frames[MAX_FRAMES];
    size_t used = 0;
    const int n = backtrace(frames, MAX_FRAMES);
    for (int i = 0; i < n && used + 24 < size; i++)
        if (is_within(&fault.program, frames[i]))
            used += (size_t)snprintf(text + used, size - used, " %#lx",
                                     (unsigned long)((uintptr_t)frames[i] - fault.base - 1));
    return used;
}

static void put(int file, const char *text, size_t length)
{
    // Straight to the kernel: this library's own calls must not be failed.
    while (length > 0) {
        const long written = syscall(SYS_write, file, text, length);
        if (written <= 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

static void write_count(const char *name, unsigned long number)
{
    char line[64 + 24 * MAX_FRAMES];
    size_t used = (size_t)snprintf(line, 64, "%s %lu", name, number);
    used += format_frames(line + used, sizeof line - used - 1);
    line[used++] = '\n';
    put(fault.count_file, line, used);
}

static void write_report(void)
{
    char line[64 + 24 * MAX_FRAMES];
    struct timespec now;
    const int file = (int)syscall(SYS_openat, AT_FDCWD, fault.report, O_WRONLY | O_CREAT | O_APPEND, 0666);

    clock_gettime(CLOCK_REALTIME, &now);
    size_t used = (size_t)snprintf(line, 64, "%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    used += format_frames(line + used, sizeof line - used - 1);
    line[used++] = '\n';
    put(file, line, used);
    syscall(SYS_close, file);
}

// ---- the decision ----------------------------------------------------------------------------------------

static unsigned long count_call(const char *name)
{
    for (size_t i = 0; i < MAX_CALLS; i++) {
        if (counters[i].name == NULL)
            counters[i].name = name;
        if (strcmp(counters[i].name, name) == 0)
            return ++counters[i].calls;
    }
    return 0;
}

// Whether the call that `caller` makes is to fail; sets errno if so.
static bool is_failing(const char *name, const void *caller)
{
    bool is_ours = false, fails = false;

    if (!fault.ready || depth > 0)
        return false;
    is_ours = is_within(&fault.program, caller);
    for (size_t i = 0; i < fault.num_helpers && !is_ours; i++)
        is_ours = is_within(&fault.helpers[i], caller);
    if (!is_ours || (fault.call != NULL && strcmp(name, fault.call) != 0))
        return false;
    depth++;
    const int kept = errno;
    const unsigned long number = count_call(name);
    if (fault.is_counting) {
        write_count(name, number);
    } else if (number == fault.number || (fault.for_ever && number > fault.number)) {
        fails = true;
        if (number == fault.number && fault.report != NULL)
            write_report();
    }
    errno = fails ? fault.reason : kept;
    depth--;
    return fails;
}

static void *find_next(const char *name)
{
    depth++; // dlsym may allocate
    void *symbol = dlsym(RTLD_NEXT, name);
    depth--;
    return symbol;
}

// ---- the watchdog ----------------------------------------------------------------------------------------

static void say_where(int signal_number)
{
    char line[64 + 24 * MAX_FRAMES];
    const struct timespec pause = {1, 0};
    (void)signal_number;
    depth++;
    size_t used = (size_t)snprintf(line, 64, "watchdog: rank %d hangs at", fault.rank);
    used += format_frames(line + used, sizeof line - used - 1);
    line[used++] = '\n';
    put(STDERR_FILENO, line, used);
    nanosleep(&pause, NULL); // so that the others can say it, too, before the launcher ends them
    _exit(EXIT_HANGS);
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

__attribute__((constructor)) static void begin(void)
{
    static char call[64];
    const char *wanted = setting("FAULT_CALL"), *count = setting("FAULT_COUNT"),
               *rank = setting("FAULT_RANK");
    const char *mine = rank_of_launcher(), *limit = setting("FAULT_LIMIT");
    bool is_first = true;
    void *frame;

    depth++;
    fault.rank = mine != NULL ? atoi(mine) : 0;
    fault.report = setting("FAULT_REPORT");
    fault.pause = setting("FAULT_PAUSE");
    fault.pause_for = setting("FAULT_PAUSE_FOR");
    fault.stop = setting("FAULT_STOP");
    fault.host = setting("FAULT_HOST");
    fault.lock_reason = setting("FAULT_LOCKS") != NULL ? atoi(setting("FAULT_LOCKS")) : 0;
    dl_iterate_phdr(note_code, &is_first);
    backtrace(&frame, 1); // loads the unwinder now
    if (limit != NULL) {
        signal(SIGALRM, say_where);
        alarm((unsigned)strtoul(limit, NULL, 10));
    }
    if (rank == NULL || atoi(rank) == fault.rank) {
        if (count != NULL) {
            fault.count_file = (int)syscall(SYS_openat, AT_FDCWD, count, O_WRONLY | O_CREAT | O_APPEND, 0666);
            fault.is_counting = fault.ready = fault.count_file >= 0;
        } else if (wanted != NULL && strcspn(wanted, ":") < sizeof call && strchr(wanted, ':') != NULL) {
            char *end;
            memcpy(call, wanted, strcspn(wanted, ":"));
            fault.call = call;
            fault.number = strtoul(strchr(wanted, ':') + 1, &end, 10);
            fault.for_ever = *end == '+';
            end += *end == '+';
            fault.reason = *end == ':' ? atoi(end + 1) : EIO;
            fault.ready = true;
        }
    }
    unsetenv("LD_PRELOAD"); // the program's own children are not tested
    depth--;
}

// ---- the calls -------------------------------------------------------------------------------------------

#define CALLER __builtin_return_address(0)

// A function pointer out of dlsym's pointer, as ISO C has no cast for it.
#define NEXT(pointer, name)                               \
    do {                                                  \
        if ((pointer) == NULL) {                          \
            void *symbol_ = find_next(name);              \
            memcpy(&(pointer), &symbol_, sizeof symbol_); \
        }                                                 \
    } while (0)

// Fails instead of being made.
#define BEFORE(result, call, failure, parameters, arguments)           \
    result call parameters;                                            \
    result call parameters                                             \
    {                                                                  \
        static result(*next) parameters;                               \
        NEXT(next, #call);                                             \
        return is_failing(#call, CALLER) ? (failure) : next arguments; \
    }
// Is made, and then says that it failed: what a call that gives something back does.
#define AFTER(result, call, failure, parameters, arguments) \
    result call parameters;                                 \
    result call parameters                                  \
    {                                                       \
        static result(*next) parameters;                    \
        NEXT(next, #call);                                  \
        const bool fails = is_failing(#call, CALLER);       \
        const int reason = errno;                           \
        const result made = next arguments;                 \
        if (fails)                                          \
            errno = reason;                                 \
        return fails ? (failure) : made;                    \
    }

// Memory. dlsym itself may allocate before the next calloc is known.
static char early[4096];
static size_t early_used;

static void *allocate_early(size_t size)
{
    void *memory = early + early_used;
    early_used += (size + 15) / 16 * 16;
    return early_used <= sizeof early ? memory : NULL;
}

void *calloc(size_t count, size_t size)
{
    static void *(*next)(size_t, size_t);
    static bool is_looking;
    if (next == NULL) {
        if (is_looking)
            return allocate_early(count * size);
        is_looking = true;
        NEXT(next, "calloc");
    }
    return is_failing("calloc", CALLER) ? NULL : next(count, size);
}

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    static bool is_looking;
    if (next == NULL) {
        if (is_looking)
            return allocate_early(size);
        is_looking = true;
        NEXT(next, "malloc");
    }
    return is_failing("malloc", CALLER) ? NULL : next(size);
}

void free(void *memory)
{
    static void (*next)(void *);
    if ((uintptr_t)memory >= (uintptr_t)early && (uintptr_t)memory < (uintptr_t)early + sizeof early)
        return;
    NEXT(next, "free");
    next(memory);
}

BEFORE(void *, realloc, NULL, (void *memory, size_t size), (memory, size))
BEFORE(void *, aligned_alloc, NULL, (size_t alignment, size_t size), (alignment, size))
BEFORE(char *, strdup, NULL, (const char *string), (string))
BEFORE(FILE *, open_memstream, NULL, (char **text, size_t *size), (text, size))
BEFORE(void *, mmap, MAP_FAILED, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
       (at, size, protection, flags, fd, offset))

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    static int (*next)(void **, size_t, size_t);
    NEXT(next, "posix_memalign");
    return is_failing("posix_memalign", CALLER) ? ENOMEM : next(memory, alignment, size);
}

// Files.
int open(const char *path, int flags, ...)
{
    static int (*next)(const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    NEXT(next, "open");
    return is_failing("open", CALLER) ? -1 : next(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    static int (*next)(int, const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    NEXT(next, "openat");
    return is_failing("openat", CALLER) ? -1 : next(folder, path, flags, mode);
}

BEFORE(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
BEFORE(ssize_t, read, -1, (int fd, void *bytes, size_t size), (fd, bytes, size))
BEFORE(ssize_t, pread, -1, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at))
BEFORE(ssize_t, write, -1, (int fd, const void *bytes, size_t size), (fd, bytes, size))
BEFORE(ssize_t, pwrite, -1, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
// An inlined getline calls this.
BEFORE(ssize_t, __getdelim, -1, (char **line, size_t *size, int delimiter, FILE *file),
       (line, size, delimiter, file))
// SECONDS, a number with or without a fraction; NULL: for ever.
static void wait_before(const char *seconds)
{
    if (seconds == NULL)
        for (;;)
            pause();
    const double length = strtod(seconds, NULL);
    const struct timespec time = {(time_t)length, (long)((length - (double)(time_t)length) * 1e9)};
    const int kept = errno;
    nanosleep(&time, NULL);
    errno = kept;
}

// With errno 0 it lies: it says that it was done.
int rename(const char *from, const char *to)
{
    static int (*next)(const char *, const char *);
    NEXT(next, "rename");
    if (fault.pause != NULL && fnmatch(fault.pause, to, 0) == 0)
        wait_before(fault.pause_for);
    if (fault.stop != NULL && fnmatch(fault.stop, to, 0) == 0) {
        fault.stop = NULL;
        raise(SIGSTOP);
    }
    if (is_failing("rename", CALLER))
        return errno == 0 ? 0 : -1;
    return next(from, to);
}

int gethostname(char *name, size_t size)
{
    static int (*next)(char *, size_t);
    NEXT(next, "gethostname");
    if (fault.host == NULL)
        return next(name, size);
    snprintf(name, size, "%s", fault.host);
    return 0;
}

// Locks.
int flock(int fd, int operation)
{
    static int (*next)(int, int);
    NEXT(next, "flock");
    if (fault.lock_reason == 0)
        return next(fd, operation);
    errno = fault.lock_reason;
    return -1;
}

static int control(int (*next)(int, int, ...), int fd, int command, void *argument)
{
    static const int locking[] = {F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW};
    for (size_t i = 0; i < sizeof locking / sizeof *locking && fault.lock_reason != 0; i++)
        if (command == locking[i]) {
            errno = fault.lock_reason;
            return -1;
        }
    return next(fd, command, argument);
}

// What callers give as a number comes through as a pointer of the same size.
#define CONTROL(call)                                \
    int call(int fd, int command, ...)               \
    {                                                \
        static int (*next)(int, int, ...);           \
        va_list arguments;                           \
        va_start(arguments, command);                \
        void *argument = va_arg(arguments, void *);  \
        va_end(arguments);                           \
        NEXT(next, #call);                           \
        return control(next, fd, command, argument); \
    }
CONTROL(fcntl)
int fcntl64(int fd, int command, ...);
CONTROL(fcntl64)

BEFORE(int, fsync, -1, (int fd), (fd))
BEFORE(int, ftruncate, -1, (int fd, off_t size), (fd, size))
BEFORE(int, fallocate, -1, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
BEFORE(int, link, -1, (const char *from, const char *to), (from, to))
BEFORE(int, unlink, -1, (const char *path), (path))
BEFORE(int, unlinkat, -1, (int folder, const char *path, int flags), (folder, path, flags))
BEFORE(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
BEFORE(int, rmdir, -1, (const char *path), (path))
BEFORE(int, stat, -1, (const char *restrict path, struct stat *restrict info), (path, info))
BEFORE(int, lstat, -1, (const char *restrict path, struct stat *restrict info), (path, info))
BEFORE(int, fstat, -1, (int fd, struct stat *info), (fd, info))
BEFORE(int, fstatat, -1, (int folder, const char *restrict path, struct stat *restrict info, int flags),
       (folder, path, info, flags))
BEFORE(int, access, -1, (const char *path, int mode), (path, mode))
BEFORE(int, statvfs, -1, (const char *restrict path, struct statvfs *restrict space), (path, space))
BEFORE(int, fstatvfs, -1, (int fd, struct statvfs *space), (fd, space))
BEFORE(int, futimens, -1, (int fd, const struct timespec times[2]), (fd, times))
BEFORE(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
BEFORE(DIR *, opendir, NULL, (const char *path), (path))
BEFORE(DIR *, fdopendir, NULL, (int fd), (fd))
BEFORE(struct dirent *, readdir, NULL, (DIR * folder), (folder))
BEFORE(int, scandir, -1,
       (const char *restrict path, struct dirent ***restrict names, int (*select)(const struct dirent *),
        int (*compare)(const struct dirent **, const struct dirent **)),
       (path, names, select, compare))
BEFORE(FTS *, fts_open, NULL,
       (char *const *paths, int options, int (*compare)(const FTSENT **, const FTSENT **)),
       (paths, options, compare))
BEFORE(FTSENT *, fts_read, NULL, (FTS * tree), (tree))
AFTER(int, close, -1, (int fd), (fd))
AFTER(int, fclose, EOF, (FILE * file), (file))

// HDF5. Those that are collective with the MPI-IO driver are made, so that the other ranks come back from
// them; what fails inside MPI-IO before it talks to others is another test's
// (tests/io/store/test_failures.c).
BEFORE(hid_t, H5Fcreate, -1, (const char *path, unsigned flags, hid_t creation, hid_t access_list),
       (path, flags, creation, access_list))
BEFORE(hid_t, H5Gcreate2, -1, (hid_t at, const char *name, hid_t links, hid_t creation, hid_t access_list),
       (at, name, links, creation, access_list))
BEFORE(herr_t, H5Gclose, -1, (hid_t group), (group))
BEFORE(hid_t, H5Dcreate2, -1,
       (hid_t at, const char *name, hid_t type, hid_t space, hid_t links, hid_t creation, hid_t access_list),
       (at, name, type, space, links, creation, access_list))
BEFORE(hid_t, H5Dopen2, -1, (hid_t at, const char *name, hid_t access_list), (at, name, access_list))
BEFORE(hid_t, H5Dget_space, -1, (hid_t dataset), (dataset))
BEFORE(hid_t, H5Dget_type, -1, (hid_t dataset), (dataset))
BEFORE(haddr_t, H5Dget_offset, HADDR_UNDEF, (hid_t dataset), (dataset))
BEFORE(herr_t, H5Dread, -1, (hid_t dataset, hid_t type, hid_t memory, hid_t file, hid_t list, void *data),
       (dataset, type, memory, file, list, data))
AFTER(herr_t, H5Dwrite, -1,
      (hid_t dataset, hid_t type, hid_t memory, hid_t file, hid_t list, const void *data),
      (dataset, type, memory, file, list, data))
BEFORE(hid_t, H5Acreate2, -1,
       (hid_t at, const char *name, hid_t type, hid_t space, hid_t creation, hid_t access_list),
       (at, name, type, space, creation, access_list))
BEFORE(hid_t, H5Aopen, -1, (hid_t at, const char *name, hid_t access_list), (at, name, access_list))
BEFORE(hid_t, H5Aopen_by_name, -1,
       (hid_t at, const char *object, const char *name, hid_t access_list, hid_t links),
       (at, object, name, access_list, links))
BEFORE(herr_t, H5Aread, -1, (hid_t attribute, hid_t type, void *value), (attribute, type, value))
BEFORE(herr_t, H5Awrite, -1, (hid_t attribute, hid_t type, const void *value), (attribute, type, value))
BEFORE(herr_t, H5Adelete, -1, (hid_t object, const char *name), (object, name))
BEFORE(htri_t, H5Aexists, -1, (hid_t object, const char *name), (object, name))
BEFORE(hid_t, H5Aget_space, -1, (hid_t attribute), (attribute))
BEFORE(hid_t, H5Aget_type, -1, (hid_t attribute), (attribute))
BEFORE(htri_t, H5Lexists, -1, (hid_t at, const char *name, hid_t links), (at, name, links))
BEFORE(herr_t, H5Literate, -1,
       (hid_t group, H5_index_t by, H5_iter_order_t order, hsize_t *at, H5L_iterate_t visit, void *context),
       (group, by, order, at, visit, context))
BEFORE(hid_t, H5Oopen, -1, (hid_t at, const char *name, hid_t links), (at, name, links))
BEFORE(hid_t, H5Pcreate, -1, (hid_t class), (class))
AFTER(herr_t, H5Pset_fapl_mpio, -1, (hid_t list, MPI_Comm comm, MPI_Info info), (list, comm, info))
BEFORE(herr_t, H5Pset_dxpl_mpio, -1, (hid_t list, H5FD_mpio_xfer_t mode), (list, mode))
BEFORE(herr_t, H5Pset_layout, -1, (hid_t list, H5D_layout_t layout), (list, layout))
BEFORE(herr_t, H5Pset_userblock, -1, (hid_t list, hsize_t size), (list, size))
BEFORE(hid_t, H5Screate, -1, (H5S_class_t class), (class))
BEFORE(hid_t, H5Screate_simple, -1, (int rank, const hsize_t *now, const hsize_t *most), (rank, now, most))
BEFORE(herr_t, H5Sselect_hyperslab, -1,
       (hid_t space, H5S_seloper_t how, const hsize_t *start, const hsize_t *stride, const hsize_t *count,
        const hsize_t *block),
       (space, how, start, stride, count, block))
BEFORE(herr_t, H5Sselect_none, -1, (hid_t space), (space))
BEFORE(int, H5Sget_simple_extent_dims, -1, (hid_t space, hsize_t *now, hsize_t *most), (space, now, most))
BEFORE(int, H5Sget_simple_extent_ndims, -1, (hid_t space), (space))
BEFORE(hid_t, H5Tcopy, -1, (hid_t type), (type))
BEFORE(htri_t, H5Tequal, -1, (hid_t one, hid_t other), (one, other))
BEFORE(herr_t, H5Tset_size, -1, (hid_t type, size_t size), (type, size))
// Opened alone; what all ranks open together is left alone.
hid_t H5Fopen(const char *path, unsigned flags, hid_t access_list)
{
    static hid_t (*next)(const char *, unsigned, hid_t);
    static herr_t (*look)(hid_t, MPI_Comm *, MPI_Info *);
    NEXT(next, "H5Fopen");
    static herr_t (*clear)(hid_t);
    NEXT(look, "H5Pget_fapl_mpio");
    NEXT(clear, "H5Eclear2");
    const bool alone = look(access_list, NULL, NULL) < 0;
    clear(H5E_DEFAULT); // a failed look is no error
    if (alone && is_failing("H5Fopen", CALLER))
        return -1;
    return next(path, flags, access_list);
}

AFTER(herr_t, H5Fclose, -1, (hid_t file), (file))
AFTER(herr_t, H5Dclose, -1, (hid_t dataset), (dataset))
