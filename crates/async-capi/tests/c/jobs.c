/*
 * Starting, pausing and resuming jobs: what the manual page and OpenSSL say.
 */
#include "check.h"

/* A job that pauses as often as its argument says, and returns how often it did. */
static int pauses(void *args)
{
    int count = *(int *)args, done;

    for (done = 0; done < count; done++)
        EQ(ASYNC_pause_job(), 1);
    return done;
}

static int returns_its_argument(void *args)
{
    return *(int *)args;
}

/* -- ASYNC_is_capable -- */

static void jobs_are_there(void)
{
    EQ(ASYNC_is_capable(), 1);
}

/* -- ASYNC_start_job -- */

static void a_job_that_never_pauses(void)
{
    const int answers[] = { 0, 1, -1, 3, INT_MAX, INT_MIN };
    size_t n;

    for (n = 0; n < LENGTH(answers); n++) {
        ASYNC_JOB *job = NULL;
        int ret = ~answers[n], args = answers[n];

        START(&job, ctx, &ret, returns_its_argument, &args, sizeof args, ASYNC_FINISH);
        EQ(ret, answers[n]);
        EQ(job, NULL);
    }
}

static void a_job_that_pauses(void)
{
    ASYNC_JOB *job = NULL;
    int ret = -7, count = 100, n;

    START(&job, ctx, &ret, pauses, &count, sizeof count, ASYNC_PAUSE);
    for (n = 1; n < 100; n++) {
        ASYNC_JOB *before = job;

        CHECK(job != NULL);
        EQ(ret, -7);
        START(&job, ctx, &ret, pauses, &count, sizeof count, ASYNC_PAUSE);
        EQ(job, before);
    }
    START(&job, ctx, &ret, pauses, &count, sizeof count, ASYNC_FINISH);
    EQ(ret, 100);
    EQ(job, NULL);
}

/* -- its arguments -- */

static size_t size_of_copy;
static unsigned char *seen_by_job;

static int looks_at_its_copy(void *args)
{
    size_t n;

    seen_by_job = args;
    EQ((uintptr_t)args % 16, 0);
    ASYNC_pause_job();
    for (n = 0; n < size_of_copy; n++)
        EQ(seen_by_job[n], (unsigned char)(n * 7 + 1));
    memset(seen_by_job, 0x55, size_of_copy);
    ASYNC_pause_job();
    for (n = 0; n < size_of_copy; n++)
        EQ(seen_by_job[n], 0x55);
    return 1;
}

static void arguments_are_copied(void)
{
    const size_t sizes[] = { 1, 7, 8, 63, 64, 65, 4096, 1 << 20 };
    size_t n, i;

    for (n = 0; n < LENGTH(sizes); n++) {
        unsigned char *bytes = malloc(sizes[n]);
        ASYNC_JOB *job = NULL;
        int ret = 0;

        size_of_copy = sizes[n];
        for (i = 0; i < sizes[n]; i++)
            bytes[i] = (unsigned char)(i * 7 + 1);
        START(&job, ctx, &ret, looks_at_its_copy, bytes, sizes[n], ASYNC_PAUSE);
        CHECK(seen_by_job != bytes);
        /* Neither sees what the other writes. */
        memset(bytes, 0xAA, sizes[n]);
        RESUME(&job, &ret, ASYNC_PAUSE);
        for (i = 0; i < sizes[n]; i++)
            EQ(bytes[i], 0xAA);
        free(bytes);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, 1);
    }
}

static int gets_null(void *args)
{
    return args == NULL;
}

static void no_arguments_are_null(void)
{
    const size_t sizes[] = { 0, 1, 65, 1 << 20 };
    char byte = 1;
    size_t n;

    for (n = 0; n < LENGTH(sizes); n++) {
        ASYNC_JOB *job = NULL;
        int ret = 0;

        START(&job, ctx, &ret, gets_null, NULL, sizes[n], ASYNC_FINISH);
        EQ(ret, 1);
    }
    for (n = 0; n < 2; n++) {
        ASYNC_JOB *job = NULL;
        int ret = 0;

        START(&job, ctx, &ret, gets_null, &byte, 0, ASYNC_FINISH);
        EQ(ret, 1);
    }
}

