/*
 * The end of a thread: in whatever order destructors run, the functions work or say that it is too late.
 */
#include "misuse.h"

/* What C++ compilers call for a thread_local object: run before the destructors of keys, newest first. */
extern int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);
extern void *__dso_handle;

static ASYNC_JOB *paused;
static int calls, refused, worked;

static int pauses_once(void *args)
{
    ASYNC_pause_job();
    return args ? *(int *)args : 1;
}

/* Every function, at a time when the thread's jobs may be gone. */
static void calls_everything(void)
{
    ASYNC_WAIT_CTX *own;
    ASYNC_JOB *job = NULL, *theirs = paused;
    ASYNC_callback_fn callback;
    int ret = -7, args = 4, fd, state;
    size_t count, more;
    void *data;

    calls++;
    EQ(ASYNC_is_capable(), 1);
    EQ(ASYNC_get_current_job(), NULL);
    EQ(ASYNC_pause_job(), 1);
    ASYNC_block_pause();
    ASYNC_unblock_pause();
    /* Contexts work to the very end. */
    own = ASYNC_WAIT_CTX_new();
    CHECK(own != NULL);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, &fd, 5, NULL, NULL), 1);
    EQ(ASYNC_WAIT_CTX_get_fd(own, &fd, &fd, &data), 1);
    EQ(ASYNC_WAIT_CTX_get_all_fds(own, NULL, &count), 1);
    EQ(count, 1);
    EQ(ASYNC_WAIT_CTX_get_changed_fds(own, NULL, &count, NULL, &more), 1);
    EQ(ASYNC_WAIT_CTX_clear_fd(own, &fd), 1);
    EQ(ASYNC_WAIT_CTX_set_callback(own, pauses_once, NULL), 1);
    EQ(ASYNC_WAIT_CTX_get_callback(own, &callback, &data), 1);
    EQ(ASYNC_WAIT_CTX_set_status(own, 2), 1);
    EQ(ASYNC_WAIT_CTX_get_status(own), 2);
    state = ASYNC_start_job(&job, own, &ret, pauses_once, &args, sizeof args);
    if (state == ASYNC_PAUSE) {
        worked++;
        EQ(ASYNC_get_wait_ctx(job), own);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, 4);
        EQ(ASYNC_init_thread(3, 1), 1);
        START(&job, own, &ret, pauses_once, &args, sizeof args, ASYNC_PAUSE);
        EQ(async_capi_cancel_job(&job, &ret), ASYNC_FINISH);
    } else {
        refused++;
        EQ(state, ASYNC_ERR);
        EQ(job, NULL);
        EQ(ret, -7);
        CHECK(strstr(async_capi_last_error(), "the thread is ending") != NULL);
        REFUSED(ASYNC_init_thread(3, 1), 0, INTERNAL_ERROR, "the thread is ending");
        REFUSED(ASYNC_start_job(&job, NULL, &ret, pauses_once, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "is ending");
        if (theirs != NULL) {
            REFUSED(ASYNC_start_job(&theirs, own, &ret, NULL, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "is ending");
            REFUSED(async_capi_cancel_job(&theirs, &ret), ASYNC_ERR, INTERNAL_ERROR, "is ending");
        }
    }
    CHECK(async_capi_version() != NULL);
    ASYNC_cleanup_thread();
    ASYNC_cleanup_thread();
    ASYNC_WAIT_CTX_free(own);
    while (queued() != 0)
        ;
}

static void before_or_after(void *arg)
{
    (void)arg;
    calls_everything();
}

static void at_thread_exit(void (*destructor)(void *))
{
    EQ(__cxa_thread_atexit_impl(destructor, NULL, &__dso_handle), 0);
}

static pthread_key_t key;
static int rounds;

/* As often as a key's destructor can have itself called. */
static void of_the_key(void *value)
{
    calls_everything();
    if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS)
        EQ(pthread_setspecific(key, value), 0);
}

static void run_a_job(void)
{
    ASYNC_JOB *job = NULL;
    int ret, args = 6;

    START(&job, ctx, &ret, pauses_once, &args, sizeof args, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ret, 6);
}

static void *with_a_key(void *arg)
{
    rounds = 0;
    EQ(pthread_setspecific(key, &rounds), 0);
    run_a_job();
    return arg;
}

static void *with_a_key_and_a_paused_job(void *arg)
{
    with_a_key(arg);
    paused = NULL;
    EQ(ASYNC_start_job(&paused, ctx, NULL, pauses_once, NULL, 0), ASYNC_PAUSE);
    return arg;
}

static void *with_a_key_only(void *arg)
{
    rounds = 0;
    EQ(pthread_setspecific(key, &rounds), 0);
    return arg;
}

