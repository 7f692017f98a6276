/*
 * fork() in a process with paused jobs: the child goes on with those of the thread that forked.
 */
#include "misuse.h"
#include <stdatomic.h>

enum { JOBS = 12, FORKS = 300 };

static atomic_int stop, others_ready;
static ASYNC_JOB *others[3];

static int pauses_four_times(void *args)
{
    int n;

    for (n = 0; n < 4; n++)
        ASYNC_pause_job();
    return *(int *)args;
}

/* Takes and gives back whatever a lock of the library guards, all the time. */
static void *hammers(void *arg)
{
    ASYNC_WAIT_CTX *of[20], *mine = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL, **left = arg;
    void *(*alloc)(size_t *);
    void (*release)(void *);
    size_t count;
    int n, ret, args = 3;

    START(left, mine, &ret, pauses_four_times, &args, sizeof args, ASYNC_PAUSE);
    atomic_fetch_add(&others_ready, 1);
    while (!atomic_load(&stop)) {
        for (n = 0; n < 20; n++) {
            of[n] = ASYNC_WAIT_CTX_new();
            EQ(ASYNC_WAIT_CTX_set_wait_fd(of[n], &n, n, NULL, NULL), 1);
            EQ(ASYNC_WAIT_CTX_set_status(ctx, n), 1);
            EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, NULL, &count), 1);
        }
        ASYNC_get_mem_functions(&alloc, &release);
        START(&job, of[0], &ret, pauses_four_times, &args, sizeof args, ASYNC_PAUSE);
        while (job != NULL)
            ASYNC_start_job(&job, NULL, &ret, NULL, NULL, 0);
        ASYNC_cleanup_thread();
        for (n = 0; n < 20; n++)
            ASYNC_WAIT_CTX_free(of[n]);
    }
    for (n = 0; n < 4; n++)
        RESUME(left, &ret, n < 3 ? ASYNC_PAUSE : ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(mine);
    return NULL;
}

static void *one_job(void *arg)
{
    ASYNC_JOB *job = NULL;
    int ret, args = 3;

    START(&job, ctx, &ret, pauses_four_times, &args, sizeof args, ASYNC_PAUSE);
    while (job != NULL)
        ASYNC_start_job(&job, NULL, &ret, NULL, NULL, 0);
    return arg;
}

/* Threads that come and go take and give back jobs' places. */
static void *starts_threads(void *arg)
{
    while (!atomic_load(&stop))
        in_thread(one_job, arg);
    return NULL;
}

/* What a child does. `jobs` have paused once; they finish here. */
static void go_on_in_the_child(ASYNC_JOB **jobs, ASYNC_WAIT_CTX *of, int key_fd)
{
    ASYNC_JOB *stranger;
    int n, round, ret, fd;
    void *data;

    alarm(CASE_SECONDS);
    EQ(ASYNC_get_current_job(), NULL);
    EQ(ASYNC_WAIT_CTX_get_fd(of, jobs, &fd, &data), 1);
    EQ(fd, key_fd);
    for (round = 0; round < 4; round++)
        for (n = 0; n < JOBS; n++) {
            ret = -7;
            RESUME(&jobs[n], &ret, round < 3 ? ASYNC_PAUSE : ASYNC_FINISH);
            EQ(ret, round < 3 ? -7 : n);
        }
    /* Jobs of threads that are not here. */
    for (n = 0; n < 3; n++) {
        stranger = others[n];
        if (stranger == NULL)
            continue;
        REFUSED(ASYNC_start_job(&stranger, of, &ret, NULL, NULL, 0), ASYNC_ERR, INTERNAL_ERROR, "another thread");
        REFUSED(async_capi_cancel_job(&stranger, &ret), ASYNC_ERR, INTERNAL_ERROR, "another thread");
    }
    EQ(ASYNC_WAIT_CTX_clear_fd(of, jobs), 1);
    ASYNC_WAIT_CTX_free(of);
    everything_works();
    in_thread(one_job, NULL);
    ASYNC_cleanup_thread();
    EQ(ASYNC_init_thread(3, 3), 1);
}

