/*
 * Jobs on several threads, and a device that has a thread of its own: it looks at paused jobs and their contexts
 * while the owner resumes them.
 */
#include "check.h"
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

/* -- a device -- */

struct request {
    ASYNC_JOB *job;
    int value;
    atomic_int done;
    struct request *next;
};

/* A list, newest first, and somebody who waits for it. */
struct list {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    struct request *first;
    int closed;
};

#define LIST { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0 }

static struct list submitted = LIST, completed = LIST;

static void put(struct list *list, struct request *request)
{
    pthread_mutex_lock(&list->mutex);
    request->next = list->first;
    list->first = request;
    pthread_cond_signal(&list->filled);
    pthread_mutex_unlock(&list->mutex);
}

static void close_list(struct list *list)
{
    pthread_mutex_lock(&list->mutex);
    list->closed = 1;
    pthread_cond_broadcast(&list->filled);
    pthread_mutex_unlock(&list->mutex);
}

/* NULL once it is closed and empty. */
static struct request *take(struct list *list)
{
    struct request *request;

    pthread_mutex_lock(&list->mutex);
    while (list->first == NULL && !list->closed)
        pthread_cond_wait(&list->filled, &list->mutex);
    request = list->first;
    if (request != NULL)
        list->first = request->next;
    pthread_mutex_unlock(&list->mutex);
    return request;
}

static const char device_key;

/* Computes, and wakes the job: by its callback if there is one, else by its fd. */
static void *device(void *arg)
{
    struct request *request;

    (void)arg;
    while ((request = take(&submitted)) != NULL) {
        ASYNC_WAIT_CTX *of = ASYNC_get_wait_ctx(request->job);
        ASYNC_callback_fn callback;
        void *data;
        int fd;

        CHECK(of != NULL);
        EQ(ASYNC_WAIT_CTX_set_status(of, ASYNC_STATUS_OK), 1);
        request->value *= 2;
        if (ASYNC_WAIT_CTX_get_callback(of, &callback, &data)) {
            /* The job may be gone as soon as it is done: its callback comes after. */
            atomic_store(&request->done, 1);
            EQ(callback(data), 1);
        } else {
            uint64_t one = 1;

            EQ(ASYNC_WAIT_CTX_get_fd(of, &device_key, &fd, &data), 1);
            EQ(data, &submitted);
            atomic_store(&request->done, 1);
            EQ(write(fd, &one, sizeof one), sizeof one);
        }
        EQ(queued(), 0);
    }
    return NULL;
}

struct operation {
    ASYNC_WAIT_CTX *ctx;
    ASYNC_JOB *job;
    struct request request;
    int ret;
};

enum { OPERATIONS = 40, ROUNDS = 50 };
static struct operation operations[OPERATIONS];

static int offloads(void *args)
{
    struct operation *operation = *(struct operation **)args;
    struct request *request = &operation->request;
    uint64_t count;
    void *data;
    int fd, round, sum = 0;

    for (round = 0; round < ROUNDS; round++) {
        request->job = ASYNC_get_current_job();
        request->value = round;
        atomic_store(&request->done, 0);
        put(&submitted, request);
        do {
            ASYNC_pause_job();
        } while (!atomic_load(&request->done));
        EQ(request->value, 2 * round);
        sum += request->value;
        if (ASYNC_WAIT_CTX_get_fd(operation->ctx, &device_key, &fd, &data))
            EQ(read(fd, &count, sizeof count), sizeof count);
    }
    return sum;
}

/* What the application has called: the job is ready. */
static int is_ready(void *arg)
{
    put(&completed, arg);
    return 1;
}

static void close_fd(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *data)
{
    (void)of, (void)key, (void)data;
    close(fd);
}

/* The list that tells which job is ready must not be the request itself, which may be submitted again. */
static struct request ready[OPERATIONS];

