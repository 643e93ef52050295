/* Python's pickle machine, cut down to what can make a numpy type.
 *
 * The machine has a stack, a memo, and an arena for the items of tuples, all of fixed size. Texts
 * are not copied: they point into the pickle. A plain type needs at most one dtype object, so the
 * machine owns one, and the values of kind PICKLE_DTYPE all mean it: BUILD then changes it for the
 * stack and the memo alike, as it does in Python. */
#include "matrix/pickle.h"

#include "matrix/decimal.h"

#include <errno.h>
#include <string.h>

enum {
    PICKLE_STACK_MAX = 32,
    PICKLE_MEMO_MAX = 64,
    PICKLE_ITEMS_MAX = 64,
    PICKLE_TEXT_MAX = 64, /* "numpy.core._multiarray_umath" has 28 */
    PICKLE_PROTOCOL_MAX = 5,
    PICKLE_STATE_ITEMS = 8,   /* of a dtype's state, version 3 */
    PICKLE_STATE_VERSION = 3, /* written since numpy 1.0 for all types without metadata */
};

enum pickle_kind {
    PICKLE_MARK,
    PICKLE_NONE,
    PICKLE_INT, /* booleans are 0 and 1: numpy writes either */
    PICKLE_TEXT,
    PICKLE_TYPE,        /* a scalar type of numpy or Python */
    PICKLE_DTYPE_CLASS, /* numpy.dtype, to be called */
    PICKLE_DTYPE,       /* the machine's object */
    PICKLE_TUPLE,
};

struct pickle_value {
    enum pickle_kind kind;
    union {
        int64_t number;
        struct {
            const char *text; /* borrowed from the pickle */
            size_t len;
        };
        struct dtype type;
        struct {
            size_t first, count; /* in the arena */
        };
    };
};

struct pickle {
    const unsigned char *bytes; /* borrowed */
    size_t len, pos;
    bool stopped;
    size_t depth;
    struct pickle_value stack[PICKLE_STACK_MAX];
    size_t memo_count; /* entries set: MEMOIZE takes this as its index */
    bool memo_set[PICKLE_MEMO_MAX];
    struct pickle_value memo[PICKLE_MEMO_MAX];
    size_t items_used;
    struct pickle_value items[PICKLE_ITEMS_MAX];
    bool has_object;
    struct dtype object;
    struct err *err;
};

typedef int pickle_op_fn(struct pickle *p, unsigned arg);

/* --- bytes of the pickle --- */

/* The next bytes, or NULL with a message. Borrowed. */
static const unsigned char *pickle_take(struct pickle *p, size_t len)
{
    const unsigned char *b = p->bytes + p->pos;
    if (len > p->len - p->pos) {
        (void)err_set(p->err, -EBADMSG, "the pickle ends too early");
        return NULL;
    }
    p->pos += len;
    return b;
}

/* A little-endian number without sign, of at most 8 bytes. */
static int pickle_take_number(struct pickle *p, size_t size, uint64_t *ret)
{
    const unsigned char *b = pickle_take(p, size);
    if (!b)
        return -EBADMSG;
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (uint64_t)b[i] << (8 * i);
    *ret = v;
    return 0;
}

/* The rest of the line, without the newline that ends it. */
static int pickle_take_line(struct pickle *p, const char **ret, size_t *ret_len)
{
    const unsigned char *line = p->bytes + p->pos;
    const unsigned char *end = memchr(line, '\n', p->len - p->pos);
    if (!end)
        return err_set(p->err, -EBADMSG, "the pickle ends within a line");
    size_t len = (size_t)(end - line);
    if (len > PICKLE_TEXT_MAX)
        return err_set(p->err, -EBADMSG, "a line of %zu bytes is longer than %d", len,
                       PICKLE_TEXT_MAX);
    p->pos += len + 1;
    *ret = (const char *)line;
    *ret_len = len;
    return 0;
}

