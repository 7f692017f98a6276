/*
 * The functions on wait contexts. None of the fds is opened: they are numbers here.
 */
#include "check.h"

static const char a, b, c; /* keys */

/* That all fds are these, newest first. */
static void all_are(int line, size_t count, const int *wanted)
{
    int fds[32], n;
    size_t seen = 99;

    EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, NULL, &seen), 1);
    equal(__FILE__, line, "the number of fds", (long long)seen, (long long)count);
    seen = 99;
    EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, fds, &seen), 1);
    equal(__FILE__, line, "the number of fds", (long long)seen, (long long)count);
    for (n = 0; n < (int)count; n++)
        equal(__FILE__, line, "an fd", fds[n], wanted[n]);
}

/* That the record of changes is this: what was added, what was taken out, each newest first. */
static void changes_are(int line, size_t added, const int *add, size_t deleted, const int *del)
{
    int adds[32], dels[32], n, round;
    size_t count_add, count_del;

    /* Reading it changes nothing. */
    for (round = 0; round < 2; round++) {
        count_add = count_del = 99;
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, NULL, &count_add, NULL, &count_del), 1);
        equal(__FILE__, line, "the number added", (long long)count_add, (long long)added);
        equal(__FILE__, line, "the number taken out", (long long)count_del, (long long)deleted);
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, adds, &count_add, NULL, &count_del), 1);
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, NULL, &count_add, dels, &count_del), 1);
        for (n = 0; n < (int)added; n++)
            equal(__FILE__, line, "an fd added", adds[n], add[n]);
        for (n = 0; n < (int)deleted; n++)
            equal(__FILE__, line, "an fd taken out", dels[n], del[n]);
        memset(adds, 0, sizeof adds);
        memset(dels, 0, sizeof dels);
        EQ(ASYNC_WAIT_CTX_get_changed_fds(ctx, adds, &count_add, dels, &count_del), 1);
        for (n = 0; n < (int)added; n++)
            equal(__FILE__, line, "an fd added", adds[n], add[n]);
        for (n = 0; n < (int)deleted; n++)
            equal(__FILE__, line, "an fd taken out", dels[n], del[n]);
    }
}

#define LIST(...) LENGTH(((const int[]){ __VA_ARGS__ })), (const int[]){ __VA_ARGS__ }
#define NONE 0, NULL
#define ALL_ARE(...) all_are(__LINE__, __VA_ARGS__)
#define CHANGES_ARE(...) changes_are(__LINE__, __VA_ARGS__)

static void set(const void *key, int fd)
{
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, key, fd, NULL, NULL), 1);
}

static void get_gives(const void *key, int wanted, const void *wanted_data)
{
    int fd = -77;
    void *data = &fd;

    EQ(ASYNC_WAIT_CTX_get_fd(ctx, key, &fd, &data), 1);
    EQ(fd, wanted);
    EQ(data, wanted_data);
}

static void get_gives_nothing(const void *key)
{
    int fd = -77;
    void *data = &fd;

    EQ(ASYNC_WAIT_CTX_get_fd(ctx, key, &fd, &data), 0);
    EQ(fd, -77);
    EQ(data, &fd);
    EQ(queued(), 0);
}

/* -- fds -- */

static void a_new_context_is_empty(void)
{
    ASYNC_callback_fn callback = NULL;
    void *arg = &arg;

    ALL_ARE(NONE);
    CHANGES_ARE(NONE, NONE);
    get_gives_nothing(&a);
    get_gives_nothing(NULL);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 0);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, NULL), 0);
    EQ(ASYNC_WAIT_CTX_get_callback(ctx, &callback, &arg), 0);
    EQ(callback, NULL);
    EQ(arg, &arg);
    EQ(ASYNC_WAIT_CTX_get_status(ctx), ASYNC_STATUS_UNSUPPORTED);
}

static void the_newest_comes_first(void)
{
    int data;

    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &a, 11, &data, NULL), 1);
    set(&b, 12);
    set(&c, 13);
    ALL_ARE(LIST(13, 12, 11));
    CHANGES_ARE(LIST(13, 12, 11), NONE);
    get_gives(&a, 11, &data);
    get_gives(&b, 12, NULL);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &b), 1);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &b), 0);
    ALL_ARE(LIST(13, 11));
    get_gives_nothing(&b);
    set(&b, 14);
    ALL_ARE(LIST(14, 13, 11));
}

static void a_key_may_be_there_twice(void)
{
    set(&a, 11);
    set(&b, 12);
    set(&a, 13);
    ALL_ARE(LIST(13, 12, 11));
    get_gives(&a, 13, NULL);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    get_gives(&a, 11, NULL);
    ALL_ARE(LIST(12, 11));
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    get_gives_nothing(&a);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 0);
    ALL_ARE(LIST(12));
}