static void callbacks_from_the_devices_thread(void)
{
    struct operation *operation;
    pthread_t thread;
    int n, left = OPERATIONS;

    EQ(ASYNC_init_thread(OPERATIONS, 5), 1);
    EQ(pthread_create(&thread, NULL, device, NULL), 0);
    for (n = 0; n < OPERATIONS; n++) {
        operation = &operations[n];
        operation->ctx = ASYNC_WAIT_CTX_new();
        ready[n].value = n;
        EQ(ASYNC_WAIT_CTX_set_callback(operation->ctx, is_ready, &ready[n]), 1);
        START(&operation->job, operation->ctx, &operation->ret, offloads, &operation, sizeof operation, ASYNC_PAUSE);
    }
    while (left > 0) {
        operation = &operations[take(&completed)->value];
        EQ(ASYNC_WAIT_CTX_get_status(operation->ctx), ASYNC_STATUS_OK);
        switch (ASYNC_start_job(&operation->job, operation->ctx, &operation->ret, NULL, NULL, 0)) {
        case ASYNC_FINISH:
            EQ(operation->ret, ROUNDS * (ROUNDS - 1));
            left--;
            break;
        default:
            CHECK(operation->job != NULL);
        }
    }
    close_list(&submitted);
    EQ(pthread_join(thread, NULL), 0);
    for (n = 0; n < OPERATIONS; n++)
        ASYNC_WAIT_CTX_free(operations[n].ctx);
    EQ(queued(), 0);
}

static void fds_from_the_devices_thread(void)
{
    struct pollfd fds[OPERATIONS];
    struct operation *operation;
    pthread_t thread;
    int n, left = OPERATIONS;

    EQ(pthread_create(&thread, NULL, device, NULL), 0);
    for (n = 0; n < OPERATIONS; n++) {
        size_t count = 9;

        operation = &operations[n];
        operation->ctx = ASYNC_WAIT_CTX_new();
        fds[n].events = POLLIN;
        fds[n].fd = eventfd(0, EFD_CLOEXEC);
        EQ(ASYNC_WAIT_CTX_set_wait_fd(operation->ctx, &device_key, fds[n].fd, &submitted, close_fd), 1);
        START(&operation->job, operation->ctx, &operation->ret, offloads, &operation, sizeof operation, ASYNC_PAUSE);
        EQ(ASYNC_WAIT_CTX_get_all_fds(operation->ctx, NULL, &count), 1);
        EQ(count, 1);
    }
    while (left > 0) {
        CHECK(poll(fds, OPERATIONS, -1) > 0);
        for (n = 0; n < OPERATIONS; n++) {
            operation = &operations[n];
            if ((fds[n].revents & POLLIN) == 0)
                continue;
            if (ASYNC_start_job(&operation->job, NULL, &operation->ret, NULL, NULL, 0) == ASYNC_FINISH) {
                EQ(operation->ret, ROUNDS * (ROUNDS - 1));
                fds[n].fd = -1;
                left--;
            }
        }
    }
    close_list(&submitted);
    EQ(pthread_join(thread, NULL), 0);
    for (n = 0; n < OPERATIONS; n++)
        ASYNC_WAIT_CTX_free(operations[n].ctx);
}

/* -- a device that is late -- */

enum { WATCHED = 8 };
static _Atomic(ASYNC_JOB *) watched[WATCHED];
static atomic_int stop;
static atomic_long answers, refusals;

static int never_called(void *arg)
{
    failed(__FILE__, __LINE__, "the callback of another context");
    return arg != NULL;
}

/* Looks at jobs that may have finished long ago, or be other jobs' handles by now; and at their contexts. */
static void *looks_at_jobs(void *arg)
{
    int (*cancel)(ASYNC_JOB **, int *);
    unsigned n = 0;

    /* By its name, so that the program can be linked with libcrypto alone. */
    *(void **)&cancel = dlsym(RTLD_DEFAULT, "async_capi_cancel_job");

    while (!atomic_load(&stop)) {
        ASYNC_JOB *job = atomic_load(&watched[n++ % WATCHED]);
        ASYNC_WAIT_CTX *of = ASYNC_get_wait_ctx(job);
        ASYNC_callback_fn callback = NULL;
        void *data;
        int fd;

        atomic_fetch_add(of == NULL ? &refusals : &answers, 1);
        if (ASYNC_WAIT_CTX_get_callback(of, &callback, &data)) {
            EQ(callback, never_called);
            EQ(data, watched);
        }
        if (ASYNC_WAIT_CTX_get_fd(of, watched, &fd, &data))
            EQ(fd, -5);
        ASYNC_WAIT_CTX_set_status(of, ASYNC_STATUS_OK);
        /* Never this thread's to resume. */
        EQ(ASYNC_start_job(&job, NULL, NULL, NULL, NULL, 0), ASYNC_ERR);
        EQ(cancel(&job, NULL), ASYNC_ERR);
        while (queued() != 0)
            ;
    }
    return arg;
}

