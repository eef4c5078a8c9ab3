/* The compiled form of functions that cost most of a watch's CPU; Linux, CPython 3.11 and newer.

   Each function equals the Python function of the same name, which is named above it and is the
   rule: same arguments, same results, same errors. No decision is made here that is not made there.
   What a kernel or a caller hands in is not trusted: each length is compared with what is there.

   It uses CPython's limited API, so that one build serves every version, and keeps no state.
   `limpet/_compiled.py` chooses between the two forms; `hatch_build.py` compiles. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#if !defined(__SIZEOF_INT128__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "made for 64-bit little-endian systems; the Python form serves the others"
#endif

#define INTERFACE 8 /* of limpet/_compiled.py */

/* -- statx: limpet/watching/index/_statx.py ------------------------------------------------------- */

#define SECOND 1000000000
#define COARSE_NS 2020000000LL /* this and the flags: limpet/watching/index/_entry_record.py */
#define RECORD_SIZE 63
#define WANTED 0xFFFU
#define CHUNK 128

static int64_t
clamped(__int128 value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

/* The arguments `now` and `racy` of the Python functions. */
struct moment {
    long long now, racy;
};

/* Equals _entry_record.flags_of. */
static uint8_t
flags_of(__int128 ctime, __int128 birth, struct moment when)
{
    int coarse = ctime % SECOND == 0;
    int fresh = when.now - ctime < (coarse ? COARSE_NS : when.racy);
    int young = when.now - birth < (birth % SECOND ? when.racy : COARSE_NS);
    return (uint8_t)(fresh | young << 1 | coarse << 2);
}

static char *
put(char *at, const void *value, size_t size)
{
    memcpy(at, value, size);
    return at + size;
}

/* Equals what statx_records (shortcut = 1) and statx_directory (0) make of one answer, which
   are _entry_record.pack_fields and pack_clamped: the struct "<QqIIIIHqqIqB". */
static void
pack_record(char *record, const struct statx *facts, struct moment when, int shortcut)
{
    __int128 birth = 0, ctime;
    uint8_t flags;
    if (facts->stx_mask & STATX_BTIME)
        birth = (__int128)facts->stx_btime.tv_sec * SECOND + facts->stx_btime.tv_nsec;
    ctime = (__int128)facts->stx_ctime.tv_sec * SECOND + facts->stx_ctime.tv_nsec;
    if (shortcut && facts->stx_ctime.tv_nsec && facts->stx_btime.tv_nsec) {
        __int128 young = (__int128)when.now - when.racy;
        flags = (uint8_t)((ctime > young) | (birth > young) << 1);
    }
    else
        flags = flags_of(ctime, birth, when);
    uint64_t inode = facts->stx_ino;
    int64_t born = clamped(birth), changed = clamped(ctime), written = facts->stx_mtime.tv_sec;
    int64_t size = clamped((__int128)facts->stx_size);
    uint32_t device = (uint32_t)makedev(facts->stx_dev_major, facts->stx_dev_minor);
    uint32_t nlink = facts->stx_nlink, uid = facts->stx_uid, gid = facts->stx_gid;
    uint32_t written_ns = facts->stx_mtime.tv_nsec;
    uint16_t mode = facts->stx_mode;
    char *at = record;
    at = put(at, &inode, 8);
    at = put(at, &born, 8);
    at = put(at, &device, 4);
    at = put(at, &nlink, 4);
    at = put(at, &uid, 4);
    at = put(at, &gid, 4);
    at = put(at, &mode, 2);
    at = put(at, &size, 8);
    at = put(at, &written, 8);
    at = put(at, &written_ns, 4);
    at = put(at, &changed, 8);
    put(at, &flags, 1);
}

/* Stat up to CHUNK names without the GIL. codes[i] is 0, ENOENT where the name is not there, or
   the errno of the first for which there is no answer, where it stops; returns how many it did. */
static Py_ssize_t
stat_chunk(int fd, char *const *names, Py_ssize_t count, struct moment when, char (*records)[RECORD_SIZE],
           int *codes)
{
    struct statx facts;
    for (Py_ssize_t i = 0; i < count; i++) {
        codes[i] = 0;
        if (statx(fd, names[i], AT_SYMLINK_NOFOLLOW, WANTED, &facts) < 0) {
            codes[i] = errno;
            if (errno == ENOTDIR || errno == ELOOP)
                codes[i] = ENOENT;
            if (codes[i] != ENOENT)
                return i + 1;
            continue;
        }
        pack_record(records[i], &facts, when, 1);
    }
    return count;
}

/* Equals _statx.statx_records; the GIL is let go once for each CHUNK names. */
static PyObject *
statx_records(PyObject *module, PyObject *args)
{
    int fd;
    struct moment when;
    PyObject *wanted;
    (void)module;
    if (!PyArg_ParseTuple(args, "iOLL:statx_records", &fd, &wanted, &when.now, &when.racy))
        return NULL;
    PyObject *names = PySequence_List(wanted);
    if (names == NULL)
        return NULL;
    Py_ssize_t size = PyList_Size(names), done = 0;
    PyObject *result = PyList_New(size);
    if (result == NULL)
        goto failed;
    while (done < size) {
        char records[CHUNK][RECORD_SIZE], *texts[CHUNK];
        PyObject *encoded[CHUNK];
        int codes[CHUNK];
        Py_ssize_t count = size - done < CHUNK ? size - done : CHUNK, ready = 0, statted;
        while (ready < count) {
            PyObject *text = PyUnicode_EncodeFSDefault(PyList_GetItem(names, done + ready));
            if (text == NULL)
                break; /* after those before it, as if each were encoded when its turn comes */
            encoded[ready] = text;
            texts[ready++] = PyBytes_AsString(text);
        }
        PyObject *type = NULL, *value = NULL, *traceback = NULL;
        if (ready < count)
            PyErr_Fetch(&type, &value, &traceback);
        Py_BEGIN_ALLOW_THREADS
        statted = stat_chunk(fd, texts, ready, when, records, codes);
        Py_END_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < ready; i++)
            Py_DECREF(encoded[i]);
        int broken = 0;
        for (Py_ssize_t i = 0; i < statted && !broken; i++) {
            PyObject *record;
            if (codes[i] == ENOENT)
                record = Py_NewRef(Py_None);
            else if (codes[i]) {
                errno = codes[i];
                PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError,
                                                     PyList_GetItem(names, done + i));
                record = NULL;
            }
            else
                record = PyBytes_FromStringAndSize(records[i], RECORD_SIZE);
            broken = record == NULL || PyList_SetItem(result, done + i, record) < 0;
        }
        if (broken) {
            Py_XDECREF(type);
            Py_XDECREF(value);
            Py_XDECREF(traceback);
            goto failed;
        }
        if (ready < count) {
            PyErr_Restore(type, value, traceback);
            goto failed;
        }
        done += count;
    }
    Py_DECREF(names);
    return result;
failed:
    Py_DECREF(names);
    Py_XDECREF(result);
    return NULL;
}

/* One name of records_in: its text, and what was found. */
struct stated {
    PyObject *encoded;
    const char *text;
    int code; /* as in stat_chunk */
    char record[RECORD_SIZE];
};

/* The records of `count` names; takes the errno of the first for which there is no answer. */
static PyObject *
list_stated(const struct stated *all, Py_ssize_t count, PyObject *names)
{
    PyObject *records = PyList_New(count);
    for (Py_ssize_t i = 0; i < count && records != NULL; i++) {
        PyObject *record = NULL;
        if (all[i].code == ENOENT)
            record = Py_NewRef(Py_None);
        else if (all[i].code) {
            errno = all[i].code;
            PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, PyList_GetItem(names, i));
        }
        else
            record = PyBytes_FromStringAndSize(all[i].record, RECORD_SIZE);
        if (record == NULL || PyList_SetItem(records, i, record) < 0)
            Py_CLEAR(records);
    }
    return records;
}

/* Equals _statx.records_in; the GIL is let go once for all of it. */
static PyObject *
records_in(PyObject *module, PyObject *args)
{
    PyObject *path, *names, *records = NULL, *result = NULL;
    PyObject *type = NULL, *value = NULL, *traceback = NULL;
    struct stated *all = NULL;
    struct stat found;
    unsigned long long device, inode;
    struct moment when;
    int flags, fd, code = 0, is_it = 0;
    Py_ssize_t count, ready = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&iKKO!LL:records_in", PyUnicode_FSConverter, &path, &flags,
                          &device, &inode, &PyList_Type, &names, &when.now, &when.racy))
        return NULL;
    count = PyList_Size(names);
    all = malloc((size_t)(count ? count : 1) * sizeof *all);
    if (all == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (; ready < count; ready++) {
        all[ready].encoded = PyUnicode_EncodeFSDefault(PyList_GetItem(names, ready));
        if (all[ready].encoded == NULL)
            break; /* raised after all that comes before it */
        all[ready].text = PyBytes_AsString(all[ready].encoded);
    }
    if (ready < count)
        PyErr_Fetch(&type, &value, &traceback);
    count = ready;
    const char *place = PyBytes_AsString(path);
    Py_BEGIN_ALLOW_THREADS
    fd = open(place, flags);
    if (fd < 0 || fstat(fd, &found) < 0)
        code = errno;
    else if (found.st_dev == device && found.st_ino == inode) {
        is_it = 1;
        for (Py_ssize_t i = 0; i < count; i++) {
            struct statx facts;
            all[i].code = 0;
            if (statx(fd, all[i].text, AT_SYMLINK_NOFOLLOW, WANTED, &facts) == 0)
                pack_record(all[i].record, &facts, when, 1);
            else if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
                all[i].code = ENOENT;
            else {
                all[i].code = errno;
                count = i + 1; /* the list ends with the error */
            }
        }
    }
    if (fd >= 0)
        close(fd);
    Py_END_ALLOW_THREADS
    if (code) {
        errno = code;
        PyObject *shown = PyUnicode_DecodeFSDefault(place);
        if (shown != NULL)
            PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, shown);
        Py_XDECREF(shown);
        goto done;
    }
    records = is_it ? list_stated(all, count, names) : Py_NewRef(Py_None);
    if (records != NULL && is_it && type != NULL) {
        PyErr_Restore(type, value, traceback);
        type = value = traceback = NULL;
    }
    else if (records != NULL)
        result = Py_BuildValue("(KKO)", (unsigned long long)found.st_dev,
                               (unsigned long long)found.st_ino, records);
