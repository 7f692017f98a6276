/*
 * The eight things that OpenSSL's own test of its jobs looks at. Each also on a thread whose pool was cleaned up
 * by the one before: without arguments a case has a process of its own, with "all" they share one.
 */
#include "check.h"

static int pauses_and_returns_one(void *args)
{
    (void)args;
    ASYNC_pause_job();
    return 1;
}

static void two_jobs_and_no_third(void)
{
    ASYNC_JOB *one = NULL, *two = NULL, *three = NULL;
    int first = 0, second = 0, third = 0;

    EQ(ASYNC_init_thread(2, 0), 1);
    START(&one, ctx, &first, pauses_and_returns_one, NULL, 0, ASYNC_PAUSE);
    START(&two, ctx, &second, pauses_and_returns_one, NULL, 0, ASYNC_PAUSE);
    START(&three, ctx, &third, pauses_and_returns_one, NULL, 0, ASYNC_NO_JOBS);
    RESUME(&one, &first, ASYNC_FINISH);
    START(&three, ctx, &third, pauses_and_returns_one, NULL, 0, ASYNC_PAUSE);
    RESUME(&two, &second, ASYNC_FINISH);
    RESUME(&three, &third, ASYNC_FINISH);
    EQ(first, 1);
    EQ(second, 1);
    EQ(third, 1);
}

static int answers_one(void *arg)
{
    *(int *)arg += 1;
    return 1;
}

static void callback_and_status(void)
{
    ASYNC_callback_fn callback = NULL;
    void *arg = NULL;
    int calls = 0;

    EQ(ASYNC_init_thread(1, 0), 1);
    EQ(ASYNC_WAIT_CTX_set_callback(ctx, answers_one, &calls), 1);
    EQ(ASYNC_WAIT_CTX_get_callback(ctx, &callback, &arg), 1);
    EQ(callback, answers_one);
    EQ(arg, &calls);
    EQ(callback(arg), 1);
    EQ(calls, 1);
    EQ(ASYNC_WAIT_CTX_set_status(ctx, 1), 1);
    EQ(ASYNC_WAIT_CTX_get_status(ctx), 1);
}

static int counter;

static int counts_twice(void *args)
{
    (void)args;
    counter++;
    ASYNC_pause_job();
    counter++;
    return 2;
}

static void counted_before_and_after_a_pause(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    counter = 0;
    EQ(ASYNC_init_thread(1, 0), 1);
    START(&job, ctx, &ret, counts_twice, NULL, 0, ASYNC_PAUSE);
    EQ(counter, 1);
    START(&job, ctx, &ret, counts_twice, NULL, 0, ASYNC_FINISH);
    EQ(counter, 2);
    EQ(ret, 2);
}

static ASYNC_JOB *inside;

static int notes_itself(void *args)
{
    (void)args;
    inside = ASYNC_get_current_job();
    ASYNC_pause_job();
    return 1;
}

static void the_same_job_inside_and_outside(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    inside = NULL;
    EQ(ASYNC_init_thread(1, 0), 1);
    START(&job, ctx, &ret, notes_itself, NULL, 0, ASYNC_PAUSE);
    EQ(job, inside);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 1);
}

#define THE_FD 99

static int sets_and_clears(void *args)
{
    ASYNC_WAIT_CTX *mine = ASYNC_get_wait_ctx(ASYNC_get_current_job());

    (void)args;
    ASYNC_pause_job();
    EQ(ASYNC_WAIT_CTX_set_wait_fd(mine, mine, THE_FD, NULL, NULL), 1);
    ASYNC_pause_job();
    EQ(ASYNC_WAIT_CTX_clear_fd(mine, mine), 1);
    ASYNC_pause_job();
    EQ(ASYNC_WAIT_CTX_set_wait_fd(mine, mine, THE_FD, NULL, NULL), 1);
    EQ(ASYNC_WAIT_CTX_clear_fd(mine, mine), 1);
    return 1;
}

static void counts_are(size_t all, size_t added, size_t deleted)
{
    size_t seen = 9, seen_added = 9, seen_deleted = 9;
    int fd = 0;

    EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, NULL, &seen), 1);
    EQ(seen, all);
    if (all == 1) {
        EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, &fd, &seen), 1);
        EQ(fd, THE_FD);
    }
    EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, NULL, &seen_added, NULL, &seen_deleted), 1);
    EQ(seen_added, added);
    EQ(seen_deleted, deleted);
    fd = 0;
    if (added == 1)
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, &fd, &seen_added, NULL, &seen_deleted), 1);
    if (deleted == 1)
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, NULL, &seen_added, &fd, &seen_deleted), 1);
    if (added + deleted == 1)
        EQ(fd, THE_FD);
}

