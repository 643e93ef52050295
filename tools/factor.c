#include "tools/factor.h"

#include "ops/hermitian.h"
#include "ops/verify.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

static int factor_options(const struct factor_conf *conf, struct chol *x, struct err *err)
{
    if (conf->uplo && strcmp(conf->uplo, "l") != 0 && strcmp(conf->uplo, "u") != 0)
        return err_set(err, -EINVAL, "--uplo: '%s' is none of l, u", conf->uplo);
    x->upper = conf->uplo && *conf->uplo == 'u';
    x->reg = conf->reg;
    return 0;
}

struct cJSON *factor_parameters(const struct factor *f)
{
    struct cJSON *p = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(p, "uplo", f->chol.upper ? "u" : "l");
    (void)cJSON_AddNumberToObject(p, "reg", f->chol.reg);
    return p;
}

int factor_init(const struct factor_conf *conf, struct matdir *a, const char *path,
                const struct compute *begun, struct factor *ret, struct err *err)
{
    *ret = (struct factor){.chol = {.a = a, .memory = begun->memory},
                           .compute = {.label = "chol",
                                       .path = path,
                                       .input = {a},
                                       .memory = begun->memory,
                                       .threads = begun->threads}};
    int r = factor_options(conf, &ret->chol, err);
    return r < 0 ? r : chol_plan(&ret->chol, &ret->compute.header, err);
}

int factor_look(struct cmd_call *call, struct factor *f, struct err *err)
{
    struct chol_layout layout;
    struct chol *x = &f->chol;
    struct compute *c = &f->compute;
    const struct run_conf conf = {.memory = c->memory, .threads = c->threads};
    bool plan = ((const struct compute_conf *)call->conf)->plan;
    int r = chol_layout(x, &layout, err);
    if (r == 0)
        r = compute_check(call, c, err);
    if (r == 0)
        r = chol_check_inputs(x, err);
    if (r == 0)
        r = stamps_take(x->a, x->upper ? STAMPS_UPPER : STAMPS_LOWER, &f->stamps, err);
    if (r < 0)
        return r;
    x->stamps = &f->stamps;
    c->reads_checked = grid_axis_blocks(&x->a->header.grid, 0);
    for (int64_t i = 0; i < c->reads_checked; i++)
        c->bytes_checked += (uint64_t)grid_block_elements(&x->a->header.grid, (int64_t[]){i, i}) *
                            x->a->header.dtype.size;
    c->input[0]->watch = &call->watch;
    return plan ? 0 : hermitian_check(x->a, &conf, err);
}

static void factor_set_job(struct factor *f)
{
    struct job *job = &f->compute.job;
    struct cJSON *parameters = job->parameters ? job->parameters : factor_parameters(f);
    *job = (struct job){.operation = "chol", .parameters = parameters, .input = {&f->stamps}};
}

int factor_is_ours(struct factor *f, struct err *err)
{
    struct compute *c = &f->compute;
    CLEANUP(matdir_close) struct matdir there = MATDIR_NONE;
    factor_set_job(f);
    int r = job_describe(&c->job, &c->header, err);
    if (r == 0)
        r = matdir_open(c->path, &there, err);
    if (r == -ENOENT) {
        err_clear(err);
        return 0;
    }
    return r < 0 ? r : job_check(c->path, &there.header, &c->header, NULL) == 0;
}

int factor_run(struct cmd_call *call, struct factor *f, struct err *err)
{
    struct compute *c = &f->compute;
    factor_set_job(f);
    c->algorithm = chol_algorithm(&f->chol);
    c->verify = verify_chol;
    c->bound = chol_bound(&f->chol);
    c->numpywren = chol_numpywren(&f->chol);
    c->bound_text = "max(n^3 / (3 sqrt(2) sqrt(S)), n (n + 1) / 2) elements, S being the memory";
    return compute_run(call, c, err);
}

void factor_fini(struct factor *f)
{
    stamps_fini(&f->stamps);
    compute_fini(&f->compute);
}
