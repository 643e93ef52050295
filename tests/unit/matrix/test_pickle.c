#include "tests/unit/unit.h"

#include "matrix/pickle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A literal with its length: pickles hold NULs. */
#define BYTES(text) (text), sizeof(text) - 1

/* Reads a copy of exactly the right size, so that a sanitizer sees a byte read beyond it. */
static int pickle_try(const char *bytes, size_t len, struct dtype *ret, struct err *err)
{
    CLEANUP(freep) char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, bytes, len);
    return pickle_read(copy + 1, len, ret, err);
}

static void pickle_reads_what_every_python_writes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *descr;
    } good[] = {
        {BYTES("cnumpy\nfloat64\np0\n."), "<f8"},
        {BYTES("\x80\x03"
               "cnumpy\nbool_\nq\0."),
         "|b1"},
        {BYTES("\x80\4\x95\x15\0\0\0\0\0\0\0\x8c\5numpy\x94\x8c\7float64\x94\x93\x94."), "<f8"},
        /* Python 2: str for texts, 0 and 1 for booleans */
        {BYTES("cnumpy\ndtype\np0\n(S'f8'\np1\nI0\nI1\ntp2\nRp3\n"
               "(I3\nS'<'\np4\nNNNI-1\nI-1\nI0\ntp5\nb."),
         "<f8"},
        {BYTES("\x80\2cnumpy\ndtype\nq\0U\3c16q\1K\0K\1\x87q\2Rq\3(K\3U\1>q\4"
               "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tq\5b."),
         ">c16"},
        {BYTES("cnumpy\ndtype\nq\0(T\2\0\0\0f4K\0K\1tq\1Rq\2(K\3U\1="
               "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb."),
         "<f4"},
        {BYTES("S'float32'\np0\n."), "<f4"},
        {BYTES("S\"float32\"\np0\n."), "<f4"},
        {BYTES("U\4<f8 q\0."), NULL},
        {BYTES("\x80\3C\3>f8q\0."), ">f8"},
        /* Python 3, protocols 0 and 1 */
        {BYTES("cnumpy\ndtype\np0\n(Vu1\np1\nI00\nI01\ntp2\nRp3\n"
               "(I3\nV|\np4\nNNNI-1\nI-1\nI0\ntp5\nb."),
         "|u1"},
        /* longs, wide operands, and a memo that is used */
        {BYTES("cnumpy\ndtype\nr\x3f\0\0\0(X\2\0\0\0i8\x88\x89tR(L3L\nX\1\0\0\0>"
               "NNN\x8a\1\xff\x8a\2\xff\xffM\0\0tb."),
         ">i8"},
        {BYTES("(X\5\0\0\0numpyq\1tX\5\0\0\0dtype."), NULL},
        {BYTES("cnumpy\ndtype\n(X\2\0\0\0u2tR."), "<u2"},
        {BYTES("cnumpy\ndtype\nX\2\0\0\0u4\x85R."), "<u4"},
        {BYTES("cnumpy\ndtype\nX\2\0\0\0u4\x89\x86R."), "<u4"},
        {BYTES("\x8c\5numpy\x94\x8c\4int8\x94\x93."), "|i1"},
        {BYTES("cnumpy\ndtype\n\x94(\x8c\2f8\x94K\0\x94h\2tR."), "<f8"},
        /* where numpy's versions keep their types */
        {BYTES("cnumpy.core.multiarray\ndtype\n(X\2\0\0\0f8tR."), "<f8"},
        {BYTES("cnumpy._core.multiarray\ndtype\n(X\2\0\0\0f8tR."), "<f8"},
        {BYTES("cnumpy.core.numerictypes\nint64\n."), "<i8"},
        {BYTES("cnumpy\nbool\n."), "|b1"},
        {BYTES("cnumpy\nbool8\n."), "|b1"},
        {BYTES("cnumpy\nfloat_\n."), "<f8"},
        {BYTES("cnumpy\nlonglong\n."), "<i8"},
        {BYTES("cnumpy\nuintc\n."), "<u4"},
        {BYTES("cnumpy\nhalf\n."), "<f2"},
        {BYTES("c__builtin__\nlong\n."), "<i8"},
        {BYTES("c__builtin__\nint\n."), "<i8"},
        {BYTES("cbuiltins\nfloat\n."), "<f8"},
        {BYTES("cbuiltins\ncomplex\n."), "<c16"},
        {BYTES("cbuiltins\nbool\n."), "|b1"},
    };
    char descr[DTYPE_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct dtype t = {0};
        struct err err = {0};
        int r = pickle_try(good[i].bytes, good[i].len, &t, &err);
        if (r != (good[i].descr ? 0 : -EBADMSG))
            fail_msg("%zu: %s", i, err.msg);
        if (good[i].descr)
            assert_string_equal(dtype_descr(t, descr), good[i].descr);
    }
}

