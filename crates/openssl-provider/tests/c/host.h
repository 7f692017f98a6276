/* What the programs here share: operations of a host, in jobs. */
#ifndef HOST_H
#define HOST_H


#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#define CHECK(what)                                                              \
    do {                                                                         \
        if (!(what)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);   \
            ERR_print_errors_fp(stderr);                                         \
            fflush(NULL);                                                        \
            _exit(1);                                                            \
        }                                                                        \
    } while (0)

/* So much goes to the device. */
#define LEN 4096

/* Hashing of one piece, in a job of its own. */
struct op {
    EVP_MD_CTX *md;
    unsigned char *in;
    unsigned char *out;
    unsigned int out_len;
    ASYNC_WAIT_CTX *wait;
    ASYNC_JOB *job;
    int number;
    int status; /* of ASYNC_start_job */
    int ret;
};

/* The job's function: its argument is a copy of a pointer, as ASYNC_start_job copies what it is given. */
static inline int hash_in_job(void *arg)
{
    struct op *op = *(struct op **)arg;

    if (EVP_DigestUpdate(op->md, op->in, LEN) != 1)
        return 0;
    return EVP_DigestFinal_ex(op->md, op->out, &op->out_len);
}

static inline void fill(unsigned char *in, int number)
{
    for (int i = 0; i < LEN; i++)
        in[i] = (unsigned char)(i * 31 + number);
}

/* Everything but the wait context. */
static inline void op_init(struct op *op, int number)
{
    memset(op, 0, sizeof(*op));
    op->number = number;
    op->in = malloc(LEN);
    op->out = malloc(EVP_MAX_MD_SIZE);
    op->md = EVP_MD_CTX_new();
    CHECK(op->in != NULL && op->out != NULL && op->md != NULL);
    fill(op->in, number);
    CHECK(EVP_DigestInit_ex(op->md, EVP_sha256(), NULL) == 1);
}

static inline void op_free(struct op *op)
{
    EVP_MD_CTX_free(op->md);
    free(op->in);
    free(op->out);
    op->md = NULL;
    op->in = op->out = NULL;
}

/* Starts or resumes it; says what ASYNC_start_job does. */
static inline int op_run(struct op *op)
{
    op->status = ASYNC_start_job(&op->job, op->wait, &op->ret, hash_in_job, &op, sizeof(op));
    return op->status;
}

/* The one fd of a wait context: not fewer, not more. */
static inline int only_fd(ASYNC_WAIT_CTX *wait)
{
    OSSL_ASYNC_FD fd;
    size_t n = 0;

    CHECK(ASYNC_WAIT_CTX_get_all_fds(wait, NULL, &n) == 1);
    CHECK(n == 1);
    CHECK(ASYNC_WAIT_CTX_get_all_fds(wait, &fd, &n) == 1);
    return fd;
}

static inline void wait_readable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };

    while (poll(&one, 1, -1) != 1)
        CHECK(errno == EINTR);
}

/* Whether its result is that of the data that it was given, by the default provider. */
static inline int op_is_right(struct op *op)
{
    static unsigned char known[256][EVP_MAX_MD_SIZE];
    static char is_known[256];
    unsigned char *expected = known[op->number & 255];

    if (!is_known[op->number & 255]) {
        unsigned char in[LEN];
        unsigned int len = 0;
        EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", "provider=default");

        CHECK(md != NULL);
        fill(in, op->number);
        CHECK(EVP_Digest(in, LEN, expected, &len, md, NULL) == 1);
        EVP_MD_free(md);
        is_known[op->number & 255] = 1;
    }
    return op->ret == 1 && op->out_len == 32 && memcmp(op->out, expected, 32) == 0;
}

/* One operation from its start to its end, in a wait context. */
static inline void op_once(ASYNC_WAIT_CTX *wait, int number)
{
    struct op op;

    op_init(&op, number);
    op.wait = wait;
    while (op_run(&op) == ASYNC_PAUSE)
        wait_readable(only_fd(wait));
    CHECK(op.status == ASYNC_FINISH);
    CHECK(op_is_right(&op));
    op_free(&op);
}

/* The same in a wait context of its own. */
static inline void op_alone(int number)
{
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();

    CHECK(wait != NULL);
    op_once(wait, number);
    ASYNC_WAIT_CTX_free(wait);
}

/* The digest outside a job. */
static inline void op_without_job(int number)
{
    struct op op, *arg = &op;

    op_init(&op, number);
    op.ret = hash_in_job(&arg);
    CHECK(op_is_right(&op));
    op_free(&op);
}

/* Descriptors that are open, without the one that it looks with. */
static inline int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 3; /* with . and .. */
}

#endif
