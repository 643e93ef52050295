#ifndef BMFS_S3_S3_XML_H
#define BMFS_S3_S3_XML_H

/* The XML that S3 answers with, read with expat: a page of a listing, and errors. Pure. Documents
 * with a DTD, deep nesting or overlong texts are refused. */

#include "s3/store.h"

enum {
    S3_XML_LIST_MAX = 8 * 1024 * 1024, /* bytes of one page of a listing */
    S3_XML_ENTRIES_MAX = 10000,        /* entries of one page; 1000 are asked for */
};

struct s3_xml_entry {
    char *key; /* owned; decoded */
    bool is_prefix;
    struct store_stat stat; /* of a key */
};

struct s3_xml_page {
    struct s3_xml_entry *entry; /* keys as they came, common prefixes among them */
    size_t entries;
    bool truncated;
    char *next_token;  /* of ListObjectsV2; NULL when there is none. Owned */
    char *next_marker; /* of the older ListObjects; NULL when there is none. Owned, decoded */
};

/* Reads a ListBucketResult of either version. 0, -EBADMSG with the reason, or -ENOMEM. */
int s3_xml_list(const void *data, size_t len, struct s3_xml_page *ret, struct err *err);
void s3_xml_page_fini(struct s3_xml_page *page);

struct s3_xml_error {
    char code[64];     /* "NoSuchKey"; "" when the text was not an S3 error */
    char message[256]; /* texts that are too long are cut */
    char region[64];   /* where the bucket is, if the error says so */
    char request_id[64];
};

/* Reads an Error document. Whatever cannot be understood leaves its fields "". */
void s3_xml_error(const void *data, size_t len, struct s3_xml_error *ret);

#endif