/* A line that is one decimal number and `suffix`. */
static int pickle_take_decimal(struct pickle *p, const char *suffix, int64_t *ret)
{
    const char *line = NULL;
    size_t len = 0;
    int r = pickle_take_line(p, &line, &len);
    if (r < 0)
        return r;
    const char *rest = line;
    if (decimal_parse(&rest, line + len, ret) < 0 ||
        (size_t)(line + len - rest) != strlen(suffix) || memcmp(rest, suffix, strlen(suffix)) != 0)
        return err_set(p->err, -EBADMSG, "'%.*s' is no number", (int)len, line);
    return 0;
}

/* --- stack and memo --- */

static int pickle_push(struct pickle *p, struct pickle_value v)
{
    if (p->depth == PICKLE_STACK_MAX)
        return err_set(p->err, -EBADMSG, "more than %d values on the stack", PICKLE_STACK_MAX);
    p->stack[p->depth++] = v;
    return 0;
}

static int pickle_push_int(struct pickle *p, int64_t v)
{
    return pickle_push(p, (struct pickle_value){.kind = PICKLE_INT, .number = v});
}

static int pickle_push_text(struct pickle *p, const char *text, size_t len)
{
    return pickle_push(p, (struct pickle_value){.kind = PICKLE_TEXT, .text = text, .len = len});
}

/* The topmost value, which is no mark; NULL with a message when there is none. Borrowed. */
static struct pickle_value *pickle_top(struct pickle *p)
{
    if (p->depth > 0 && p->stack[p->depth - 1].kind != PICKLE_MARK)
        return &p->stack[p->depth - 1];
    (void)err_set(p->err, -EBADMSG, "no value on the stack");
    return NULL;
}

static int pickle_pop(struct pickle *p, struct pickle_value *ret)
{
    const struct pickle_value *top = pickle_top(p);
    if (!top)
        return -EBADMSG;
    *ret = *top;
    p->depth--;
    return 0;
}

static int pickle_memo_put(struct pickle *p, uint64_t index)
{
    const struct pickle_value *top = pickle_top(p);
    if (!top)
        return -EBADMSG;
    if (index >= PICKLE_MEMO_MAX)
        return err_set(p->err, -EBADMSG, "memo index %llu is not below %d",
                       (unsigned long long)index, PICKLE_MEMO_MAX);
    p->memo_count += !p->memo_set[index];
    p->memo_set[index] = true;
    p->memo[index] = *top;
    return 0;
}

static int pickle_memo_get(struct pickle *p, uint64_t index)
{
    if (index >= PICKLE_MEMO_MAX || !p->memo_set[index])
        return err_set(p->err, -EBADMSG, "nothing in the memo at %llu", (unsigned long long)index);
    return pickle_push(p, p->memo[index]);
}

/* Replaces the topmost `count` values by a tuple of them. */
static int pickle_make_tuple(struct pickle *p, size_t count)
{
    if (count > PICKLE_ITEMS_MAX - p->items_used)
        return err_set(p->err, -EBADMSG, "more than %d items in tuples", PICKLE_ITEMS_MAX);
    struct pickle_value v = {.kind = PICKLE_TUPLE, .first = p->items_used, .count = count};
    for (size_t i = 0; i < count; i++) {
        int r = pickle_pop(p, &p->items[v.first + count - 1 - i]);
        if (r < 0)
            return r;
    }
    p->items_used += count;
    return pickle_push(p, v);
}

/* --- opcodes: protocol and frames --- */

static int pickle_op_proto(struct pickle *p, unsigned width)
{
    uint64_t version = 0;
    int r = pickle_take_number(p, width, &version);
    if (r < 0)
        return r;
    if (p->pos != 2 || version > PICKLE_PROTOCOL_MAX)
        return err_set(p->err, -EBADMSG, "protocol %u is not 0 to %d, or not at the start",
                       (unsigned)version, PICKLE_PROTOCOL_MAX);
    return 0;
}

/* Frames only tell a reader of streams how much to read ahead. */
static int pickle_op_frame(struct pickle *p, unsigned width)
{
    uint64_t len = 0;
    int r = pickle_take_number(p, width, &len);
    if (r < 0)
        return r;
    if (len > p->len - p->pos)
        return err_set(p->err, -EBADMSG, "a frame of %llu bytes is longer than the pickle",
                       (unsigned long long)len);
    return 0;
}

