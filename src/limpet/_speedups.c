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

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#if !defined(__SIZEOF_INT128__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "made for 64-bit little-endian systems; the Python form serves the others"
#endif

#define INTERFACE 1 /* of limpet/_compiled.py */

/* -- statx: limpet/watch/index/_statx.py ------------------------------------------------------- */

#define SECOND 1000000000
#define RACY_NS 20000000LL /* these and the flags: limpet/watch/index/_entry_record.py */
#define COARSE_NS 2020000000LL
#define RECORD_SIZE 63
#define WANTED 0xFFFU
#define CHUNK 128

static int64_t
clamped(__int128 value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

/* Equals _entry_record.flags_of. */
static uint8_t
flags_of(__int128 ctime, __int128 birth, int64_t now)
{
    int coarse = ctime % SECOND == 0;
    int fresh = now - ctime < (coarse ? COARSE_NS : RACY_NS);
    int young = now - birth < (birth % SECOND ? RACY_NS : COARSE_NS);
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
pack_record(char *record, const struct statx *facts, int64_t now, int shortcut)
{
    __int128 birth = 0, ctime;
    uint8_t flags;
    if (facts->stx_mask & STATX_BTIME)
        birth = (__int128)facts->stx_btime.tv_sec * SECOND + facts->stx_btime.tv_nsec;
    ctime = (__int128)facts->stx_ctime.tv_sec * SECOND + facts->stx_ctime.tv_nsec;
    if (shortcut && facts->stx_ctime.tv_nsec && facts->stx_btime.tv_nsec) {
        __int128 young = (__int128)now - RACY_NS;
        flags = (uint8_t)((ctime > young) | (birth > young) << 1);
    }
    else
        flags = flags_of(ctime, birth, now);
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
stat_chunk(int fd, char *const *names, Py_ssize_t count, int64_t now, char (*records)[RECORD_SIZE],
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
        pack_record(records[i], &facts, now, 1);
    }
    return count;
}

/* Equals _statx.statx_records; the GIL is let go once for each CHUNK names. */
static PyObject *
statx_records(PyObject *module, PyObject *args)
{
    int fd;
    long long now;
    PyObject *wanted;
    (void)module;
    if (!PyArg_ParseTuple(args, "iOL:statx_records", &fd, &wanted, &now))
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
        statted = stat_chunk(fd, texts, ready, now, records, codes);
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

/* Equals _statx.statx_directory. */
static PyObject *
statx_directory(PyObject *module, PyObject *args)
{
    int fd, failed;
    long long now;
    struct statx facts;
    char record[RECORD_SIZE];
    (void)module;
    if (!PyArg_ParseTuple(args, "iL:statx_directory", &fd, &now))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    failed = statx(fd, "", AT_EMPTY_PATH, WANTED, &facts) < 0;
    Py_END_ALLOW_THREADS
    if (failed)
        return PyErr_SetFromErrno(PyExc_OSError);
    pack_record(record, &facts, now, 0);
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
    long long now;
    int shortcut;
    char record[RECORD_SIZE];
    struct statx facts;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*Lp:pack_statx", &answer, &now, &shortcut))
        return NULL;
    memset(&facts, 0, sizeof facts);
    size_t size = (size_t)answer.len;
    memcpy(&facts, answer.buf, size < sizeof facts ? size : sizeof facts);
    PyBuffer_Release(&answer);
    pack_record(record, &facts, now, shortcut);
    return PyBytes_FromStringAndSize(record, RECORD_SIZE);
}

/* -- the module -------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
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