done:
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    Py_XDECREF(records);
    for (Py_ssize_t i = 0; i < ready; i++)
        Py_DECREF(all[i].encoded);
    free(all);
    Py_DECREF(path);
    return result;
}

/* Equals _statx.statx_directory. */
static PyObject *
statx_directory(PyObject *module, PyObject *args)
{
    int fd, failed;
    struct moment when;
    struct statx facts;
    char record[RECORD_SIZE];
    (void)module;
    if (!PyArg_ParseTuple(args, "iLL:statx_directory", &fd, &when.now, &when.racy))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = statx(fd, "", AT_EMPTY_PATH, WANTED, &facts) < 0;
    Py_END_ALLOW_THREADS
    if (failed)
        return PyErr_SetFromErrno(PyExc_OSError);
    pack_record(record, &facts, when, 0);
    return Py_BuildValue("(y#KK)", record, (Py_ssize_t)RECORD_SIZE,
                         (unsigned long long)makedev(facts.stx_dev_major, facts.stx_dev_minor),
                         (unsigned long long)facts.stx_ino);
}

/* Equals nothing: packs an answer of statx that a test made up, as statx_records would, or as
   statx_directory. */
static PyObject *
pack_statx(PyObject *module, PyObject *args)
{
    Py_buffer answer;
    struct moment when;
    int shortcut;
    char record[RECORD_SIZE];
    struct statx facts;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*LLp:pack_statx", &answer, &when.now, &when.racy, &shortcut))
        return NULL;
    memset(&facts, 0, sizeof facts);
    size_t size = (size_t)answer.len;
    memcpy(&facts, answer.buf, size < sizeof facts ? size : sizeof facts);
    PyBuffer_Release(&answer);
    pack_record(record, &facts, when, shortcut);
    return PyBytes_FromStringAndSize(record, RECORD_SIZE);
}

/* -- kernel records: limpet/backends/_fanotify_records.py, _inotify_records.py ----------------- */

enum { /* hints, of limpet/backends/_base.py */
    HINT_WRITE = 1,
    HINT_CLOSED = 2,
    HINT_CREATE = 4,
    HINT_DELETE = 8,
    HINT_ATTRIB = 16,
    HINT_MOVED = 32,
    HINT_GONE = 64,
    HINT_SELF_MOVED = 128,
    HINT_OWN = 256,
    HINT_OTHER = 512,
    HINT_ISDIR = 1024,
    HINT_AWAY = 2048,
    HINT_HERE = 4096,
};

/* Add bits to a name: names[name] = names.get(name, 0) | bits. */
static int
add_bits(PyObject *names, PyObject *name, long bits)
{
    PyObject *before = PyDict_GetItemWithError(names, name);
    if (before == NULL && PyErr_Occurred())
        return -1;
    if (before != NULL) {
        long had = PyLong_AsLong(before);
        if ((had | bits) == had)
            return had == -1 && PyErr_Occurred() ? -1 : 0;
        bits |= had;
    }
    PyObject *number = PyLong_FromLong(bits);
    if (number == NULL)
        return -1;
    int result = PyDict_SetItem(names, name, number);
    Py_DECREF(number);
    return result;
}

/* hints.setdefault(key, {}); a borrowed reference. */
static PyObject *
names_of(PyObject *hints, PyObject *key)
{
    PyObject *names = PyDict_GetItemWithError(hints, key);
    if (names != NULL || PyErr_Occurred())
        return names;
    names = PyDict_New();
    if (names == NULL)
        return NULL;
    int failed = PyDict_SetItem(hints, key, names) < 0;
    Py_DECREF(names); /* the mapping has it */
    return failed ? NULL : names;
}

/* Add the hints of what was touched to those of renames; takes over the reference to touched. */
static PyObject *
hints_after_renames(PyObject *hints, PyObject *touched)
{
    PyObject *key, *names, *name, *bits;
    Py_ssize_t at = 0;
    if (PyDict_Size(hints) == 0) {
        Py_DECREF(hints);
        return touched;
    }
    while (PyDict_Next(touched, &at, &key, &names)) {
        PyObject *found = names_of(hints, key);
        Py_ssize_t inner = 0;
        if (found == NULL)
            goto failed;
        while (PyDict_Next(names, &inner, &name, &bits))
            if (add_bits(found, name, PyLong_AsLong(bits)) < 0)
                goto failed;
    }
    Py_DECREF(touched);
    return hints;
failed:
    Py_DECREF(touched);
    Py_DECREF(hints);
    return NULL;
}

/* The name from `text` up to the next NUL; the byte before `end` is one. */
static PyObject *
decoded(const char *text, const char *end)
{
    return PyUnicode_DecodeFSDefaultAndSize(
        text, (const char *)memchr(text, 0, (size_t)(end - text)) - text);
}

#define FAN_HEAD 24
#define FAN_INFO 20
#define FAN_OLD_NAME 10
#define FAN_OVERFLOWN 0x4000U
#define FAN_RENAMED 0x10000000U

struct fan_head {
    uint32_t length;
    uint16_t version, head;
    uint64_t mask;
    int32_t fd, pid;
};

struct fan_merge {
    PyObject *touched, *hints, *moves; /* hints: those of renames */
    PyObject *last_key, *last_names;   /* borrowed from touched: most records are of one directory */
    long own;
};

/* Equals _fanotify_records._bits_of. */
static long
fan_bits(uint64_t mask, int is_own)
{
    return (mask & 0x2 ? HINT_WRITE : 0) | (mask & 0x8 ? HINT_CLOSED : 0)
           | (mask & 0x100 ? HINT_CREATE : 0) | (mask & 0x200 ? HINT_DELETE : 0)
           | (mask & 0x4 ? HINT_ATTRIB : 0) | (mask & FAN_RENAMED ? HINT_MOVED : 0)
           | (mask & 0x400 ? HINT_GONE : 0) | (mask & 0x800 ? HINT_SELF_MOVED : 0)
           | (mask & 0x40000000 ? HINT_ISDIR : 0) | (is_own ? HINT_OWN : HINT_OTHER);
}

/* One end of a rename, its key and its name, into the hints; both references are the caller's. */
static int
fan_end(struct fan_merge *merge, const char *info, const char *name, const char *end, long bits,
        PyObject **key, PyObject **text)
{
    PyObject *names;
    *text = NULL;
    *key = PyBytes_FromStringAndSize(info + 4, name - info - 4);
    if (*key == NULL)
        return -1;
    *text = decoded(name, end);
    if (*text != NULL && (names = names_of(merge->hints, *key)) != NULL
        && add_bits(names, *text, bits) == 0)
        return 0;
    Py_CLEAR(*key);
    Py_CLEAR(*text);
    return -1;
}

/* Equals _fanotify_records._ends_of_rename; 1 for a record that cannot be. `handle_end` was
   compared with `end`, and the last byte is a NUL. */
static int
fan_rename(struct fan_merge *merge, const unsigned char *info, const unsigned char *handle_end,
           const unsigned char *end, long bits)
{
    size_t start = (size_t)info[2] | (size_t)info[3] << 8, size = (size_t)(end - info);
    int both = info[0] == FAN_OLD_NAME && start < size, result = -1;
    long side = info[0] == FAN_OLD_NAME ? HINT_AWAY : HINT_HERE;
    const unsigned char *second = NULL, *second_end = NULL;
    if (both) {
        second = info + start;
        if (size - start <= FAN_INFO || (size_t)(FAN_INFO + second[12]) >= size - start)
            return 1;
        second_end = second + FAN_INFO + second[12];
    }
    PyObject *key, *name, *to_key = NULL, *to_name = NULL, *move;
    if (fan_end(merge, (const char *)info, (const char *)handle_end, (const char *)end, bits | side,
                &key, &name) < 0)
        return -1;
    if (!both)
        result = 0;
    else if (fan_end(merge, (const char *)second, (const char *)second_end, (const char *)end,
                     bits | HINT_HERE, &to_key, &to_name) == 0
             && (move = PyTuple_Pack(4, key, name, to_key, to_name)) != NULL) {
        result = PyList_Append(merge->moves, move);
        Py_DECREF(move);
    }
    Py_DECREF(key);
    Py_DECREF(name);
    Py_XDECREF(to_key);
    Py_XDECREF(to_name);
    return result;
}

