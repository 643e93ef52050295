/* Keys and paths of the local-directory store map one to one, and no path leaves the directory.
 * The first byte chooses between the two directions; the rest is the text. */

#include "s3/dir_path.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_must(bool ok)
{
    if (!ok)
        abort();
}

/* Every name can be a file name, and none means something of its own. */
static void fuzz_path_is_safe(const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");
        fuzz_must(len > 0 && len <= DIR_PATH_NAME_MAX);
        fuzz_must(strncmp(path, ".", len) != 0 && strncmp(path, "..", len) != 0);
        fuzz_must(strncmp(path, DIR_PATH_HIDDEN, strlen(DIR_PATH_HIDDEN)) != 0);
        if (!path[len])
            return;
        path += len + 1;
    }
}

static void fuzz_key(const char *key)
{
    char path[DIR_PATH_SIZE];
    char again[STORE_KEY_MAX + 1];
    if (dir_path_from_key(key, path) < 0) {
        fuzz_must(!*key || strlen(key) > STORE_KEY_MAX);
        return;
    }
    fuzz_path_is_safe(path);
    fuzz_must(dir_path_to_key(path, again) == 0);
    fuzz_must(strcmp(again, key) == 0);
}

static void fuzz_path(const char *path)
{
    char key[STORE_KEY_MAX + 1];
    char again[DIR_PATH_SIZE];
    if (dir_path_to_key(path, key) < 0)
        return;
    fuzz_path_is_safe(path);
    fuzz_must(dir_path_from_key(key, again) == 0);
    fuzz_must(strcmp(again, path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size);
    fuzz_must(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (data[0] & 1)
        fuzz_key(text);
    else
        fuzz_path(text);
    free(text);
    return 0;
}
