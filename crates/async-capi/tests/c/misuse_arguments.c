/*
 * Arguments that are wrong: NULL, absurd sizes, handles that are none.
 */
#include "misuse.h"

static ASYNC_callback_fn callback;
static void *data;
static size_t count;
static int fd, ret;
static ASYNC_JOB *job;

static int answers_seven(void *args)
{
    (void)args;
    return 7;
}

static void null_pointers(void)
{
    REFUSED(ASYNC_start_job(NULL, ctx, &ret, answers_seven, NULL, 0), ASYNC_ERR, PASSED_NULL, "job is NULL");
    ret = -7;
    REFUSED(ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0), ASYNC_ERR, PASSED_NULL, "func is NULL");
    EQ(job, NULL);
    EQ(ret, -7);
    REFUSED(async_capi_cancel_job(NULL, &ret), ASYNC_ERR, PASSED_NULL, "job is NULL");
    EQ(ret, -7);
    REFUSED(ASYNC_get_wait_ctx(NULL), NULL, PASSED_NULL, "job is NULL");

    REFUSED(ASYNC_WAIT_CTX_set_wait_fd(NULL, &fd, 1, NULL, NULL), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_fd(NULL, &fd, &fd, &data), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_all_fds(NULL, &fd, &count), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_changed_fds(NULL, NULL, &count, NULL, &count), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_clear_fd(NULL, &fd), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_set_callback(NULL, answers_seven, NULL), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_callback(NULL, &callback, &data), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_set_status(NULL, 2), 0, PASSED_NULL, "ctx is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_status(NULL), ASYNC_STATUS_UNSUPPORTED, PASSED_NULL, "ctx is NULL");
    everything_works();
}

static void null_results(void)
{
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &job, 11, NULL, NULL), 1);
    EQ(ASYNC_WAIT_CTX_set_callback(ctx, answers_seven, NULL), 1);
    fd = -7;
    count = 99;
    data = &data;
    REFUSED(ASYNC_WAIT_CTX_get_fd(ctx, &job, NULL, &data), 0, PASSED_NULL, "fd is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_fd(ctx, &job, &fd, NULL), 0, PASSED_NULL, "custom_data is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_all_fds(ctx, &fd, NULL), 0, PASSED_NULL, "numfds is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_changed_fds(ctx, &fd, NULL, &fd, &count), 0, PASSED_NULL, "numaddfds is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_changed_fds(ctx, &fd, &count, &fd, NULL), 0, PASSED_NULL, "numdelfds is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_callback(ctx, NULL, &data), 0, PASSED_NULL, "callback is NULL");
    REFUSED(ASYNC_WAIT_CTX_get_callback(ctx, &callback, NULL), 0, PASSED_NULL, "callback_arg is NULL");
    EQ(fd, -7);
    EQ(count, 99);
    EQ(data, &data);
    EQ(callback, NULL);
    everything_works();
}