static void an_fd_in_four_rounds(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    EQ(ASYNC_init_thread(1, 0), 1);
    START(&job, ctx, &ret, sets_and_clears, NULL, 0, ASYNC_PAUSE);
    counts_are(0, 0, 0);
    RESUME(&job, &ret, ASYNC_PAUSE);
    counts_are(1, 1, 0);
    RESUME(&job, &ret, ASYNC_PAUSE);
    counts_are(0, 0, 1);
    RESUME(&job, &ret, ASYNC_FINISH);
    counts_are(0, 0, 0);
    EQ(ret, 1);
}

static int blocks_one_pause(void *args)
{
    (void)args;
    ASYNC_block_pause();
    ASYNC_pause_job();
    ASYNC_unblock_pause();
    ASYNC_pause_job();
    return 1;
}

static void only_the_second_pause_is_one(void)
{
    ASYNC_JOB *job = NULL;
    int ret = 0;

    EQ(ASYNC_init_thread(1, 0), 1);
    START(&job, ctx, &ret, blocks_one_pause, NULL, 0, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 1);
}

/* OpenSSL's default library context, where there is OpenSSL. */
static void *(*ctx_new)(void), *(*set_default)(void *);
static void (*ctx_free)(void *);
static void *jobs_own;

static void *now_default(void)
{
    return set_default(NULL);
}

static int has_its_own_default(void *args)
{
    void *callers = set_default(jobs_own);

    EQ(callers, *(void **)args);
    ASYNC_pause_job();
    EQ(now_default(), jobs_own);
    ASYNC_pause_job();
    EQ(now_default(), jobs_own);
    if (counter == 0)
        EQ(set_default(callers), jobs_own);
    return 1;
}

/* Where the job leaves its own in force (counter 1), the caller has the caller's all the same. */
static void the_default_context_is_the_jobs(void)
{
    void *global, *callers;
    ASYNC_JOB *job = NULL;
    int ret = 0;

    *(void **)&ctx_new = dlsym(RTLD_DEFAULT, "OSSL_LIB_CTX_new");
    *(void **)&set_default = dlsym(RTLD_DEFAULT, "OSSL_LIB_CTX_set0_default");
    *(void **)&ctx_free = dlsym(RTLD_DEFAULT, "OSSL_LIB_CTX_free");
    if (ctx_new == NULL || set_default == NULL || ctx_free == NULL)
        return;
    for (counter = 0; counter < 2; counter++) {
        callers = ctx_new();
        jobs_own = ctx_new();
        global = set_default(callers);
        CHECK(callers != NULL && jobs_own != NULL && global != NULL);
        START(&job, ctx, &ret, has_its_own_default, &callers, sizeof callers, ASYNC_PAUSE);
        EQ(now_default(), callers);
        RESUME(&job, &ret, ASYNC_PAUSE);
        EQ(now_default(), callers);
        EQ(set_default(global), callers);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, 1);
        EQ(now_default(), global);
        ctx_free(callers);
        ctx_free(jobs_own);
        ret = 0;
    }
}

static int allocated, freed;

static void *alloc(size_t *num)
{
    allocated++;
    return malloc(*num);
}

static void release(void *addr)
{
    freed++;
    free(addr);
}

/* Not in libcrypto 3.0. */
static void stacks_of_the_program(void)
{
    int (*set)(void *(*)(size_t *), void (*)(void *));
    void (*get)(void *(**)(size_t *), void (**)(void *));
    void *(*now_alloc)(size_t *) = NULL;
    void (*now_release)(void *) = NULL;

    *(void **)&set = dlsym(RTLD_DEFAULT, "ASYNC_set_mem_functions");
    *(void **)&get = dlsym(RTLD_DEFAULT, "ASYNC_get_mem_functions");
    if (set == NULL || get == NULL || !set(alloc, release))
        return; /* OpenSSL has a stack already where the cases share a process */
    get(&now_alloc, &now_release);
    EQ(now_alloc, alloc);
    EQ(now_release, release);
    EQ(ASYNC_init_thread(1, 1), 1);
    ASYNC_cleanup_thread();
    EQ(allocated, 1);
    EQ(freed, 1);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "two_jobs_and_no_third", two_jobs_and_no_third, ANYWHERE },
        { "callback_and_status", callback_and_status, ANYWHERE },
        { "counted_before_and_after_a_pause", counted_before_and_after_a_pause, ANYWHERE },
        { "the_same_job_inside_and_outside", the_same_job_inside_and_outside, ANYWHERE },
        { "an_fd_in_four_rounds", an_fd_in_four_rounds, ANYWHERE },
        { "only_the_second_pause_is_one", only_the_second_pause_is_one, ANYWHERE },
        { "the_default_context_is_the_jobs", the_default_context_is_the_jobs, ANYWHERE },
        { "stacks_of_the_program", stacks_of_the_program, ANYWHERE },
    };
    size_t n;

    if (argc < 2 || strcmp(argv[1], "all") != 0)
        return RUN(cases);
    for (n = 0; n < LENGTH(cases); n++)
        run_one(&cases[n]);
    return 0;
}