/* -- a resume -- */

static int must_not_run(void *args)
{
    (void)args;
    failed(__FILE__, __LINE__, "the function of a resume ran");
    return 99;
}

static int keeps_its_argument(void *args)
{
    int before = *(int *)args;

    ASYNC_pause_job();
    EQ(*(int *)args, before);
    EQ(ASYNC_get_wait_ctx(ASYNC_get_current_job()), ctx);
    ASYNC_pause_job();
    EQ(ASYNC_get_wait_ctx(ASYNC_get_current_job()), ctx);
    return *(int *)args;
}

static void a_resume_ignores_ctx_func_and_args(void)
{
    ASYNC_WAIT_CTX *other = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int ret = -7, args = 42, others[30] = { 5 };

    START(&job, ctx, &ret, keeps_its_argument, &args, sizeof args, ASYNC_PAUSE);
    START(&job, other, &ret, must_not_run, others, sizeof others, ASYNC_PAUSE);
    EQ(ASYNC_get_wait_ctx(job), ctx);
    START(&job, NULL, &ret, NULL, NULL, 77, ASYNC_FINISH);
    EQ(ret, 42);
    ASYNC_WAIT_CTX_free(other);
}

/* -- what is left alone -- */

static void no_jobs_leaves_everything_alone(void)
{
    ASYNC_JOB *first = NULL, *second = NULL;
    int ret = -7, other = -8, one = 1;

    EQ(ASYNC_init_thread(1, 0), 1);
    START(&first, ctx, &ret, pauses, &one, sizeof one, ASYNC_PAUSE);
    START(&second, ctx, &other, must_not_run, &one, sizeof one, ASYNC_NO_JOBS);
    EQ(second, NULL);
    EQ(other, -8);
    EQ(queued(), 0);
    EQ(ret, -7);
    RESUME(&first, &ret, ASYNC_FINISH);
    EQ(ret, 1);
    START(&second, ctx, &other, pauses, &one, sizeof one, ASYNC_PAUSE);
    RESUME(&second, &other, ASYNC_FINISH);
    EQ(other, 1);
}

static void a_job_without_a_context(void)
{
    ASYNC_JOB *job = NULL;
    int ret = -7, args = 3;

    START(&job, NULL, &ret, returns_its_argument, &args, sizeof args, ASYNC_FINISH);
    EQ(ret, 3);
}

static int has_no_context(void *args)
{
    (void)args;
    EQ(ASYNC_get_wait_ctx(ASYNC_get_current_job()), NULL);
    ASYNC_pause_job();
    ASYNC_pause_job();
    return 8;
}

/* OpenSSL crashes at the first resume. */
static void a_job_without_a_context_pauses(void)
{
    ASYNC_JOB *job = NULL;
    int ret = -7;

    START(&job, NULL, &ret, has_no_context, NULL, 0, ASYNC_PAUSE);
    EQ(ASYNC_get_wait_ctx(job), NULL);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 8);
    EQ(queued(), 0);
}

/* OpenSSL crashes. */
static void an_answer_that_nobody_wants(void)
{
    ASYNC_JOB *job = NULL;
    int one = 1;

    START(&job, ctx, NULL, pauses, &one, sizeof one, ASYNC_PAUSE);
    RESUME(&job, NULL, ASYNC_FINISH);
    EQ(job, NULL);
}

/* -- ASYNC_pause_job -- */

static void *pause_in_thread(void *arg)
{
    (void)arg;
    EQ(ASYNC_pause_job(), 1);
    EQ(ASYNC_get_current_job(), NULL);
    ASYNC_block_pause();
    ASYNC_unblock_pause();
    EQ(ASYNC_pause_job(), 1);
    return NULL;
}

