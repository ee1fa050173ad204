/* A disk that forgets what was not flushed: loaded into the server with LD_PRELOAD.
 *
 * It owns the file calls of one data directory. For each file it remembers what every 512-byte
 * sector held when the file was last flushed, and which names were made and removed since the
 * directory was. At a named instant it writes all of that down (the undo file) and kills the
 * process with SIGKILL, while every other file call and every answer waits. The test then decides
 * what of it the power cut takes: nothing, all of it, or some sectors (tests/it/powercut/disk.rs).
 *
 * Names are as strict as POSIX allows: a new file, the removal of one, and the data directory itself
 * are durable when the directory they are in was flushed.
 *
 * It flushes nothing itself: the page cache survives SIGKILL, and what is durable is its book.
 *
 * Law: a call that changes a file and the book about it are one step, under one lock; the lock is
 * never given back by who cuts the power. So nothing is durable that was not flushed before the
 * instant, and nothing is answered after it.
 *
 * From the environment:
 *   POWERCUT_DIR      the data directory, absolute
 *   POWERCUT_CONTROL  a file of sizeof(struct control), mapped: counts, and faults to make
 *   POWERCUT_UNDO     where the undo file goes; what is unlinked is kept beside it
 *   POWERCUT_AT       "<phase> <point> <before|after> <nth>": the instant; without it, only counts
 *   POWERCUT_MARK     bytes; a page of the WAL that has them is a step of the cursor
 *   POWERCUT_LIE      set: flushes succeed and flush nothing, as a broken disk's do
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PHASES = 3, SECTOR = 512, FDS = 65536, FILES = 256, NAMES = 256, NAME = 64, PATH = 1024 };

enum point {
    WAL_WRITE, WAL_RESET, WAL_SYNC, WAL_TRUNCATE, DB_WRITE, DB_SYNC, DB_TRUNCATE, JOURNAL_WRITE,
    JOURNAL_SYNC, JOURNAL_UNLINK, FILE_CREATE, DIR_SYNC, CURSOR_WRITE, CURSOR_SYNC, ANSWER, POINTS
};
static const char *const POINT_NAMES[POINTS] = {
    "wal-write", "wal-reset", "wal-sync", "wal-truncate", "db-write", "db-sync", "db-truncate",
    "journal-write", "journal-sync", "journal-unlink", "file-create", "dir-sync", "cursor-write",
    "cursor-sync", "answer"
};
enum when { BEFORE, AFTER };

enum fault { NONE, NO_SPACE, SYNC_FAILS, CUT_NOW };

/* Shared with the test. */
struct control {
    volatile uint32_t fault;   /* enum fault; the test sets it */
    volatile uint32_t times;   /* how often; 0: until the test says otherwise */
    volatile uint32_t refused; /* calls that were made to fail */
    volatile uint32_t fired;   /* 1: the instant came */
    volatile uint32_t phase;   /* of the server's life; the test sets it */
    struct {
        char name[24];
        volatile uint32_t passed[PHASES][2]; /* before, after */
    } points[POINTS];
};

enum kind { OTHER, WAL, DB, JOURNAL };

/* What a sector held when its file was last flushed; zeros where the file had ended. */
struct sector {
    uint64_t number;
    /* A flush of it failed: a later flush does not save it, unless it is written again. */
    int dropped;
    unsigned char old[SECTOR];
};

/* One inode. Kept when its name is gone, for the name may come back. */
struct file {
    char name[NAME];
    char saved[PATH]; /* where its unlinked inode is kept; "" while it has its name */
    enum kind kind;
    off_t durable; /* its size when it was last flushed */
    struct sector **index, **dirty;
    size_t indexed, dirties, room;
    int marked; /* a step of the cursor was written since the last flush */
    int listed; /* 1 while its name leads to it */
};

/* A name made or removed since the directory was flushed. */
struct change { int made; struct file *file; };

static struct file files[FILES];
static size_t nfiles;
static struct change changes[NAMES];
static size_t nchanges, nsaved;
static int folder_made; /* the directory itself is newer than the last flush of its parent */

