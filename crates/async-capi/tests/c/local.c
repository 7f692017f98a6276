/*
 * libcrypto comes into a process that has used jobs already, and only for the one who loads it. From then on, errors
 * are in its queue.
 */
#define _GNU_SOURCE
#include <async_capi.h>
#include <string.h>

#include "libcrypto.h"

static int seven(void *args)
{
    (void)args;
    return 7;
}

static void run_a_job(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int result = 0;

    EXPECT(ctx != NULL);
    EXPECT(ASYNC_start_job(&job, ctx, &result, seven, NULL, 0) == ASYNC_FINISH);
    EXPECT(result == 7);
    ASYNC_WAIT_CTX_free(ctx);
}

int main(void)
{
    ASYNC_JOB *job = NULL;

    EXPECT(async_capi_last_error() == NULL);
    run_a_job();
    EXPECT(ASYNC_init_thread(1, 2) == 0);
    EXPECT(strstr(async_capi_last_error(), "init_size (2)") != NULL);

    load_libcrypto();
    EXPECT(LIBCRYPTO(ERR_peek_error)() == 0);
    EXPECT(ASYNC_init_thread(1, 2) == 0);
    EXPECT(LIBCRYPTO(ERR_peek_error)() == 0x19800067);
    EXPECT(strstr(async_capi_last_error(), "init_size (2)") != NULL);
    run_a_job();

    LIBCRYPTO(ERR_clear_error)();
    EXPECT(ASYNC_start_job(&job, NULL, NULL, NULL, NULL, 0) == ASYNC_ERR);
    EXPECT(LIBCRYPTO(ERR_peek_error)() == 0x198c0102);

    /* Who loaded it lets it go; what jobs need of it stays. */
    EXPECT(dlclose(libcrypto) == 0);
    run_a_job();
    EXPECT(ASYNC_init_thread(1, 2) == 0);
    return 0;
}
