/*
 * Mistakes, one for each kind of report of the check mode: `check CASE wrong` makes it, `check CASE right` does
 * the same as it should be done. The function that is at fault has the name of the case, with underscores, or
 * that name and `_job`.
 */
#include <openssl/async.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WITH_LIBCRYPTO
void OPENSSL_cleanup(void);
#endif
/* Absent from libcrypto. */
void async_capi_set_check(int on) __attribute__((weak));
int async_capi_cancel_job(ASYNC_JOB **job, int *ret) __attribute__((weak));

#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))

static void failed(int line, const char *what)
{
    fprintf(stderr, "check.c:%d: %s\n", line, what);
    abort();
}

static int wrong;
static const char key, other_key;

static ASYNC_WAIT_CTX *own_ctx(void)
{
    return ASYNC_get_wait_ctx(ASYNC_get_current_job());
}

static int start(ASYNC_JOB **job, ASYNC_WAIT_CTX *ctx, int (*function)(void *))
{
    int ret;

    return ASYNC_start_job(job, ctx, &ret, function, NULL, 0);
}

static void run(ASYNC_WAIT_CTX *ctx, int (*function)(void *))
{
    ASYNC_JOB *job = NULL;
    int state;

    while ((state = start(&job, ctx, function)) == ASYNC_PAUSE)
        ;
    must(state == ASYNC_FINISH);
}

/* An operation as it should be: an fd while it is needed. */
static int operation(void *unused)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)unused;
    must(fd >= 0);
    must(ASYNC_WAIT_CTX_set_wait_fd(own_ctx(), &key, fd, NULL, NULL));
    ASYNC_pause_job();
    must(ASYNC_WAIT_CTX_clear_fd(own_ctx(), &key));
    close(fd);
    return 1;
}

static int nothing(void *unused)
{
    (void)unused;
    return 1;
}

#include "check_calls.h"
#include "check_left.h"

/* A thousand times the same, from one place; and then once from another. */
static void many(void)
{
    for (int n = 0; n < 1000; n++) {
        ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
        if (!wrong)
            ASYNC_WAIT_CTX_free(ctx);
    }
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    if (!wrong)
        ASYNC_WAIT_CTX_free(ctx);
}

/* As many places as there are calls. */
#define ONCE must(!ASYNC_WAIT_CTX_clear_fd(wrong ? NULL : ctx, &key));
#define SIX ONCE ONCE ONCE ONCE ONCE ONCE
#define THIRTY_SIX SIX SIX SIX SIX SIX SIX
static void places(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();

    THIRTY_SIX THIRTY_SIX THIRTY_SIX THIRTY_SIX THIRTY_SIX THIRTY_SIX
    ASYNC_WAIT_CTX_free(ctx);
}

/* The parent's paused job, context and cleared fd are nothing to the child, which makes its own mistake. */
static void forked(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int status;
    pid_t child;

    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, &other_key, eventfd(0, 0), NULL, close_it));
    must(start(&job, ctx, operation) == ASYNC_PAUSE);
    must((child = fork()) >= 0);
    if (child == 0) {
        if (wrong)
            context_never_freed();
        exit(0);
    }
    must(waitpid(child, &status, 0) == child && status == 0);
    must(start(&job, ctx, operation) == ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(ctx);
}

static void leak_one(void)
{
    must(ASYNC_WAIT_CTX_new() != NULL);
}

/* Turned on by a function, after the first job; what was there before belongs to it, too. */
static void set_check(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;

    must(start(&job, ctx, operation) == ASYNC_PAUSE);
    async_capi_set_check(1);
    async_capi_set_check(1);
    null_argument();
    if (!wrong) {
        must(start(&job, ctx, operation) == ASYNC_FINISH);
        ASYNC_WAIT_CTX_free(ctx);
    }
}

static void set_check_first(void)
{
    async_capi_set_check(1);
    null_argument();
}

static void set_check_off(void)
{
    async_capi_set_check(1);
    leak_one();
    async_capi_set_check(0);
    null_argument();
    leak_one();
}

