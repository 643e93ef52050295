#ifndef BMFS_OPS_TILE_H
#define BMFS_OPS_TILE_H

/* A two-dimensional block in memory. Plain value. */

#include "base/util.h"

struct tile {
    void *a;      /* not owned */
    int m, n;     /* rows, columns */
    int ld;       /* leading dimension: elements from one row to the next, or one column */
    char type;    /* BLAS's letter: 's', 'd', 'c', 'z' */
    bool fortran; /* column-major: a(i,j) is a[i + (size_t)j * ld]; else a[(size_t)i * ld + j] */
};

/* Bytes of an element of one of BLAS's types. */
static inline size_t tile_element(char type)
{
    switch (type) {
    case 's':
        return 4;
    case 'z':
        return 16;
    default:
        return 8;
    }
}

/* Rows i ... i + m - 1 and columns j ... j + n - 1 of a tile, in place. */
static inline struct tile tile_part(struct tile t, int i, int j, int m, int n)
{
    size_t along = (size_t)(t.fortran ? i : j);
    size_t across = (size_t)(t.fortran ? j : i);
    t.a = (char *)t.a + (across * (size_t)t.ld + along) * tile_element(t.type);
    t.m = m;
    t.n = n;
    return t;
}

/* The transpose, in place. */
static inline struct tile tile_turn(struct tile t)
{
    int m = t.m;
    t.m = t.n;
    t.n = m;
    t.fortran = !t.fortran;
    return t;
}

#endif