/* What numpy.dtype("f8") is before its state, which the cases below vary. */
#define DTYPE   "cnumpy\ndtype\n(X\2\0\0\0f8tR"
#define MINUS_1 "J\xff\xff\xff\xff"

static const struct {
    const char *bytes;
    size_t len;
    const char *msg;
} pickle_bad[] = {
    {BYTES(""), "byte 0: no end mark"},
    {BYTES("N"), "byte 1: no end mark"},
    {BYTES("."), "more behind or below the end"},
    {BYTES("NN."), "more behind or below the end"},
    {BYTES("N.N"), "more behind or below the end"},
    {BYTES("N."), "what it holds is no type"},
    {BYTES("K\1."), "what it holds is no type"},
    {BYTES("(."), "what it holds is no type"},
    {BYTES(")."), "what it holds is no type"},
    {BYTES("cnumpy\ndtype\n."), "what it holds is no type"},
    {BYTES("X\3\0\0\0abc."), "type 'abc' is none of bool"},
    {BYTES("S'f8\\x00'\n."), "is none of bool"},
    /* code that Python would run */
    {BYTES("cos\nsystem\n(S'true'\ntR."),
     "pickle: byte 0: opcode 0x63: global 'os.system' is no type"},
    {BYTES("cnumpy\nload\n."), "global 'numpy.load' is no type"},
    {BYTES("\x8c\5posix\x94\x8c\6system\x94\x93."),
     "byte 17: opcode 0x93: global 'posix.system' is no type"},
    {BYTES("cbuiltins\neval\n."), "global 'builtins.eval'"},
    {BYTES("c__builtin__\nfloat64\n."), "global '__builtin__.float64'"},
    {BYTES("cnumpy.corex\nfloat64\n."), "global 'numpy.corex.float64'"},
    {BYTES("cnumpy.core.\nfloat64\n."), "global 'numpy.core..float64'"},
    {BYTES("cnumpyx\nfloat64\n."), "global 'numpyx.float64'"},
    {BYTES("cbuiltins\ndtype\n."), "global 'builtins.dtype'"},
    {BYTES("cnumpy\nf8\n."), "global 'numpy.f8'"},
    {BYTES("cnumpy\nc16\n."), "global 'numpy.c16'"},
    {BYTES("cnumpy\nd\n."), "global 'numpy.d'"},
    {BYTES("cnumpy\nlongdouble\n."), "global 'numpy.longdouble'"},
    {BYTES("cnumpy\nstr_\n."), "global 'numpy.str_'"},
    {BYTES("c_codecs\nencode\n."), "global '_codecs.encode'"},
    {BYTES("K\1K\2\x93."), "a global needs two texts"},
    {BYTES("\x8c\1aK\2\x93."), "a global needs two texts"},
    {BYTES("\x8c\1a\x93."), "no value on the stack"},
    {BYTES("\x93."), "no value on the stack"},
    {BYTES("cos"), "ends within a line"},
    {BYTES("cos\nsystem"), "ends within a line"},
    /* opcodes that make other things */
    {BYTES("}."), "byte 0: opcode 0x7d is not allowed"},
    {BYTES("\x80\2]."), "byte 2: opcode 0x5d is not allowed"},
    {BYTES("(i__main__\nX\n."), "opcode 0x69 is not allowed"},
    {BYTES("\x81."), "opcode 0x81 is not allowed"},
    {BYTES("P1\n."), "opcode 0x50 is not allowed"},
    {BYTES("Q."), "opcode 0x51 is not allowed"},
    {BYTES("\x82\1."), "opcode 0x82 is not allowed"},
    {BYTES("\x97."), "opcode 0x97 is not allowed"},
    {BYTES("\xff."), "opcode 0xff is not allowed"},
    {BYTES("\0."), "opcode 0x00 is not allowed"},
    /* lengths */
    {BYTES("\x80"), "ends too early"},
    {BYTES("\x80\6N."), "protocol 6 is not 0 to 5"},
    {BYTES("N\x80\2."), "not at the start"},
    {BYTES("\x80\4\x95\1\0\0"), "ends too early"},
    {BYTES("\x80\4\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), "a frame of 18446744073709551615"},
    {BYTES("X\xff\xff\xff\xff"), "a text of 4294967295 bytes"},
    {BYTES("X\1\0\0"), "ends too early"},
    {BYTES("X\4\0\0\0abc"), "ends too early"},
    {BYTES("\x8c"), "ends too early"},
    {BYTES("\x8c\x41"), "a text of 65 bytes"},
    {BYTES("Vaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n."),
     "a line of 67 bytes"},
    {BYTES("Sf8"), "ends within a line"},
    {BYTES("Sf8\n."), "a string without quotes"},
    {BYTES("S'\n."), "a string without quotes"},
    {BYTES("S'f8\"\n."), "a string without quotes"},
    {BYTES("V"), "ends within a line"},
    /* numbers */
    {BYTES("I"), "ends within a line"},
    {BYTES("Ix\n."), "'x' is no number"},
    {BYTES("I1x\n."), "'1x' is no number"},
    {BYTES("I02\n."), "'02' is no number"},
    {BYTES("I99999999999999999999\n."), "is no number"},
    {BYTES("L1\n."), "'1' is no number"},
    {BYTES("L1LL\n."), "'1LL' is no number"},
    {BYTES("L1"), "ends within a line"},
    {BYTES("K"), "ends too early"},
    {BYTES("M\1"), "ends too early"},
    {BYTES("J\1\1\1"), "ends too early"},
    {BYTES("\x8a"), "ends too early"},
    {BYTES("\x8a\2\1"), "ends too early"},
    {BYTES("\x8a\x09\1\1\1\1\1\1\1\1\1."), "a number of 9 bytes"},
    /* stack and memo */
    {BYTES("t."), "no mark on the stack"},
    {BYTES("NNt."), "no mark on the stack"},
    {BYTES("\x85."), "no value on the stack"},
    {BYTES("N\x86."), "no value on the stack"},
    {BYTES("(N\x86."), "no value on the stack"},
    {BYTES("q\0."), "no value on the stack"},
    {BYTES("(q\0."), "no value on the stack"},
    {BYTES("\x94."), "no value on the stack"},
    {BYTES("Nq\x40."), "memo index 64 is not below 64"},
    {BYTES("Nr\xff\xff\xff\xff."), "memo index 4294967295"},
    {BYTES("Np-1\n."), "memo index 18446744073709551615"},
    {BYTES("Npx\n."), "'x' is no number"},
    {BYTES("Nq"), "ends too early"},
    {BYTES("h\0."), "nothing in the memo at 0"},
    {BYTES("h\x40."), "nothing in the memo at 64"},
    {BYTES("h"), "ends too early"},
    {BYTES("Nq\1g0\n."), "nothing in the memo at 0"},
    {BYTES("j\xff\xff\xff\xff."), "nothing in the memo at 4294967295"},
    /* calls and states */
    {BYTES("R."), "no value on the stack"},
    {BYTES("NR."), "no value on the stack"},
    {BYTES("NNR."), "a call of something else than numpy.dtype"},
    {BYTES("cnumpy\nfloat64\n)R."), "a call of something else than numpy.dtype"},
    {BYTES("cnumpy\ndtype\nNR."), "a call of something else than numpy.dtype"},
    {BYTES("cnumpy\ndtype\n)R."), "a call of something else than numpy.dtype"},
    {BYTES("cnumpy\ndtype\nN\x85R."), "a call of something else than numpy.dtype"},
    {BYTES("cnumpy\ndtype\n(X\2\0\0\0f8\x89\x88\x88tR."), "a call of something else"},
    {BYTES("cnumpy\ndtype\n(X\2\0\0\0f8X\1\0\0\0atR."), "argument 1 is no boolean"},
    {BYTES("cnumpy\ndtype\n(X\2\0\0\0V8\x89\x88tR."), "type 'V8' is none of bool"},
    {BYTES("cnumpy\ndtype\n(X\1\0\0\0O\x89\x88tR."), "type 'O' is none of bool"},
    {BYTES(DTYPE DTYPE "."), "more than one dtype object"},
    {BYTES("b."), "no value on the stack"},
    {BYTES("Nb."), "no value on the stack"},
    {BYTES("N)b."), "a state that no plain dtype has"},
    {BYTES(DTYPE "Nb."), "a state that no plain dtype has"},
    {BYTES(DTYPE ")b."), "a state that no plain dtype has"},
    {BYTES(DTYPE "(K\4X\1\0\0\0<NNN" MINUS_1 MINUS_1 "K\0tb."), "a state that no plain"},
    {BYTES(DTYPE "(K\3X\1\0\0\0<K\1NN" MINUS_1 MINUS_1 "K\0tb."), "a state that no plain"},
    {BYTES(DTYPE "(K\3X\1\0\0\0<N)N" MINUS_1 MINUS_1 "K\0tb."), "a state that no plain"},
    {BYTES(DTYPE "(K\3X\1\0\0\0<NNNK\x10" MINUS_1 "K\0tb."), "a state that no plain"},
    {BYTES(DTYPE "(K\3X\1\0\0\0<NNN" MINUS_1 "K\1K\0tb."), "a state that no plain"},
    {BYTES(DTYPE "(K\3X\1\0\0\0<NNN" MINUS_1 MINUS_1 "K\1tb."), "a state that no plain"},
    {BYTES(DTYPE "(K\3X\1\0\0\0!NNN" MINUS_1 MINUS_1 "K\0tb."), "'!' is no byte order"},
    {BYTES(DTYPE "(K\3X\1\0\0\0\0NNN" MINUS_1 MINUS_1 "K\0tb."), "'' is no byte order"},
    {BYTES(DTYPE "(K\3X\2\0\0\0<<NNN" MINUS_1 MINUS_1 "K\0tb."), "'<<' is no byte order"},
    {BYTES(DTYPE "(K\3X\0\0\0\0NNN" MINUS_1 MINUS_1 "K\0tb."), "'' is no byte order"},
};

static void pickle_refuses_what_makes_no_type_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(pickle_bad); i++) {
        struct dtype t = {.size = 42};
        struct err err = {0};
        assert_int_equal(pickle_try(pickle_bad[i].bytes, pickle_bad[i].len, &t, &err), -EBADMSG);
        if (!strstr(err.msg, pickle_bad[i].msg) || strncmp(err.msg, "pickle", 6) != 0)
            fail_msg("%zu: expected '%s', got '%s'", i, pickle_bad[i].msg, err.msg);
        assert_int_equal(t.size, 42);
    }
}