/* One hint of a name into `touched`. */
static int
fan_touch(struct fan_merge *merge, const char *key, Py_ssize_t key_size, const char *name,
          const char *end, long bits)
{
    PyObject *last = merge->last_key, *text;
    if (last == NULL || PyBytes_Size(last) != key_size
        || memcmp(PyBytes_AsString(last), key, (size_t)key_size) != 0) {
        PyObject *made = PyBytes_FromStringAndSize(key, key_size);
        if (made == NULL)
            return -1;
        merge->last_names = names_of(merge->touched, made);
        Py_XDECREF(last);
        merge->last_key = made;
        if (merge->last_names == NULL)
            return -1;
    }
    if (name[0] == '.' && name[1] == 0)
        name++; /* the directory itself, whose name is "" */
    else
        bits &= ~(long)(HINT_GONE | HINT_SELF_MOVED);
    text = decoded(name, end);
    if (text == NULL)
        return -1;
    int result = add_bits(merge->last_names, text, bits);
    Py_DECREF(text);
    return result;
}

/* Equals _fanotify_records._merge: 0, or 1 if records were lost; -1 with an exception. */
static int
fan_buffer(struct fan_merge *merge, const unsigned char *data, size_t left)
{
    int lost = 0;
    while (left) {
        struct fan_head head;
        if (left < FAN_HEAD)
            return 1;
        memcpy(&head, data, sizeof head);
        if (head.head < FAN_HEAD || head.head > head.length || head.length > left)
            return 1;
        const unsigned char *info = data + head.head, *end = data + head.length;
        size_t size = (size_t)(end - info);
        data = end;
        left -= head.length;
        if (head.mask & FAN_OVERFLOWN) {
            lost = 1;
            continue;
        }
        if (size <= FAN_INFO || (size_t)(FAN_INFO + info[12]) >= size || end[-1])
            return 1;
        const unsigned char *handle_end = info + FAN_INFO + info[12];
        long bits = fan_bits(head.mask, head.pid == merge->own);
        int result;
        if (head.mask & FAN_RENAMED)
            result = fan_rename(merge, info, handle_end, end, bits);
        else
            result = fan_touch(merge, (const char *)info + 4, handle_end - info - 4,
                               (const char *)handle_end, (const char *)end, bits);
        if (result)
            return result;
    }
    return lost;
}

/* Equals _fanotify_records.merge_fanotify. */
static PyObject *
merge_fanotify(PyObject *module, PyObject *args)
{
    PyObject *wanted, *buffers, *result = NULL;
    struct fan_merge merge = {0};
    int lost = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "Ol:merge_fanotify", &wanted, &merge.own))
        return NULL;
    buffers = PySequence_Tuple(wanted);
    merge.touched = PyDict_New();
    merge.hints = PyDict_New();
    merge.moves = PyList_New(0);
    if (buffers == NULL || merge.touched == NULL || merge.hints == NULL || merge.moves == NULL)
        goto done;
    for (Py_ssize_t i = 0; i < PyTuple_Size(buffers); i++) {
        char *data;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(buffers, i), &data, &size) < 0)
            goto done;
        int found = fan_buffer(&merge, (const unsigned char *)data, (size_t)size);
        if (found < 0)
            goto done;
        lost |= found;
    }
    merge.hints = hints_after_renames(merge.hints, merge.touched);
    merge.touched = NULL;
    if (merge.hints != NULL)
        result = PyTuple_Pack(3, merge.hints, merge.moves, lost ? Py_True : Py_False);
done:
    Py_XDECREF(buffers);
    Py_XDECREF(merge.last_key);
    Py_XDECREF(merge.touched);
    Py_XDECREF(merge.hints);
    Py_XDECREF(merge.moves);
    return result;
}

#define IN_HEAD 16
#define IN_DEPARTED 0x40U
#define IN_OVERFLOWN 0x4000U
#define IN_ENDED 0x8000U

struct in_head {
    int32_t wd;
    uint32_t mask, cookie, length;
};

struct in_merge {
    PyObject *touched, *hints, *moves, *ended, *departed;
    PyObject *last_names; /* borrowed from touched, of last_wd */
    int32_t last_wd;
};

/* Equals _inotify_records._bits_of. */
static long
in_bits(uint32_t mask)
{
    return (mask & 0x2 ? HINT_WRITE : 0) | (mask & 0x8 ? HINT_CLOSED : 0)
           | (mask & 0x100 ? HINT_CREATE : 0) | (mask & 0x200 ? HINT_DELETE : 0)
           | (mask & 0x4 ? HINT_ATTRIB : 0) | (mask & 0xC0 ? HINT_MOVED : 0)
           | (mask & 0x40 ? HINT_AWAY : 0) | (mask & 0x80 ? HINT_HERE : 0)
           | (mask & 0x2400 ? HINT_GONE : 0) | (mask & 0x800 ? HINT_SELF_MOVED : 0)
           | (mask & 0x40000000 ? HINT_ISDIR : 0);
}

static PyObject *
in_text(const char *name, Py_ssize_t size)
{
    return size ? decoded(name, name + size) : PyUnicode_FromStringAndSize("", 0);
}

/* hints.setdefault(wd, {})[name] = MOVED */
static int
in_end(PyObject *hints, PyObject *wd, PyObject *name)
{
    PyObject *names = names_of(hints, wd), *bits;
    if (names == NULL || (bits = PyLong_FromLong(HINT_MOVED)) == NULL)
        return -1;
    int result = PyDict_SetItem(names, name, bits);
    Py_DECREF(bits);
    return result;
}

/* Half a rename: keep the first, or make one move of it and the second. */
static int
in_half(struct in_merge *merge, const struct in_head *head, const char *name, PyObject *text)
{
    PyObject *cookie = PyLong_FromUnsignedLong(head->cookie), *wd = PyLong_FromLong(head->wd);
    PyObject *first, *value, *then = NULL, *move;
    char *raw;
    Py_ssize_t size;
    int result = -1;
    if (cookie == NULL || wd == NULL)
        goto done;
    if (head->mask & IN_DEPARTED) {
        value = Py_BuildValue("(Oy#)", wd, name, (Py_ssize_t)head->length);
        if (value != NULL)
            result = PyDict_SetItem(merge->departed, cookie, value);
        Py_XDECREF(value);
        goto done;
    }
    first = PyDict_GetItemWithError(merge->departed, cookie);
    if (first == NULL) {
        result = PyErr_Occurred() ? -1 : 0;
        goto done;
    }
    Py_INCREF(first); /* (directory, raw name) */
    if (PyDict_DelItem(merge->departed, cookie) == 0 && PyTuple_Check(first)
        && PyTuple_Size(first) == 2
        && PyBytes_AsStringAndSize(PyTuple_GetItem(first, 1), &raw, &size) == 0) {
        PyObject *from = PyTuple_GetItem(first, 0);
        then = PyUnicode_DecodeFSDefaultAndSize(raw, (Py_ssize_t)strlen(raw));
        if (then != NULL && in_end(merge->hints, from, then) == 0
            && in_end(merge->hints, wd, text) == 0
            && (move = PyTuple_Pack(4, from, then, wd, text)) != NULL) {
            result = PyList_Append(merge->moves, move);
            Py_DECREF(move);
        }
    }
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "departed: cookie -> (directory, raw name)");
    Py_DECREF(first);
done:
    Py_XDECREF(then);
    Py_XDECREF(cookie);
    Py_XDECREF(wd);
    return result;
}

/* One record that is not about the queue or the watch itself. */
static int
in_touch(struct in_merge *merge, const struct in_head *head, const char *name)
{
    PyObject *text = in_text(name, (Py_ssize_t)head->length);
    int result = -1;
    if (text == NULL)
        return -1;
    if (merge->last_names == NULL || merge->last_wd != head->wd) {
        PyObject *wd = PyLong_FromLong(head->wd);
        merge->last_names = wd == NULL ? NULL : names_of(merge->touched, wd);
        merge->last_wd = head->wd;
        Py_XDECREF(wd);
    }
    if (merge->last_names != NULL
        && add_bits(merge->last_names, text, in_bits(head->mask)) == 0)
        result = head->cookie ? in_half(merge, head, name, text) : 0;
    Py_DECREF(text);
    return result;
}

/* One buffer: 0, or 1 if records were lost; -1 with an exception. */
static int
in_buffer(struct in_merge *merge, const char *data, size_t left)
{
    int lost = 0;
    while (left) {
        struct in_head head;
        if (left < IN_HEAD)
            return 1;
        memcpy(&head, data, sizeof head);
        const char *name = data + IN_HEAD;
        if (head.length > left - IN_HEAD || (head.length && name[head.length - 1]))
            return 1;
        data = name + head.length;
        left -= IN_HEAD + (size_t)head.length;
        if (head.mask & IN_OVERFLOWN)
            lost = 1;
        else if (head.mask & IN_ENDED) {
            PyObject *wd = PyLong_FromLong(head.wd);
            int failed = wd == NULL || PyList_Append(merge->ended, wd) < 0;
            Py_XDECREF(wd);
            if (failed)
                return -1;
        }
        else if (in_touch(merge, &head, name) < 0)
            return -1;
    }
    return lost;
}

/* Equals _inotify_records.merge_inotify. */
static PyObject *
merge_inotify(PyObject *module, PyObject *args)
{
    PyObject *wanted, *buffers, *unpaired, *result = NULL;
    struct in_merge merge = {0};
    int lost = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO:merge_inotify", &wanted, &merge.departed))
        return NULL;
    buffers = PySequence_Tuple(wanted);
    unpaired = PyDict_Keys(merge.departed);
    merge.touched = PyDict_New();
    merge.hints = PyDict_New();
    merge.moves = PyList_New(0);
    merge.ended = PyList_New(0);
    if (buffers == NULL || unpaired == NULL || merge.touched == NULL || merge.hints == NULL
        || merge.moves == NULL || merge.ended == NULL)
        goto done;
    for (Py_ssize_t i = 0; i < PyTuple_Size(buffers); i++) {
        char *data;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(buffers, i), &data, &size) < 0)
            goto done;
        int found = in_buffer(&merge, data, (size_t)size);
        if (found < 0)
            goto done;
        lost |= found;
    }
    for (Py_ssize_t i = 0; i < PyList_Size(unpaired); i++) {
        PyObject *cookie = PyList_GetItem(unpaired, i);
        int there = PyDict_Contains(merge.departed, cookie);
        if (there < 0 || (there && PyDict_DelItem(merge.departed, cookie) < 0))
            goto done;
    }
    merge.hints = hints_after_renames(merge.hints, merge.touched);
    merge.touched = NULL;
    if (merge.hints != NULL)
        result = PyTuple_Pack(4, merge.hints, merge.moves, merge.ended,
                              lost ? Py_True : Py_False);
