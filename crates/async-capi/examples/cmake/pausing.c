/* A job that pauses twice. tests/c/manual.c has one that waits for something. */
#include <async_capi.h>
#include <stdio.h>

static int count_to_three(void *args)
{
    const char *what = *(const char **)args;
    int i;

    for (i = 1; i < 3; i++) {
        printf("%s %d\n", what, i);
        ASYNC_pause_job();
    }
    return i;
}

int main(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    const char *what = "step";
    int state, result;

    do {
        state = ASYNC_start_job(&job, ctx, &result, count_to_three, &what, sizeof what);
    } while (state == ASYNC_PAUSE);
    ASYNC_WAIT_CTX_free(ctx);
    if (state != ASYNC_FINISH) {
        fprintf(stderr, "%s\n", async_capi_last_error());
        return 1;
    }
    printf("finished with %d, by async_capi %s\n", result, async_capi_version());
    return 0;
}