static void pickle_is_bounded(void **state)
{
    (void)state;
    char bytes[PICKLE_BYTES_MAX + 1];
    struct dtype t;
    struct err err = {0};
    memset(bytes, 'N', sizeof(bytes));
    assert_int_equal(pickle_read(bytes, sizeof(bytes), &t, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "4097 bytes are more than 4096"));
    assert_int_equal(pickle_read(bytes, PICKLE_BYTES_MAX, &t, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "byte 32: opcode 0x4e: more than 32 values on the stack"));
    memset(bytes, '(', sizeof(bytes));
    assert_int_equal(pickle_read(bytes, PICKLE_BYTES_MAX, &t, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "more than 32 values on the stack"));
    memset(bytes, 0x85, sizeof(bytes)); /* a tuple of a tuple of ... */
    bytes[0] = 'N';
    assert_int_equal(pickle_read(bytes, PICKLE_BYTES_MAX, &t, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "more than 64 items in tuples"));
}

static void pickle_refuses_every_prefix_of_a_good_one(void **state)
{
    (void)state;
    static const char good[] = "\x80\2cnumpy\ndtype\nq\0U\3c16q\1K\0K\1\x87q\2Rq\3(K\3U\1>q\4"
                               "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tq\5b.";
    struct dtype t;
    for (size_t n = 0; n + 1 < sizeof(good); n++)
        assert_int_equal(pickle_try(good, n, &t, NULL), -EBADMSG);
    assert_int_equal(pickle_try(good, sizeof(good) - 1, &t, NULL), 0);
}

