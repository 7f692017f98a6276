/*
 * What a job shares with its thread, as any function does.
 */
#include "check.h"

static int gets_null(void *args)
{
    return args == NULL;
}

static int sets_errno(void *args)
{
    (void)args;
    EQ(errno, ENOENT);
    errno = EAGAIN;
    ASYNC_pause_job();
    EQ(errno, EPIPE);
    errno = EINTR;
    return 1;
}

/* OpenSSL saves none either. */
static void errno_is_the_threads(void)
{
    ASYNC_JOB *job = NULL;
    int ret, state, seen;

    ASYNC_pause_job(); /* so that nothing is done for the first time below */
    state = ASYNC_init_thread(1, 1);
    EQ(state, 1);
    state = ASYNC_start_job(&job, ctx, &ret, gets_null, NULL, 0);
    EQ(state, ASYNC_FINISH);
    errno = ENOENT;
    state = ASYNC_start_job(&job, ctx, &ret, sets_errno, NULL, 0);
    seen = errno;
    EQ(state, ASYNC_PAUSE);
    EQ(seen, EAGAIN);
    errno = EPIPE;
    state = ASYNC_start_job(&job, ctx, &ret, sets_errno, NULL, 0);
    seen = errno;
    EQ(state, ASYNC_FINISH);
    EQ(seen, EINTR);
}

static int user_signal_is_blocked(void)
{
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGUSR1);
}

static int looks_at_its_mask(void *args)
{
    (void)args;
    EQ(user_signal_is_blocked(), 1);
    ASYNC_pause_job();
    EQ(user_signal_is_blocked(), 0);
    return 1;
}

/* OpenSSL installs the mask of when the job was made. */
static void the_signal_mask_is_the_threads(void)
{
    ASYNC_JOB *job = NULL;
    sigset_t set;
    int ret;

    EQ(ASYNC_init_thread(2, 2), 1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    START(&job, ctx, &ret, looks_at_its_mask, NULL, 0, ASYNC_PAUSE);
    EQ(user_signal_is_blocked(), 1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(user_signal_is_blocked(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "errno_is_the_threads", errno_is_the_threads, ANYWHERE },
        { "the_signal_mask_is_the_threads", the_signal_mask_is_the_threads, OURS_ONLY },
    };

    return RUN(cases);
}
