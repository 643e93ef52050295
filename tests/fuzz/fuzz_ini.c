#include "tests/fuzz/fuzz.h"

#include "s3/ini.h"

#include <string.h>

/* Every setting is found under its names, and what is found points into the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(ini_fini) struct ini ini = {0};
    if (ini_parse(data, size, &ini) < 0)
        return 0;
    for (size_t i = 0; i < ini.items; i++) {
        const struct ini_item *item = &ini.item[i];
        const char *value = ini_get(&ini, item->section, item->parent, item->name);
        FUZZ_CHECK(value != NULL);
        FUZZ_CHECK(!*item->name || (value >= ini.text && value <= ini.text + ini.len));
        FUZZ_CHECK(ini_has_section(&ini, item->section) || !*item->section);
        FUZZ_CHECK(strpbrk(item->name, "\n=:ABC") == NULL);
    }
    return 0;
}
