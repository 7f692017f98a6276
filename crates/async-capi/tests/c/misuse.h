/*
 * What the programs about misuse share: a call that must be refused, and how it is told.
 */
#ifndef TESTS_MISUSE_H
#define TESTS_MISUSE_H

#include "check.h"

/* Takes what is queued, and puts another text in the place of the last one. */
MAYBE_UNUSED static void forget_errors(void)
{
    ASYNC_WAIT_CTX_get_callback(ctx, NULL, NULL);
    while (queued() != 0)
        ;
}

/* That the last call has told its error: in OpenSSL's queue, once, and as a text that begins with its name. */
MAYBE_UNUSED static void told(const char *file, int line, const char *call, unsigned long reason, const char *part)
{
    const char *text = async_capi_last_error();
    char message[700];
    size_t name = strcspn(call, "(");

    if (text == NULL || strncmp(text, call, name) != 0 || text[name] != ':' || strstr(text, part) == NULL) {
        snprintf(message, sizeof message, "%s: the last error is \"%s\", not about \"%s\"", call, text, part);
        failed(file, line, message);
    }
    if (libcrypto_is_here())
        equal(file, line, "the queued error", (long long)queued(), (long long)PACKED(reason));
    equal(file, line, "a second queued error", (long long)queued(), 0);
}

/* The call returns this, and tells that reason. */
#define REFUSED(call, value, reason, part) \
    do { \
        forget_errors(); \
        EQ(call, value); \
        told(__FILE__, __LINE__, #call, reason, part); \
    } while (0)

/* The same, for a function that returns nothing. */
#define REFUSED_SILENTLY(call, reason, part) \
    do { \
        forget_errors(); \
        call; \
        told(__FILE__, __LINE__, #call, reason, part); \
    } while (0)

MAYBE_UNUSED static int two_pauses(void *args)
{
    int answer = *(int *)args;

    ASYNC_pause_job();
    ASYNC_pause_job();
    return answer;
}

/* That jobs and contexts do as ever, with as many jobs as the pool may have. */
MAYBE_UNUSED static void everything_works(void)
{
    enum { JOBS = 20 };
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *jobs[JOBS] = { NULL };
    int n, ret, fd;
    void *data;

    CHECK(own != NULL);
    EQ(ASYNC_get_current_job(), NULL);
    while (queued() != 0)
        ;
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &fd, 5, &data, NULL), 1);
    EQ(ASYNC_WAIT_CTX_get_fd(own, &fd, &fd, &data), 1);
    EQ(fd, 5);
    EQ(data, &data);
    for (n = 0; n < JOBS; n++)
        START(&jobs[n], own, &ret, two_pauses, &n, sizeof n, ASYNC_PAUSE);
    for (n = 0; n < JOBS; n++)
        RESUME(&jobs[n], &ret, ASYNC_PAUSE);
    for (n = JOBS - 1; n >= 0; n--) {
        RESUME(&jobs[n], &ret, ASYNC_FINISH);
        EQ(ret, n);
    }
    ASYNC_WAIT_CTX_free(own);
    EQ(queued(), 0);
}

#endif
