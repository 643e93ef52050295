#include "fs/content.h"

#include "matrix/npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is looked at. */
struct content_file {
    const struct stage_view *view;
    const struct place *place;
    const struct header *matrix;
};

void content_init(struct content *c)
{
    *c = (struct content){.prefix = BUF_INIT((size_t)HEADER_BYTES_MAX + NPY_HEAD_MAX)};
}

void content_fini(struct content *c)
{
    header_fini(&c->header);
    buf_fini(&c->prefix);
}

/* Bytes of the right kind and number. */
static int content_fits(struct content *c, const struct content_file *f)
{
    c->state = f->view->whole ? CONTENT_WHOLE : CONTENT_HOLES;
    return 0;
}

/* A block written as npy. */
static int content_look_npy(struct content *c, const struct content_file *f, struct err *err)
{
    struct npy npy;
    uint64_t size = f->view->size;
    size_t len = (size_t)MIN(size, (uint64_t)NPY_HEAD_MAX);
    CLEANUP(freep) char *bytes = malloc(len);
    if (!bytes)
        return err_set(err, -ENOMEM, "out of memory");
    if (pread_full(f->view->fd, bytes, len, 0) < 0)
        return err_set(err, -EIO, "cannot read the written bytes");
    int r = npy_parse(bytes, len, &npy, err);
    if (r == -ENODATA || (r == 0 && size == npy.data_off && npy.data_len > 0)) {
        if (f->view->cut)
            return err_set(err, -EINVAL, "truncated to %llu bytes: not a whole block",
                           (unsigned long long)size);
        c->state = CONTENT_PARTIAL;
        return 0;
    }
    if (r == 0)
        r = npy_check_block(&npy, size, &f->matrix->grid, f->matrix->dtype, f->place->index, err);
    return r < 0 ? -EINVAL : content_fits(c, f);
}

/* A block written as bare elements; prepares the npy header that goes before them. */
static int content_look_raw(struct content *c, const struct content_file *f, struct err *err)
{
    struct npy npy;
    npy_for_block(&f->matrix->grid, f->matrix->dtype, f->place->index, &npy);
    npy.fortran = f->place->view == NAME_RAW_F && npy.ndim > 1;
    if (npy_format(&npy, &c->prefix) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (f->view->size != npy.data_len)
        return err_set(err, -EINVAL, "%llu bytes, a block of this shape and type has %llu",
                       (unsigned long long)f->view->size, (unsigned long long)npy.data_len);
    return content_fits(c, f);
}

static int content_look_block(struct content *c, const struct content_file *f, struct err *err)
{
    if (f->view->size == 0 && !f->view->cut) {
        c->state = CONTENT_EMPTY;
        return 0;
    }
    if (f->view->size == 0)
        return err_set(err, -EINVAL, "truncated to nothing: no block is empty");
    return f->place->view == NAME_OBJECT ? content_look_npy(c, f, err)
                                         : content_look_raw(c, f, err);
}

/* A header.json; prepares the stored form. */
static int content_look_header(struct content *c, const struct content_file *f, struct err *err)
{
    if (f->view->size == 0) {
        c->state = CONTENT_EMPTY;
        return 0;
    }
    size_t len = (size_t)f->view->size;
    if (f->view->size > HEADER_BYTES_MAX)
        return err_set(err, -EINVAL, "longer than %d bytes", HEADER_BYTES_MAX);
    CLEANUP(freep) char *text = malloc(len);
    if (!text)
        return -ENOMEM;
    if (pread_full(f->view->fd, text, len, 0) < 0)
        return err_set(err, -EIO, "cannot read the written bytes");
    int r = header_parse(text, len, &c->header, err);
    if (r < 0)
        return r == -ENOMEM ? r : -EINVAL;
    r = header_store(&c->header, &c->prefix);
    c->prefix_only = true;
    if (r == 0)
        c->state = CONTENT_WHOLE;
    return r;
}

int content_look(struct content *c, const struct stage_view *view, const struct place *place,
                 const struct head *head, struct err *err)
{
    struct content_file f = {.view = view, .place = place};
    content_fini(c);
    content_init(c);
    c->state = CONTENT_WRONG;
    switch (place->kind) {
    case PLACE_BLOCK:
        if (!head || head->bad)
            return err_set(err, -EBADMSG, "the matrix has no %sheader", head ? "readable " : "");
        f.matrix = &head->header;
        return content_look_block(c, &f, err);
    case PLACE_HEADER:
        return content_look_header(c, &f, err);
    case PLACE_PLAIN:
    case PLACE_SCRATCH:
        break;
    }
    c->state = view->size == 0 && !view->cut ? CONTENT_EMPTY : CONTENT_WHOLE;
    return 0;
}
