#ifndef BMFS_TESTS_UNIT_FS_STAGES_H
#define BMFS_TESTS_UNIT_FS_STAGES_H

/* Stages in a lab, their callbacks waited for. */

#include "fs/stage.h"
#include "tests/unit/fs/lab.h"

void stages_drop(struct stage **s);

#define STAGE(s) CLEANUP(stages_drop) struct stage *s = NULL

void stages_start(struct lab *lab, struct object *base, struct stage **ret);

/* A stage over an object "k" of `len` bytes of seed 1, that is nowhere but in the store. */
void stages_start_over(struct lab *lab, size_t len, struct stage **ret);

/* Changes; the code. */
int stages_put(struct stage *s, const char *text, uint64_t off);
int stages_put_bytes(struct stage *s, unsigned seed, uint64_t off, size_t len);
int stages_resize(struct stage *s, uint64_t size);
int stages_ask_room(struct stage *s, uint64_t off, uint64_t len, bool grow);

/* Whether the stage reads as a text from `off` to its end, or holds a seed's bytes, or zeros. */
bool stages_says(struct stage *s, const char *text, uint64_t off);
bool stages_has(struct stage *s, unsigned seed, uint64_t off, size_t len);
bool stages_has_zeros(struct stage *s, uint64_t off, size_t len);

/* What a hold shows. */
struct stage_view stages_look(struct stage *s);

#endif