static void change_directory(void)
{
    ASYNC_WAIT_CTX_free(ASYNC_WAIT_CTX_new());
    must(chdir("/") == 0);
    null_argument();
}

static __attribute__((noinline)) void child_mistake(void)
{
    must(!ASYNC_WAIT_CTX_clear_fd(wrong ? NULL : ASYNC_WAIT_CTX_new(), &key));
}

static volatile int stop;

static int mistakes_a(unsigned calls), mistakes_b(unsigned calls);

/* By another way each time, so that each is a new place. */
static __attribute__((noinline)) int mistakes_a(unsigned calls)
{
    if (calls == 1)
        return ASYNC_WAIT_CTX_clear_fd(NULL, &key) - 1;
    return (calls & 1 ? mistakes_a(calls >> 1) : mistakes_b(calls >> 1)) - 1;
}

static __attribute__((noinline)) int mistakes_b(unsigned calls)
{
    if (calls == 1)
        return ASYNC_WAIT_CTX_clear_fd(NULL, &key) + 1;
    return (calls & 1 ? mistakes_a(calls >> 1) : mistakes_b(calls >> 1)) + 1;
}

static void *keeps_mistaking(void *unused)
{
    for (unsigned calls = 1; !stop; calls = calls == 8000 ? 1 : calls + 1)
        mistakes_a(calls);
    return unused;
}

static void fork_amid_reports(void)
{
    pthread_t threads[2];
    int status;

    /* A fork amid the very first call of all is the C library's affair. */
    ASYNC_WAIT_CTX_free(ASYNC_WAIT_CTX_new());
    for (int n = 0; n < 2; n++)
        must(pthread_create(&threads[n], NULL, keeps_mistaking, NULL) == 0);
    for (int n = 0; n < 20; n++) {
        pid_t child = fork();

        must(child >= 0);
        if (child == 0) {
            child_mistake();
            exit(0);
        }
        usleep(1000);
    }
    for (int n = 0; n < 20; n++)
        must(wait(&status) > 0 && status == 0);
    stop = 1;
    for (int n = 0; n < 2; n++)
        must(pthread_join(threads[n], NULL) == 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    { "after-openssl-cleanup", after_openssl_cleanup },
    { "chdir", change_directory },
    { "context-freed-in-job", context_freed_in_job },
    { "context-freed-under-job", context_freed_under_job },
    { "context-never-freed", context_never_freed },
    { "context-shared", context_shared },
    { "exit-in-job", exit_in_job },
    { "fd-never-cleared", fd_never_cleared },
    { "fd-not-cleared", fd_not_cleared },
    { "fd-not-cleared-at-free", fd_not_cleared_at_free },
    { "fd-not-closed", fd_not_closed },
    { "fork-amid-reports", fork_amid_reports },
    { "forked", forked },
    { "inside-job", inside_job },
    { "job-never-finished", job_never_finished_case },
    { "job-never-finished-thread", job_never_finished_thread },
    { "job-running", job_running },
    { "late-wake", late_wake_case },
    { "many", many },
    { "nested-start", nested_start },
    { "no-memory", no_memory },
    { "null-argument", null_argument },
    { "pause-without-context", pause_without_context },
    { "pause-without-wake", pause_without_wake },
    { "places", places },
    { "pool-size", pool_size },
    { "set-check", set_check },
    { "set-check-first", set_check_first },
    { "set-check-off", set_check_off },
    { "stack-nearly-full", stack_nearly_full },
    { "stale-job", stale_job },
    { "thread-ending", thread_ending_case },
    { "use-after-free", use_after_free },
    { "use-while-freed", use_while_freed_case },
    { "wrong-thread", wrong_thread_case },
};

int main(int argc, char **argv)
{
    must(argc == 3);
    wrong = strcmp(argv[2], "wrong") == 0;
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++)
        if (strcmp(cases[n].name, argv[1]) == 0) {
            cases[n].run();
            return 0;
        }
    fprintf(stderr, "no such case: %s\n", argv[1]);
    return 2;
}
