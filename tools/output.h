#ifndef BMFS_TOOLS_OUTPUT_H
#define BMFS_TOOLS_OUTPUT_H

/* Making a command's output: never over one of its inputs, never over what is there without being
 * told to. */

#include "tools/cmd.h"

struct output {
    const char *path;
    bool force;                        /* delete the matrix that is there */
    bool resume;                       /* go on with the matrix that is there */
    bool resumes;                      /* the command has that option */
    const struct matdir *const *input; /* `inputs` of them; NULL ones are skipped */
    int inputs;
};

/* 0 when the output can be made: nothing is there, or, with force or resume, a matrix that is none
 * of the inputs. -EINVAL: it is an input, or no matrix; -EEXIST. Changes nothing. */
int output_check(const struct output *o, struct err *err);

/* output_check(), deletes what is there with force, and makes the matrix. -EINVAL, before anything
 * is deleted, for a header that could not be read again. */
int output_make(const struct output *o, const struct header *header, struct matdir *ret,
                struct err *err);

/* Adds to an error that ended the filling of an output what has become of it. */
void output_is_incomplete(const struct output *o, struct err *err);

/* The same, where --resume goes on. */
void output_is_resumable(const struct output *o, struct err *err);

/* ", 3 of 64 blocks are stored" of the matrix at a path; "" when that cannot be found out. */
enum { OUTPUT_STORED_SIZE = 80 };
const char *output_stored(const char *path, char dst[OUTPUT_STORED_SIZE]);

#endif
