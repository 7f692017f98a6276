/*
 * A thread's default library context: each job has its own, and its caller keeps the caller's.
 */
#define _GNU_SOURCE
#include <openssl/async.h>

#include "libcrypto.h"

static OSSL_LIB_CTX *callers, *jobs;

/* NULL changes nothing: it asks. */
static OSSL_LIB_CTX *now(void)
{
    return LIBCRYPTO(OSSL_LIB_CTX_set0_default)(NULL);
}

static OSSL_LIB_CTX *change(OSSL_LIB_CTX *to)
{
    return LIBCRYPTO(OSSL_LIB_CTX_set0_default)(to);
}

/* Begins with what its caller has, and puts it back at the end. */
static int keeps_its_own(void *args)
{
    OSSL_LIB_CTX *before = change(jobs);

    (void)args;
    EXPECT(before == callers);
    ASYNC_pause_job();
    EXPECT(now() == jobs);
    ASYNC_pause_job();
    EXPECT(now() == jobs);
    change(before);
    return 1;
}

/* Leaves its own behind at the end. */
static int forgets(void *args)
{
    (void)args;
    EXPECT(now() == callers);
    change(jobs);
    return 2;
}

/* Has none of its own: what its caller had at the start. */
static int inherits(void *args)
{
    OSSL_LIB_CTX *at_the_start = now();

    EXPECT(at_the_start == *(OSSL_LIB_CTX **)args);
    ASYNC_pause_job();
    EXPECT(now() == at_the_start);
    return 3;
}

int main(void)
{
    OSSL_LIB_CTX *global;
    ASYNC_WAIT_CTX *ctx;
    ASYNC_JOB *job = NULL, *other = NULL;
    int result = 0;

    load_libcrypto();
    ctx = ASYNC_WAIT_CTX_new();
    callers = LIBCRYPTO(OSSL_LIB_CTX_new)();
    jobs = LIBCRYPTO(OSSL_LIB_CTX_new)();
    EXPECT(ctx != NULL && callers != NULL && jobs != NULL && callers != jobs);

    global = change(callers);
    EXPECT(ASYNC_start_job(&job, ctx, &result, keeps_its_own, NULL, 0) == ASYNC_PAUSE);
    EXPECT(now() == callers);
    EXPECT(ASYNC_start_job(&job, ctx, &result, keeps_its_own, NULL, 0) == ASYNC_PAUSE);
    EXPECT(now() == callers);
    /* What the caller changes between is the caller's. */
    change(global);
    EXPECT(ASYNC_start_job(&job, ctx, &result, keeps_its_own, NULL, 0) == ASYNC_FINISH);
    EXPECT(result == 1);
    EXPECT(now() == global);

    /* The end of a job is a switch like the others. */
    change(callers);
    EXPECT(ASYNC_start_job(&job, ctx, &result, forgets, NULL, 0) == ASYNC_FINISH);
    EXPECT(result == 2);
    EXPECT(now() == callers);

    /* Two at once, of which the first has the place of the one before. */
    EXPECT(ASYNC_start_job(&job, ctx, &result, inherits, &callers, sizeof callers) == ASYNC_PAUSE);
    change(global);
    EXPECT(ASYNC_start_job(&other, ctx, &result, inherits, &global, sizeof global) == ASYNC_PAUSE);
    EXPECT(now() == global);
    EXPECT(ASYNC_start_job(&job, ctx, &result, NULL, NULL, 0) == ASYNC_FINISH);
    EXPECT(now() == global);
    change(jobs);
    EXPECT(ASYNC_start_job(&other, ctx, &result, NULL, NULL, 0) == ASYNC_FINISH);
    EXPECT(result == 3);
    EXPECT(now() == jobs);

    change(global);
    ASYNC_WAIT_CTX_free(ctx);
    ASYNC_cleanup_thread();
    LIBCRYPTO(OSSL_LIB_CTX_free)(jobs);
    LIBCRYPTO(OSSL_LIB_CTX_free)(callers);
    return 0;
}
