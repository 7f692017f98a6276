/*
 * Contexts that are used wrongly: freed too early, twice, or while they are being freed.
 */
#include "misuse.h"

static int ret;
static ASYNC_callback_fn callback;
static void *data;

static int never_called(void *arg)
{
    (void)arg;
    failed(__FILE__, __LINE__, "a callback was called");
    return 0;
}

/* Every function but `free` on a context that is gone. */
static void is_gone(ASYNC_WAIT_CTX *gone)
{
    ASYNC_JOB *job = NULL;
    size_t count = 99;
    int fd = -7;

    REFUSED(ASYNC_WAIT_CTX_set_wait_fd(gone, &fd, 1, NULL, NULL), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_get_fd(gone, &ret, &fd, &data), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_get_all_fds(gone, &fd, &count), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_get_changed_fds(gone, &fd, &count, &fd, &count), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_clear_fd(gone, &ret), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_set_callback(gone, never_called, NULL), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_get_callback(gone, &callback, &data), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_set_status(gone, 1), 0, INTERNAL_ERROR, "was freed");
    REFUSED(ASYNC_WAIT_CTX_get_status(gone), 0, INTERNAL_ERROR, "was freed");
    EQ(fd, -7);
    EQ(count, 99);
    if (ASYNC_get_current_job() == NULL)
        REFUSED(ASYNC_start_job(&job, gone, &ret, never_called, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "was freed");
    EQ(job, NULL);
}

/* -- twice, too late, from elsewhere -- */

static void freed_twice(void)
{
    ASYNC_WAIT_CTX *gone = ASYNC_WAIT_CTX_new(), *next;

    ASYNC_WAIT_CTX_free(gone);
    REFUSED_SILENTLY(ASYNC_WAIT_CTX_free(gone), INTERNAL_ERROR, "was freed");
    is_gone(gone);
    next = ASYNC_WAIT_CTX_new(); /* in its place */
    EQ(ASYNC_WAIT_CTX_set_wait_fd(next, &ret, 11, NULL, NULL), 1);
    REFUSED_SILENTLY(ASYNC_WAIT_CTX_free(gone), INTERNAL_ERROR, "was freed");
    is_gone(gone);
    EQ(ASYNC_WAIT_CTX_clear_fd(next, &ret), 1);
    ASYNC_WAIT_CTX_free(next);
    everything_works();
}

static void *uses_what_is_gone(void *arg)
{
    is_gone(arg);
    REFUSED_SILENTLY(ASYNC_WAIT_CTX_free(arg), INTERNAL_ERROR, "was freed");
    everything_works();
    return NULL;
}

static void used_by_another_thread_after_free(void)
{
    ASYNC_WAIT_CTX *gone = ASYNC_WAIT_CTX_new();

    EQ(ASYNC_WAIT_CTX_set_wait_fd(gone, &ret, 11, NULL, NULL), 1);
    EQ(ASYNC_WAIT_CTX_set_callback(gone, never_called, NULL), 1);
    ASYNC_WAIT_CTX_free(gone);
    in_thread(uses_what_is_gone, gone);
    everything_works();
}

/* -- freed under a job -- */

static volatile char *on_its_stack;

static int keeps_its_stack(void *args)
{
    volatile char here[500];

    (void)args;
    memset((void *)here, 0x77, sizeof here);
    on_its_stack = here;
    ASYNC_pause_job();
    ASYNC_pause_job();
    CHECK(here[0] == 0x77 && here[499] == 0x77);
    return 1;
}

static int fills_its_stack(void *args)
{
    volatile char here[6000];

    (void)args;
    memset((void *)here, 0x11, sizeof here);
    ASYNC_pause_job();
    return here[0] + here[5999];
}

/* Whatever jobs come after: the stack of one that can never be resumed is not theirs. */
static void its_stack_is_kept(volatile char *kept)
{
    ASYNC_JOB *jobs[100] = { NULL };
    int n, round;

    for (round = 0; round < 2; round++) {
        for (n = 0; n < 100; n++)
            START(&jobs[n], ctx, &ret, fills_its_stack, NULL, 0, ASYNC_PAUSE);
        for (n = 0; n < 100; n++)
            RESUME(&jobs[n], &ret, ASYNC_FINISH);
        ASYNC_cleanup_thread();
        for (n = 0; n < 500; n++)
            EQ(kept[n], 0x77);
    }
}

static void freed_while_its_job_is_paused(void)
{
    ASYNC_WAIT_CTX *gone = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *stuck = NULL, *also = NULL, *fine = NULL, *before;
    volatile char *kept;
    int args = 4, n;

    START(&stuck, gone, &ret, keeps_its_stack, NULL, 0, ASYNC_PAUSE);
    kept = on_its_stack;
    START(&also, gone, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&also, &ret, ASYNC_PAUSE);
    START(&fine, ctx, &ret, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    before = stuck;
    ASYNC_WAIT_CTX_free(gone);
    is_gone(gone);
    for (n = 0; n < 3; n++) {
        ret = -7;
        REFUSED(ASYNC_start_job(&stuck, ctx, &ret, never_called, NULL, 0), ASYNC_ERR, INTERNAL_ERROR,
                "context was freed before the job had finished");
        REFUSED(ASYNC_start_job(&also, ctx, &ret, never_called, NULL, 0), ASYNC_ERR, INTERNAL_ERROR,
                "context was freed before the job had finished");
        REFUSED(async_capi_cancel_job(&stuck, &ret), ASYNC_ERR, INTERNAL_ERROR, "context was freed");
        EQ(stuck, before);
        EQ(ret, -7);
        /* Nor do new contexts help it. */
        ASYNC_WAIT_CTX_free(ASYNC_WAIT_CTX_new());
    }
    its_stack_is_kept(kept);
    RESUME(&fine, &ret, ASYNC_PAUSE);
    RESUME(&fine, &ret, ASYNC_FINISH);
    EQ(ret, 4);
    everything_works();
}

static int bound_is_two(void *args)
{
    (void)args;
    ASYNC_pause_job();
    return 1;
}

/* It counts as one of the pool's jobs as long as the pool is there: its memory is not to be had. */
static void a_stuck_job_counts(void)
{
    ASYNC_WAIT_CTX *gone = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *stuck = NULL, *one = NULL, *two = NULL;

    EQ(ASYNC_init_thread(2, 0), 1);
    START(&stuck, gone, &ret, bound_is_two, NULL, 0, ASYNC_PAUSE);
    ASYNC_WAIT_CTX_free(gone);
    START(&one, ctx, &ret, bound_is_two, NULL, 0, ASYNC_PAUSE);
    START(&two, ctx, &ret, bound_is_two, NULL, 0, ASYNC_NO_JOBS);
    RESUME(&one, &ret, ASYNC_FINISH);
    ASYNC_cleanup_thread();
    everything_works();
}

static int frees_its_context_first(void *args)
{
    ASYNC_WAIT_CTX *own = ASYNC_get_wait_ctx(ASYNC_get_current_job());

    ASYNC_WAIT_CTX_free(own);
    is_gone(own);
    /* It has no context to be told by, so it cannot pause. */
    REFUSED(ASYNC_pause_job(), 0, INTERNAL_ERROR, "context was freed");
    REFUSED(ASYNC_pause_job(), 0, INTERNAL_ERROR, "context was freed");
    return *(int *)args;
}

static int frees_its_context_later(void *args)
{
    ASYNC_WAIT_CTX *own = ASYNC_get_wait_ctx(ASYNC_get_current_job());

    EQ(ASYNC_pause_job(), 1);
    ASYNC_WAIT_CTX_free(own);
    is_gone(own);
    return *(int *)args;
}

static void freed_by_the_job_itself(void)
{
    ASYNC_JOB *job = NULL;
    int n;

    for (n = 0; n < 50; n++) {
        ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();

        START(&job, own, &ret, frees_its_context_first, &n, sizeof n, ASYNC_FINISH);
        EQ(ret, n);
        EQ(job, NULL);
        own = ASYNC_WAIT_CTX_new();
        START(&job, own, &ret, frees_its_context_later, &n, sizeof n, ASYNC_PAUSE);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, n);
        EQ(job, NULL);
    }
    everything_works();
}

static int frees_and_pauses(void *args)
{
    ASYNC_WAIT_CTX *own = ASYNC_get_wait_ctx(ASYNC_get_current_job());

    EQ(ASYNC_pause_job(), 1);
    ASYNC_WAIT_CTX_free(own);
    REFUSED(ASYNC_pause_job(), 0, INTERNAL_ERROR, "context was freed");
    return *(int *)args;
}

/* Not a way to lose a job: if it paused, it could never be resumed. */
static void freed_by_the_job_itself_which_then_pauses(void)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int args = 6;

    START(&job, own, &ret, frees_and_pauses, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 6);
    everything_works();
}

