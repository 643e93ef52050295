/* Signs the requests that are described on standard input, one a line, and prints the URL and the
 * Authorization header of each: tests/unit/s3/sigv4_oracle.py compares them with another signer's.
 *
 * A line is words between blanks, each in hex ("-" for an empty one): method, base URL, region,
 * access key, secret key, session token, key, payload, time; then "p NAME VALUE" for each parameter
 * of the query and "h NAME VALUE" for each header. */

#include "s3/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGN_LINE_MAX = 64 * 1024 };

static void sign_die(const char *why)
{
    (void)fprintf(stderr, "sign_lines: %s\n", why);
    abort();
}

/* Cuts the next word off and turns its hex into text, in place. */
static char *sign_word(char **line)
{
    char *word = strsep(line, " ");
    if (!word)
        sign_die("a word is missing");
    size_t n = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;
    for (size_t i = 0; i < n; i++) {
        const char hex[3] = {word[2 * i], word[2 * i + 1], '\0'};
        word[i] = (char)strtol(hex, NULL, 16);
    }
    word[n] = '\0';
    return word;
}

/* Reads the parameters and headers to the end of the line. */
static void sign_rest(char *line, struct request *req, struct uri_param *param)
{
    while (line && *line) {
        const char *kind = strsep(&line, " ");
        char *name = sign_word(&line);
        char *value = sign_word(&line);
        if (*kind == 'p' && req->params < URI_PARAMS_MAX)
            param[req->params++] = (struct uri_param){name, value};
        else if (*kind == 'h' && req->headers < REQUEST_HEADERS_MAX)
            req->header[req->headers++] = (struct http_header){name, value};
        else
            sign_die("a line is too long");
    }
}

static void sign_line(char *line, struct sigv4_key *sigv4_key)
{
    CLEANUP(request_signed_fini) struct request_signed s = {0};
    struct uri_param param[URI_PARAMS_MAX];
    struct request req = {.param = param};
    req.method = sign_word(&line);
    if (uri_endpoint_parse(sign_word(&line), &s.base, NULL) < 0)
        sign_die("bad endpoint");
    (void)snprintf(s.region, sizeof(s.region), "%s", sign_word(&line));
    const char *access_key = sign_word(&line);
    const char *secret_key = sign_word(&line);
    const char *token = sign_word(&line);
    if (creds_new(access_key, secret_key, *token ? token : NULL, 0, &s.creds) < 0)
        sign_die("bad credentials");
    req.key = sign_word(&line);
    if (!*req.key)
        req.key = NULL;
    s.payload = sign_word(&line);
    int64_t now_s = strtoll(sign_word(&line), NULL, 10);
    sign_rest(line, &req, param);
    if (request_sign(&s, &req, now_s, sigv4_key) < 0)
        sign_die("cannot sign");
    (void)printf("%s %s\n", buf_text(&s.url), buf_text(&s.authorization));
}

int main(void)
{
    static char line[SIGN_LINE_MAX];
    struct sigv4_key key = {0};
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        sign_line(line, &key);
    }
    return 0;
}
