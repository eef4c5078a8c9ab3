/* Makes the work that the watchers watch; producer.py does the same where there is no compiler.
 *
 *   producer tree ROOT FOLDERS FILES        a tree: folder i lies in folder i/20 - 1, empty files spread evenly
 *   producer create|append|rename|delete ROOT FOLDERS COUNT RATE
 *                                           COUNT operations on ROOT/d0..dFOLDERS-1, RATE a second (0: flat out)
 *
 * Prints the seconds it took.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char TEXT[] = "one hundred bytes of text, more or less, as a line of a log file or a small message may have it\n";

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "producer: %s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void folder_path(char *out, size_t room, const char *root, long number)
{
    if (number < 20) {
        snprintf(out, room, "%s/d%ld", root, number);
        return;
    }
    char parent[2048];
    folder_path(parent, sizeof parent, root, number / 20 - 1);
    snprintf(out, room, "%s/d%ld", parent, number);
}

static void write_file(const char *path, int flags, size_t length)
{
    int fd = open(path, flags | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        fail("open", path);
    if (length > 0 && write(fd, TEXT, length) < 0)
        fail("write", path);
    close(fd);
}

static void make_tree(const char *root, long folders, long files)
{
    char path[4096], file[4200];
    for (long i = 0; i < folders; i++) {
        folder_path(path, sizeof path, root, i);
        if (mkdir(path, 0755) != 0)
            fail("mkdir", path);
        for (long j = i; j < files; j += folders) {
            snprintf(file, sizeof file, "%s/f%ld", path, j);
            write_file(file, O_CREAT | O_EXCL, 0);
        }
    }
}

static void wait_until(double moment)
{
    double left = moment - now();
    if (left <= 0)
        return;
    struct timespec t = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: producer WHAT ROOT FOLDERS COUNT [RATE]\n");
        return 2;
    }
    const char *what = argv[1], *root = argv[2];
    long folders = atol(argv[3]), count = atol(argv[4]);
    double rate = argc > 5 ? atof(argv[5]) : 0, start = now();
    if (strcmp(what, "tree") == 0)
        make_tree(root, folders, count);
    else
        for (long i = 0; i < count; i++) {
            char path[4096], renamed[4096];
            if (rate > 0)
                wait_until(start + (double)i / rate);
            snprintf(path, sizeof path, "%s/d%ld/f%ld", root, i % folders, i);
            snprintf(renamed, sizeof renamed, "%s/d%ld/r%ld", root, i % folders, i);
            if (strcmp(what, "create") == 0)
                write_file(path, O_CREAT | O_EXCL, sizeof TEXT - 1);
            else if (strcmp(what, "append") == 0)
                write_file(path, O_APPEND, sizeof TEXT - 1);
            else if (strcmp(what, "rename") == 0 ? rename(path, renamed) != 0 : unlink(renamed) != 0)
                fail(what, path);
        }
    printf("%.6f\n", now() - start);
    return 0;
}