static int pickle_op_stop(struct pickle *p, unsigned unused)
{
    (void)unused;
    p->stopped = true;
    return 0;
}

/* --- opcodes: constants --- */

/* None and the mark, which have no value beside their kind. */
static int pickle_op_plain(struct pickle *p, unsigned kind)
{
    return pickle_push(p, (struct pickle_value){.kind = (enum pickle_kind)kind});
}

static int pickle_op_bool(struct pickle *p, unsigned value)
{
    return pickle_push_int(p, value);
}

/* A line. "I00" and "I01" are protocol 0's False and True. */
static int pickle_op_int(struct pickle *p, unsigned unused)
{
    (void)unused;
    const unsigned char *line = p->bytes + p->pos;
    if (p->len - p->pos >= 3 && line[0] == '0' && (line[1] == '0' || line[1] == '1'))
        p->pos++;
    int64_t v = 0;
    int r = pickle_take_decimal(p, "", &v);
    return r < 0 ? r : pickle_push_int(p, v);
}

static int pickle_op_long(struct pickle *p, unsigned unused)
{
    (void)unused;
    int64_t v = 0;
    int r = pickle_take_decimal(p, "L", &v);
    return r < 0 ? r : pickle_push_int(p, v);
}

static int pickle_op_unsigned(struct pickle *p, unsigned width)
{
    uint64_t v = 0;
    int r = pickle_take_number(p, width, &v);
    return r < 0 ? r : pickle_push_int(p, (int64_t)v);
}

/* Two's complement; a width of 0 says that a byte with the width comes first. */
static int pickle_op_signed(struct pickle *p, unsigned width)
{
    uint64_t size = width;
    uint64_t v = 0;
    int r = width > 0 ? 0 : pickle_take_number(p, 1, &size);
    if (r == 0 && size > sizeof(v))
        return err_set(p->err, -EBADMSG, "a number of %u bytes", (unsigned)size);
    if (r == 0)
        r = pickle_take_number(p, (size_t)size, &v);
    if (r < 0)
        return r;
    if (size > 0 && size < sizeof(v) && v >> (8 * size - 1))
        v |= UINT64_MAX << (8 * size);
    return pickle_push_int(p, (int64_t)v);
}

/* --- opcodes: texts --- */

static int pickle_op_text(struct pickle *p, unsigned width_of_len)
{
    uint64_t len = 0;
    int r = pickle_take_number(p, width_of_len, &len);
    if (r < 0)
        return r;
    if (len > PICKLE_TEXT_MAX)
        return err_set(p->err, -EBADMSG, "a text of %llu bytes is longer than %d",
                       (unsigned long long)len, PICKLE_TEXT_MAX);
    const unsigned char *text = pickle_take(p, (size_t)len);
    return text ? pickle_push_text(p, (const char *)text, (size_t)len) : -EBADMSG;
}

/* A line of text. An escape would have to be decoded, but no type's name holds one: it is kept,
 * and no name will match. */
static int pickle_op_unicode(struct pickle *p, unsigned unused)
{
    (void)unused;
    const char *line = NULL;
    size_t len = 0;
    int r = pickle_take_line(p, &line, &len);
    return r < 0 ? r : pickle_push_text(p, line, len);
}

/* Python 2's repr() of a str: quoted, on a line. */
static int pickle_op_string(struct pickle *p, unsigned unused)
{
    (void)unused;
    const char *line = NULL;
    size_t len = 0;
    int r = pickle_take_line(p, &line, &len);
    if (r < 0)
        return r;
    if (len < 2 || (line[0] != '\'' && line[0] != '"') || line[len - 1] != line[0])
        return err_set(p->err, -EBADMSG, "a string without quotes");
    return pickle_push_text(p, line + 1, len - 2);
}

/* --- opcodes: tuples and memo --- */

static int pickle_op_tuple(struct pickle *p, unsigned count)
{
    return pickle_make_tuple(p, count);
}