enum slot { FREE, FOLDER, PARENT, CALLER, TRACKED };
static struct { enum slot slot; struct file *file; } fds[FDS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct control *control;
static char dir[PATH], parent[PATH], undo_path[PATH], mark[256];
static size_t dir_len, mark_len;
static int lie, armed;
static enum point at_point;
static enum when at_when;
static unsigned at_phase, at_nth;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_rename)(const char *, const char *);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_accept4)(int, struct sockaddr *, socklen_t *, int);
static int (*real_fsync)(int);

static void die(const char *what)
{
    dprintf(2, "powercut: %s: %s\n", what, strerror(errno));
    abort();
}

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) die(name);
    return found;
}

static const char *setting(const char *name, char *to, size_t room)
{
    const char *value = getenv(name);
    if (!value) return NULL;
    if (strlen(value) >= room) die(name);
    return strcpy(to, value);
}

__attribute__((constructor)) static void start(void)
{
    real_open = real("open64");
    real_openat = real("openat64");
    real_close = real("close");
    real_pwrite = real("pwrite64");
    real_write = real("write");
    real_writev = real("writev");
    real_send = real("send");
    real_ftruncate = real("ftruncate64");
    real_unlink = real("unlink");
    real_unlinkat = real("unlinkat");
    real_rename = real("rename");
    real_mkdir = real("mkdir");
    real_accept4 = real("accept4");
    real_fsync = real("fsync");

    char path[PATH], at[128], point[64], when[16];
    if (!setting("POWERCUT_DIR", dir, PATH) || !setting("POWERCUT_UNDO", undo_path, PATH)
        || !setting("POWERCUT_CONTROL", path, PATH)) {
        die("POWERCUT_DIR, POWERCUT_UNDO and POWERCUT_CONTROL have to be set");
    }
    dir_len = strlen(dir);
    strcpy(parent, dir);
    *strrchr(parent, '/') = 0;
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) die(path);
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) die(path);
    real_close(fd);
    for (int i = 0; i < POINTS; i++) strcpy(control->points[i].name, POINT_NAMES[i]);
    if (setting("POWERCUT_MARK", mark, sizeof mark)) mark_len = strlen(mark);
    lie = getenv("POWERCUT_LIE") != NULL;
    if (setting("POWERCUT_AT", at, sizeof at)) {
        if (sscanf(at, "%u %63s %15s %u", &at_phase, point, when, &at_nth) != 4) die(at);
        at_when = strcmp(when, "before") ? AFTER : BEFORE;
        for (at_point = 0; strcmp(POINT_NAMES[at_point], point);) {
            if (++at_point == POINTS) die(point);
        }
        armed = 1;
    }
}

/* --- the undo file ----------------------------------------------------------------------------
 * Records, numbers little-endian and 64 bits wide:
 *   'D'                                the data directory itself is not durable
 *   'F' name saved durable sectors     then for each sector: number, old bytes
 *   'N' made name saved                a name made (1) or removed (0), in order
 * Strings are NAME or PATH bytes, padded with zeros. */

static FILE *undo;

static void put(const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, undo) != n) die("cannot write the undo file");
}

static void put_number(uint64_t n)
{
    put(&n, sizeof n);
}

