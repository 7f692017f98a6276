/*
 * After OPENSSL_cleanup() there are no jobs. With INSIDE, a job calls it.
 */
#define _GNU_SOURCE
#include <openssl/async.h>
#include <string.h>

#include "libcrypto.h"

static int runs;

static int pauses_once(void *args)
{
    (void)args;
    runs++;
    ASYNC_pause_job();
    return 1;
}

#ifdef INSIDE
static int cleans_up(void *args)
{
    void (*cleanup)(void);

    memcpy(&cleanup, args, sizeof cleanup);
    cleanup();
    EXPECT(ASYNC_get_current_job() == NULL);
    return 5;
}
#endif

int main(void)
{
    ASYNC_WAIT_CTX *ctx, *another;
    ASYNC_JOB *paused = NULL, *job = NULL, *before;
    void (*cleanup)(void);
    int result = 99;

    load_libcrypto();
    cleanup = LIBCRYPTO(OPENSSL_cleanup);
    ctx = ASYNC_WAIT_CTX_new();
    EXPECT(ctx != NULL);
    EXPECT(ASYNC_init_thread(4, 2) == 1);
    EXPECT(ASYNC_start_job(&paused, ctx, &result, pauses_once, NULL, 0) == ASYNC_PAUSE);
    before = paused;

#ifdef INSIDE
    EXPECT(ASYNC_start_job(&job, ctx, &result, cleans_up, &cleanup, sizeof cleanup) == ASYNC_FINISH);
    EXPECT(job == NULL && result == 5);
    result = 99;
#else
    cleanup();
#endif

    EXPECT(ASYNC_start_job(&job, ctx, &result, pauses_once, NULL, 0) == ASYNC_ERR);
    EXPECT(job == NULL && result == 99 && runs == 1);
    EXPECT(ASYNC_start_job(&paused, ctx, &result, pauses_once, NULL, 0) == ASYNC_ERR);
    EXPECT(paused == before && result == 99);
    EXPECT(ASYNC_init_thread(1, 0) == 0);
    EXPECT(ASYNC_init_thread(1, 2) == 0);
    EXPECT(ASYNC_get_current_job() == NULL);
    EXPECT(ASYNC_pause_job() == 1);
    EXPECT(ASYNC_is_capable() == 1);
    ASYNC_block_pause();
    ASYNC_unblock_pause();
    ASYNC_cleanup_thread();

    /* A context is a thing of its own. */
    EXPECT(ASYNC_WAIT_CTX_set_status(ctx, 2) == 1);
    EXPECT(ASYNC_WAIT_CTX_get_status(ctx) == 2);
    ASYNC_WAIT_CTX_free(ctx);
    another = ASYNC_WAIT_CTX_new();
    EXPECT(another != NULL);
    ASYNC_WAIT_CTX_free(another);
    return 0;
}