static void any_key_and_any_number(void)
{
    const void *keys[] = { NULL, (void *)1, (void *)-1, ctx, &a };
    size_t n;

    for (n = 0; n < LENGTH(keys); n++)
        set(keys[n], -1 - (int)n);
    for (n = 0; n < LENGTH(keys); n++)
        get_gives(keys[n], -1 - (int)n, NULL);
    set(&b, INT_MAX);
    set(&b, INT_MIN);
    set(&b, 12);
    set(&c, 12);
    ALL_ARE(LIST(12, 12, INT_MIN, INT_MAX, -5, -4, -3, -2, -1));
    for (n = 0; n < LENGTH(keys); n++)
        EQ(ASYNC_WAIT_CTX_clear_fd(ctx, keys[n]), 1);
    ALL_ARE(LIST(12, 12, INT_MIN, INT_MAX));
}

static void many_fds(void)
{
    enum { FDS = 500 };
    static char keys[FDS];
    static int fds[FDS];
    size_t count;
    int n;

    for (n = 0; n < FDS; n++)
        set(&keys[n], n);
    EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, fds, &count), 1);
    EQ(count, FDS);
    for (n = 0; n < FDS; n++)
        EQ(fds[n], FDS - 1 - n);
    for (n = 0; n < FDS; n++)
        get_gives(&keys[n], n, NULL);
    for (n = 0; n < FDS; n += 2)
        EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &keys[n]), 1);
    EQ(ASYNC_WAIT_CTX_get_all_fds(ctx, fds, &count), 1);
    EQ(count, FDS / 2);
    for (n = 0; n < FDS / 2; n++)
        EQ(fds[n], FDS - 1 - 2 * n);
}

/* -- the record of changes -- */

static void set_and_clear_in_one_round_leave_no_trace(void)
{
    set(&a, 11);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    CHANGES_ARE(NONE, NONE);
    set(&a, 12);
    set(&a, 13);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    CHANGES_ARE(LIST(12), NONE);
}

static int pauses_twice(void *args)
{
    (void)args;
    ASYNC_pause_job();
    ASYNC_pause_job();
    return 1;
}

/* A round ends when a pause returns after a resume: neither at a start, nor at a PAUSE. */
static void a_round_ends_at_a_resume(void)
{
    ASYNC_JOB *job = NULL;
    int ret;

    set(&a, 11);
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    CHANGES_ARE(LIST(11), NONE);
    set(&b, 12);
    CHANGES_ARE(LIST(12, 11), NONE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    CHANGES_ARE(NONE, NONE);
    ALL_ARE(LIST(12, 11));
    /* From an earlier round: reported as taken out, and hidden at once. */
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    CHANGES_ARE(NONE, LIST(11));
    ALL_ARE(LIST(12));
    get_gives_nothing(&a);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 0);
    CHANGES_ARE(NONE, LIST(11));
    /* The same number again is in both. */
    set(&a, 11);
    CHANGES_ARE(LIST(11), LIST(11));
    get_gives(&a, 11, NULL);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &b), 1);
    CHANGES_ARE(LIST(11), LIST(12, 11));
    RESUME(&job, &ret, ASYNC_FINISH);
    CHANGES_ARE(NONE, NONE);
    ALL_ARE(LIST(11));
}

static int works_after_its_pause(void *args)
{
    (void)args;
    set(&a, 11);
    ASYNC_pause_job();
    CHANGES_ARE(NONE, NONE);
    set(&b, 12);
    set(&c, 13);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    return 1;
}

/* The record after a FINISH says what the job did last; and the next job's first PAUSE says it still. */
static void the_record_outlives_its_job(void)
{
    ASYNC_JOB *job = NULL;
    int ret;

    START(&job, ctx, &ret, works_after_its_pause, NULL, 0, ASYNC_PAUSE);
    CHANGES_ARE(LIST(11), NONE);
    RESUME(&job, &ret, ASYNC_FINISH);
    CHANGES_ARE(LIST(13, 12), LIST(11));
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    CHANGES_ARE(LIST(13, 12), LIST(11));
    RESUME(&job, &ret, ASYNC_PAUSE);
    CHANGES_ARE(NONE, NONE);
    RESUME(&job, &ret, ASYNC_FINISH);
    ALL_ARE(LIST(13, 12));
}

static int blocked(void *args)
{
    (void)args;
    set(&a, 11);
    ASYNC_block_pause();
    ASYNC_pause_job();
    ASYNC_unblock_pause();
    CHANGES_ARE(LIST(11), NONE);
    return 1;
}

