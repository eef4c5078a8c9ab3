/* Wine has no creation times: it gives the time of the last write in their place. Programs in Wine are
   ordinary processes of Linux, so this one asks Linux itself, by statx(2). */
#include <stdint.h>
#include <string.h>

enum { AT_FDCWD_ = -100, NO_FOLLOW = 0x100, STATX = 332, BASIC_AND_BIRTH = 0xfff };

struct moment { int64_t seconds; uint32_t nanoseconds; int32_t reserved; };

struct answer { /* struct statx of linux/stat.h */
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare;
    uint64_t ino, size, blocks, attributes_mask;
    struct moment atime, btime, ctime, mtime;
    uint8_t rest[256 - 128];
};

__declspec(dllexport) int64_t birth(const char *path, int follow, uint64_t *inode)
{
    struct answer found;
    memset(&found, 0, sizeof found);
    register long number __asm__("rax") = STATX;
    register long directory __asm__("rdi") = AT_FDCWD_;
    register const char *name __asm__("rsi") = path;
    register long flags __asm__("rdx") = follow ? 0 : NO_FOLLOW;
    register long mask __asm__("r10") = BASIC_AND_BIRTH;
    register struct answer *to __asm__("r8") = &found;
    __asm__ volatile("syscall"
                     : "+r"(number)
                     : "r"(directory), "r"(name), "r"(flags), "r"(mask), "r"(to)
                     : "rcx", "r11", "memory");
    if (number < 0 || !(found.mask & 0x800))
        return 0;
    *inode = found.ino;
    return found.btime.seconds * 1000000000 + found.btime.nanoseconds;
}
