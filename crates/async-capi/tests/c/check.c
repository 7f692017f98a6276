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

static void null_argument(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    void *data;
    int fd;

    must(!ASYNC_WAIT_CTX_get_fd(ctx, &key, wrong ? NULL : &fd, &data));
    ASYNC_WAIT_CTX_free(ctx);
}

static int nested_start_job(void *unused)
{
    ASYNC_JOB *inner = NULL;

    (void)unused;
    if (wrong) {
        int ret;
        must(ASYNC_start_job(&inner, NULL, &ret, nothing, NULL, 0) == ASYNC_ERR);
    } else {
        nothing(NULL);
    }
    return 1;
}

static void nested_start(void)
{
    run(NULL, nested_start_job);
}

static int inside_job_job(void *unused)
{
    (void)unused;
    if (wrong)
        must(!ASYNC_init_thread(4, 1));
    return 1;
}

static void inside_job(void)
{
    if (!wrong)
        must(ASYNC_init_thread(4, 1));
    run(NULL, inside_job_job);
}

static ASYNC_JOB *shared_job;
static ASYNC_WAIT_CTX *shared_ctx;

static void *wrong_thread(void *unused)
{
    int ret;

    must(ASYNC_start_job(&shared_job, shared_ctx, &ret, operation, NULL, 0)
         == (wrong ? ASYNC_ERR : ASYNC_FINISH));
    return unused;
}

static void on_thread(void *(*function)(void *))
{
    pthread_t thread;

    must(pthread_create(&thread, NULL, function, NULL) == 0);
    must(pthread_join(thread, NULL) == 0);
}

static void wrong_thread_case(void)
{
    shared_ctx = ASYNC_WAIT_CTX_new();
    must(start(&shared_job, shared_ctx, operation) == ASYNC_PAUSE);
    if (wrong) {
        on_thread(wrong_thread);
        must(start(&shared_job, shared_ctx, operation) == ASYNC_FINISH);
    } else {
        wrong_thread(NULL);
    }
    ASYNC_WAIT_CTX_free(shared_ctx);
}

static void stale_job(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL, *kept;
    int ret;

    must(start(&job, ctx, operation) == ASYNC_PAUSE);
    kept = job;
    must(start(&job, ctx, operation) == ASYNC_FINISH);
    if (wrong)
        must(ASYNC_start_job(&kept, ctx, &ret, operation, NULL, 0) == ASYNC_ERR);
    ASYNC_WAIT_CTX_free(ctx);
}

static int job_running_job(void *unused)
{
    ASYNC_JOB *self = ASYNC_get_current_job();
    int ret;

    (void)unused;
    if (wrong)
        must(ASYNC_start_job(&self, NULL, &ret, nothing, NULL, 0) == ASYNC_ERR);
    return 1;
}

static void job_running(void)
{
    run(NULL, job_running_job);
}

static void context_freed_under_job(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int ret;

    must(start(&job, ctx, operation) == ASYNC_PAUSE);
    if (!wrong)
        must(start(&job, ctx, operation) == ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(ctx);
    if (wrong)
        must(ASYNC_start_job(&job, ctx, &ret, operation, NULL, 0) == ASYNC_ERR);
}

static int context_freed_in_job_job(void *unused)
{
    (void)unused;
    if (wrong)
        ASYNC_WAIT_CTX_free(shared_ctx);
    must(ASYNC_pause_job() == !wrong);
    return 1;
}

static int callback(void *arg)
{
    (void)arg;
    return 0;
}

static void context_freed_in_job(void)
{
    shared_ctx = ASYNC_WAIT_CTX_new();
    must(ASYNC_WAIT_CTX_set_callback(shared_ctx, callback, NULL));
    run(shared_ctx, context_freed_in_job_job);
    if (!wrong)
        ASYNC_WAIT_CTX_free(shared_ctx);
}

static void use_after_free(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    size_t count;

    if (wrong)
        ASYNC_WAIT_CTX_free(ctx);
    must(ASYNC_WAIT_CTX_get_all_fds(ctx, NULL, &count) == !wrong);
    if (!wrong)
        ASYNC_WAIT_CTX_free(ctx);
}

static void use_while_freed(ASYNC_WAIT_CTX *ctx, const void *under, OSSL_ASYNC_FD fd, void *data)
{
    (void)under, (void)data;
    if (wrong)
        must(!ASYNC_WAIT_CTX_set_wait_fd(ctx, &other_key, fd, NULL, NULL));
    close(fd);
}

static void use_while_freed_case(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();

    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, &key, eventfd(0, 0), NULL, use_while_freed));
    ASYNC_WAIT_CTX_free(ctx);
}