static int sets_and_pauses(void *args)
{
    ASYNC_WAIT_CTX *own = ASYNC_get_wait_ctx(ASYNC_get_current_job());

    EQ(ASYNC_WAIT_CTX_set_wait_fd(own, watched, -5, NULL, NULL), 1);
    EQ(ASYNC_pause_job(), 1);
    EQ(ASYNC_WAIT_CTX_clear_fd(own, watched), 1);
    return *(int *)args;
}

static void a_device_that_is_late(void)
{
    pthread_t threads[3];
    int n, ret;

    for (n = 0; n < 3; n++)
        EQ(pthread_create(&threads[n], NULL, looks_at_jobs, NULL), 0);
    for (n = 0; n < 20000 || atomic_load(&answers) == 0 || atomic_load(&refusals) == 0; n++) {
        ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();
        ASYNC_JOB *job = NULL;

        EQ(ASYNC_WAIT_CTX_set_callback(own, never_called, watched), 1);
        START(&job, own, &ret, sets_and_pauses, &n, sizeof n, ASYNC_PAUSE);
        atomic_store(&watched[n % WATCHED], job);
        RESUME(&job, &ret, ASYNC_FINISH);
        EQ(ret, n);
        ASYNC_WAIT_CTX_free(own);
    }
    atomic_store(&stop, 1);
    for (n = 0; n < 3; n++)
        EQ(pthread_join(threads[n], NULL), 0);
}

/* -- several owners -- */

static int counts_down(void *args)
{
    int count = *(int *)args, n;

    for (n = 0; n < count; n++)
        ASYNC_pause_job();
    return count;
}

/* Runs jobs in any order, never more than its pool has. */
static void *runs_jobs(void *arg)
{
    enum { MOST = 30 };
    int bound = *(int *)arg, n, steps, lengths[MOST], ret;
    unsigned random = (unsigned)bound * 2654435761u;
    ASYNC_JOB *jobs[MOST] = { NULL }, *more = NULL;
    ASYNC_WAIT_CTX *own = ASYNC_WAIT_CTX_new();

    EQ(ASYNC_init_thread(bound, bound / 2), 1);
    for (steps = 0; steps < 20000; steps++) {
        random = random * 1664525u + 1013904223u;
        n = (int)(random >> 10) % bound;
        if (jobs[n] == NULL) {
            lengths[n] = 1 + (int)(random >> 20) % 5;
            START(&jobs[n], own, &ret, counts_down, &lengths[n], sizeof lengths[n], ASYNC_PAUSE);
        } else if (ASYNC_start_job(&jobs[n], own, &ret, NULL, NULL, 0) == ASYNC_FINISH) {
            EQ(ret, lengths[n]);
            EQ(jobs[n], NULL);
        }
    }
    for (n = 0; n < bound; n++)
        if (jobs[n] == NULL)
            START(&jobs[n], own, &ret, counts_down, &bound, sizeof bound, ASYNC_PAUSE);
    START(&more, own, &ret, counts_down, &bound, sizeof bound, ASYNC_NO_JOBS);
    for (n = 0; n < bound; n++)
        while (jobs[n] != NULL)
            ASYNC_start_job(&jobs[n], own, &ret, NULL, NULL, 0);
    ASYNC_WAIT_CTX_free(own);
    ASYNC_cleanup_thread();
    return NULL;
}

static void two_threads_with_a_pool_each(void)
{
    int few = 7, many = 30;
    pthread_t one, two;

    EQ(pthread_create(&one, NULL, runs_jobs, &few), 0);
    EQ(pthread_create(&two, NULL, runs_jobs, &many), 0);
    EQ(pthread_join(one, NULL), 0);
    EQ(pthread_join(two, NULL), 0);
}

static void *a_short_life(void *arg)
{
    int three = 3, ret;
    ASYNC_JOB *job = NULL;

    START(&job, ctx, &ret, counts_down, &three, sizeof three, ASYNC_PAUSE);
    while (job != NULL)
        ASYNC_start_job(&job, ctx, &ret, NULL, NULL, 0);
    EQ(ret, 3);
    return arg;
}

/* Threads come and go without a cleanup. */
static void many_short_threads(void)
{
    int n;

    for (n = 0; n < 500; n++)
        in_thread(a_short_life, NULL);
}

