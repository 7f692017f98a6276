/* Part of check.c: calls that are refused. */

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
