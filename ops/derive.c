#include "ops/derive.h"

#include "matrix/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <string.h>

static const char derive_field[] = "triangular";
static const char *const derive_word[] = {
    [DERIVE_NONE] = "", [DERIVE_LOWER] = "lower", [DERIVE_UPPER] = "upper"};

enum derive_triangle derive_triangle(const struct header *h)
{
    const struct cJSON *field = header_extra(h, derive_field);
    if (!cJSON_IsString(field))
        return DERIVE_NONE;
    if (strcmp(field->valuestring, derive_word[DERIVE_LOWER]) == 0)
        return DERIVE_LOWER;
    return strcmp(field->valuestring, derive_word[DERIVE_UPPER]) == 0 ? DERIVE_UPPER : DERIVE_NONE;
}

enum derive_triangle derive_flip(enum derive_triangle t)
{
    if (t == DERIVE_NONE)
        return t;
    return t == DERIVE_LOWER ? DERIVE_UPPER : DERIVE_LOWER;
}

/* Takes over *value. */
static int derive_set(struct header *h, const char *field, struct cJSON **value, struct err *err)
{
    int r = *value ? header_set_extra(h, field, value) : -ENOMEM;
    return r < 0 ? err_errno(err, r, "cannot set %s of the header", field) : 0;
}

int derive_set_triangle(struct header *h, enum derive_triangle t, struct err *err)
{
    if (t == DERIVE_NONE)
        return 0;
    CLEANUP(json_freep) struct cJSON *value = cJSON_CreateString(derive_word[t]);
    return derive_set(h, derive_field, &value, err);
}

int derive_set_fill(struct header *h, const void *element, struct err *err)
{
    long double part[2];
    _Alignas(ELEMENT_SIZE_MAX) unsigned char aligned[ELEMENT_SIZE_MAX];
    memcpy(aligned, element, h->dtype.size);
    element_widen(h->dtype, aligned, 1, 2, part);
    for (int k = 0; k < 2; k++) {
        if (h->dtype.kind != 'f' && h->dtype.kind != 'c' && fabsl(part[k]) > JSON_INT_MAX)
            return err_set(err, -EINVAL, "a header cannot say the fill value %.0Lf", part[k]);
    }
    CLEANUP(json_freep)
    struct cJSON *value = element_to_json((struct number){part[0], part[1]});
    return derive_set(h, "fill_value", &value, err);
}