static void pickle_refuses_bad_base64(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"", "0 bytes are no multiple of 4"},
        {"gAN", "3 bytes are no multiple of 4"},
        {"gANj bnV", "byte 4 is none of its digits"},
        {" gANjbnV", "byte 0 is none of its digits"},
        {"gANjbn-_", "byte 6 is none of its digits"},
        {"gA=jbnVt", "byte 2 is none of its digits"},
        {"====", "byte 0 is none of its digits"},
        {"g===", "byte 1 is none of its digits"},
        {"gAN\xc3", "byte 3 is none of its digits"},
        {"AAAA", "pickle: byte 0: opcode 0x00 is not allowed"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct dtype t = {0};
        struct err err = {0};
        assert_int_equal(pickle_read_base64(bad[i].text, strlen(bad[i].text), &t, &err), -EBADMSG);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s: %s", bad[i].text, err.msg);
    }
    char text[PICKLE_BASE64_MAX + 4];
    struct dtype t = {0};
    struct err err = {0};
    memset(text, 'A', sizeof(text));
    assert_int_equal(pickle_read_base64(text, sizeof(text), &t, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "5468 bytes are no multiple of 4 up to 5464"));
    assert_int_equal(pickle_read_base64(text, PICKLE_BASE64_MAX, &t, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "4098 bytes are more than 4096"));
}

