/*
 * ASYNC_init_thread and ASYNC_cleanup_thread: the bounds of a thread's pool, and its end.
 */
#include "check.h"

static int pauses_once(void *args)
{
    int answer = args ? *(int *)args : 1;

    ASYNC_pause_job();
    return answer;
}

/* Starts jobs until there are no more, at most `most`; how many there were. They are left paused in `jobs`. */
static int start_all(ASYNC_JOB **jobs, int most)
{
    int n, ret, state;

    for (n = 0; n < most; n++) {
        jobs[n] = NULL;
        state = ASYNC_start_job(&jobs[n], ctx, &ret, pauses_once, &n, sizeof n);
        if (state == ASYNC_NO_JOBS)
            break;
        EQ(state, ASYNC_PAUSE);
    }
    return n;
}

static void finish_all(ASYNC_JOB **jobs, int count)
{
    int n, ret;

    for (n = 0; n < count; n++) {
        ret = -1;
        RESUME(&jobs[n], &ret, ASYNC_FINISH);
        EQ(ret, n);
    }
}

/* -- ASYNC_init_thread -- */

static void max_size_bounds_the_jobs(void)
{
    const struct {
        size_t max, init;
    } sizes[] = { { 1, 0 }, { 1, 1 }, { 2, 1 }, { 5, 5 }, { 64, 3 } };
    ASYNC_JOB *jobs[200];
    size_t n;

    for (n = 0; n < LENGTH(sizes); n++) {
        int round;

        EQ(ASYNC_init_thread(sizes[n].max, sizes[n].init), 1);
        for (round = 0; round < 3; round++) {
            EQ(start_all(jobs, 200), sizes[n].max);
            finish_all(jobs, sizes[n].max);
        }
        ASYNC_cleanup_thread();
    }
    EQ(queued(), 0);
}

static void no_bound(void)
{
    ASYNC_JOB *jobs[200];

    EQ(start_all(jobs, 200), 200); /* without a call */
    finish_all(jobs, 200);
    ASYNC_cleanup_thread();
    EQ(ASYNC_init_thread(0, 0), 1);
    EQ(start_all(jobs, 200), 200);
    finish_all(jobs, 200);
}

/* OpenSSL refuses, against its manual page. */
static void no_bound_and_some_up_front(void)
{
    ASYNC_JOB *jobs[200];

    EQ(ASYNC_init_thread(0, 7), 1);
    EQ(start_all(jobs, 200), 200);
    finish_all(jobs, 200);
    EQ(queued(), 0);
}

static void more_up_front_than_the_bound(void)
{
    ASYNC_JOB *jobs[10];

    EQ(ASYNC_init_thread(1, 2), 0);
    if (libcrypto_is_here())
        EQ(queued(), PACKED(INVALID_POOL_SIZE));
    EQ(queued(), 0);
    /* It changes nothing. */
    EQ(start_all(jobs, 10), 10);
    finish_all(jobs, 10);
    ASYNC_cleanup_thread();
    EQ(ASYNC_init_thread(2, 0), 1);
    EQ(ASYNC_init_thread(2, 3), 0);
    EQ(start_all(jobs, 10), 2);
    finish_all(jobs, 2);
    while (queued() != 0)
        ;
}

/* OpenSSL keeps no account of the jobs of before. */
static void a_second_call_sets_the_bound_anew(void)
{
    ASYNC_JOB *first[10], *more[10];

    EQ(ASYNC_init_thread(1, 1), 1);
    EQ(start_all(first, 10), 1);
    EQ(ASYNC_init_thread(1, 0), 1);
    EQ(start_all(more, 10), 0);
    EQ(ASYNC_init_thread(3, 1), 1);
    EQ(start_all(more, 10), 2);
    EQ(ASYNC_init_thread(2, 0), 1); /* below what there is */
    EQ(start_all(more + 2, 8), 0);
    finish_all(more, 2);
    EQ(start_all(more, 10), 1);
    finish_all(more, 1);
    finish_all(first, 1);
    EQ(start_all(more, 10), 2);
    finish_all(more, 2);
    EQ(ASYNC_init_thread(0, 0), 1);
    EQ(start_all(more, 10), 10);
    finish_all(more, 10);
}

static int calls_init(void *args)
{
    int inside = ASYNC_init_thread(1, 0);

    (void)args;
    ASYNC_pause_job();
    return inside;
}

/* In OpenSSL it replaces the pool under the running job. */
static void inside_a_job_it_is_refused(void)
{
    ASYNC_JOB *job = NULL, *jobs[4];
    int ret = -1;

    EQ(ASYNC_init_thread(3, 0), 1);
    START(&job, ctx, &ret, calls_init, NULL, 0, ASYNC_PAUSE);
    EQ(start_all(jobs, 4), 2);
    finish_all(jobs, 2);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 0);
    if (libcrypto_is_here())
        EQ(queued(), PACKED(INTERNAL_ERROR));
    EQ(start_all(jobs, 4), 3);
    finish_all(jobs, 3);
}