/* None of these was ever a handle, or not one of this kind. */
static void handles_that_are_none(void)
{
    ASYNC_JOB *paused = NULL;
    long on_stack[4] = { 0 };
    void *on_heap = calloc(1, 64);
    int args = 3;
    size_t n;

    START(&paused, ctx, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    {
        void *const strangers[] = {
            (void *)1, (void *)8, (void *)0x10, (void *)0x18, (void *)-1, (void *)-8, (void *)-16,
            (void *)(1UL << 63), (void *)0xFFFFFFF0, (void *)0x1FFFFFFF0, on_stack, on_stack + 1, on_heap,
            (void *)answers_seven,
            /* Neighbours of good ones: another place, the next and the last number of its use, a bit off. */
            (char *)paused + 16 * 100000, (char *)paused + (1UL << 32), (char *)paused - (1UL << 32),
            (char *)paused + 1, (char *)ctx + (1UL << 32), (char *)ctx + (2UL << 32), (char *)ctx + 4,
        };

        for (n = 0; n < LENGTH(strangers) + 2; n++) {
            void *stranger = n < LENGTH(strangers) ? strangers[n] : NULL;

            job = stranger;
            if (n == LENGTH(strangers))
                job = (void *)ctx; /* a context is no job */
            if (n < LENGTH(strangers) + 1) {
                void *before = job;

                ret = -7;
                REFUSED(ASYNC_start_job(&job, ctx, &ret, answers_seven, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "job");
                EQ(job, before);
                REFUSED(async_capi_cancel_job(&job, &ret), ASYNC_ERR, INTERNAL_ERROR, "finished, or never was");
                EQ(job, before);
                EQ(ret, -7);
                REFUSED(ASYNC_get_wait_ctx(job), NULL, INTERNAL_ERROR, "finished, or never was");
            } else {
                stranger = paused; /* a job is no context */
            }
            if (stranger == NULL)
                continue;
            fd = -7;
            job = NULL;
            REFUSED(ASYNC_start_job(&job, stranger, &ret, answers_seven, NULL, 0), ASYNC_ERR, INTERNAL_ERROR,
                    "wait context was freed, or never was");
            EQ(job, NULL);
            REFUSED(ASYNC_WAIT_CTX_set_wait_fd(stranger, &fd, 1, NULL, NULL), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_get_fd(stranger, &fd, &fd, &data), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_get_all_fds(stranger, &fd, &count), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_get_changed_fds(stranger, &fd, &count, &fd, &count), 0, INTERNAL_ERROR,
                    "never was");
            REFUSED(ASYNC_WAIT_CTX_clear_fd(stranger, &fd), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_set_callback(stranger, answers_seven, NULL), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_get_callback(stranger, &callback, &data), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_set_status(stranger, 1), 0, INTERNAL_ERROR, "never was");
            REFUSED(ASYNC_WAIT_CTX_get_status(stranger), 0, INTERNAL_ERROR, "never was");
            REFUSED_SILENTLY(ASYNC_WAIT_CTX_free(stranger), INTERNAL_ERROR, "never was");
            EQ(fd, -7);
        }
    }
    RESUME(&paused, &ret, ASYNC_PAUSE);
    RESUME(&paused, &ret, ASYNC_FINISH);
    EQ(ret, 3);
    free(on_heap);
    everything_works();
}

static void absurd_pools(void)
{
    REFUSED(ASYNC_init_thread(1, 2), 0, INVALID_POOL_SIZE, "init_size (2) is above max_size (1)");
    REFUSED(ASYNC_init_thread(SIZE_MAX - 1, SIZE_MAX), 0, INVALID_POOL_SIZE, "above max_size");
    REFUSED(ASYNC_init_thread(SIZE_MAX, SIZE_MAX), 0, INVALID_POOL_SIZE, "lower init_size");
    REFUSED(ASYNC_init_thread(0, SIZE_MAX), 0, INVALID_POOL_SIZE, "lower init_size");
    REFUSED(ASYNC_init_thread(0, SIZE_MAX / 2 + 1), 0, INVALID_POOL_SIZE, "lower init_size");
    REFUSED(ASYNC_init_thread(0, 1UL << 40), 0, INVALID_POOL_SIZE, "lower init_size");
    everything_works();
    ASYNC_cleanup_thread();
    forget_errors();
    EQ(ASYNC_init_thread(SIZE_MAX, 0), 1); /* a bound, and one that is never reached */
    EQ(ASYNC_init_thread(SIZE_MAX, 3), 1);
    EQ(ASYNC_init_thread((size_t)INT_MAX + 1, 1), 1);
    EQ(queued(), 0);
    everything_works();
}

static void absurd_arguments(void)
{
    const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, SIZE_MAX / 2 - 15, 1UL << 62, 1UL << 50 };
    size_t n;

    for (n = 0; n < LENGTH(sizes); n++) {
        ret = -7;
        REFUSED(ASYNC_start_job(&job, ctx, &ret, answers_seven, &ret, sizes[n]), ASYNC_ERR, MALLOC_FAILURE,
                "no memory for the job's arguments");
        EQ(job, NULL);
        EQ(ret, -7);
    }
    /* NULL arguments have no size. */
    START(&job, ctx, &ret, answers_seven, NULL, SIZE_MAX, ASYNC_FINISH);
    EQ(ret, 7);
    everything_works();
}

static int never_run(void *args)
{
    (void)args;
    failed(__FILE__, __LINE__, "a refused job ran");
    return 0;
}

/* A pool at its bound is the same after all of these as before: no place is lost. */
static void refused_jobs_take_no_place(void)
{
    ASYNC_JOB *only = NULL;
    int n, args = 5;

    EQ(ASYNC_init_thread(1, 0), 1);
    for (n = 0; n < 1000; n++) {
        EQ(ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0), ASYNC_ERR);
        EQ(ASYNC_start_job(&job, (void *)0x18, &ret, never_run, NULL, 0), ASYNC_ERR);
        EQ(ASYNC_start_job(&job, ctx, &ret, never_run, &n, SIZE_MAX), ASYNC_ERR);
    }
    while (queued() != 0)
        ;
    START(&only, ctx, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    START(&job, ctx, &ret, never_run, NULL, 0, ASYNC_NO_JOBS);
    RESUME(&only, &ret, ASYNC_PAUSE);
    RESUME(&only, &ret, ASYNC_FINISH);
    ASYNC_cleanup_thread();
    everything_works();
}

static void *from_a_new_thread(void *arg)
{
    int n;

    (void)arg;
    for (n = 0; n < 3; n++) {
        null_pointers();
        EQ(ASYNC_pause_job(), 1);
        ASYNC_block_pause();
        ASYNC_cleanup_thread();
    }
    return NULL;
}

static void on_a_thread_without_jobs(void)
{
    EQ(async_capi_last_error(), NULL);
    in_thread(from_a_new_thread, NULL);
    /* Texts are a thread's own. */
    EQ(async_capi_last_error(), NULL);
    EQ(queued(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "null_pointers", null_pointers, OURS_ONLY },
        { "null_results", null_results, OURS_ONLY },
        { "handles_that_are_none", handles_that_are_none, OURS_ONLY },
        { "absurd_pools", absurd_pools, OURS_ONLY },
        { "absurd_arguments", absurd_arguments, OURS_ONLY },
        { "refused_jobs_take_no_place", refused_jobs_take_no_place, OURS_ONLY },
        { "on_a_thread_without_jobs", on_a_thread_without_jobs, OURS_ONLY },
    };

    return RUN(cases);
}
