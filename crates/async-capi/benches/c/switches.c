/*
 * What a job costs a C program: prints nanoseconds per operation, one batch a line. The same program runs on
 * libcrypto and on async-capi.
 *
 *     switches OPERATION BATCHES OPERATIONS_PER_BATCH
 */
#include <openssl/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "switches: %s\n", what);
        exit(1);
    }
}

static int empty(void *args)
{
    (void)args;
    return 1;
}

static int pauses_for_ever(void *args)
{
    (void)args;
    for (;;)
        ASYNC_pause_job();
    return 1;
}

static int pauses_once(void *args)
{
    (void)args;
    ASYNC_pause_job();
    return 1;
}

static void start_finish(long n, ASYNC_WAIT_CTX *ctx, void *args, size_t size)
{
    ASYNC_JOB *job = NULL;
    int ret;

    for (long i = 0; i < n; i++)
        must(ASYNC_start_job(&job, ctx, &ret, empty, args, size) == ASYNC_FINISH, "no finish");
}

static void start_pause_resume_finish(long n, ASYNC_WAIT_CTX *ctx)
{
    ASYNC_JOB *job = NULL;
    int ret;

    for (long i = 0; i < n; i++) {
        must(ASYNC_start_job(&job, ctx, &ret, pauses_once, NULL, 0) == ASYNC_PAUSE, "no pause");
        must(ASYNC_start_job(&job, ctx, &ret, pauses_once, NULL, 0) == ASYNC_FINISH, "no finish");
    }
}

static ASYNC_JOB *endless;

static void pause_resume(long n, ASYNC_WAIT_CTX *ctx)
{
    int ret;

    for (long i = 0; i < n; i++)
        must(ASYNC_start_job(&endless, ctx, &ret, pauses_for_ever, NULL, 0) == ASYNC_PAUSE,
             "no pause");
}

int main(int argc, char **argv)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    long batches, n;
    char args[16] = "sixteen bytes..";

    must(argc == 4 && ctx != NULL, "usage: switches OPERATION BATCHES OPERATIONS_PER_BATCH");
    batches = atol(argv[2]);
    n = atol(argv[3]);
    must(ASYNC_init_thread(2, 1) == 1, "no pool");
    for (long batch = 0; batch < batches; batch++) {
        double start = now_ns();

        if (strcmp(argv[1], "start-finish") == 0)
            start_finish(n, ctx, NULL, 0);
        else if (strcmp(argv[1], "start-finish-args") == 0)
            start_finish(n, ctx, args, sizeof args);
        else if (strcmp(argv[1], "pause-resume") == 0)
            pause_resume(n, ctx);
        else if (strcmp(argv[1], "cycle") == 0)
            start_pause_resume_finish(n, ctx);
        else
            must(0, "no such operation");
        printf("%.2f\n", (now_ns() - start) / n);
    }
    return 0;
}