static void a_blocked_pause_ends_no_round(void)
{
    ASYNC_JOB *job = NULL;
    int ret;

    START(&job, ctx, &ret, blocked, NULL, 0, ASYNC_FINISH);
    CHANGES_ARE(LIST(11), NONE);
    ASYNC_pause_job(); /* outside */
    CHANGES_ARE(LIST(11), NONE);
}

/* The round that ends is that of the context of the start, and all jobs of a context have one record. */
static void whose_round_ends(void)
{
    ASYNC_WAIT_CTX *mine = ctx, *other = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *one = NULL, *two = NULL;
    int ret;

    START(&one, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    START(&two, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    set(&a, 11);
    ctx = other;
    set(&b, 12);
    START(&one, other, &ret, NULL, NULL, 0, ASYNC_PAUSE);
    CHANGES_ARE(LIST(12), NONE);
    ctx = mine;
    CHANGES_ARE(NONE, NONE);
    set(&c, 13);
    RESUME(&two, &ret, ASYNC_PAUSE);
    CHANGES_ARE(NONE, NONE);
    RESUME(&one, &ret, ASYNC_FINISH);
    RESUME(&two, &ret, ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(other);
}

/* What an engine does with a key that is there twice, over a round's end. */
static void twice_over_a_round(void)
{
    ASYNC_JOB *job = NULL;
    int ret;

    set(&a, 11);
    set(&a, 12);
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    set(&a, 13);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1); /* the new one: no trace */
    CHANGES_ARE(NONE, NONE);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    CHANGES_ARE(NONE, LIST(12));
    get_gives(&a, 11, NULL);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    CHANGES_ARE(NONE, LIST(12, 11));
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 0);
    RESUME(&job, &ret, ASYNC_FINISH);
}

/* -- ASYNC_WAIT_CTX_free -- */

static int cleaned[8], cleaned_count;
static void *data_of[3];

static void on_cleanup(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *data)
{
    ASYNC_callback_fn callback;
    void *arg, **place = data;
    size_t count = 99;

    EQ(of, ctx);
    EQ(key, place - data_of == 0 ? &a : place - data_of == 1 ? &b : &c);
    /* The context can be read. */
    EQ(ASYNC_WAIT_CTX_get_status(of), 77);
    EQ(ASYNC_WAIT_CTX_get_callback(of, &callback, &arg), 1);
    EQ(arg, cleaned);
    EQ(ASYNC_WAIT_CTX_get_all_fds(of, NULL, &count), 1);
    cleaned[cleaned_count++] = fd;
}

static int ignored(void *arg)
{
    (void)arg;
    return 0;
}

static void cleanups_run_newest_first_at_free(void)
{
    EQ(ASYNC_WAIT_CTX_set_callback(ctx, ignored, cleaned), 1);
    EQ(ASYNC_WAIT_CTX_set_status(ctx, 77), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &a, 11, &data_of[0], on_cleanup), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &b, 12, &data_of[1], on_cleanup), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &b, 13, &data_of[1], NULL), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &c, 14, &data_of[2], on_cleanup), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &a, 15, &data_of[0], on_cleanup), 1);
    EQ(cleaned_count, 0);
    ASYNC_WAIT_CTX_free(ctx);
    EQ(cleaned_count, 4);
    EQ(cleaned[0], 15);
    EQ(cleaned[1], 14);
    EQ(cleaned[2], 12);
    EQ(cleaned[3], 11);
    ctx = NULL;
    ASYNC_WAIT_CTX_free(NULL);
    EQ(queued(), 0);
}

/* Neither then nor later, whether the fd is of this round or of an earlier one. */
static void what_was_cleared_is_not_cleaned_up(void)
{
    ASYNC_JOB *job = NULL;
    int ret;

    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &a, 11, &data_of[0], on_cleanup), 1);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &b, 12, &data_of[1], on_cleanup), 1);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &b), 1);
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ASYNC_WAIT_CTX_set_wait_fd(ctx, &a, 13, &data_of[0], on_cleanup), 1);
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(ASYNC_WAIT_CTX_clear_fd(ctx, &a), 1); /* and not forgotten before the free */
    ASYNC_WAIT_CTX_free(ctx);
    ctx = NULL;
    EQ(cleaned_count, 0);
}

/* -- callback and status -- */

static int counts(void *arg)
{
    return ++*(int *)arg;
}