static void a_pause_outside_a_job(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0, one = 1;

    EQ(ASYNC_pause_job(), 1);
    in_thread(pause_in_thread, NULL);
    START(&job, ctx, &ret, pauses, &one, sizeof one, ASYNC_PAUSE);
    EQ(ASYNC_pause_job(), 1);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ASYNC_pause_job(), 1);
    EQ(queued(), 0);
}

/* -- ASYNC_get_current_job, ASYNC_get_wait_ctx -- */

static ASYNC_JOB *seen_inside;

static int looks_at_itself(void *args)
{
    (void)args;
    seen_inside = ASYNC_get_current_job();
    EQ(ASYNC_get_wait_ctx(seen_inside), ctx);
    ASYNC_pause_job();
    EQ(ASYNC_get_current_job(), seen_inside);
    ASYNC_block_pause();
    EQ(ASYNC_get_current_job(), seen_inside);
    ASYNC_unblock_pause();
    return 1;
}

static void the_current_job_and_its_context(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    EQ(ASYNC_get_current_job(), NULL);
    START(&job, ctx, &ret, looks_at_itself, NULL, 0, ASYNC_PAUSE);
    CHECK(job != NULL);
    EQ(job, seen_inside);
    EQ(ASYNC_get_wait_ctx(job), ctx);
    EQ(ASYNC_get_current_job(), NULL);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ASYNC_get_current_job(), NULL);
    /* A handle that is kept for too long has no context. */
    EQ(ASYNC_get_wait_ctx(seen_inside), NULL);
}

/* -- ASYNC_block_pause, ASYNC_unblock_pause -- */

static int blocks(void *args)
{
    int depth, *step = *(int **)args;

    ASYNC_unblock_pause(); /* at 0 it stays at 0 */
    ASYNC_unblock_pause();
    ASYNC_block_pause();
    EQ(ASYNC_pause_job(), 1);
    ASYNC_unblock_pause();
    *step = 1;
    ASYNC_pause_job();
    for (depth = 0; depth < 5; depth++)
        ASYNC_block_pause();
    for (; depth > 0; depth--) {
        EQ(ASYNC_pause_job(), 1);
        ASYNC_unblock_pause();
    }
    *step = 2;
    ASYNC_pause_job();
    *step = 3;
    return 1;
}

static void a_blocked_pause_returns_at_once(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0, step = 0, *args = &step;

    START(&job, ctx, &ret, blocks, &args, sizeof args, ASYNC_PAUSE);
    EQ(step, 1);
    RESUME(&job, &ret, ASYNC_PAUSE);
    EQ(step, 2);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(step, 3);
}

static void blocks_outside_a_job_are_nothing(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0, one = 1;

    ASYNC_block_pause();
    ASYNC_block_pause();
    START(&job, ctx, &ret, pauses, &one, sizeof one, ASYNC_PAUSE);
    ASYNC_unblock_pause();
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 1);
}

static int leaves_a_block(void *args)
{
    (void)args;
    ASYNC_block_pause();
    ASYNC_block_pause();
    return 1;
}

static int blocked_across(void *args)
{
    (void)args;
    ASYNC_pause_job();
    ASYNC_block_pause();
    ASYNC_pause_job();
    return 1;
}