done:
    Py_XDECREF(buffers);
    Py_XDECREF(unpaired);
    Py_XDECREF(merge.touched);
    Py_XDECREF(merge.hints);
    Py_XDECREF(merge.moves);
    Py_XDECREF(merge.ended);
    return result;
}

/* -- directories: limpet/watching/index/_fs.py, limpet/_libc.py ----------------------------------- */

enum { BRIEF_FILE, BRIEF_DIR, BRIEF_SYMLINK, BRIEF_OTHER };

struct listed { /* struct linux_dirent64, getdents(2) */
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t kind;
};
#define LISTED_NAME 19
#define LISTING 16384 /* some hundred names; two of these are on a stack that may be small (musl) */

/* The low bits of a brief record; of a name whose kind is not in the listing (fd >= 0), from stat,
   and one that has gone meanwhile is something else, as os.DirEntry has it. -1: errno is set. */
static int
kind_of(int fd, const char *name, uint8_t kind)
{
    if (kind == DT_UNKNOWN && fd >= 0) {
        struct stat facts;
        int failed;
        Py_BEGIN_ALLOW_THREADS
        failed = fstatat(fd, name, &facts, AT_SYMLINK_NOFOLLOW) < 0;
        Py_END_ALLOW_THREADS
        if (failed)
            return errno == ENOENT ? BRIEF_OTHER : -1;
        kind = (uint8_t)IFTODT(facts.st_mode);
    }
    return kind == DT_REG   ? BRIEF_FILE
           : kind == DT_DIR ? BRIEF_DIR
           : kind == DT_LNK ? BRIEF_SYMLINK
                            : BRIEF_OTHER;
}

/* inode << 2 | kind, which may need more than 64 bits. */
static PyObject *
brief_record(uint64_t inode, int kind)
{
    if (inode >> 62 == 0)
        return PyLong_FromUnsignedLongLong(inode << 2 | (unsigned)kind);
    PyObject *result = NULL, *number = PyLong_FromUnsignedLongLong(inode);
    PyObject *two = PyLong_FromLong(2), *low = PyLong_FromLong(kind), *high = NULL;
    if (number != NULL && two != NULL && low != NULL)
        high = PyNumber_Lshift(number, two);
    if (high != NULL)
        result = PyNumber_Or(high, low);
    Py_XDECREF(number);
    Py_XDECREF(two);
    Py_XDECREF(low);
    Py_XDECREF(high);
    return result;
}

#define MOST_SIGNS 64

/* What list_sifted wants beside the entries. */
struct sieve {
    PyObject *directories;
    char *names; /* those of one buffer, each after a slash: it is as large as the buffer */
    size_t size;
    const char *signs[MOST_SIGNS];
    size_t lengths[MOST_SIGNS];
    uint64_t first[256], second[256]; /* a byte -> the signs that have it there */
    int is_signed, has_doubles;
};

/* Take the signs over from a tuple of text, each of two bytes or more. */
static int
fill_sieve(struct sieve *sieve, PyObject *signs)
{
    Py_ssize_t count = PyTuple_Check(signs) ? PyTuple_Size(signs) : MOST_SIGNS + 1;
    if (count > MOST_SIGNS) {
        PyErr_SetString(PyExc_ValueError, "signs are a tuple of 64 texts at most");
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t length;
        const char *sign = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(signs, i), &length);
        if (sign == NULL)
            return -1;
        if (length < 2) {
            PyErr_SetString(PyExc_ValueError, "a sign has two bytes at least");
            return -1;
        }
        sieve->signs[i] = sign;
        sieve->lengths[i] = (size_t)length;
        sieve->first[(unsigned char)sign[0]] |= (uint64_t)1 << i;
        sieve->second[(unsigned char)sign[1]] |= (uint64_t)1 << i;
    }
    return 0;
}

/* Find out whether a sign is in the names of one buffer, between slashes. */
static void
search_signs(struct sieve *sieve)
{
    const unsigned char *names = (const unsigned char *)sieve->names;
    sieve->names[sieve->size++] = '/';
    for (size_t at = 0; at + 1 < sieve->size && !sieve->is_signed; at++) {
        uint64_t possible = sieve->first[names[at]] & sieve->second[names[at + 1]];
        for (int i = 0; possible >> i; i++) {
            size_t length = sieve->lengths[i];
            if ((possible >> i & 1) && length <= sieve->size - at
                && memcmp(names + at, sieve->signs[i], length) == 0)
                sieve->is_signed = 1;
            if (i == MOST_SIGNS - 1)
                break;
        }
    }
    sieve->size = 0;
}

/* Add the entries of one buffer to a mapping; -1 with an exception. */
static int
add_listed(PyObject *found, int fd, const char *data, size_t left, struct sieve *sieve)
{
    while (left) {
        struct listed entry;
        if (left >= LISTED_NAME)
            memcpy(&entry, data, LISTED_NAME);
        if (left < LISTED_NAME || entry.size < LISTED_NAME || entry.size > left) {
            errno = EIO;
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        const char *name = data + LISTED_NAME;
        size_t length = strnlen(name, (size_t)entry.size - LISTED_NAME);
        data += entry.size;
        left -= entry.size;
        if (length == 0 || (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'))))
            continue;
        if (entry.inode == 0 || name + length == data)
            continue; /* deleted, as readdir(3) of the C library has it; or without an end */
        PyObject *text = PyUnicode_DecodeFSDefaultAndSize(name, (Py_ssize_t)length), *record = NULL;
        Py_ssize_t before = PyDict_Size(found);
        if (text == NULL)
            return -1;
        int kind = kind_of(fd, name, entry.kind), failed = -1;
        if (kind < 0)
            PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, text);
        else if ((record = brief_record(entry.inode, kind)) != NULL)
            failed = PyDict_SetItem(found, text, record);
        if (!failed && sieve != NULL) {
            sieve->names[sieve->size] = '/'; /* fits: each takes 18 bytes less than its entry */
            memcpy(sieve->names + sieve->size + 1, name, length);
            sieve->size += 1 + length;
            if (PyDict_Size(found) == before)
                sieve->has_doubles = 1;
            if (kind == BRIEF_DIR)
                failed = PyList_Append(sieve->directories, text);
        }
        Py_DECREF(text);
        Py_XDECREF(record);
        if (failed)
            return -1;
    }
    if (sieve != NULL)
        search_signs(sieve);
    return 0;
}

/* Equals _fs.list_directory, for a descriptor. It takes no second descriptor for that; afterwards
   the directory can be listed again. */
static PyObject *
list_all(PyObject *handle, struct sieve *sieve)
{
    _Alignas(8) char data[LISTING];
    long fd = PyLong_AsLong(handle);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    PyObject *found = PyDict_New();
    while (found != NULL) {
        long size;
        Py_BEGIN_ALLOW_THREADS
        size = syscall(SYS_getdents64, fd, data, sizeof data);
        if (size == 0)
            lseek((int)fd, 0, SEEK_SET);
        Py_END_ALLOW_THREADS
        if (size == 0 || (size < 0 && errno == ENOENT)) /* ENOENT: the directory is deleted */
            return found;
        if (size < 0) {
            if (errno == EBADF)
                PyErr_SetFromErrno(PyExc_OSError);
            else
                PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, handle);
        }
        if (size < 0 || add_listed(found, (int)fd, data, (size_t)size, sieve) < 0) {
            lseek((int)fd, 0, SEEK_SET);
            Py_CLEAR(found);
        }
    }
    return NULL;
}

static PyObject *
list_directory(PyObject *module, PyObject *handle)
{
    (void)module;
    return list_all(handle, NULL);
}

/* The directories of a listing in which a name was twice, as a directory that changes meanwhile may
   be listed: the last kind counts, as in the mapping. */
static int
list_again(PyObject *found, PyObject *directories)
{
    PyObject *name, *record;
    Py_ssize_t at = 0;
    if (PyList_SetSlice(directories, 0, PyList_Size(directories), NULL) < 0)
        return -1;
    while (PyDict_Next(found, &at, &name, &record))
        if ((PyLong_AsUnsignedLongLongMask(record) & 3) == BRIEF_DIR
            && PyList_Append(directories, name) < 0)
            return -1;
    return 0;
}

/* Equals _fs.list_sifted. */
static PyObject *
list_sifted(PyObject *module, PyObject *args)
{
    PyObject *handle, *found, *result = NULL;
    char names[LISTING];
    PyObject *signs;
    struct sieve sieve = {.names = names};
    (void)module;
    if (!PyArg_ParseTuple(args, "OO:list_sifted", &handle, &signs) || fill_sieve(&sieve, signs) < 0)
        return NULL;
    sieve.directories = PyList_New(0);
    if (sieve.directories == NULL)
        return NULL;
    found = list_all(handle, &sieve);
    if (found != NULL && sieve.has_doubles && list_again(found, sieve.directories) < 0)
        Py_CLEAR(found);
    if (found != NULL)
        result = PyTuple_Pack(3, found, sieve.directories, sieve.is_signed ? Py_True : Py_False);
    Py_XDECREF(found);
    Py_DECREF(sieve.directories);
    return result;
}

/* Equals nothing: what list_sifted makes of one buffer of getdents64, for tests. */
static PyObject *
parse_listing(PyObject *module, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *signs, *result = NULL;
    char names[LISTING];
    struct sieve sieve = {.names = names};
    (void)module;
    if (!PyArg_ParseTuple(args, "y#O:parse_listing", &data, &size, &signs)
        || fill_sieve(&sieve, signs) < 0)
        return NULL;
    if (size > LISTING) {
        PyErr_SetString(PyExc_ValueError, "no buffer is so large");
        return NULL;
    }
    PyObject *found = PyDict_New();
    sieve.directories = PyList_New(0);
    if (found != NULL && sieve.directories != NULL
        && add_listed(found, -1, data, (size_t)size, &sieve) == 0
        && !(sieve.has_doubles && list_again(found, sieve.directories) < 0))
        result = PyTuple_Pack(3, found, sieve.directories, sieve.is_signed ? Py_True : Py_False);
    Py_XDECREF(found);
    Py_XDECREF(sieve.directories);
    return result;
}

#define LONGEST_HANDLE 128

struct wide_handle {
    struct file_handle head;
    char rest[LONGEST_HANDLE];
};

/* Without the GIL: not 0 if there is none, and errno is set. */
static int
handle_of(int fd, struct wide_handle *handle)
{
    int mount;
    memset(handle, 0, sizeof *handle);
    handle->head.handle_bytes = LONGEST_HANDLE;
    return name_to_handle_at(fd, "", &handle->head, &mount, AT_EMPTY_PATH);
}

static PyObject *
handle_as_bytes(const struct wide_handle *handle)
{
    unsigned size = handle->head.handle_bytes;
    if (size > LONGEST_HANDLE)
        size = LONGEST_HANDLE;
    return PyBytes_FromStringAndSize((const char *)handle, 8 + (Py_ssize_t)size);
}

/* Equals _libc.name_to_handle. */
static PyObject *
name_to_handle(PyObject *module, PyObject *descriptor)
{
    struct wide_handle handle;
    int failed;
    long fd = PyLong_AsLong(descriptor);
    (void)module;
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = handle_of((int)fd, &handle);
    Py_END_ALLOW_THREADS
    if (failed)
        return PyErr_SetFromErrno(PyExc_OSError);
    return handle_as_bytes(&handle);
}

/* Equals _libc.fanotify_mark. */
static PyObject *
mark(PyObject *module, PyObject *args)
{
    int group, fd, failed;
    unsigned flags;
    unsigned long long mask;
    PyObject *path = Py_None;
    const char *text = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "iIKi|O:fanotify_mark", &group, &flags, &mask, &fd, &path))
        return NULL;
    if (path != Py_None && (text = PyBytes_AsString(path)) == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = fanotify_mark(group, flags, mask, fd, text) < 0;
    Py_END_ALLOW_THREADS
    if (failed)
        return PyErr_SetFromErrno(PyExc_OSError);
    return Py_NewRef(Py_None);
}