static void a_callback_is_kept_and_never_called(void)
{
    ASYNC_callback_fn callback = NULL;
    ASYNC_JOB *job = NULL;
    int calls = 0, ret;
    void *arg = NULL;

    EQ(ASYNC_WAIT_CTX_set_callback(ctx, counts, &calls), 1);
    EQ(ASYNC_WAIT_CTX_get_callback(ctx, &callback, &arg), 1);
    EQ(callback, counts);
    EQ(arg, &calls);
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    set(&a, 11);
    EQ(ASYNC_WAIT_CTX_set_status(ctx, ASYNC_STATUS_OK), 1);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    EQ(calls, 0);
    EQ(callback(arg), 1);
    EQ(calls, 1);
    /* Another, none, and one without an argument. */
    EQ(ASYNC_WAIT_CTX_set_callback(ctx, ignored, &ret), 1);
    EQ(ASYNC_WAIT_CTX_get_callback(ctx, &callback, &arg), 1);
    EQ(callback, ignored);
    EQ(arg, &ret);
    EQ(ASYNC_WAIT_CTX_set_callback(ctx, NULL, &calls), 1);
    EQ(ASYNC_WAIT_CTX_get_callback(ctx, &callback, &arg), 0);
    EQ(callback, ignored);
    EQ(arg, &ret);
    EQ(ASYNC_WAIT_CTX_set_callback(ctx, counts, NULL), 1);
    EQ(ASYNC_WAIT_CTX_get_callback(ctx, &callback, &arg), 1);
    EQ(callback, counts);
    EQ(arg, NULL);
    EQ(ASYNC_WAIT_CTX_set_callback(NULL, counts, NULL), 0);
    while (queued() != 0)
        ;
}

static void a_status_is_any_number(void)
{
    const int numbers[] = { ASYNC_STATUS_ERR, ASYNC_STATUS_OK, ASYNC_STATUS_EAGAIN, 99, -5, INT_MIN, INT_MAX,
                            ASYNC_STATUS_UNSUPPORTED, ASYNC_STATUS_OK };
    ASYNC_JOB *job = NULL;
    size_t n;
    int ret;

    for (n = 0; n < LENGTH(numbers); n++) {
        EQ(ASYNC_WAIT_CTX_set_status(ctx, numbers[n]), 1);
        EQ(ASYNC_WAIT_CTX_get_status(ctx), numbers[n]);
    }
    /* No job changes it. */
    START(&job, ctx, &ret, pauses_twice, NULL, 0, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_PAUSE);
    RESUME(&job, &ret, ASYNC_FINISH);
    START(&job, ctx, &ret, ignored, NULL, 0, ASYNC_FINISH);
    EQ(ASYNC_WAIT_CTX_get_status(ctx), ASYNC_STATUS_OK);
}

/* Nothing of a context is in the one that has its place. */
static void a_context_starts_anew(void)
{
    int n;

    for (n = 0; n < 100; n++) {
        EQ(ASYNC_WAIT_CTX_set_callback(ctx, counts, &n), 1);
        EQ(ASYNC_WAIT_CTX_set_status(ctx, 5), 1);
        set(&a, 11);
        ASYNC_WAIT_CTX_free(ctx);
        ctx = ASYNC_WAIT_CTX_new();
        a_new_context_is_empty();
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "a_new_context_is_empty", a_new_context_is_empty, ANYWHERE },
        { "the_newest_comes_first", the_newest_comes_first, ANYWHERE },
        { "a_key_may_be_there_twice", a_key_may_be_there_twice, ANYWHERE },
        { "any_key_and_any_number", any_key_and_any_number, ANYWHERE },
        { "many_fds", many_fds, ANYWHERE },
        { "set_and_clear_in_one_round_leave_no_trace", set_and_clear_in_one_round_leave_no_trace, ANYWHERE },
        { "a_round_ends_at_a_resume", a_round_ends_at_a_resume, ANYWHERE },
        { "the_record_outlives_its_job", the_record_outlives_its_job, ANYWHERE },
        { "a_blocked_pause_ends_no_round", a_blocked_pause_ends_no_round, ANYWHERE },
        { "whose_round_ends", whose_round_ends, ANYWHERE },
        { "twice_over_a_round", twice_over_a_round, ANYWHERE },
        { "cleanups_run_newest_first_at_free", cleanups_run_newest_first_at_free, ANYWHERE },
        { "what_was_cleared_is_not_cleaned_up", what_was_cleared_is_not_cleaned_up, ANYWHERE },
        { "a_callback_is_kept_and_never_called", a_callback_is_kept_and_never_called, ANYWHERE },
        { "a_status_is_any_number", a_status_is_any_number, ANYWHERE },
        { "a_context_starts_anew", a_context_starts_anew, ANYWHERE },
    };

    return RUN(cases);
}