__attribute__((noreturn)) static void cut(void)
{
    undo = fopen(undo_path, "we");
    if (!undo) die(undo_path);
    if (folder_made) put("D", 1);
    for (size_t i = 0; i < nfiles; i++) {
        struct file *file = &files[i];
        put("F", 1);
        put(file->name, NAME);
        put(file->saved, PATH);
        put_number((uint64_t)file->durable);
        put_number(file->dirties);
        for (size_t s = 0; s < file->dirties; s++) {
            put_number(file->dirty[s]->number);
            put(file->dirty[s]->old, SECTOR);
        }
    }
    for (size_t i = 0; i < nchanges; i++) {
        put("N", 1);
        put_number((uint64_t)changes[i].made);
        put(changes[i].file->name, NAME);
        put(changes[i].file->saved, PATH);
    }
    if (fflush(undo)) die("cannot write the undo file");
    control->fired = 1;
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Under the lock. */
static void pass(enum point point, enum when when)
{
    unsigned phase = control->phase, count = ++control->points[point].passed[phase][when];
    if (armed && phase == at_phase && point == at_point && when == at_when && count == at_nth) {
        cut();
    }
    if (control->fault == CUT_NOW) cut();
}

static int fails(enum fault fault)
{
    if (control->fault != fault) return 0;
    control->refused++;
    if (control->times && --control->times == 0) control->fault = NONE;
    return 1;
}

/* --- the book of a file ----------------------------------------------------------------------- */

static off_t size_of(int fd)
{
    struct stat found;
    if (fstat(fd, &found)) die("fstat");
    return found.st_size;
}

/* The file has readers of its own position: reads go through a descriptor that can read. */
static void keep(struct file *file, int fd, off_t from, off_t to)
{
    for (uint64_t n = (uint64_t)from / SECTOR; (off_t)(n * SECTOR) < to; n++) {
        if (n >= file->indexed) {
            size_t room = (n + 1) * 2;
            file->index = realloc(file->index, room * sizeof *file->index);
            if (!file->index) die("memory");
            memset(file->index + file->indexed, 0,
                   (room - file->indexed) * sizeof *file->index);
            file->indexed = room;
        }
        struct sector *sector = file->index[n];
        if (sector) {
            sector->dropped = 0;
            continue;
        }
        sector = calloc(1, sizeof *sector);
        if (!sector) die("memory");
        sector->number = n;
        if (pread(fd, sector->old, SECTOR, (off_t)(n * SECTOR)) < 0) die("pread");
        file->index[n] = sector;
        if (file->dirties == file->room) {
            file->room = file->room ? file->room * 2 : 64;
            file->dirty = realloc(file->dirty, file->room * sizeof *file->dirty);
            if (!file->dirty) die("memory");
        }
        file->dirty[file->dirties++] = sector;
    }
}

static void flushed(struct file *file, int fd)
{
    size_t left = 0;
    for (size_t i = 0; i < file->dirties; i++) {
        struct sector *sector = file->dirty[i];
        if (sector->dropped) {
            file->dirty[left++] = sector;
            continue;
        }
        file->index[sector->number] = NULL;
        free(sector);
    }
    file->dirties = left;
    file->durable = size_of(fd);
}

static enum kind kind_of(const char *name)
{
    size_t n = strlen(name);
    if (n > 4 && !strcmp(name + n - 4, "-wal")) return WAL;
    if (n > 8 && !strcmp(name + n - 8, "-journal")) return JOURNAL;
    if (n > 3 && !strcmp(name + n - 3, ".db")) return DB;
    return OTHER;
}

/* The name of a file in the data directory that has to outlive a power cut; NULL for any other. */
static const char *name_in_dir(const char *path)
{
    if (strncmp(path, dir, dir_len) || path[dir_len] != '/') return NULL;
    const char *name = path + dir_len + 1;
    size_t n = strlen(name);
    if (strchr(name, '/') || n == 0 || n >= NAME) return NULL;
    /* What all connections share while they are open; rebuilt from the WAL. */
    if (n > 4 && !strcmp(name + n - 4, "-shm")) return NULL;
    return name;
}

static struct file *find(const char *name)
{
    for (size_t i = 0; i < nfiles; i++) {
        if (files[i].listed && !strcmp(files[i].name, name)) return &files[i];
    }
    return NULL;
}

static void note(int made, struct file *file)
{
    if (nchanges == NAMES) die("too many names between two flushes of the directory");
    changes[nchanges++] = (struct change){made, file};
}

static struct file *learn(const char *name, off_t durable)
{
    if (nfiles == FILES) die("too many files");
    struct file *file = &files[nfiles++];
    strcpy(file->name, name);
    file->kind = kind_of(name);
    file->durable = durable;
    file->listed = 1;
    return file;
}

/* --- names ------------------------------------------------------------------------------------ */

static int opened(int at, const char *path, int flags, mode_t mode)
{
    const char *name = name_in_dir(path);
    if (!name) {
        int fd = real_openat(at, path, flags, mode);
        if (fd >= 0 && fd < FDS) {
            int folder = !strcmp(path, dir), above = !strcmp(path, parent);
            fds[fd].slot = folder ? FOLDER : above ? PARENT : FREE;
        }
        return fd;
    }
    pthread_mutex_lock(&lock);
    struct stat before;
    int there = !stat(path, &before);
    int made = !there && (flags & O_CREAT);
    if (made && control->fault == NO_SPACE && fails(NO_SPACE)) {
        pthread_mutex_unlock(&lock);
        errno = ENOSPC;
        return -1;
    }
    if (made) pass(FILE_CREATE, BEFORE);
    int fd = real_openat(at, path, flags, mode);
    if (fd >= 0) {
        if (fd >= FDS) die("a descriptor beyond the table");
        struct file *file = find(name);
        if (!file) {
            file = learn(name, there ? before.st_size : 0);
            if (made) note(1, file);
        }
        if (flags & O_TRUNC && there && before.st_size > 0) die("O_TRUNC is not in the book");
        fds[fd].file = file;
        fds[fd].slot = TRACKED;
        if (made) pass(FILE_CREATE, AFTER);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags, mode)                             \
    mode_t mode = 0;                                  \
    if ((flags) & (O_CREAT | O_TMPFILE)) {            \
        va_list rest;                                 \
        va_start(rest, flags);                        \
        mode = va_arg(rest, mode_t);                  \
        va_end(rest);                                 \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    MODE(flags, mode)
    return opened(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    MODE(flags, mode)
    return opened(at, path, flags | O_LARGEFILE, mode);
}

int close(int fd)
{
    /* Before the number can be given to another thread. */
    if (fd >= 0 && fd < FDS) fds[fd].slot = FREE;
    return real_close(fd);
}

int mkdir(const char *path, mode_t mode)
{
    int made = real_mkdir(path, mode);
    if (!made && !strcmp(path, dir)) folder_made = 1;
    return made;
}

static int removed(const char *path, int (*remove)(const char *))
{
    const char *name = name_in_dir(path);
    if (!name) return remove(path);
    pthread_mutex_lock(&lock);
    struct file *file = find(name);
    struct stat found;
    int there = !stat(path, &found);
    if (!file && there) file = learn(name, found.st_size);
    int journal = there && file->kind == JOURNAL;
    if (journal) pass(JOURNAL_UNLINK, BEFORE);
    if (there) {
        snprintf(file->saved, PATH, "%.*s.saved-%zu", PATH - 32, undo_path, nsaved++);
        if (link(path, file->saved)) die(file->saved);
    }
    int result = remove(path);
    if (!result && there) {
        file->listed = 0;
        note(0, file);
    }
    if (journal) pass(JOURNAL_UNLINK, AFTER);
    pthread_mutex_unlock(&lock);
    return result;
}

int unlink(const char *path)
{
    return removed(path, real_unlink);
}

static int remove_at(const char *path)
{
    return real_unlinkat(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
    if (flags & AT_REMOVEDIR || !name_in_dir(path)) return real_unlinkat(at, path, flags);
    return removed(path, remove_at);
}

int rename(const char *from, const char *to)
{
    /* Nothing that lives in the database's folder is renamed; if that changes, so must the book. */
    if (name_in_dir(from) || name_in_dir(to)) die("rename is not in the book");
    return real_rename(from, to);
}

/* --- contents --------------------------------------------------------------------------------- */

static int tracked(int fd)
{
    return fd >= 0 && fd < FDS && fds[fd].slot == TRACKED;
}

static ssize_t written(int fd, const void *bytes, size_t n, off_t offset)
{
    pthread_mutex_lock(&lock);
    struct file *file = fds[fd].file;
    enum point point = POINTS;
    if (file->kind == WAL) point = offset == 0 ? WAL_RESET : WAL_WRITE;
    if (file->kind == DB) point = DB_WRITE;
    if (file->kind == JOURNAL) point = JOURNAL_WRITE;
    int cursor = file->kind == WAL && mark_len && memmem(bytes, n, mark, mark_len);
    if (cursor) file->marked = 1;
    /* As on a real disk: what has its blocks can be overwritten, what is new has none. */
    if (offset + (off_t)n > size_of(fd) && fails(NO_SPACE)) {
        pthread_mutex_unlock(&lock);
        errno = ENOSPC;
        return -1;
    }
    if (point < POINTS) pass(point, BEFORE);
    if (cursor) pass(CURSOR_WRITE, BEFORE);
    keep(file, fd, offset, offset + (off_t)n);
    ssize_t result = real_pwrite(fd, bytes, n, offset);
    if (point < POINTS) pass(point, AFTER);
    if (cursor) pass(CURSOR_WRITE, AFTER);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
    return tracked(fd) ? written(fd, bytes, n, offset) : real_pwrite(fd, bytes, n, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    return pwrite64(fd, bytes, n, offset);
}

static int truncated(int fd, off_t to)
{
    if (!tracked(fd)) return real_ftruncate(fd, to);
    pthread_mutex_lock(&lock);
    struct file *file = fds[fd].file;
    enum point point = file->kind == WAL ? WAL_TRUNCATE : DB_TRUNCATE;
    int named = file->kind == WAL || file->kind == DB;
    if (named) pass(point, BEFORE);
    off_t size = size_of(fd);
    if (to < size) keep(file, fd, to, size);
    int result = real_ftruncate(fd, to);
    if (named) pass(point, AFTER);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate64(int fd, off_t to)
{
    return truncated(fd, to);
}

int ftruncate(int fd, off_t to)
{
    return truncated(fd, to);
}

static int synced(int fd)
{
    enum slot slot = fd >= 0 && fd < FDS ? fds[fd].slot : FREE;
    if (slot != TRACKED && slot != FOLDER && slot != PARENT) return real_fsync(fd);
    pthread_mutex_lock(&lock);
    int result = 0;
    if (slot == PARENT) {
        if (!lie) folder_made = 0;
    } else if (slot == FOLDER) {
        pass(DIR_SYNC, BEFORE);
        if (!lie) nchanges = 0;
        pass(DIR_SYNC, AFTER);
    } else {
        struct file *file = fds[fd].file;
        enum point point = file->kind == WAL  ? WAL_SYNC
                         : file->kind == DB   ? DB_SYNC
                         : file->kind == JOURNAL ? JOURNAL_SYNC
                                                 : POINTS;
        int cursor = file->marked;
        if (point < POINTS) pass(point, BEFORE);
        if (cursor) pass(CURSOR_SYNC, BEFORE);
        if (fails(SYNC_FAILS)) {
            for (size_t i = 0; i < file->dirties; i++) file->dirty[i]->dropped = 1;
            errno = EIO;
            result = -1;
        } else if (!lie) {
            flushed(file, fd);
        }
        file->marked = 0;
        if (point < POINTS) pass(point, AFTER);
        if (cursor) pass(CURSOR_SYNC, AFTER);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fsync(int fd)
{
    return synced(fd);
}

int fdatasync(int fd)
{
    return synced(fd);
}

/* --- answers ---------------------------------------------------------------------------------- */

int accept4(int listener, struct sockaddr *address, socklen_t *length, int flags)
{
    int fd = real_accept4(listener, address, length, flags);
    if (fd >= 0 && fd < FDS) fds[fd].slot = CALLER;
    return fd;
}

/* The start of an answer that says: accepted. */
static int acknowledges(int fd, const void *bytes, size_t n)
{
    static const char START[] = "HTTP/1.1 202 ";
    return fd >= 0 && fd < FDS && fds[fd].slot == CALLER && n >= sizeof START - 1
        && !memcmp(bytes, START, sizeof START - 1);
}

static void answers(enum when when)
{
    pthread_mutex_lock(&lock);
    pass(ANSWER, when);
    pthread_mutex_unlock(&lock);
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    int answer = acknowledges(fd, bytes, n);
    if (answer) answers(BEFORE);
    ssize_t result = real_send(fd, bytes, n, flags);
    if (answer) answers(AFTER);
    return result;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (tracked(fd)) {
        off_t offset = lseek(fd, 0, SEEK_CUR);
        ssize_t result = written(fd, bytes, n, offset);
        if (result > 0) lseek(fd, result, SEEK_CUR);
        return result;
    }
    int answer = acknowledges(fd, bytes, n);
    if (answer) answers(BEFORE);
    ssize_t result = real_write(fd, bytes, n);
    if (answer) answers(AFTER);
    return result;
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    if (tracked(fd)) die("writev is not in the book");
    int answer = n > 0 && acknowledges(fd, parts[0].iov_base, parts[0].iov_len);
    if (answer) answers(BEFORE);
    ssize_t result = real_writev(fd, parts, n);
    if (answer) answers(AFTER);
    return result;
}
