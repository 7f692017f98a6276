/* Part of check.c: jobs, contexts and fds that are left or closed wrongly, and wakes that never come. */

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