static void *other_thread(void *arg)
{
    ASYNC_JOB *jobs[10];

    (void)arg;
    EQ(start_all(jobs, 10), 10);
    finish_all(jobs, 10);
    EQ(ASYNC_init_thread(3, 0), 1);
    EQ(start_all(jobs, 10), 3);
    finish_all(jobs, 3);
    ASYNC_cleanup_thread();
    return NULL;
}

static void a_pool_is_its_threads(void)
{
    ASYNC_JOB *jobs[10];

    EQ(ASYNC_init_thread(2, 0), 1);
    EQ(start_all(jobs, 10), 2);
    in_thread(other_thread, NULL);
    finish_all(jobs, 2);
    EQ(start_all(jobs, 10), 2);
    finish_all(jobs, 2);
}

/* -- ASYNC_cleanup_thread -- */

static void *cleans_up(void *arg)
{
    (void)arg;
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    EQ(ASYNC_init_thread(1, 1), 1);
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    return NULL;
}

static void cleanup_twice_and_with_nothing(void)
{
    ASYNC_JOB *jobs[10];

    in_thread(cleans_up, NULL);
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    EQ(ASYNC_init_thread(2, 2), 1);
    EQ(start_all(jobs, 10), 2);
    finish_all(jobs, 2);
    ASYNC_cleanup_thread();
    EQ(start_all(jobs, 10), 10); /* the bound is forgotten */
    finish_all(jobs, 10);
    ASYNC_cleanup_thread();
    EQ(queued(), 0);
}

static int pauses_thrice(void *args)
{
    int number = *(int *)args, n;

    for (n = 0; n < 3; n++)
        ASYNC_pause_job();
    return number;
}

/* Undefined in OpenSSL. */
static void paused_jobs_outlive_a_cleanup(void)
{
    ASYNC_JOB *jobs[5], *more[5];
    int n, ret;

    EQ(ASYNC_init_thread(5, 2), 1);
    for (n = 0; n < 5; n++) {
        jobs[n] = NULL;
        START(&jobs[n], ctx, &ret, pauses_thrice, &n, sizeof n, ASYNC_PAUSE);
    }
    ASYNC_cleanup_thread();
    for (n = 0; n < 5; n++)
        RESUME(&jobs[n], &ret, ASYNC_PAUSE);
    EQ(start_all(more, 5), 5);
    ASYNC_cleanup_thread();
    EQ(ASYNC_init_thread(0, 3), 1);
    for (n = 0; n < 5; n++)
        RESUME(&jobs[n], &ret, ASYNC_PAUSE);
    finish_all(jobs, 5);
    finish_all(more, 5);
    EQ(queued(), 0);
    EQ(start_all(more, 5), 5);
    finish_all(more, 5);
}

static int calls_cleanup(void *args)
{
    ASYNC_JOB *self = ASYNC_get_current_job();

    (void)args;
    ASYNC_cleanup_thread();
    EQ(ASYNC_get_current_job(), self);
    ASYNC_pause_job();
    ASYNC_cleanup_thread();
    ASYNC_pause_job();
    EQ(ASYNC_get_current_job(), self);
    return 4;
}

/* OpenSSL frees the running thread's data. */
static void a_cleanup_inside_a_job_is_refused(void)
{
    ASYNC_JOB *job = NULL, *jobs[4];
    int ret = -1;

    EQ(ASYNC_init_thread(2, 0), 1);
    START(&job, ctx, &ret, calls_cleanup, NULL, 0, ASYNC_PAUSE);
    if (libcrypto_is_here())
        EQ(queued(), PACKED(INTERNAL_ERROR));
    EQ(start_all(jobs, 4), 1); /* the bound is kept */
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 4);
    finish_all(jobs, 1);
    while (queued() != 0)
        ;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "max_size_bounds_the_jobs", max_size_bounds_the_jobs, ANYWHERE },
        { "no_bound", no_bound, ANYWHERE },
        { "no_bound_and_some_up_front", no_bound_and_some_up_front, OURS_ONLY },
        { "more_up_front_than_the_bound", more_up_front_than_the_bound, ANYWHERE },
        { "a_second_call_sets_the_bound_anew", a_second_call_sets_the_bound_anew, OURS_ONLY },
        { "inside_a_job_it_is_refused", inside_a_job_it_is_refused, OURS_ONLY },
        { "a_pool_is_its_threads", a_pool_is_its_threads, ANYWHERE },
        { "cleanup_twice_and_with_nothing", cleanup_twice_and_with_nothing, ANYWHERE },
        { "paused_jobs_outlive_a_cleanup", paused_jobs_outlive_a_cleanup, OURS_ONLY },
        { "a_cleanup_inside_a_job_is_refused", a_cleanup_inside_a_job_is_refused, OURS_ONLY },
    };

    return RUN(cases);
}
