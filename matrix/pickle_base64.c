/* The base64 around a pickle, and the pickles that bmfs writes. */
#include "matrix/pickle.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/* OpenSSL takes blanks around the text and '=' anywhere; this takes neither. */
static int pickle_check_base64(const char *text, size_t len, struct err *err)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (len == 0 || len % 4 != 0 || len > PICKLE_BASE64_MAX)
        return err_set(err, -EBADMSG, "base64: %zu bytes are no multiple of 4 up to %d", len,
                       PICKLE_BASE64_MAX);
    size_t digits = len;
    while (digits > len - 2 && text[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < digits; i++) {
        if (!memchr(alphabet, text[i], sizeof(alphabet) - 1))
            return err_set(err, -EBADMSG, "base64: byte %zu is none of its digits", i);
    }
    return 0;
}

int pickle_read_base64(const char *text, size_t len, struct dtype *ret, struct err *err)
{
    int r = pickle_check_base64(text, len, err);
    if (r < 0)
        return r;
    unsigned char bytes[PICKLE_BASE64_MAX / 4 * 3];
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    if (n < 0)
        return err_set(err, -EBADMSG, "base64: not decodable");
    size_t padding = (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
    return pickle_read(bytes, (size_t)n - padding, ret, err);
}

static int pickle_write_type(struct dtype t, struct buf *out)
{
    const char *name = t.kind == 'b' ? "bool_" : dtype_name(t);
    int r = buf_append(out, "\x80\x03", 2);
    if (r == 0)
        r = buf_printf(out, "cnumpy\n%s\nq", name);
    return r < 0 ? r : buf_append(out, "\0.", 2);
}

/* As numpy 1.14 did: numpy.dtype("f8", 0, 1), then its state with the byte order. */
static int pickle_write_dtype(struct dtype t, struct buf *out)
{
    static const char before[] = "\x80\x03"
                                 "cnumpy\ndtype\nq\0X";
    static const char call[] = "q\1K\0K\1\x87q\2Rq\3(K\3X\1\0\0";
    static const char state[] = "q\4NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tq\5b.";
    char descr[DTYPE_TEXT_SIZE];
    const char *bare = dtype_descr(t, descr) + 1; /* without the order */
    const char len[4] = {(char)strlen(bare)};
    int r = buf_append(out, before, sizeof(before) - 1);
    if (r == 0)
        r = buf_append(out, len, sizeof(len));
    if (r == 0)
        r = buf_puts(out, bare);
    if (r == 0)
        r = buf_append(out, call, sizeof(call)); /* its NUL is the length's last byte */
    if (r == 0)
        r = buf_append(out, &t.order, 1);
    return r < 0 ? r : buf_append(out, state, sizeof(state) - 1);
}

int pickle_write_base64(struct dtype t, struct buf *out)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(PICKLE_BYTES_MAX);
    int r = t.order == '>' ? pickle_write_dtype(t, &bytes) : pickle_write_type(t, &bytes);
    if (r < 0)
        return r;
    unsigned char text[PICKLE_BASE64_MAX + 1];
    int n = EVP_EncodeBlock(text, (const unsigned char *)bytes.data, (int)bytes.len);
    return buf_append(out, text, (size_t)n);
}