/* Equals _libc.fanotify_mark_several. */
static PyObject *
fanotify_mark_several(PyObject *module, PyObject *args)
{
    int group;
    unsigned flags;
    unsigned long long mask;
    PyObject *wanted, *handles = PyList_New(0);
    (void)module;
    if (handles == NULL)
        return NULL;
    if (!PyArg_ParseTuple(args, "iIKO:fanotify_mark_several", &group, &flags, &mask, &wanted))
        goto failed;
    for (Py_ssize_t i = 0; i < PyList_Size(wanted); i++) {
        struct wide_handle handle;
        long fd = PyLong_AsLong(PyList_GetItem(wanted, i));
        int refused;
        if (fd == -1 && PyErr_Occurred())
            goto failed;
        Py_BEGIN_ALLOW_THREADS
        refused = handle_of((int)fd, &handle)
                  || (mask && fanotify_mark(group, flags, mask, (int)fd, ".") < 0);
        Py_END_ALLOW_THREADS
        if (refused)
            break;
        PyObject *bytes = handle_as_bytes(&handle);
        int kept = bytes == NULL ? -1 : PyList_Append(handles, bytes);
        Py_XDECREF(bytes);
        if (kept < 0)
            goto failed;
    }
    if (!PyErr_Occurred())
        return handles;
failed:
    Py_DECREF(handles);
    return NULL;
}

/* Equals _libc.inotify_mark_several. */
static PyObject *
inotify_mark_several(PyObject *module, PyObject *args)
{
    int instance;
    unsigned mask;
    PyObject *wanted, *watched = PyList_New(0);
    (void)module;
    if (watched == NULL)
        return NULL;
    if (!PyArg_ParseTuple(args, "iIO:inotify_mark_several", &instance, &mask, &wanted))
        goto failed;
    for (Py_ssize_t i = 0; i < PyList_Size(wanted); i++) {
        char path[40];
        long fd = PyLong_AsLong(PyList_GetItem(wanted, i));
        int wd;
        if (fd == -1 && PyErr_Occurred())
            goto failed;
        snprintf(path, sizeof path, "/proc/self/fd/%ld", fd);
        Py_BEGIN_ALLOW_THREADS
        wd = inotify_add_watch(instance, path, mask);
        Py_END_ALLOW_THREADS
        if (wd < 0)
            break;
        PyObject *number = PyLong_FromLong(wd);
        int kept = number == NULL ? -1 : PyList_Append(watched, number);
        Py_XDECREF(number);
        if (kept < 0)
            goto failed;
    }
    if (!PyErr_Occurred())
        return watched;
failed:
    Py_DECREF(watched);
    return NULL;
}

/* Equals _statx.open_directories. */
static PyObject *
open_directories(PyObject *module, PyObject *args)
{
    int fd;
    struct moment when;
    unsigned long long device;
    PyObject *names, *found = PyList_New(0);
    (void)module;
    if (found == NULL)
        return NULL;
    if (!PyArg_ParseTuple(args, "iOKLL:open_directories", &fd, &names, &device, &when.now,
                          &when.racy))
        goto failed;
    for (Py_ssize_t i = 0; i < PyList_Size(names); i++) {
        struct statx facts;
        char record[RECORD_SIZE];
        PyObject *name = PyUnicode_EncodeFSDefault(PyList_GetItem(names, i));
        int opened, usable = 0;
        if (name == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeError))
                goto failed;
            PyErr_Clear();
            break;
        }
        const char *text = PyBytes_AsString(name);
        int whole = strlen(text) == (size_t)PyBytes_Size(name); /* no NUL in it */
        Py_BEGIN_ALLOW_THREADS
        opened = whole ? openat(fd, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
        if (opened >= 0) {
            usable = statx(opened, "", AT_EMPTY_PATH, WANTED, &facts) == 0
                     && makedev(facts.stx_dev_major, facts.stx_dev_minor) == device;
            if (usable)
                pack_record(record, &facts, when, 0);
            else
                close(opened);
        }
        Py_END_ALLOW_THREADS
        Py_DECREF(name);
        if (!usable)
            break;
        PyObject *row = Py_BuildValue("(iy#K)", opened, record, (Py_ssize_t)RECORD_SIZE,
                                      (unsigned long long)facts.stx_ino);
        int kept = row == NULL ? -1 : PyList_Append(found, row);
        Py_XDECREF(row);
        if (kept < 0) {
            close(opened);
            goto failed;
        }
        if (facts.stx_nlink != 2)
            break;
    }
    if (!PyErr_Occurred())
        return found;
failed:
    for (Py_ssize_t i = 0; i < PyList_Size(found); i++)
        close((int)PyLong_AsLong(PyTuple_GetItem(PyList_GetItem(found, i), 0)));
    Py_DECREF(found);
    return NULL;
}

/* -- the module -------------------------------------------------------------------------------- */

/* -- rows: limpet/watching/diff/_find_rows.py, limpet/watching/emit/_file_events.py ------------------- */

#define HINTS_WENT (HINT_DELETE | HINT_AWAY)
#define HINTS_CAME (HINT_CREATE | HINT_HERE)

#define BEARING_END 34 /* parts of a record: limpet/watching/index/_entry_record.py */
#define CONTENT_END 54
#define TIMES_END 62
#define KIND_AT 33
#define FLAGS_AT 62
#define FLAG_YOUNG 2
#define FLAG_COARSE 4

/* Take an object out of the garbage collector's sight. One of a type that it never visits has
   nothing in front of it to be changed: to untrack that writes into foreign memory. */
static void
hide(PyObject *object)
{
    if (PyObject_GC_IsTracked(object))
        PyObject_GC_UnTrack(object);
}

static int
only_went(long bits)
{
    return bits & HINTS_WENT && !(bits & HINTS_CAME);
}

/* The record in a bytes object; NULL with an exception if it is none. */
static const unsigned char *
record_in(PyObject *value)
{
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(value, &data, &size) < 0)
        return NULL;
    if (size != RECORD_SIZE) {
        PyErr_SetString(PyExc_ValueError, "not the size of a record");
        return NULL;
    }
    return (const unsigned char *)data;
}

/* The hints of a name; -1 with an exception if they are no number that can be. */
static long
hints_in(PyObject *value)
{
    long bits = PyLong_AsLong(value);
    if (bits < 0 && !PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "hints are not negative");
    return bits < 0 ? -1 : bits;
}