static void wait_for(pid_t child)
{
    int status;

    CHECK(child > 0);
    EQ(waitpid(child, &status, 0), child);
    EQ(status, 0);
}

/* Forks with paused jobs, over and over. Parent and child both go on. */
static void fork_often(int forks)
{
    ASYNC_WAIT_CTX *of = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *jobs[JOBS];
    int n, ret, round;
    pid_t child;

    for (n = 0; n < forks; n++) {
        int job;

        for (job = 0; job < JOBS; job++) {
            jobs[job] = NULL;
            START(&jobs[job], of, &ret, pauses_four_times, &job, sizeof job, ASYNC_PAUSE);
        }
        EQ(ASYNC_WAIT_CTX_set_wait_fd(of, jobs, n, NULL, NULL), 1);
        child = fork();
        if (child == 0) {
            go_on_in_the_child(jobs, of, n);
            exit(0);
        }
        for (round = 0; round < 4; round++)
            for (job = 0; job < JOBS; job++)
                RESUME(&jobs[job], &ret, round < 3 ? ASYNC_PAUSE : ASYNC_FINISH);
        EQ(ASYNC_WAIT_CTX_clear_fd(of, jobs), 1);
        wait_for(child);
    }
    ASYNC_WAIT_CTX_free(of);
}

static void with_one_thread(void)
{
    fork_often(20);
    everything_works();
}

static void while_others_hold_the_locks(void)
{
    pthread_t threads[4];
    int n;

    for (n = 0; n < 3; n++)
        EQ(pthread_create(&threads[n], NULL, hammers, &others[n]), 0);
    EQ(pthread_create(&threads[3], NULL, starts_threads, NULL), 0);
    while (atomic_load(&others_ready) < 3)
        sched_yield();
    fork_often(FORKS);
    atomic_store(&stop, 1);
    for (n = 0; n < 4; n++)
        EQ(pthread_join(threads[n], NULL), 0);
    everything_works();
}

static int forks(void *args)
{
    pid_t child;
    int n;

    ASYNC_pause_job();
    child = fork();
    for (n = 0; n < 3; n++)
        ASYNC_pause_job();
    if (child != 0)
        wait_for(child);
    return child == 0 ? -*(int *)args : *(int *)args;
}

/* The child is inside the job too; it comes back to its own copy of who resumed it. */
static void inside_a_job(void)
{
    ASYNC_JOB *job = NULL;
    pid_t parent = getpid();
    int args = 6, ret;

    START(&job, ctx, &ret, forks, &args, sizeof args, ASYNC_PAUSE);
    while (ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0) == ASYNC_PAUSE)
        ;
    EQ(job, NULL);
    EQ(ret, getpid() == parent ? 6 : -6);
    everything_works();
}

/* A child of a child; and one that leaves paused jobs behind at its exit. */
static void generations(void)
{
    ASYNC_JOB *jobs[4] = { NULL };
    int n, ret;
    pid_t child;

    for (n = 0; n < 4; n++)
        START(&jobs[n], ctx, &ret, pauses_four_times, &n, sizeof n, ASYNC_PAUSE);
    for (n = 0; n < 4; n++) {
        child = fork();
        if (child != 0) {
            wait_for(child);
            break;
        }
        RESUME(&jobs[n], &ret, ASYNC_PAUSE);
        everything_works();
    }
    if (n == 0) {
        for (n = 0; n < 4; n++)
            EQ(async_capi_cancel_job(&jobs[n], &ret), ASYNC_FINISH);
    } else {
        exit(0);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "with_one_thread", with_one_thread, OURS_ONLY },
        { "while_others_hold_the_locks", while_others_hold_the_locks, OURS_ONLY },
        { "inside_a_job", inside_a_job, OURS_ONLY },
        { "generations", generations, OURS_ONLY },
    };

    return RUN(cases);
}