/* A tuple of all that stands above the topmost mark. */
static int pickle_op_mark_tuple(struct pickle *p, unsigned unused)
{
    (void)unused;
    size_t count = 0;
    while (count < p->depth && p->stack[p->depth - 1 - count].kind != PICKLE_MARK)
        count++;
    if (count == p->depth)
        return err_set(p->err, -EBADMSG, "no mark on the stack");
    int r = pickle_make_tuple(p, count);
    if (r < 0)
        return r;
    p->stack[p->depth - 2] = p->stack[p->depth - 1]; /* over the mark */
    p->depth--;
    return 0;
}

/* An index into the memo: little-endian, or, when `width` is 0, a line. */
static int pickle_take_index(struct pickle *p, unsigned width, uint64_t *ret)
{
    if (width > 0)
        return pickle_take_number(p, width, ret);
    int64_t v = 0;
    int r = pickle_take_decimal(p, "", &v);
    if (r == 0)
        *ret = (uint64_t)v; /* a negative one is then far too large */
    return r;
}

static int pickle_op_put(struct pickle *p, unsigned width)
{
    uint64_t index = 0;
    int r = pickle_take_index(p, width, &index);
    return r < 0 ? r : pickle_memo_put(p, index);
}

static int pickle_op_get(struct pickle *p, unsigned width)
{
    uint64_t index = 0;
    int r = pickle_take_index(p, width, &index);
    return r < 0 ? r : pickle_memo_get(p, index);
}

static int pickle_op_memoize(struct pickle *p, unsigned unused)
{
    (void)unused;
    return pickle_memo_put(p, p->memo_count);
}

/* --- opcodes: globals and objects --- */

static bool pickle_is(const struct pickle_value *v, const char *word)
{
    return v->kind == PICKLE_TEXT && v->len == strlen(word) && memcmp(v->text, word, v->len) == 0;
}

/* numpy itself, or one of the inner modules that its versions kept the types in. */
static bool pickle_is_numpy(const struct pickle_value *module)
{
    static const char *const inner[] = {"numpy.core.", "numpy._core."};
    if (pickle_is(module, "numpy"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(inner); i++) {
        size_t len = strlen(inner[i]);
        if (module->len > len && memcmp(module->text, inner[i], len) == 0)
            return true;
    }
    return false;
}

/* Python's own types, "__builtin__" being the module's name in Python 2. */
static bool pickle_is_builtin(const struct pickle_value *module, const struct pickle_value *name)
{
    static const char *const type[] = {"float", "int", "bool", "complex", "long"};
    if (!pickle_is(module, "builtins") && !pickle_is(module, "__builtin__"))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(type); i++) {
        if (pickle_is(name, type[i]))
            return true;
    }
    return false;
}

static int pickle_push_global(struct pickle *p, const struct pickle_value *module,
                              const struct pickle_value *name)
{
    bool numpy = pickle_is_numpy(module);
    if (numpy && pickle_is(name, "dtype"))
        return pickle_push(p, (struct pickle_value){.kind = PICKLE_DTYPE_CLASS});
    struct pickle_value v = {.kind = PICKLE_TYPE};
    struct dtype short_form;
    bool is_type = numpy || pickle_is_builtin(module, name);
    /* "f8" and "d" are texts that numpy understands, not names in its modules. */
    if (!is_type || name->len < 3 ||
        dtype_from_descr(name->text, name->len, &short_form, NULL) == 0 ||
        dtype_from_name(name->text, name->len, &v.type, NULL) < 0)
        return err_set(p->err, -EBADMSG, "global '%.*s.%.*s' is no type of numbers",
                       (int)module->len, module->text, (int)name->len, name->text);
    return pickle_push(p, v);
}

static int pickle_op_global(struct pickle *p, unsigned unused)
{
    (void)unused;
    struct pickle_value module = {.kind = PICKLE_TEXT};
    struct pickle_value name = {.kind = PICKLE_TEXT};
    int r = pickle_take_line(p, &module.text, &module.len);
    if (r == 0)
        r = pickle_take_line(p, &name.text, &name.len);
    return r < 0 ? r : pickle_push_global(p, &module, &name);
}