static void destructors_of_keys(void)
{
    int n;

    EQ(pthread_key_create(&key, of_the_key), 0);
    for (n = 0; n < 20; n++) {
        in_thread(with_a_key, NULL);
        in_thread(with_a_key_and_a_paused_job, NULL);
        paused = NULL;
        /* The thread's first call of all. */
        in_thread(with_a_key_only, NULL);
    }
    EQ(calls, 60 * PTHREAD_DESTRUCTOR_ITERATIONS);
    CHECK(refused > 0);
    everything_works();
}

static void *registers_before_its_first_job(void *arg)
{
    at_thread_exit(before_or_after);
    run_a_job();
    return arg;
}

static void *registers_after_its_first_job(void *arg)
{
    run_a_job();
    at_thread_exit(before_or_after);
    return arg;
}

static void *registers_only(void *arg)
{
    at_thread_exit(before_or_after);
    return arg;
}

static void resumes_the_paused_one(void *arg)
{
    int ret = -1;

    (void)arg;
    RESUME(&paused, &ret, ASYNC_FINISH);
    EQ(ret, 8);
    calls++;
}

static void refuses_the_paused_one(void *arg)
{
    ASYNC_JOB *job = paused;
    int ret = -1;

    (void)arg;
    REFUSED(async_capi_cancel_job(&job, &ret), ASYNC_ERR, INTERNAL_ERROR, "is ending");
    REFUSED(ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "is ending");
    EQ(job, paused);
    EQ(ret, -1);
    calls++;
}

static void *resumes_at_its_end(void *arg)
{
    int args = 8, ret;

    paused = NULL;
    START(&paused, ctx, &ret, pauses_once, &args, sizeof args, ASYNC_PAUSE);
    at_thread_exit(resumes_the_paused_one);
    return arg;
}

/* Between ASYNC_init_thread and the first job, which is when the pool is made. */
static void *resumes_later_than_the_pool(void *arg)
{
    int args = 8, ret;

    EQ(ASYNC_init_thread(0, 0), 1);
    at_thread_exit(arg ? refuses_the_paused_one : before_or_after);
    paused = NULL;
    START(&paused, ctx, &ret, pauses_once, &args, sizeof args, ASYNC_PAUSE);
    return NULL;
}

static void destructors_of_thread_locals(void)
{
    in_thread(registers_before_its_first_job, NULL); /* runs after ours */
    EQ(calls, 1);
    EQ(refused, 1);
    in_thread(registers_after_its_first_job, NULL); /* runs before ours */
    EQ(calls, 2);
    EQ(worked, 1);
    in_thread(registers_only, NULL);
    EQ(calls, 3);
    in_thread(resumes_at_its_end, NULL);
    EQ(calls, 4);
    in_thread(resumes_later_than_the_pool, NULL);
    EQ(calls, 5);
    EQ(refused, 2);
    in_thread(resumes_later_than_the_pool, "");
    EQ(calls, 6);
    paused = NULL;
    everything_works();
}

/* -- stacks -- */

static int allocs, frees;

static void *alloc(size_t *num)
{
    allocs++;
    return malloc(*num);
}

static void release(void *addr)
{
    frees++;
    free(addr);
}

static void *leaves_jobs(void *arg)
{
    ASYNC_JOB *jobs[4] = { NULL };
    int n, ret;

    for (n = 0; n < 4; n++)
        START(&jobs[n], ctx, &ret, pauses_once, &n, sizeof n, ASYNC_PAUSE);
    RESUME(&jobs[0], &ret, ASYNC_FINISH);
    RESUME(&jobs[2], &ret, ASYNC_FINISH);
    return arg;
}

/* Idle ones go with the thread, those of paused jobs stay. */
static void stacks_of_a_thread_that_ends(void)
{
    EQ(ASYNC_set_mem_functions(alloc, release), 1);
    in_thread(leaves_jobs, NULL);
    EQ(allocs, 4);
    EQ(frees, 2);
    EQ(pthread_key_create(&key, of_the_key), 0);
    allocs = frees = 0;
    in_thread(with_a_key, NULL);
    EQ(allocs, frees);
    in_thread(registers_before_its_first_job, NULL);
    in_thread(registers_after_its_first_job, NULL);
    in_thread(registers_only, NULL);
    EQ(allocs, frees);
    in_thread(with_a_key_only, NULL);
    EQ(allocs, frees);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "destructors_of_keys", destructors_of_keys, OURS_ONLY },
        { "destructors_of_thread_locals", destructors_of_thread_locals, OURS_ONLY },
        { "stacks_of_a_thread_that_ends", stacks_of_a_thread_that_ends, OURS_ONLY },
    };

    return RUN(cases);
}