static void pickle_writes_what_numpywren_stores(void **state)
{
    (void)state;
    static const struct {
        const char *descr, *text;
    } pair[] = {
        {"|b1", "gANjbnVtcHkKYm9vbF8KcQAu"},
        {"|i1", "gANjbnVtcHkKaW50OApxAC4="},
        {"|u1", "gANjbnVtcHkKdWludDgKcQAu"},
        {"<i2", "gANjbnVtcHkKaW50MTYKcQAu"},
        {"<u2", "gANjbnVtcHkKdWludDE2CnEALg=="},
        {"<i4", "gANjbnVtcHkKaW50MzIKcQAu"},
        {"<u4", "gANjbnVtcHkKdWludDMyCnEALg=="},
        {"<i8", "gANjbnVtcHkKaW50NjQKcQAu"},
        {"<u8", "gANjbnVtcHkKdWludDY0CnEALg=="},
        {"<f2", "gANjbnVtcHkKZmxvYXQxNgpxAC4="},
        {"<f4", "gANjbnVtcHkKZmxvYXQzMgpxAC4="},
        {"<f8", "gANjbnVtcHkKZmxvYXQ2NApxAC4="},
        {"<c8", "gANjbnVtcHkKY29tcGxleDY0CnEALg=="},
        {"<c16", "gANjbnVtcHkKY29tcGxleDEyOApxAC4="},
        {">f8", "gANjbnVtcHkKZHR5cGUKcQBYAgAAAGY4cQFLAEsBh3ECUnEDKEsDWAEAAAA+cQROTk5K/////0r/////"
                "SwB0cQViLg=="},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pair); i++) {
        struct dtype t;
        struct dtype back;
        CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
        assert_int_equal(dtype_from_descr(pair[i].descr, strlen(pair[i].descr), &t, NULL), 0);
        assert_int_equal(pickle_write_base64(t, &out), 0);
        assert_string_equal(buf_text(&out), pair[i].text);
        assert_int_equal(pickle_read_base64(out.data, out.len, &back, NULL), 0);
        assert_true(dtype_equal(t, back));
        CLEANUP(buf_fini) struct buf small = BUF_INIT(out.len - 1);
        assert_int_equal(pickle_write_base64(t, &small), -EMSGSIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pickle_reads_what_every_python_writes),
        cmocka_unit_test(pickle_refuses_what_makes_no_type_and_says_where),
        cmocka_unit_test(pickle_is_bounded),
        cmocka_unit_test(pickle_refuses_every_prefix_of_a_good_one),
        cmocka_unit_test(pickle_refuses_bad_base64),
        cmocka_unit_test(pickle_writes_what_numpywren_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