static int pickle_op_stack_global(struct pickle *p, unsigned unused)
{
    (void)unused;
    struct pickle_value module;
    struct pickle_value name;
    if (pickle_pop(p, &name) < 0 || pickle_pop(p, &module) < 0)
        return -EBADMSG;
    if (module.kind != PICKLE_TEXT || name.kind != PICKLE_TEXT)
        return err_set(p->err, -EBADMSG, "a global needs two texts");
    return pickle_push_global(p, &module, &name);
}

/* Calls numpy.dtype(text, align, copy): the only call there is. Alignment says nothing about a
 * plain type. */
static int pickle_op_reduce(struct pickle *p, unsigned unused)
{
    (void)unused;
    struct pickle_value args;
    struct pickle_value callee;
    if (pickle_pop(p, &args) < 0 || pickle_pop(p, &callee) < 0)
        return -EBADMSG;
    const struct pickle_value *arg = &p->items[args.kind == PICKLE_TUPLE ? args.first : 0];
    if (callee.kind != PICKLE_DTYPE_CLASS || args.kind != PICKLE_TUPLE || args.count < 1 ||
        args.count > 3 || arg[0].kind != PICKLE_TEXT)
        return err_set(p->err, -EBADMSG, "a call of something else than numpy.dtype(text, ...)");
    for (size_t i = 1; i < args.count; i++) {
        if (arg[i].kind != PICKLE_INT)
            return err_set(p->err, -EBADMSG, "numpy.dtype: argument %zu is no boolean", i);
    }
    if (p->has_object)
        return err_set(p->err, -EBADMSG, "more than one dtype object");
    if (dtype_from_name(arg[0].text, arg[0].len, &p->object, p->err) < 0)
        return -EBADMSG;
    p->has_object = true;
    return pickle_push(p, (struct pickle_value){.kind = PICKLE_DTYPE});
}

/* The state of a plain dtype: (3, order, None, None, None, -1, -1, 0). Anything in place of the
 * Nones makes it a structure or an array, and sizes of its own make it no number. */
static bool pickle_is_plain_state(const struct pickle_value *state, const struct pickle_value *item)
{
    static const enum pickle_kind kind[PICKLE_STATE_ITEMS] = {
        PICKLE_INT,  PICKLE_TEXT, PICKLE_NONE, PICKLE_NONE,
        PICKLE_NONE, PICKLE_INT,  PICKLE_INT,  PICKLE_INT,
    };
    if (state->kind != PICKLE_TUPLE || state->count != PICKLE_STATE_ITEMS)
        return false;
    for (size_t i = 0; i < PICKLE_STATE_ITEMS; i++) {
        if (item[i].kind != kind[i])
            return false;
    }
    return item[0].number == PICKLE_STATE_VERSION && item[5].number == -1 && item[6].number == -1 &&
           item[7].number == 0;
}

/* Gives the dtype object its state, of which only the byte order is news. */
static int pickle_op_build(struct pickle *p, unsigned unused)
{
    (void)unused;
    struct pickle_value state;
    if (pickle_pop(p, &state) < 0)
        return -EBADMSG;
    const struct pickle_value *target = pickle_top(p);
    if (!target)
        return -EBADMSG;
    const struct pickle_value *item = &p->items[state.kind == PICKLE_TUPLE ? state.first : 0];
    if (target->kind != PICKLE_DTYPE || !pickle_is_plain_state(&state, item))
        return err_set(p->err, -EBADMSG, "a state that no plain dtype has");
    static const char order[] = "<>=|";
    char descr[DTYPE_TEXT_SIZE];
    (void)dtype_descr(p->object, descr);
    if (item[1].len != 1 || !memchr(order, item[1].text[0], sizeof(order) - 1))
        return err_set(p->err, -EBADMSG, "'%.*s' is no byte order", (int)item[1].len, item[1].text);
    descr[0] = item[1].text[0];
    return dtype_from_descr(descr, strlen(descr), &p->object, p->err);
}

