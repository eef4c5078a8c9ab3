/* The least a watcher can cost: inotify read raw, its records counted and thrown away.
 *
 *   limit [--gather MILLISECONDS] [--stat] FOLDER [--latency]
 *
 * Speaks the line protocol of _line.py. --gather waits a moment after the first record is there, so
 * that more of them come with one read. --stat asks for the stat of each name a read brings, once
 * for records that follow each other.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MASK (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE | IN_DELETE | IN_ONLYDIR | IN_EXCL_UNLINK)

static int notify;
static long entries;
static char *paths[1 << 20];

static double cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long long clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void walk(int fd, char *path, size_t length)
{
    int wd = inotify_add_watch(notify, path, MASK);
    if (wd >= 0 && wd < (int)(sizeof paths / sizeof *paths))
        paths[wd] = strdup(path);
    DIR *folder = fdopendir(fd);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        entries++;
        if (entry->d_type != DT_DIR)
            continue;
        int below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            continue;
        int added = snprintf(path + length, 4096 - length, "/%s", entry->d_name);
        walk(below, path, length + (size_t)added);
        path[length] = 0;
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    static char path[4096], line[256];
    static char records[1 << 16] __attribute__((aligned(8)));
    int latency = 0, gather = 0, stat = 0, last_wd = 0;
    char last[256] = "";
    for (int i = 1; i < argc; i++) {
        latency |= strcmp(argv[i], "--latency") == 0;
        stat |= strcmp(argv[i], "--stat") == 0;
        if (strcmp(argv[i], "--gather") == 0 && i + 1 < argc)
            gather = atoi(argv[++i]);
        else if (argv[i][0] != '-')
            snprintf(path, sizeof path, "%s", argv[i]);
    }
    if (path[0] == 0)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    double cpu_before = cpu();
    long long begun = clock_ns();
    notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    walk(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path, strlen(path));
    printf("{\"cpu\": %.6f, \"wall\": %.6f, \"rss_before\": 0, \"traced\": 0}\n", cpu() - cpu_before,
           (double)(clock_ns() - begun) / 1e9);
    long events = 0, created = 0, asked = 0;
    struct pollfd wait[2] = {{notify, POLLIN, 0}, {0, POLLIN, 0}};
    while (poll(wait, 2, -1) > 0) {
        if (wait[0].revents & POLLIN) {
            if (gather > 0) {
                struct timespec t = {0, gather * 1000000L};
                nanosleep(&t, NULL);
            }
            ssize_t got = read(notify, records, sizeof records);
            for (ssize_t at = 0; at < got;) {
                struct inotify_event *event = (struct inotify_event *)(records + at);
                events++;
                if (stat && event->len && (event->wd != last_wd || strcmp(event->name, last) != 0)) {
                    static char name[8192];
                    struct statx facts;
                    last_wd = event->wd;
                    snprintf(last, sizeof last, "%s", event->name);
                    snprintf(name, sizeof name, "%s/%s", paths[event->wd], event->name);
                    asked += statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, 0xfff, &facts) == 0;
                }
                created += (event->mask & (IN_CREATE | IN_ISDIR)) == IN_CREATE;
                if (latency && (event->mask & (IN_CREATE | IN_MODIFY)) && strncmp(event->name, "lat-", 4) == 0)
                    printf("saw %s %lld\n", event->name, clock_ns());
                at += (ssize_t)(sizeof *event + event->len);
            }
            continue; /* drained before any command is answered */
        }
        if (wait[1].revents) {
            ssize_t got = read(0, line, sizeof line);
            if (got <= 0 || strncmp(line, "stop", 4) == 0)
                break;
            printf("{\"cpu\": %.6f, \"events\": %ld, \"distinct\": %ld}\n", cpu(), events, created);
        }
    }
    return 0;
}