/* -- while it is being freed -- */

static int cleanups;

static void frees_again(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *kept)
{
    size_t count = 99;
    int found;

    (void)fd;
    cleanups++;
    REFUSED_SILENTLY(ASYNC_WAIT_CTX_free(of), INTERNAL_ERROR, "is being freed");
    REFUSED(ASYNC_WAIT_CTX_set_wait_fd(of, key, 12, NULL, frees_again), 0, INTERNAL_ERROR, "is being freed");
    EQ(ASYNC_WAIT_CTX_get_all_fds(of, NULL, &count), 1);
    EQ(ASYNC_WAIT_CTX_get_status(of), 6);
    /* The others can still be looked at, and taken out. */
    if (kept != NULL) {
        EQ(ASYNC_WAIT_CTX_get_fd(of, kept, &found, &data), 1);
        EQ(found, 21);
        EQ(ASYNC_WAIT_CTX_clear_fd(of, kept), 1);
    }
}

static void inside_its_cleanup(void)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    char one, two, three;

    EQ(ASYNC_WAIT_CTX_set_status(own, 6), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &one, 20, NULL, frees_again), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &two, 21, NULL, frees_again), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &three, 22, &two, frees_again), 1);
    ASYNC_WAIT_CTX_free(own);
    EQ(cleanups, 2); /* not that of what was taken out */
    is_gone(own);
    everything_works();
}