/* By opcode; `arg` is a width in bytes, a number of items or a value. */
static const struct pickle_op {
    pickle_op_fn *fn;
    unsigned arg;
} pickle_op[256] = {
    [0x80] = {pickle_op_proto, 1},
    [0x95] = {pickle_op_frame, 8},
    ['.'] = {pickle_op_stop, 0},
    ['N'] = {pickle_op_plain, PICKLE_NONE},
    ['('] = {pickle_op_plain, PICKLE_MARK},
    [0x88] = {pickle_op_bool, 1},
    [0x89] = {pickle_op_bool, 0},
    ['I'] = {pickle_op_int, 0},
    ['L'] = {pickle_op_long, 0},
    ['K'] = {pickle_op_unsigned, 1},
    ['M'] = {pickle_op_unsigned, 2},
    ['J'] = {pickle_op_signed, 4},
    [0x8a] = {pickle_op_signed, 0},
    [0x8c] = {pickle_op_text, 1}, /* SHORT_BINUNICODE */
    ['X'] = {pickle_op_text, 4},  /* BINUNICODE */
    ['U'] = {pickle_op_text, 1},  /* SHORT_BINSTRING: Python 2's str */
    ['T'] = {pickle_op_text, 4},  /* BINSTRING */
    ['C'] = {pickle_op_text, 1},  /* SHORT_BINBYTES: numpy takes bytes for a text */
    ['V'] = {pickle_op_unicode, 0},
    ['S'] = {pickle_op_string, 0},
    ['t'] = {pickle_op_mark_tuple, 0},
    [')'] = {pickle_op_tuple, 0},
    [0x85] = {pickle_op_tuple, 1},
    [0x86] = {pickle_op_tuple, 2},
    [0x87] = {pickle_op_tuple, 3},
    ['p'] = {pickle_op_put, 0},
    ['q'] = {pickle_op_put, 1},
    ['r'] = {pickle_op_put, 4},
    ['g'] = {pickle_op_get, 0},
    ['h'] = {pickle_op_get, 1},
    ['j'] = {pickle_op_get, 4},
    [0x94] = {pickle_op_memoize, 0},
    ['c'] = {pickle_op_global, 0},
    [0x93] = {pickle_op_stack_global, 0},
    ['R'] = {pickle_op_reduce, 0},
    ['b'] = {pickle_op_build, 0},
};

/* --- the whole --- */

static int pickle_step(struct pickle *p)
{
    if (p->pos == p->len)
        return err_set(p->err, -EBADMSG, "pickle: byte %zu: no end mark", p->pos);
    size_t at = p->pos;
    unsigned char code = p->bytes[p->pos++];
    if (!pickle_op[code].fn)
        return err_set(p->err, -EBADMSG, "pickle: byte %zu: opcode 0x%02x is not allowed", at,
                       code);
    int r = pickle_op[code].fn(p, pickle_op[code].arg);
    return r < 0 ? err_prefix(p->err, -EBADMSG, "pickle: byte %zu: opcode 0x%02x", at, code) : 0;
}

static int pickle_result(struct pickle *p, struct dtype *ret)
{
    if (p->pos != p->len || p->depth != 1)
        return err_set(p->err, -EBADMSG, "pickle: byte %zu: more behind or below the end", p->pos);
    const struct pickle_value *v = &p->stack[0];
    switch (v->kind) {
    case PICKLE_TYPE:
        *ret = v->type;
        return 0;
    case PICKLE_DTYPE:
        *ret = p->object;
        return 0;
    case PICKLE_TEXT:
        if (dtype_from_name(v->text, v->len, ret, p->err) < 0)
            return err_prefix(p->err, -EBADMSG, "pickle");
        return 0;
    case PICKLE_MARK:
    case PICKLE_NONE:
    case PICKLE_INT:
    case PICKLE_DTYPE_CLASS:
    case PICKLE_TUPLE:
        break;
    }
    return err_set(p->err, -EBADMSG, "pickle: what it holds is no type");
}

int pickle_read(const void *bytes, size_t len, struct dtype *ret, struct err *err)
{
    if (len > PICKLE_BYTES_MAX)
        return err_set(err, -EBADMSG, "pickle: %zu bytes are more than %d", len, PICKLE_BYTES_MAX);
    struct pickle p = {.bytes = bytes, .len = len, .err = err};
    while (!p.stopped) {
        int r = pickle_step(&p);
        if (r < 0)
            return r;
    }
    return pickle_result(&p, ret);
}