/* Equals _find_rows.names_that_stay. */
static PyObject *
names_that_stay(PyObject *module, PyObject *names)
{
    PyObject *name, *value, *stay;
    Py_ssize_t at = 0;
    (void)module;
    if (!PyDict_Check(names)) {
        PyErr_SetString(PyExc_TypeError, "names: a dict of name -> hints");
        return NULL;
    }
    if ((stay = PyList_New(0)) == NULL)
        return NULL;
    while (PyDict_Next(names, &at, &name, &value)) {
        long bits = hints_in(value);
        if (bits < 0 || (!only_went(bits) && PyList_Append(stay, name) < 0)) {
            Py_DECREF(stay);
            return NULL;
        }
    }
    return stay;
}

/* Equals _entry_record.only_written: 1, 0, or -1 where it is neither. */
static int
only_written(const unsigned char *old, const unsigned char *now, int deleted, int exact)
{
    static const unsigned char no_birth[8];
    if (memcmp(old, now, BEARING_END) != 0 || memcmp(old + 8, no_birth, 8) == 0)
        return -1;
    if (deleted && old[FLAGS_AT] & FLAG_YOUNG)
        return -1;
    if (memcmp(old + BEARING_END, now + BEARING_END, CONTENT_END - BEARING_END) != 0)
        return 1;
    exact = exact && !(old[FLAGS_AT] & FLAG_COARSE);
    return exact && memcmp(old + BEARING_END, now + BEARING_END, TIMES_END - BEARING_END) == 0 ? 0
                                                                                              : -1;
}

/* What changed of a file: a new reference, which is None where the full path is needed. */
static PyObject *
changes_of(PyObject *bits, long hints, PyObject *old, PyObject *now, const unsigned char *record,
           int exact, PyObject *compare)
{
    int decided = -1;
    if (PyBytes_Check(old)) {
        const unsigned char *before = record_in(old);
        if (before == NULL)
            return NULL;
        decided = only_written(before, record, (hints & HINT_DELETE) != 0, exact);
    }
    if (decided >= 0)
        return PyBool_FromLong(decided);
    return PyObject_CallFunctionObjArgs(compare, bits, old, now, NULL);
}

/* Equals _find_rows.find_rows. */
static PyObject *
find_rows(PyObject *module, PyObject *args)
{
    PyObject *names, *found, *entries, *compare, *name, *value, *rows, *came, *result = NULL;
    Py_ssize_t at = 0, taken = 0;
    int believes_gone, exact, is_any_gone = 0, is_full = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!O!ppO:find_rows", &PyDict_Type, &names, &PyList_Type, &found,
                          &PyDict_Type, &entries, &believes_gone, &exact, &compare))
        return NULL;
    rows = PyList_New(0);
    came = PyList_New(0);
    if (rows == NULL || came == NULL)
        goto done;
    while (PyDict_Next(names, &at, &name, &value)) {
        PyObject *now = Py_None, *old, *changes, *row;
        const unsigned char *record = NULL;
        long bits = hints_in(value);
        if (bits < 0)
            goto done;
        if (!(believes_gone && only_went(bits))) {
            now = PyList_GetItem(found, taken++); /* IndexError where Python's is StopIteration */
            if (now == NULL)
                goto done;
        }
        old = PyDict_GetItemWithError(entries, name);
        if (old == NULL && PyErr_Occurred())
            goto done;
        if (old != NULL && !PyBytes_Check(old) && !PyLong_Check(old)) {
            is_full = 1;
            break;
        }
        if (now == Py_None) {
            if (old == NULL)
                continue; /* created and deleted */
            is_any_gone = 1;
            changes = Py_NewRef(Py_False);
        }
        else {
            if ((record = record_in(now)) == NULL)
                goto done;
            if (record[KIND_AT] >> 4 == 4) { /* a directory */
                is_full = 1;
                break;
            }
            if (old == NULL) {
                if (PyList_Append(came, name) < 0)
                    goto done;
                changes = Py_NewRef(Py_False);
            }
            else {
                Py_INCREF(name); /* compare is Python's: it may change anything */
                Py_INCREF(value);
                Py_INCREF(old);
                Py_INCREF(now);
                changes = changes_of(value, bits, old, now, record, exact, compare);
                row = changes == NULL || changes == Py_None
                          ? NULL
                          : PyTuple_Pack(5, name, value, old, now, changes);
                Py_DECREF(name);
                Py_DECREF(value);
                Py_DECREF(old);
                Py_DECREF(now);
                if (changes == Py_None) {
                    Py_DECREF(changes);
                    is_full = 1;
                    break;
                }
                Py_XDECREF(changes);
                if (row == NULL)
                    goto done;
                hide(row); /* text, numbers and bytes: in no cycle */
                int failed = PyList_Append(rows, row) < 0;
                Py_DECREF(row);
                if (failed)
                    goto done;
                continue;
            }
        }
        row = PyTuple_Pack(5, name, value, old == NULL ? Py_None : old, now, changes);
        Py_DECREF(changes);
        if (row == NULL)
            goto done;
        hide(row);
        int failed = PyList_Append(rows, row) < 0;
        Py_DECREF(row);
        if (failed)
            goto done;
    }
    result = is_full ? Py_NewRef(Py_None)
                     : PyTuple_Pack(3, rows, came, is_any_gone ? Py_True : Py_False);
done:
    Py_XDECREF(rows);
    Py_XDECREF(came);
    return result;
}

/* A block of limpet/watching/index/_rows.py; all references are borrowed from it. */
struct block {
    Py_ssize_t first, size;
    PyObject *rows, *directory, *entries, *prefix, *path, *text;
    int exact;
};

static int
read_block(PyObject *value, struct block *block)
{
    if (!PyTuple_Check(value) || PyTuple_Size(value) != 8) {
        PyErr_SetString(PyExc_TypeError, "not a block");
        return -1;
    }
    block->first = PyLong_AsSsize_t(PyTuple_GetItem(value, 0));
    block->rows = PyTuple_GetItem(value, 1);
    block->directory = PyTuple_GetItem(value, 2);
    block->entries = PyTuple_GetItem(value, 3);
    block->prefix = PyTuple_GetItem(value, 4);
    block->path = PyTuple_GetItem(value, 5);
    block->text = PyTuple_GetItem(value, 6);
    block->exact = PyObject_IsTrue(PyTuple_GetItem(value, 7));
    if ((block->first < 0 || block->exact < 0) && PyErr_Occurred())
        return -1;
    if (block->first < 0 || !PyList_Check(block->rows) || !PyDict_Check(block->entries)
        || !PyUnicode_Check(block->prefix) || !PyUnicode_Check(block->text)) {
        PyErr_SetString(PyExc_TypeError, "not a block");
        return -1;
    }
    block->size = PyList_Size(block->rows);
    return 0;
}

/* A row; all references are borrowed from it. */
struct row {
    PyObject *name, *hints, *old, *now, *changes;
    long bits;
};

static int
read_row(PyObject *value, struct row *row)
{
    if (value == NULL)
        return -1;
    if (!PyTuple_Check(value) || PyTuple_Size(value) != 5
        || !PyUnicode_Check(PyTuple_GetItem(value, 0))) {
        PyErr_SetString(PyExc_TypeError, "not a row");
        return -1;
    }
    row->name = PyTuple_GetItem(value, 0);
    row->hints = PyTuple_GetItem(value, 1);
    row->old = PyTuple_GetItem(value, 2);
    row->now = PyTuple_GetItem(value, 3);
    row->changes = PyTuple_GetItem(value, 4);
    row->bits = hints_in(row->hints);
    return row->bits < 0 ? -1 : 0;
}

/* Inode and form of a record, as _entry_record.inode_of and kind_of: kinds in the order of the
   brief ones, file, directory, symlink, other. */
static int
identity_in(PyObject *value, uint64_t *inode, int *kind)
{
    if (PyLong_Check(value)) {
        PyObject *two = PyLong_FromLong(2), *shifted = NULL;
        if (two != NULL)
            shifted = PyNumber_Rshift(value, two);
        Py_XDECREF(two);
        if (shifted == NULL)
            return -1;
        *inode = PyLong_AsUnsignedLongLong(shifted);
        Py_DECREF(shifted);
        if (*inode == (uint64_t)-1 && PyErr_Occurred())
            return -1;
        *kind = (int)(PyLong_AsUnsignedLongMask(value) & 3);
        return 0;
    }
    const unsigned char *record = record_in(value);
    if (record == NULL)
        return -1;
    memcpy(inode, record, 8);
    int form = record[KIND_AT] >> 4;
    *kind = form == 8 ? 0 : form == 4 ? 1 : form == 10 ? 2 : 3;
    return 0;
}

/* All blocks, read once; `values` is the list they are in, which keeps them. */
struct blocks {
    PyObject *values;
    Py_ssize_t count;
    struct block *all;
};

/* To be freed with free(blocks->all), whatever is returned. */
static int
read_blocks(PyObject *values, struct blocks *blocks)
{
    blocks->values = values;
    blocks->count = PyList_Size(values);
    blocks->all = malloc((size_t)(blocks->count ? blocks->count : 1) * sizeof *blocks->all);
    if (blocks->all == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < blocks->count; i++)
        if (read_block(PyList_GetItem(values, i), blocks->all + i) < 0)
            return -1;
    return 0;
}

