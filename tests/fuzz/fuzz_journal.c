#include "tests/fuzz/fuzz.h"

#include "fs/journal.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A journal that is read has texts that end, and ranges that are ascending and apart. A short input
 * stands for a file whose rest is zeros: a whole one is mostly those. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_note note;
    CLEANUP(closep) int fd = memfd_create("journal", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    if (size > 0 && data[size - 1] % 2 == 0)
        FUZZ_CHECK(ftruncate(fd, (off_t)journal_file_size()) == 0);
    if (journal_read(fd, &note) < 0)
        return 0;
    FUZZ_CHECK(memchr(note.about.key, '\0', sizeof(note.about.key)) != NULL && note.about.key[0]);
    FUZZ_CHECK(memchr(note.about.if_match, '\0', sizeof(note.about.if_match)) != NULL);
    FUZZ_CHECK(memchr(note.about.write_id, '\0', sizeof(note.about.write_id)) != NULL);
    FUZZ_CHECK(note.about.head_len <= JOURNAL_HEAD_MAX && note.about.kind <= JOURNAL_RAW);
    FUZZ_CHECK(note.written.count <= JOURNAL_RANGES_MAX);
    for (size_t i = 0; i < note.written.count; i++) {
        FUZZ_CHECK(note.written.range[i].from < note.written.range[i].to);
        FUZZ_CHECK(i == 0 || note.written.range[i - 1].to < note.written.range[i].from);
    }
    extent_clear(&note.written);
    return 0;
}