/* OpenSSL's count is the thread's: it blocks every later job. */
static void a_block_left_behind_ends_with_its_job(void)
{
    ASYNC_JOB *job = NULL, *other = NULL;
    int ret = 0, two = 2;

    START(&other, ctx, &ret, pauses, &two, sizeof two, ASYNC_PAUSE);
    START(&job, ctx, &ret, leaves_a_block, NULL, 0, ASYNC_FINISH);
    RESUME(&other, &ret, ASYNC_PAUSE);
    START(&job, ctx, &ret, blocked_across, NULL, 0, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    RESUME(&other, &ret, ASYNC_FINISH);
    START(&job, ctx, &ret, pauses, &two, sizeof two, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 2);
}

/* -- many -- */

static int sums(void *args)
{
    int seed = *(int *)args, sum = 0, n, values[16];

    for (n = 0; n < 16; n++)
        values[n] = seed * 31 + n;
    for (n = 0; n < 16; n++) {
        if (n % 4 == 0)
            ASYNC_pause_job();
        sum += values[n];
    }
    return sum;
}

static void a_thousand_jobs_in_any_order(void)
{
    enum { JOBS = 1000 };
    static ASYNC_JOB *jobs[JOBS];
    static int rets[JOBS];
    unsigned random = 12345;
    int n, left = JOBS;

    for (n = 0; n < JOBS; n++)
        START(&jobs[n], ctx, &rets[n], sums, &n, sizeof n, ASYNC_PAUSE);
    while (left > 0) {
        random = random * 1664525u + 1013904223u;
        n = (int)(random >> 8) % JOBS;
        if (jobs[n] == NULL)
            continue;
        if (ASYNC_start_job(&jobs[n], NULL, &rets[n], NULL, NULL, 0) == ASYNC_FINISH) {
            EQ(rets[n], 16 * 31 * n + 120);
            EQ(jobs[n], NULL);
            left--;
        }
    }
}

static int pauses_while_comparing(const void *a, const void *b)
{
    ASYNC_pause_job();
    return *(const int *)a - *(const int *)b;
}

static int sorts(void *args)
{
    int numbers[] = { 5, 3, 9, 1, 7 }, n;

    (void)args;
    qsort(numbers, LENGTH(numbers), sizeof *numbers, pauses_while_comparing);
    for (n = 0; n < 5; n++)
        EQ(numbers[n], 2 * n + 1);
    return 1;
}

/* A pause deep inside a function that knows nothing of jobs; two of them at once. */
static void a_pause_below_a_library_function(void)
{
    ASYNC_JOB *one = NULL, *two = NULL;
    int first, second, ret, pauses_seen = 0;

    first = ASYNC_start_job(&one, ctx, &ret, sorts, NULL, 0);
    second = ASYNC_start_job(&two, ctx, &ret, sorts, NULL, 0);
    while (first == ASYNC_PAUSE || second == ASYNC_PAUSE) {
        pauses_seen++;
        if (first == ASYNC_PAUSE)
            first = ASYNC_start_job(&one, ctx, &ret, NULL, NULL, 0);
        if (second == ASYNC_PAUSE)
            second = ASYNC_start_job(&two, ctx, &ret, NULL, NULL, 0);
    }
    EQ(first, ASYNC_FINISH);
    EQ(second, ASYNC_FINISH);
    CHECK(pauses_seen >= 4);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "jobs_are_there", jobs_are_there, ANYWHERE },
        { "a_job_that_never_pauses", a_job_that_never_pauses, ANYWHERE },
        { "a_job_that_pauses", a_job_that_pauses, ANYWHERE },
        { "arguments_are_copied", arguments_are_copied, ANYWHERE },
        { "no_arguments_are_null", no_arguments_are_null, ANYWHERE },
        { "a_resume_ignores_ctx_func_and_args", a_resume_ignores_ctx_func_and_args, ANYWHERE },
        { "no_jobs_leaves_everything_alone", no_jobs_leaves_everything_alone, ANYWHERE },
        { "a_job_without_a_context", a_job_without_a_context, ANYWHERE },
        { "a_job_without_a_context_pauses", a_job_without_a_context_pauses, OURS_ONLY },
        { "an_answer_that_nobody_wants", an_answer_that_nobody_wants, OURS_ONLY },
        { "a_pause_outside_a_job", a_pause_outside_a_job, ANYWHERE },
        { "the_current_job_and_its_context", the_current_job_and_its_context, ANYWHERE },
        { "a_blocked_pause_returns_at_once", a_blocked_pause_returns_at_once, ANYWHERE },
        { "blocks_outside_a_job_are_nothing", blocks_outside_a_job_are_nothing, ANYWHERE },
        { "a_block_left_behind_ends_with_its_job", a_block_left_behind_ends_with_its_job, OURS_ONLY },
        { "a_thousand_jobs_in_any_order", a_thousand_jobs_in_any_order, ANYWHERE },
        { "a_pause_below_a_library_function", a_pause_below_a_library_function, ANYWHERE },
    };

    return RUN(cases);
}