static void pool_size(void)
{
    must(ASYNC_init_thread(wrong ? 1 : 2, 2) == !wrong);
}

static pthread_key_t at_end;

static void thread_ending(void *unused)
{
    ASYNC_JOB *job = NULL;
    int ret;

    (void)unused;
    if (wrong)
        must(ASYNC_start_job(&job, NULL, &ret, nothing, NULL, 0) == ASYNC_ERR);
}

static void *ends(void *unused)
{
    run(NULL, nothing);
    pthread_setspecific(at_end, &at_end);
    return unused;
}

static void thread_ending_case(void)
{
    must(pthread_key_create(&at_end, thread_ending) == 0);
    on_thread(ends);
}

static void after_openssl_cleanup(void)
{
#ifdef WITH_LIBCRYPTO
    ASYNC_JOB *job = NULL;
    int ret;

    run(NULL, nothing);
    OPENSSL_cleanup();
    if (wrong)
        must(ASYNC_start_job(&job, NULL, &ret, nothing, NULL, 0) == ASYNC_ERR);
#endif
}

static void no_memory(void)
{
    ASYNC_JOB *job = NULL;
    char args[100] = { 0 };
    int ret;

    must(ASYNC_start_job(&job, NULL, &ret, nothing, args, wrong ? SIZE_MAX : sizeof args)
         == (wrong ? ASYNC_ERR : ASYNC_FINISH));
}

static int job_never_finished_job(void *unused)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)unused;
    must(ASYNC_WAIT_CTX_set_wait_fd(own_ctx(), &key, fd, NULL, NULL));
    ASYNC_pause_job();
    must(ASYNC_WAIT_CTX_clear_fd(own_ctx(), &key));
    close(fd);
    return 1;
}

static void *job_never_finished(void *unused)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;
    int ret;

    must(start(&job, ctx, job_never_finished_job) == ASYNC_PAUSE);
    if (!wrong) {
        if (async_capi_cancel_job)
            must(async_capi_cancel_job(&job, &ret) == ASYNC_FINISH);
        ASYNC_WAIT_CTX_free(ctx);
    }
    return unused;
}

static void job_never_finished_case(void)
{
    job_never_finished(NULL);
}

static void job_never_finished_thread(void)
{
    on_thread(job_never_finished);
}

/* It never finishes, but nothing waits for it either. */
static int exits(void *unused)
{
    (void)unused;
    exit(0);
}

static void exit_in_job(void)
{
    run(NULL, wrong ? exits : nothing);
}

static void context_never_freed(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();

    run(ctx, operation);
    if (!wrong)
        ASYNC_WAIT_CTX_free(ctx);
}

static void close_it(ASYNC_WAIT_CTX *ctx, const void *under, OSSL_ASYNC_FD fd, void *data)
{
    (void)ctx, (void)under, (void)data;
    close(fd);
}

static void fd_never_cleared(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();

    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, &key, eventfd(0, 0), NULL, close_it));
    if (!wrong)
        ASYNC_WAIT_CTX_free(ctx);
}

static void fd_not_closed(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new(), *next;
    int fds[2], others[2], fd;

    must(pipe(fds) == 0);
    fd = fds[1];
    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, &key, fd, NULL, NULL));
    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, &other_key, fds[0], NULL, NULL));
    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, ctx, 0, NULL, NULL));
    must(ASYNC_WAIT_CTX_clear_fd(ctx, &key));
    must(ASYNC_WAIT_CTX_clear_fd(ctx, ctx));
    if (!wrong)
        close(fd);
    /* The same number is another file then. */
    must(pipe(others) == 0);
    must((others[0] == fd) == !wrong);
    /* Cleared, and set under another context: it is in use there. */
    must(ASYNC_WAIT_CTX_clear_fd(ctx, &other_key));
    next = ASYNC_WAIT_CTX_new();
    must(ASYNC_WAIT_CTX_set_wait_fd(next, &key, fds[0], NULL, NULL));
    ASYNC_WAIT_CTX_free(next);
    ASYNC_WAIT_CTX_free(ctx);
}