/* Row `number` of all blocks, and the index of the block that holds it; -1 with an exception. */
static Py_ssize_t
find_row(const struct blocks *blocks, Py_ssize_t number, struct row *row)
{
    for (Py_ssize_t i = blocks->count - 1; i >= 0; i--) {
        const struct block *block = blocks->all + i;
        if (block->first <= number)
            return read_row(PyList_GetItem(block->rows, number - block->first), row) < 0 ? -1 : i;
    }
    PyErr_SetString(PyExc_IndexError, "there is no row of this number");
    return -1;
}

/* table[key] = number */
static int
set_number(PyObject *table, PyObject *key, Py_ssize_t number)
{
    PyObject *value = PyLong_FromSsize_t(number);
    if (value == NULL)
        return -1;
    int result = PyDict_SetItem(table, key, value);
    Py_DECREF(value);
    return result;
}

/* One arrival of tie: pair it with the departure that the backend reported. */
static int
tie_arrival(const struct blocks *blocks, PyObject *origins, PyObject *gone, PyObject *pairs,
            const struct block *block, const struct row *row, Py_ssize_t number)
{
    struct row start;
    uint64_t inode, other;
    int kind, other_kind, result = -1;
    PyObject *key = PyTuple_Pack(2, block->directory, row->name), *origin, *at;
    if (key == NULL)
        return -1;
    origin = PyDict_GetItemWithError(origins, key);
    Py_DECREF(key);
    if (origin == NULL)
        return PyErr_Occurred() ? -1 : 0;
    at = PyDict_GetItemWithError(gone, origin);
    if (at == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (row->bits & HINT_DELETE)
        return 0;
    Py_INCREF(at);
    int is_paired = PyDict_Contains(pairs, at);
    if (is_paired)
        result = is_paired < 0 ? -1 : 0;
    else if (find_row(blocks, PyLong_AsSsize_t(at), &start) >= 0) {
        int falsy = PyObject_Not(start.old);
        if (falsy)
            result = falsy < 0 ? -1 : 0;
        else if (identity_in(start.old, &other, &other_kind) == 0
                 && identity_in(row->now, &inode, &kind) == 0) {
            result = 0;
            if (inode == other && kind == other_kind) {
                PyObject *here = PyLong_FromSsize_t(number);
                if (here == NULL || PyDict_SetItem(pairs, at, here) < 0
                    || PyDict_SetItem(pairs, here, at) < 0)
                    result = -1;
                Py_XDECREF(here);
            }
        }
    }
    Py_DECREF(at);
    return result;
}

/* Equals _find_rows.tie. */
static PyObject *
tie(PyObject *module, PyObject *args)
{
    PyObject *values, *origins, *gone, *pairs, *result = NULL;
    Py_ssize_t come = 0;
    struct blocks blocks = {0};
    struct row row;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!:tie", &PyList_Type, &values, &PyDict_Type, &origins))
        return NULL;
    gone = PyDict_New();
    pairs = PyDict_New();
    if (gone == NULL || pairs == NULL || read_blocks(values, &blocks) < 0)
        goto done;
    for (int arrivals = 0; arrivals < 2; arrivals++)
        for (Py_ssize_t i = 0; i < blocks.count; i++) {
            const struct block *block = blocks.all + i;
            for (Py_ssize_t j = 0; j < block->size; j++) {
                Py_ssize_t number = block->first + j;
                if (read_row(PyList_GetItem(block->rows, j), &row) < 0)
                    goto done;
                if (!arrivals && row.now == Py_None) {
                    PyObject *key = PyTuple_Pack(2, block->directory, row.name);
                    int failed = key == NULL || set_number(gone, key, number) < 0;
                    Py_XDECREF(key);
                    if (failed)
                        goto done;
                }
                else if (arrivals && row.now != Py_None && row.old == Py_None) {
                    come++;
                    if (tie_arrival(&blocks, origins, gone, pairs, block, &row, number) < 0)
                        goto done;
                }
            }
        }
    result = Py_BuildValue("(Onn)", pairs, PyDict_Size(gone), come);
done:
    free(blocks.all);
    Py_XDECREF(gone);
    Py_XDECREF(pairs);
    return result;
}

/* What events are made of: _file_events.FIXED and Makers; all references are borrowed. */
struct kit {
    PyTypeObject *created, *updated, *renamed, *deleted, *dir_deleted;
    PyObject *maker, *source, *path; /* the attributes of an event */
    PyObject *recipe, *join;         /* of paths: _path_recipe.RECIPE, and the way without it */
    PyObject *plain, *written, *gone[4], *changed;
    PyObject *out, *time, *origin, *besides;
    long long seq;
};

static PyTypeObject *
type_in(PyObject *values, Py_ssize_t at)
{
    PyObject *value = PyTuple_GetItem(values, at);
    if (value != NULL && !PyType_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "not a type");
        return NULL;
    }
    return (PyTypeObject *)value;
}

static int
read_kit(PyObject *fixed, PyObject *makers, struct kit *kit)
{
    static const char *const kinds[] = {"file", "dir", "symlink", "other"};
    if (!PyTuple_Check(fixed) || PyTuple_Size(fixed) != 10 || !PyTuple_Check(makers)
        || PyTuple_Size(makers) != 4 || !PyDict_Check(PyTuple_GetItem(makers, 2))) {
        PyErr_SetString(PyExc_TypeError, "not what events are made of");
        return -1;
    }
    kit->created = type_in(fixed, 0);
    kit->updated = type_in(fixed, 1);
    kit->renamed = type_in(fixed, 2);
    kit->deleted = type_in(fixed, 3);
    kit->dir_deleted = type_in(fixed, 4);
    if (!kit->created || !kit->updated || !kit->renamed || !kit->deleted || !kit->dir_deleted)
        return -1;
    kit->maker = PyTuple_GetItem(fixed, 5);
    kit->source = PyTuple_GetItem(fixed, 6);
    kit->path = PyTuple_GetItem(fixed, 7);
    kit->recipe = PyTuple_GetItem(fixed, 8);
    kit->join = PyTuple_GetItem(fixed, 9);
    if (!PyTuple_Check(kit->recipe)) {
        PyErr_SetString(PyExc_TypeError, "not a recipe");
        return -1;
    }
    kit->plain = PyTuple_GetItem(makers, 0);
    kit->written = PyTuple_GetItem(makers, 1);
    for (int i = 0; i < 4; i++) {
        kit->gone[i] = PyDict_GetItemString(PyTuple_GetItem(makers, 2), kinds[i]);
        if (kit->gone[i] == NULL) {
            PyErr_SetString(PyExc_KeyError, kinds[i]);
            return -1;
        }
    }
    kit->changed = PyTuple_GetItem(makers, 3);
    return 0;
}

/* attribute.__set__(object, value): that of a frozen event and of a path, which have slots. */
static int
set_attribute(PyObject *attribute, PyObject *object, PyObject *value)
{
    descrsetfunc set = (descrsetfunc)PyType_GetSlot(Py_TYPE(attribute), Py_tp_descr_set);
    if (set == NULL) {
        PyErr_SetString(PyExc_TypeError, "not an attribute that can be set");
        return -1;
    }
    return set(attribute, object, value);
}

static PyObject *
get_attribute(PyObject *attribute, PyObject *object)
{
    descrgetfunc get = (descrgetfunc)PyType_GetSlot(Py_TYPE(attribute), Py_tp_descr_get);
    if (get == NULL) {
        PyErr_SetString(PyExc_TypeError, "not an attribute");
        return NULL;
    }
    return get(attribute, object, (PyObject *)Py_TYPE(object));
}

/* One attribute of a path: _path_recipe.COPY, LONGER, TEXT, TEXTS. */
static PyObject *
ingredient(long how, PyObject *attribute, const struct block *block, PyObject *name, PyObject *text)
{
    PyObject *value, *made;
    switch (how) {
    case 0:
        return get_attribute(attribute, block->path);
    case 1:
        value = get_attribute(attribute, block->path);
        if (value == NULL)
            return NULL;
        made = PySequence_List(value);
        Py_DECREF(value);
        if (made != NULL)
            hide(made); /* as the path that it is of: see add_event */
        if (made != NULL && PyList_Append(made, name) < 0)
            Py_CLEAR(made);
        return made;
    case 2:
        return Py_NewRef(text);
    default:
        made = PyList_New(1);
        if (made != NULL) {
            PyList_SetItem(made, 0, Py_NewRef(text));
            hide(made);
        }
        return made;
    }
}

/* Equals _path_recipe.make_path or, where there is no recipe, _path_cache.join_name. */
static PyObject *
make_path(const struct kit *kit, const struct block *block, PyObject *name)
{
    Py_ssize_t size = PyTuple_Size(kit->recipe);
    if (size == 0)
        return PyObject_CallFunctionObjArgs(kit->join, block->path, name, NULL);
    PyObject *text = PyUnicode_Concat(block->text, name), *path;
    if (text == NULL)
        return NULL;
    path = PyType_GenericAlloc(Py_TYPE(block->path), 0);
    if (path != NULL)
        hide(path);
    for (Py_ssize_t i = 0; i < size && path != NULL; i++) {
        PyObject *pair = PyTuple_GetItem(kit->recipe, i), *value = NULL;
        long how = -1;
        if (PyTuple_Check(pair) && PyTuple_Size(pair) == 2)
            how = PyLong_AsLong(PyTuple_GetItem(pair, 1));
        if (how >= 0 && how <= 3)
            value = ingredient(how, PyTuple_GetItem(pair, 0), block, name, text);
        else if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "not a recipe");
        if (value == NULL || set_attribute(PyTuple_GetItem(pair, 0), path, value) < 0)
            Py_CLEAR(path);
        Py_XDECREF(value);
    }
    Py_DECREF(text);
    return path;
}

