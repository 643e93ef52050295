#ifndef BMFS_BASE_CRC32C_H
#define BMFS_BASE_CRC32C_H

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum kept with every block that bmfs writes.
 * Start with 0 and feed the bytes in order; the value after "123456789" is 0xe3069283. */

#include "base/util.h"

uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The CRC-32C of `len` bytes of a file from `off` on, continuing `crc`. 0, or -errno (-ENODATA when
 * the file ends early). */
int crc32c_fd(int fd, uint64_t off, uint64_t len, uint32_t crc, uint32_t *ret);

#endif