static ASYNC_JOB *of_context;

static void starts_and_resumes(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *kept)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int result, args = 3;

    (void)of, (void)key, (void)fd, (void)kept;
    /* Other contexts and jobs are free to be used. */
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, key, 5, NULL, NULL), 1);
    START(&job, own, &result, two_pauses, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &result, ASYNC_PAUSE);
    RESUME(&job, &result, ASYNC_FINISH);
    EQ(result, 3);
    ASYNC_WAIT_CTX_free(own);
    everything_works();
    /* So is the job of this one, to its end. */
    RESUME(&of_context, &result, ASYNC_FINISH);
    EQ(result, 1);
}

static void jobs_in_a_cleanup(void)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    char key;

    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &key, 20, NULL, starts_and_resumes), 1);
    START(&of_context, own, &ret, bound_is_two, NULL, 0, ASYNC_PAUSE);
    ASYNC_WAIT_CTX_free(own);
    EQ(of_context, NULL);
    is_gone(own);
    everything_works();
}

static int frees_a_context_with_cleanups(void *args)
{
    ASYNC_WAIT_CTX *own = *(ASYNC_WAIT_CTX **)args;

    ASYNC_WAIT_CTX_free(own);
    EQ(ASYNC_pause_job(), 1);
    is_gone(own);
    return 1;
}

static void pauses_in_cleanup(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *kept)
{
    (void)of, (void)key, (void)fd, (void)kept;
    cleanups++;
    EQ(ASYNC_pause_job(), 1);
    cleanups++;
}

/* A cleanup runs in whoever frees; if that is a job, it may pause: no lock is held. */
static void a_pause_in_a_cleanup(void)
{
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    char key;

    EQ(ASYNC_WAIT_CTX_set_status(own, 6), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &key, 20, NULL, pauses_in_cleanup), 1);
    START(&job, ctx, &ret, frees_a_context_with_cleanups, &own, sizeof own, ASYNC_PAUSE);
    EQ(cleanups, 1);
    EQ(ASYNC_WAIT_CTX_get_status(own), 6);
    REFUSED_SILENTLY(ASYNC_WAIT_CTX_free(own), INTERNAL_ERROR, "is being freed");
    everything_works();
    RESUME(&job, &ret, ASYNC_PAUSE);
    EQ(cleanups, 2);
    RESUME(&job, &ret, ASYNC_FINISH);
    everything_works();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "freed_twice", freed_twice, OURS_ONLY },
        { "used_by_another_thread_after_free", used_by_another_thread_after_free, OURS_ONLY },
        { "freed_while_its_job_is_paused", freed_while_its_job_is_paused, OURS_ONLY },
        { "a_stuck_job_counts", a_stuck_job_counts, OURS_ONLY },
        { "freed_by_the_job_itself", freed_by_the_job_itself, OURS_ONLY },
        { "freed_by_the_job_itself_which_then_pauses", freed_by_the_job_itself_which_then_pauses, OURS_ONLY },
        { "inside_its_cleanup", inside_its_cleanup, OURS_ONLY },
        { "jobs_in_a_cleanup", jobs_in_a_cleanup, OURS_ONLY },
        { "a_pause_in_a_cleanup", a_pause_in_a_cleanup, OURS_ONLY },
    };

    return RUN(cases);
}