/* Make one event and add it; `before` is the relative path before a rename, or NULL. */
static int
add_event(struct kit *kit, PyTypeObject *type, PyObject *maker, PyObject *relative, PyObject *now,
          PyObject *old, PyObject *before, PyObject *path)
{
    PyObject *number = PyLong_FromLongLong(kit->seq + 1), *source = PyTuple_New(8), *event = NULL;
    int result = -1;
    if (number == NULL || source == NULL)
        goto done;
    before = before == NULL ? PyUnicode_FromStringAndSize("", 0) : Py_NewRef(before);
    if (before == NULL)
        goto done;
    PyObject *const parts[] = {number,          kit->time,        kit->origin,    Py_False,
                               relative,        now,              old,            before};
    for (Py_ssize_t i = 0; i < 8; i++)
        PyTuple_SetItem(source, i, Py_NewRef(parts[i])); /* the tuple is new: it cannot fail */
    Py_DECREF(before);
    /* An event, its source and its path hold text, numbers and bytes, and what a watch shares: they
       are in no cycle, so the garbage collector need not visit them while a program keeps them. */
    hide(source);
    event = PyType_GenericAlloc(type, 0);
    if (event != NULL)
        hide(event);
    if (event != NULL && set_attribute(kit->maker, event, maker) == 0
        && set_attribute(kit->source, event, source) == 0
        && set_attribute(kit->path, event, path) == 0 && PyList_Append(kit->out, event) == 0) {
        kit->seq++;
        result = 0;
    }
done:
    Py_XDECREF(number);
    Py_XDECREF(source);
    Py_XDECREF(event);
    return result;
}

/* An event of one name in a block. */
static int
add_event_at(struct kit *kit, PyTypeObject *type, PyObject *maker, const struct block *block,
             const struct row *row, PyObject *before)
{
    PyObject *relative = PyUnicode_Concat(block->prefix, row->name), *path = NULL;
    int result = -1;
    if (relative != NULL && (path = make_path(kit, block, row->name)) != NULL)
        result = add_event(kit, type, maker, relative, row->now, row->old, before, path);
    Py_XDECREF(relative);
    Py_XDECREF(path);
    return result;
}

/* A file of which something else changed than the content alone. */
static int
add_changed(struct kit *kit, const struct block *block, const struct row *row, PyObject *changes)
{
    int is_any = PyObject_IsTrue(changes);
    if (is_any <= 0)
        return is_any;
    PyObject *maker = PyObject_CallFunctionObjArgs(kit->changed, changes, NULL);
    if (maker == NULL)
        return -1;
    int result = add_event_at(kit, kit->updated, maker, block, row, NULL);
    Py_DECREF(maker);
    return result;
}

/* Equals _file_events._emit_renamed; `values` are the blocks and rows of both ends. */
static int
emit_renamed(struct kit *kit, PyObject *const values[4])
{
    struct block start, end;
    struct row start_row, end_row;
    if (read_block(values[0], &start) < 0 || read_row(values[1], &start_row) < 0
        || read_block(values[2], &end) < 0 || read_row(values[3], &end_row) < 0)
        return -1;
    if (start_row.old == Py_None || end_row.now == Py_None)
        return 0;
    if (PyDict_DelItem(start.entries, start_row.name) < 0
        || PyDict_SetItem(end.entries, end_row.name, end_row.now) < 0)
        return -1;
    PyObject *before = PyUnicode_Concat(start.prefix, start_row.name);
    if (before == NULL)
        return -1;
    struct row row = {.name = end_row.name, .old = start_row.old, .now = end_row.now};
    int result = add_event_at(kit, kit->renamed, kit->plain, &end, &row, before);
    Py_DECREF(before);
    if (result < 0)
        return -1;
    if (PyBytes_Check(row.old)
        && (end.exact || !((start_row.bits | end_row.bits) & HINT_WRITE))) {
        const unsigned char *old = record_in(row.old), *now = record_in(row.now);
        if (old == NULL || now == NULL)
            return -1;
        if (memcmp(old, now, CONTENT_END) == 0)
            return 0;
    }
    PyObject *changes = PyObject_CallFunctionObjArgs(kit->besides, values[0], values[1], values[2],
                                                     values[3], NULL);
    if (changes == NULL)
        return -1;
    result = add_changed(kit, &end, &row, changes);
    Py_DECREF(changes);
    return result;
}

/* A row that is no end of a rename. */
static int
emit_row(struct kit *kit, const struct block *block, const struct row *row)
{
    if (row->now == Py_None) {
        uint64_t inode;
        int kind;
        if (row->old == Py_None)
            return 0;
        if (PyDict_DelItem(block->entries, row->name) < 0
            || identity_in(row->old, &inode, &kind) < 0)
            return -1;
        return add_event_at(kit, kind == 1 ? kit->dir_deleted : kit->deleted, kit->gone[kind],
                            block, row, NULL);
    }
    if (PyDict_SetItem(block->entries, row->name, row->now) < 0)
        return -1;
    if (row->old == Py_None)
        return add_event_at(kit, kit->created, kit->plain, block, row, NULL);
    if (row->changes == Py_True)
        return add_event_at(kit, kit->updated, kit->written, block, row, NULL);
    return row->changes == Py_False ? 0 : add_changed(kit, block, row, row->changes);
}

/* The row `number`: emitted with its other end, or by itself. */
static int
emit_numbered(struct kit *kit, const struct blocks *blocks, PyObject *pairs, Py_ssize_t index,
              Py_ssize_t number)
{
    const struct block *block = blocks->all + index;
    PyObject *value = PyList_GetItem(block->rows, number - block->first), *other = NULL;
    struct row row, far_row;
    if (read_row(value, &row) < 0)
        return -1;
    if (PyDict_Size(pairs)) {
        PyObject *key = PyLong_FromSsize_t(number);
        if (key == NULL)
            return -1;
        other = PyDict_GetItemWithError(pairs, key);
        Py_DECREF(key);
        if (other == NULL && PyErr_Occurred())
            return -1;
    }
    if (other == NULL)
        return emit_row(kit, block, &row);
    Py_ssize_t there = PyLong_AsSsize_t(other);
    if (there < number)
        return there < 0 && PyErr_Occurred() ? -1 : 0; /* emitted with its other end */
    Py_ssize_t far = find_row(blocks, there, &far_row);
    if (far < 0)
        return -1;
    PyObject *here = PyList_GetItem(blocks->values, index);
    PyObject *far_block = PyList_GetItem(blocks->values, far);
    PyObject *far_value = PyList_GetItem(blocks->all[far].rows, there - blocks->all[far].first);
    if (here == NULL || far_block == NULL || far_value == NULL)
        return -1;
    PyObject *const forth[4] = {here, value, far_block, far_value};
    PyObject *const back[4] = {far_block, far_value, here, value};
    return emit_renamed(kit, row.now == Py_None ? forth : back);
}

/* Equals _file_events.emit_rows. */
static PyObject *
emit_rows(PyObject *module, PyObject *args)
{
    PyObject *values, *pairs, *makers, *fixed, *result = NULL;
    Py_ssize_t begin, end;
    struct blocks blocks = {0};
    struct kit kit;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!O!nnLOOOOO:emit_rows", &PyList_Type, &kit.out, &PyList_Type,
                          &values, &PyDict_Type, &pairs, &begin, &end, &kit.seq, &kit.time,
                          &kit.origin, &makers, &kit.besides, &fixed)
        || read_kit(fixed, makers, &kit) < 0 || read_blocks(values, &blocks) < 0)
        goto done;
    for (Py_ssize_t i = 0; i < blocks.count; i++) {
        const struct block *block = blocks.all + i;
        Py_ssize_t from = begin > block->first ? begin : block->first;
        Py_ssize_t to = end < block->first + block->size ? end : block->first + block->size;
        for (Py_ssize_t number = from; number < to; number++)
            if (emit_numbered(&kit, &blocks, pairs, i, number) < 0)
                goto done;
    }
    result = PyLong_FromLongLong(kit.seq);
done:
    free(blocks.all);
    return result;
}

static PyMethodDef methods[] = {
    {"fanotify_mark", mark, METH_VARARGS, NULL},
    {"fanotify_mark_several", fanotify_mark_several, METH_VARARGS, NULL},
    {"inotify_mark_several", inotify_mark_several, METH_VARARGS, NULL},
    {"list_directory", list_directory, METH_O, NULL},
    {"list_sifted", list_sifted, METH_VARARGS, NULL},
    {"records_in", records_in, METH_VARARGS, NULL},
    {"emit_rows", emit_rows, METH_VARARGS, NULL},
    {"find_rows", find_rows, METH_VARARGS, NULL},
    {"names_that_stay", names_that_stay, METH_O, NULL},
    {"tie", tie, METH_VARARGS, NULL},
    {"merge_fanotify", merge_fanotify, METH_VARARGS, NULL},
    {"merge_inotify", merge_inotify, METH_VARARGS, NULL},
    {"name_to_handle", name_to_handle, METH_O, NULL},
    {"parse_listing", parse_listing, METH_VARARGS, NULL},
    {"open_directories", open_directories, METH_VARARGS, NULL},
    {"pack_statx", pack_statx, METH_VARARGS, NULL},
    {"statx_directory", statx_directory, METH_VARARGS, NULL},
    {"statx_records", statx_records, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

#ifndef SOURCE_DIGEST
#define SOURCE_DIGEST ""
#endif

static int
fill(PyObject *module)
{
    if (PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "SOURCE", SOURCE_DIGEST);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "limpet._speedups",
    .m_doc = "The compiled form of functions of limpet; see limpet/_compiled.py.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
