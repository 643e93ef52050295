/* ScaLAPACK in memory: mpirun -np 2 scalapack gemm|chol N. Rank 0 prints seconds. */

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

void Cblacs_get(int context, int what, int *ret);
void Cblacs_gridinit(int *context, const char *order, int rows, int columns);
void Cblacs_gridinfo(int context, int *rows, int *columns, int *row, int *column);
int numroc_(const int *n, const int *nb, const int *me, const int *first, const int *count);
void descinit_(int *desc, const int *m, const int *n, const int *mb, const int *nb,
               const int *first_row, const int *first_column, const int *context, const int *ld,
               int *info);
void pdgemm_(const char *transa, const char *transb, const int *m, const int *n, const int *k,
             const double *alpha, const double *a, const int *ia, const int *ja, const int *desca,
             const double *b, const int *ib, const int *jb, const int *descb, const double *beta,
             double *c, const int *ic, const int *jc, const int *descc);
void pdpotrf_(const char *uplo, const int *n, double *a, const int *ia, const int *ja,
              const int *desc, int *info);

enum { NB = 256 };

/* This process's part of an n x n matrix, cut along both axes into pieces of NB. */
struct part {
    int desc[9];
    int m, n;            /* local rows and columns */
    int columns, column; /* processes in a row, and which one this is */
};

static struct part part_of(int n, int processes)
{
    struct part p = {.columns = 0};
    const int nb = NB;
    const int zero = 0;
    int context = 0;
    int rows = 0;
    int row = 0;
    int info = 0;
    Cblacs_get(-1, 0, &context);
    Cblacs_gridinit(&context, "Row", 1, processes);
    Cblacs_gridinfo(context, &rows, &p.columns, &row, &p.column);
    p.m = numroc_(&n, &nb, &row, &zero, &rows);
    p.n = numroc_(&n, &nb, &p.column, &zero, &p.columns);
    descinit_(p.desc, &n, &n, &nb, &nb, &zero, &zero, &context, &p.m, &info);
    return p;
}

/* Positive definite: 4 n on the diagonal, 0.5 elsewhere. */
static void part_fill(const struct part *p, int n, double *a)
{
    for (int j = 0; j < p->n; j++) {
        int column = (j / NB * p->columns + p->column) * NB + j % NB;
        for (int i = 0; i < p->m; i++)
            a[i + (size_t)j * (size_t)p->m] = column == i ? 4.0 * n : 0.5;
    }
}

static double part_run(const struct part *p, int n, char operation, double *a, double *c)
{
    const int one = 1;
    const double alpha = 1;
    const double beta = 0;
    int info = 0;
    (void)MPI_Barrier(MPI_COMM_WORLD);
    double start = MPI_Wtime();
    if (operation == 'c')
        pdpotrf_("L", &n, a, &one, &one, p->desc, &info);
    else
        pdgemm_("N", "N", &n, &n, &n, &alpha, a, &one, &one, p->desc, a, &one, &one, p->desc, &beta,
                c, &one, &one, p->desc);
    (void)MPI_Barrier(MPI_COMM_WORLD);
    return info == 0 ? MPI_Wtime() - start : -1;
}

int main(int argc, char **argv)
{
    int processes = 0;
    int rank = 0;
    int n = argc == 3 ? atoi(argv[2]) : 0;
    if (n < 1 || MPI_Init(&argc, &argv) != MPI_SUCCESS)
        return EXIT_FAILURE;
    (void)MPI_Comm_size(MPI_COMM_WORLD, &processes);
    (void)MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    struct part p = part_of(n, processes);
    size_t elements = (size_t)p.m * (size_t)p.n + 1;
    double *a = calloc(elements, sizeof(*a));
    double *c = calloc(elements, sizeof(*c));
    double seconds = -1;
    if (a && c) {
        part_fill(&p, n, a);
        seconds = part_run(&p, n, *argv[1], a, c);
    }
    if (rank == 0)
        (void)printf("%f\n", seconds);
    free(a);
    free(c);
    (void)MPI_Finalize();
    return seconds >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
