/*
 * Jobs that are used wrongly: stale handles, nested starts, other threads; and cancelled jobs.
 */
#include "misuse.h"

static int ret;

static int never_run(void *args)
{
    (void)args;
    failed(__FILE__, __LINE__, "a refused job ran");
    return 0;
}

/* -- stale handles -- */

static void a_handle_after_its_job(void)
{
    ASYNC_JOB *job = NULL, *old, *next = NULL;
    int args = 3, n;

    START(&job, ctx, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    old = job;
    RESUME(&job, &ret, ASYNC_PAUSE);
    EQ(job, old);
    RESUME(&job, &ret, ASYNC_FINISH);
    for (n = 0; n < 100; n++) {
        ASYNC_JOB *stale = old;

        ret = -7;
        /* OpenSSL says FINISH again, and puts the job into the pool twice. */
        REFUSED(ASYNC_start_job(&stale, ctx, &ret, never_run, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "has finished");
        EQ(stale, old);
        EQ(ret, -7);
        REFUSED(async_capi_cancel_job(&stale, &ret), ASYNC_ERR, INTERNAL_ERROR, "has finished");
        REFUSED(ASYNC_get_wait_ctx(old), NULL, INTERNAL_ERROR, "has finished");
        /* Its place is used by others. */
        START(&next, ctx, &ret, two_pauses, &n, sizeof n, ASYNC_PAUSE);
        CHECK(next != old);
        REFUSED(ASYNC_start_job(&stale, ctx, &ret, never_run, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "has finished");
        REFUSED(ASYNC_get_wait_ctx(old), NULL, INTERNAL_ERROR, "has finished");
        RESUME(&next, &ret, ASYNC_PAUSE);
        RESUME(&next, &ret, ASYNC_FINISH);
        EQ(ret, n);
    }
    everything_works();
}

/* -- inside a job -- */

static ASYNC_JOB *other;

static void nested_starts_are_refused(void)
{
    ASYNC_JOB *nested = NULL, *self = ASYNC_get_current_job();
    int inner = -7;

    REFUSED(ASYNC_start_job(&nested, ctx, &inner, never_run, NULL, 0), ASYNC_ERR, INTERNAL_ERROR,
            "a job cannot start another");
    EQ(nested, NULL);
    EQ(inner, -7);
    EQ(ASYNC_get_current_job(), self);
    /* Itself. */
    nested = self;
    REFUSED(ASYNC_start_job(&nested, ctx, &inner, never_run, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "is running");
    REFUSED(async_capi_cancel_job(&nested, &inner), ASYNC_ERR, INTERNAL_ERROR, "is running");
    EQ(nested, self);
    EQ(inner, -7);
    REFUSED(ASYNC_init_thread(1, 0), 0, INTERNAL_ERROR, "inside a job");
    REFUSED_SILENTLY(ASYNC_cleanup_thread(), INTERNAL_ERROR, "inside a job");
    EQ(ASYNC_get_current_job(), self);
    EQ(ASYNC_get_wait_ctx(self), ctx);
}

static int starts_others(void *args)
{
    int n;

    nested_starts_are_refused(); /* never paused */
    for (n = 0; n < 3; n++) {
        ASYNC_pause_job();
        nested_starts_are_refused(); /* resumed */
    }
    return *(int *)args;
}

static void nested_starts(void)
{
    ASYNC_JOB *job = NULL;
    int n, round;

    /* The second time its place has had a job before. */
    for (n = 0; n < 3; n++) {
        START(&job, ctx, &ret, starts_others, &n, sizeof n, ASYNC_PAUSE);
        for (round = 0; round < 2; round++)
            RESUME(&job, &ret, ASYNC_PAUSE);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, n);
    }
    everything_works();
}

static int resumes_another(void *args)
{
    ASYNC_JOB *self = ASYNC_get_current_job();
    int inner = -7;

    ASYNC_pause_job();
    RESUME(&other, &inner, ASYNC_PAUSE);
    EQ(ASYNC_get_current_job(), self);
    ASYNC_pause_job();
    EQ(ASYNC_get_current_job(), self);
    RESUME(&other, &inner, ASYNC_FINISH);
    EQ(inner, 55);
    EQ(other, NULL);
    EQ(ASYNC_get_current_job(), self);
    ASYNC_pause_job();
    return *(int *)args;
}

static int is_resumed_by_another(void *args)
{
    ASYNC_JOB *self = ASYNC_get_current_job();

    ASYNC_pause_job();
    EQ(ASYNC_get_current_job(), self);
    nested_starts_are_refused();
    ASYNC_pause_job();
    EQ(ASYNC_get_current_job(), self);
    return *(int *)args;
}

/* It works as a call. In OpenSSL the outer job crashes. */
static void a_job_resumes_another(void)
{
    ASYNC_JOB *job = NULL;
    int args = 44, others = 55;

    START(&other, ctx, &ret, is_resumed_by_another, &others, sizeof others, ASYNC_PAUSE);
    START(&job, ctx, &ret, resumes_another, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 44);
    everything_works();
}

static ASYNC_JOB *outer;

static int tries_to_resume_the_outer(void *args)
{
    int inner = -7;

    ASYNC_pause_job();
    REFUSED(ASYNC_start_job(&outer, ctx, &inner, NULL, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "is running");
    REFUSED(async_capi_cancel_job(&outer, &inner), ASYNC_ERR, INTERNAL_ERROR, "is running");
    EQ(inner, -7);
    return *(int *)args;
}

static int resumes_one_that_tries(void *args)
{
    int inner = -7;

    outer = ASYNC_get_current_job();
    RESUME(&other, &inner, ASYNC_FINISH);
    EQ(inner, 5);
    ASYNC_pause_job();
    return *(int *)args;
}

/* A job that waits for one it has resumed is running too. */
static void the_outer_of_two_is_running(void)
{
    ASYNC_JOB *job = NULL;
    int args = 4, others = 5;

    START(&other, ctx, &ret, tries_to_resume_the_outer, &others, sizeof others, ASYNC_PAUSE);
    START(&job, ctx, &ret, resumes_one_that_tries, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 4);
    everything_works();
}

/* -- another thread -- */

static void *resumes_what_is_not_its_own(void *arg)
{
    ASYNC_JOB *job = arg, *own = NULL;
    int result = -7, args = 6, round;

    /* A thread without jobs, and one with. */
    for (round = 0; round < 2; round++) {
        REFUSED(ASYNC_start_job(&job, ctx, &result, never_run, NULL, 0), ASYNC_ERR, INTERNAL_ERROR,
                "belongs to another thread");
        REFUSED(async_capi_cancel_job(&job, &result), ASYNC_ERR, INTERNAL_ERROR, "belongs to another thread");
        EQ(job, arg);
        EQ(result, -7);
        EQ(ASYNC_get_wait_ctx(job), ctx);
        START(&own, ctx, &result, two_pauses, &args, sizeof args, ASYNC_PAUSE);
        RESUME(&own, &result, ASYNC_PAUSE);
        RESUME(&own, &result, ASYNC_FINISH);
        EQ(result, 6);
        result = -7;
    }
    everything_works();
    return NULL;
}

static int pauses_and_calls_a_thread(void *args)
{
    in_thread(resumes_what_is_not_its_own, ASYNC_get_current_job());
    ASYNC_pause_job();
    in_thread(resumes_what_is_not_its_own, ASYNC_get_current_job());
    return *(int *)args;
}

static void another_thread(void)
{
    ASYNC_JOB *job = NULL;
    int args = 4;

    START(&job, ctx, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    in_thread(resumes_what_is_not_its_own, job);
    RESUME(&job, &ret, ASYNC_PAUSE);
    in_thread(resumes_what_is_not_its_own, job);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 4);
    /* While it runs. */
    START(&job, ctx, &ret, pauses_and_calls_a_thread, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 4);
    everything_works();
}

static void *leaves_a_job(void *arg)
{
    int args = 4;

    START((ASYNC_JOB **)arg, ctx, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    return NULL;
}

/* Its stack is kept as it is, for ever; nobody can resume it. */
static void the_job_of_a_thread_that_has_ended(void)
{
    ASYNC_JOB *left[50] = { NULL };
    int n;

    for (n = 0; n < 50; n++) {
        in_thread(leaves_a_job, &left[n]);
        /* This thread is one that may have the memory of the other. */
        REFUSED(ASYNC_start_job(&left[n], ctx, &ret, never_run, NULL, 0), ASYNC_ERR, INTERNAL_ERROR,
                "belongs to another thread");
        EQ(ASYNC_get_wait_ctx(left[n]), ctx);
    }
    in_thread(resumes_what_is_not_its_own, left[0]);
    everything_works();
}

/* -- async_capi_cancel_job -- */

static int seen_pauses[4];

static int asks_for_pauses(void *args)
{
    int n;

    for (n = 0; n < 4; n++) {
        if (n == 2)
            ASYNC_block_pause();
        seen_pauses[n] = ASYNC_pause_job();
        if (n == 2)
            ASYNC_unblock_pause();
    }
    nested_starts_are_refused();
    return *(int *)args;
}

static void a_cancelled_job_runs_to_its_end(void)
{
    ASYNC_JOB *job = NULL, *old;
    int args = 9;

    START(&job, ctx, &ret, asks_for_pauses, &args, sizeof args, ASYNC_PAUSE);
    old = job;
    EQ(async_capi_cancel_job(&job, &ret), ASYNC_FINISH);
    EQ(job, NULL);
    EQ(ret, 9);
    EQ(seen_pauses[0], 0);
    EQ(seen_pauses[1], 0);
    EQ(seen_pauses[2], 1); /* a blocked pause returns 1 as ever */
    EQ(seen_pauses[3], 0);
    REFUSED(async_capi_cancel_job(&old, &ret), ASYNC_ERR, INTERNAL_ERROR, "has finished");
    /* After a resume; without a place for the answer. */
    START(&job, ctx, &ret, asks_for_pauses, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    EQ(async_capi_cancel_job(&job, NULL), ASYNC_FINISH);
    EQ(job, NULL);
    EQ(seen_pauses[0], 1);
    EQ(seen_pauses[1], 0);
    EQ(seen_pauses[3], 0);
    /* Of nothing. */
    ret = -7;
    REFUSED(async_capi_cancel_job(&job, &ret), ASYNC_ERR, INTERNAL_ERROR, "never was");
    EQ(job, NULL);
    EQ(ret, -7);
    everything_works();
}

/* The next job of its place is not cancelled. And the fds of this round are a round's end as at a resume. */
static void a_cancel_ends_with_its_job(void)
{
    ASYNC_JOB *job = NULL;
    size_t added = 9, deleted = 9;
    int n;

    EQ(ASYNC_init_thread(1, 1), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &ret, 5, NULL, NULL), 1);
    for (n = 0; n < 100; n++) {
        START(&job, ctx, &ret, two_pauses, &n, sizeof n, ASYNC_PAUSE);
        if (n % 2 == 0) {
            EQ(async_capi_cancel_job(&job, &ret), ASYNC_FINISH);
        } else {
            RESUME(&job, &ret, ASYNC_PAUSE);
            RESUME(&job, &ret, ASYNC_FINISH);
        }
        EQ(ret, n);
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, NULL, &added, NULL, &deleted), 1);
        EQ(added, 0);
        EQ(deleted, 0);
    }
    ASYNC_cleanup_thread();
    everything_works();
}

static int cancels_another(void *args)
{
    ASYNC_JOB *self = ASYNC_get_current_job();
    int inner = -7;

    EQ(async_capi_cancel_job(&other, &inner), ASYNC_FINISH);
    EQ(inner, 5);
    EQ(other, NULL);
    EQ(ASYNC_get_current_job(), self);
    EQ(ASYNC_pause_job(), 1); /* this one is not cancelled */
    return *(int *)args;
}

static void a_job_cancels_another(void)
{
    ASYNC_JOB *job = NULL;
    int args = 4, others = 5;

    START(&other, ctx, &ret, two_pauses, &others, sizeof others, ASYNC_PAUSE);
    START(&job, ctx, &ret, cancels_another, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 4);
    everything_works();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "a_handle_after_its_job", a_handle_after_its_job, OURS_ONLY },
        { "nested_starts", nested_starts, OURS_ONLY },
        { "a_job_resumes_another", a_job_resumes_another, OURS_ONLY },
        { "the_outer_of_two_is_running", the_outer_of_two_is_running, OURS_ONLY },
        { "another_thread", another_thread, OURS_ONLY },
        { "the_job_of_a_thread_that_has_ended", the_job_of_a_thread_that_has_ended, OURS_ONLY },
        { "a_cancelled_job_runs_to_its_end", a_cancelled_job_runs_to_its_end, OURS_ONLY },
        { "a_cancel_ends_with_its_job", a_cancel_ends_with_its_job, OURS_ONLY },
        { "a_job_cancels_another", a_job_cancels_another, OURS_ONLY },
    };

    return RUN(cases);
}
