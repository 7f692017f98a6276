/*
 * Many paused jobs in a C program, each with a context of its own: starts them, resumes each once, finishes
 * them. Prints, per job: resident bytes while all are paused, and nanoseconds to start, to resume and to finish.
 *
 *     paused JOBS
 */
#include <openssl/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Resident bytes, page tables included: they are memory too. */
static double resident(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0, part;

    if (status == NULL)
        return 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmRSS: %lf", &part) == 1 || sscanf(line, "VmPTE: %lf", &part) == 1)
            kib += part;
    fclose(status);
    return kib * 1024;
}

static int body(void *args)
{
    (void)args;
    ASYNC_pause_job();
    ASYNC_pause_job();
    return 1;
}

static void all(ASYNC_JOB **jobs, ASYNC_WAIT_CTX **ctxs, long n, int expected)
{
    int ret, state;

    for (long i = 0; i < n; i++)
        if ((state = ASYNC_start_job(&jobs[i], ctxs[i], &ret, body, NULL, 0)) != expected) {
            fprintf(stderr, "paused: job %ld of %ld: %d, not %d\n", i, n, state, expected);
            exit(1);
        }
}

int main(int argc, char **argv)
{
    long n = argc == 2 ? atol(argv[1]) : 0;
    ASYNC_JOB **jobs = calloc(n, sizeof *jobs);
    ASYNC_WAIT_CTX **ctxs = calloc(n, sizeof *ctxs);
    double empty, full, at[5];

    if (n <= 0 || jobs == NULL || ctxs == NULL)
        return 1;
    for (long i = 0; i < n; i++) /* in memory before anything is measured */
        jobs[i] = NULL, ctxs[i] = (ASYNC_WAIT_CTX *)&jobs[i];
    ASYNC_init_thread(0, 0);
    empty = resident();
    at[0] = now_ns();
    for (long i = 0; i < n; i++)
        if ((ctxs[i] = ASYNC_WAIT_CTX_new()) == NULL)
            return 1;
    at[1] = now_ns();
    all(jobs, ctxs, n, ASYNC_PAUSE);
    at[2] = now_ns();
    full = resident();
    all(jobs, ctxs, n, ASYNC_PAUSE);
    at[3] = now_ns();
    all(jobs, ctxs, n, ASYNC_FINISH);
    at[4] = now_ns();
    printf("bytes %.0f start %.1f resume %.1f finish %.1f\n", (full - empty) / n, (at[2] - at[0]) / n,
           (at[3] - at[2]) / n, (at[4] - at[3]) / n);
    for (long i = 0; i < n; i++)
        ASYNC_WAIT_CTX_free(ctxs[i]);
    ASYNC_cleanup_thread();
    return 0;
}
