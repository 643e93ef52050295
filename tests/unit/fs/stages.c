#include "tests/unit/fs/stages.h"

#include "tests/unit/fs/remote.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

void stages_drop(struct stage **s)
{
    stage_unref(*s);
}

void stages_start(struct lab *lab, struct object *base, struct stage **ret)
{
    assert_int_equal(stage_new(&lab->fs->stage_conf, base, ret), 0);
}

void stages_start_over(struct lab *lab, size_t len, struct stage **ret)
{
    struct object *base = NULL;
    struct store_stat stat = lab_put(lab, "k", 1, len);
    assert_int_equal(objects_open(lab->fs->objects, "k", &stat, &base, &lab->err), 0);
    stages_start(lab, base, ret);
    object_unref(base);
    remote_clear(lab->store);
}

int stages_put(struct stage *s, const char *text, uint64_t off)
{
    LAB_ANSWER(a);
    stage_write(s, text, strlen(text), off, false, lab_answer_change, &a);
    return lab_wait(&a);
}

int stages_put_bytes(struct stage *s, unsigned seed, uint64_t off, size_t len)
{
    LAB_ANSWER(a);
    CLEANUP(freep) void *data = lab_bytes(seed, off, len);
    stage_write(s, data, len, off, false, lab_answer_change, &a);
    return lab_wait(&a);
}

int stages_resize(struct stage *s, uint64_t size)
{
    LAB_ANSWER(a);
    stage_truncate(s, size, lab_answer_change, &a);
    return lab_wait(&a);
}

int stages_ask_room(struct stage *s, uint64_t off, uint64_t len, bool grow)
{
    LAB_ANSWER(a);
    stage_allocate(s, off, len, grow, lab_answer_change, &a);
    return lab_wait(&a);
}

bool stages_says(struct stage *s, const char *text, uint64_t off)
{
    LAB_ANSWER(a);
    stage_read(s, off, 100000, lab_answer_read, &a);
    return lab_wait(&a) == 0 && a.len == strlen(text) && memcmp(a.data, text, a.len) == 0;
}

bool stages_has(struct stage *s, unsigned seed, uint64_t off, size_t len)
{
    LAB_ANSWER(a);
    stage_read(s, off, len, lab_answer_read, &a);
    return lab_wait(&a) == 0 && a.len == len && lab_is(a.data, seed, off, len);
}

bool stages_has_zeros(struct stage *s, uint64_t off, size_t len)
{
    LAB_ANSWER(a);
    CLEANUP(freep) char *zero = calloc(1, len);
    stage_read(s, off, len, lab_answer_read, &a);
    return lab_wait(&a) == 0 && a.len == len && memcmp(a.data, zero, len) == 0;
}

struct stage_view stages_look(struct stage *s)
{
    struct stage_view view = {0};
    assert_int_equal(stage_hold(s, &view), 0);
    stage_settle(s, false);
    return view;
}