static int fd_not_cleared_job(void *unused)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)unused;
    must(ASYNC_WAIT_CTX_set_wait_fd(own_ctx(), &key, fd, NULL, NULL));
    if (wrong)
        close(fd);
    ASYNC_pause_job();
    must(ASYNC_WAIT_CTX_clear_fd(own_ctx(), &key));
    if (!wrong)
        close(fd);
    return 1;
}

static void fd_not_cleared(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();

    run(ctx, fd_not_cleared_job);
    ASYNC_WAIT_CTX_free(ctx);
}

static void fd_not_cleared_at_free(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    int fd = eventfd(0, EFD_CLOEXEC);

    must(ASYNC_WAIT_CTX_set_wait_fd(ctx, &key, fd, NULL, NULL));
    if (!wrong)
        must(ASYNC_WAIT_CTX_clear_fd(ctx, &key));
    close(fd);
    ASYNC_WAIT_CTX_free(ctx);
}

/* What an engine's thread does with what it kept when the operation was submitted. */
static void *late_wake(void *unused)
{
    ASYNC_callback_fn function;
    void *data;
    int fd;

    must((ASYNC_get_wait_ctx(shared_job) != NULL) == !wrong);
    must((ASYNC_WAIT_CTX_get_callback(shared_ctx, &function, &data) != 0) == !wrong);
    must((ASYNC_WAIT_CTX_get_fd(shared_ctx, &key, &fd, &data) != 0) == !wrong);
    must((ASYNC_WAIT_CTX_set_status(shared_ctx, ASYNC_STATUS_OK) != 0) == !wrong);
    return unused;
}

static void late_wake_case(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *job = NULL;

    must(ASYNC_WAIT_CTX_set_callback(ctx, callback, NULL));
    must(start(&job, ctx, operation) == ASYNC_PAUSE);
    shared_job = job;
    shared_ctx = ctx;
    if (!wrong)
        on_thread(late_wake);
    must(start(&job, ctx, operation) == ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(ctx);
    if (wrong)
        on_thread(late_wake);
}

static int pause_without_wake_job(void *unused)
{
    (void)unused;
    ASYNC_pause_job();
    /* Blocked, it does not pause: no mistake. */
    ASYNC_block_pause();
    ASYNC_pause_job();
    ASYNC_unblock_pause();
    return 1;
}

static void pause_without_wake(void)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();

    if (!wrong)
        must(ASYNC_WAIT_CTX_set_callback(ctx, callback, NULL));
    run(ctx, pause_without_wake_job);
    ASYNC_WAIT_CTX_free(ctx);
}

static void pause_without_context(void)
{
    run(NULL, wrong ? pause_without_wake_job : nothing);
}

/* Not static, so that it has a name at run time. */
int stack_nearly_full_job(void *unused);
int stack_nearly_full_job(void *unused)
{
    volatile char some[56 * 1024];

    (void)unused;
    if (!wrong)
        return 1;
    for (size_t at = 0; at < sizeof some; at++)
        some[at] = 1;
    return some[17];
}

static void stack_nearly_full(void)
{
    ASYNC_JOB *job = NULL;
    int ret;

    run(NULL, stack_nearly_full_job);
    run(NULL, stack_nearly_full_job);
    /* On the same stack, and not deep. */
    must(ASYNC_start_job(&job, NULL, &ret, nothing, NULL, 0) == ASYNC_FINISH);
}

static int context_shared_job(void *unused)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)unused;
    must(ASYNC_WAIT_CTX_set_wait_fd(own_ctx(), &fd, fd, NULL, NULL));
    ASYNC_pause_job();
    must(ASYNC_WAIT_CTX_clear_fd(own_ctx(), &fd));
    close(fd);
    return 1;
}

static void context_shared(void)
{
    ASYNC_WAIT_CTX *first = ASYNC_WAIT_CTX_new(), *second = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *one = NULL, *two = NULL;

    must(start(&one, first, context_shared_job) == ASYNC_PAUSE);
    must(start(&two, wrong ? first : second, context_shared_job) == ASYNC_PAUSE);
    must(start(&one, first, context_shared_job) == ASYNC_FINISH);
    must(start(&two, wrong ? first : second, context_shared_job) == ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(second);
    ASYNC_WAIT_CTX_free(first);
}

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
