#include "base/crc32c.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

enum { CRC32C_STEP = 1 << 20 };

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    unsigned char *p; /* the library's prototype lacks const; it only reads */
    memcpy(&p, &data, sizeof(p));
    crc = ~crc;
    while (len > 0) {
        size_t n = MIN(len, (size_t)CRC32C_STEP);
        crc = crc32_iscsi(p, (int)n, crc);
        p += n;
        len -= n;
    }
    return ~crc;
}

int crc32c_fd(int fd, uint64_t off, uint64_t len, uint32_t crc, uint32_t *ret)
{
    CLEANUP(freep) unsigned char *step = malloc(CRC32C_STEP);
    if (!step)
        return -ENOMEM;
    while (len > 0) {
        size_t n = (size_t)MIN(len, (uint64_t)CRC32C_STEP);
        int r = pread_full(fd, step, n, off);
        if (r < 0)
            return r;
        crc = crc32c(crc, step, n);
        off += n;
        len -= n;
    }
    *ret = crc;
    return 0;
}