/* -- contexts from everywhere -- */

enum { SHARED = 24, HAMMERS = 8 };
static _Atomic(ASYNC_WAIT_CTX *) shared[SHARED];
static atomic_long set_count, cleared, cleaned;

static void count_cleanup(ASYNC_WAIT_CTX *of, const void *key, OSSL_ASYNC_FD fd, void *data)
{
    size_t count;

    EQ(ASYNC_WAIT_CTX_get_all_fds(of, NULL, &count), 1);
    EQ((intptr_t)key, fd);
    EQ(data, &cleaned);
    atomic_fetch_add(&cleaned, 1);
}

static void *hammers(void *arg)
{
    unsigned random = (unsigned)(uintptr_t)arg;
    ASYNC_WAIT_CTX *of;
    ASYNC_callback_fn callback;
    int step, fd;
    size_t adds, dels;
    void *data;

    for (step = 0; step < 30000; step++) {
        random = random * 1664525u + 1013904223u;
        of = atomic_load(&shared[(random >> 8) % SHARED]);
        fd = 1 + (int)(random >> 13) % 5;
        switch ((random >> 16) % 10) {
        case 0:
            /* Two may free the same one: the second is told. */
            ASYNC_WAIT_CTX_free(of);
            break;
        case 1:
            if ((of = ASYNC_WAIT_CTX_new()) != NULL)
                ASYNC_WAIT_CTX_free(atomic_exchange(&shared[(random >> 8) % SHARED], of));
            break;
        case 2:
        case 3:
            if (ASYNC_WAIT_CTX_set_wait_fd(of, (void *)(intptr_t)fd, fd, &cleaned, count_cleanup))
                atomic_fetch_add(&set_count, 1);
            break;
        case 4:
            if (ASYNC_WAIT_CTX_clear_fd(of, (void *)(intptr_t)fd))
                atomic_fetch_add(&cleared, 1);
            break;
        case 5: {
            int wanted = fd;

            if (ASYNC_WAIT_CTX_get_fd(of, (void *)(intptr_t)fd, &fd, &data))
                EQ(fd, wanted);
            break;
        }
        case 6:
            ASYNC_WAIT_CTX_get_changed_fds(of, NULL, &adds, NULL, &dels);
            ASYNC_WAIT_CTX_get_all_fds(of, NULL, &adds);
            break;
        case 7:
            ASYNC_WAIT_CTX_set_callback(of, never_called, &shared);
            break;
        case 8:
            if (ASYNC_WAIT_CTX_get_callback(of, &callback, &data))
                EQ(data, &shared);
            break;
        default:
            ASYNC_WAIT_CTX_set_status(of, 3);
            EQ(ASYNC_WAIT_CTX_get_status(of) & ~3, 0);
        }
        if (step % 64 == 0)
            while (queued() != 0)
                ;
    }
    return NULL;
}

static void eight_threads_on_the_same_contexts(void)
{
    pthread_t threads[HAMMERS];
    int n;

    for (n = 0; n < SHARED; n++)
        shared[n] = ASYNC_WAIT_CTX_new();
    for (n = 0; n < HAMMERS; n++)
        EQ(pthread_create(&threads[n], NULL, hammers, (void *)(uintptr_t)(n + 1)), 0);
    for (n = 0; n < HAMMERS; n++)
        EQ(pthread_join(threads[n], NULL), 0);
    for (n = 0; n < SHARED; n++)
        ASYNC_WAIT_CTX_free(shared[n]);
    while (queued() != 0)
        ;
    /* Each fd that was set was cleared or cleaned up, once. */
    CHECK(set_count > 1000 && cleared > 100 && cleaned > 100);
    EQ(set_count, cleared + cleaned);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "callbacks_from_the_devices_thread", callbacks_from_the_devices_thread, ANYWHERE },
        { "fds_from_the_devices_thread", fds_from_the_devices_thread, ANYWHERE },
        { "two_threads_with_a_pool_each", two_threads_with_a_pool_each, ANYWHERE },
        { "many_short_threads", many_short_threads, ANYWHERE },
        { "a_device_that_is_late", a_device_that_is_late, OURS_ONLY },
        { "eight_threads_on_the_same_contexts", eight_threads_on_the_same_contexts, OURS_ONLY },
    };

    return RUN(cases);
}
