/*
 * Hosts of every kind that there is: each its own way of finding out that a job goes on. The first argument says
 * which, the second how many operations.
 */
#include <pthread.h>
#include <sys/epoll.h>

#include "host.h"

#define K 8

static int total;

/* Those whose fds are all watched, each job in a wait context that is used again and again. */
static void host_poll(void)
{
    struct op ops[K] = { 0 };
    struct pollfd watched[K];
    int started = 0, running = 0;

    for (int i = 0; i < K; i++) {
        ops[i].wait = ASYNC_WAIT_CTX_new();
        watched[i].fd = -1;
        watched[i].events = POLLIN;
    }
    for (int i = 0; i < K && started < total; i++) {
        ASYNC_WAIT_CTX *wait = ops[i].wait;

        op_init(&ops[i], started++);
        ops[i].wait = wait;
        op_run(&ops[i]);
        running++;
    }
    while (running > 0) {
        for (int i = 0; i < K; i++) {
            while (ops[i].in != NULL && ops[i].status != ASYNC_PAUSE) {
                ASYNC_WAIT_CTX *wait = ops[i].wait;

                CHECK(ops[i].status == ASYNC_FINISH && op_is_right(&ops[i]));
                op_free(&ops[i]);
                running--;
                if (started == total)
                    break;
                op_init(&ops[i], started++);
                ops[i].wait = wait;
                op_run(&ops[i]);
                running++;
            }
            if (ops[i].in == NULL)
                continue;
            /* For ever the same. */
            if (watched[i].fd == -1)
                watched[i].fd = only_fd(ops[i].wait);
            CHECK(watched[i].fd == only_fd(ops[i].wait));
        }
        if (running == 0)
            break;
        CHECK(poll(watched, K, -1) > 0);
        for (int i = 0; i < K; i++)
            if (watched[i].revents != 0 && ops[i].in != NULL)
                op_run(&ops[i]);
    }
    for (int i = 0; i < K; i++)
        ASYNC_WAIT_CTX_free(ops[i].wait);
}

/* Registers the first fd that it ever sees, edge-triggered, and looks for no other; reads nothing from it. */
static void host_edge(void)
{
    int epoll = epoll_create1(0), fd = -1;
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();

    CHECK(epoll != -1);
    for (int i = 0; i < total; i++) {
        struct op op;

        op_init(&op, i);
        op.wait = wait;
        while (op_run(&op) == ASYNC_PAUSE) {
            struct epoll_event event = { .events = EPOLLIN | EPOLLET };

            if (fd == -1) {
                fd = only_fd(wait);
                CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
            }
            CHECK(fd == only_fd(wait));
            CHECK(epoll_wait(epoll, &event, 1, -1) == 1);
        }
        CHECK(op.status == ASYNC_FINISH && op_is_right(&op));
        op_free(&op);
    }
    CHECK(fd != -1);
    ASYNC_WAIT_CTX_free(wait);
    close(epoll);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;

struct told {
    ASYNC_WAIT_CTX *wait;
    int times;
    int status; /* as the callback has read it */
    int frees;  /* the callback frees the context */
};

static int callback(void *arg)
{
    struct told *it = arg;

    CHECK(pthread_mutex_lock(&mutex) == 0);
    it->times++;
    it->status = ASYNC_WAIT_CTX_get_status(it->wait);
    if (it->frees)
        ASYNC_WAIT_CTX_free(it->wait);
    CHECK(pthread_cond_broadcast(&told) == 0);
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    return 1;
}

static void wait_until_told(struct told *it, int times)
{
    CHECK(pthread_mutex_lock(&mutex) == 0);
    while (it->times < times)
        CHECK(pthread_cond_wait(&told, &mutex) == 0);
    CHECK(pthread_mutex_unlock(&mutex) == 0);
}

/* Has a callback called for two operations, none for the next two, and so on, in the same wait context. */
static void host_callback(void)
{
    struct told it = { .wait = ASYNC_WAIT_CTX_new() };
    int before;

    for (int i = 0; i < total; i++) {
        int with = i % 4 < 2;
        struct op op;

        CHECK(ASYNC_WAIT_CTX_set_callback(it.wait, with ? callback : NULL, with ? &it : NULL) == 1);
        op_init(&op, i);
        op.wait = it.wait;
        before = it.times;
        while (op_run(&op) == ASYNC_PAUSE) {
            if (with) {
                wait_until_told(&it, before + 1);
                CHECK(it.status == ASYNC_STATUS_OK);
                before = it.times;
            } else {
                wait_readable(only_fd(it.wait));
                CHECK(it.times == before);
            }
        }
        CHECK(op.status == ASYNC_FINISH && op_is_right(&op));
        op_free(&op);
    }
    ASYNC_WAIT_CTX_free(it.wait);
}

/* Frees the contexts whose jobs are paused, with callbacks set: none is called afterwards. */
static void host_callback_freed(void)
{
    struct told it[K];
    struct op ops[K] = { 0 };

    op_alone(0);
    for (int i = 0; i < K; i++) {
        it[i] = (struct told) { .wait = ASYNC_WAIT_CTX_new() };
        CHECK(ASYNC_WAIT_CTX_set_callback(it[i].wait, callback, &it[i]) == 1);
        op_init(&ops[i], i);
        ops[i].wait = it[i].wait;
        CHECK(op_run(&ops[i]) == ASYNC_PAUSE);
    }
    for (int i = 0; i < K; i++) {
        op_free(&ops[i]);
        ASYNC_WAIT_CTX_free(it[i].wait);
        it[i].times = -1000;
    }
    op_alone(100);
    op_alone(101);
    for (int i = 0; i < K; i++)
        CHECK(it[i].times == -1000);
}

/* The callback itself frees the context: nobody will resume the job. */
static void host_callback_frees(void)
{
    struct told it[K];
    struct op ops[K] = { 0 };
    int before;

    op_alone(0);
    before = open_fds();
    for (int i = 0; i < K; i++) {
        it[i] = (struct told) { .wait = ASYNC_WAIT_CTX_new(), .frees = 1 };
        CHECK(ASYNC_WAIT_CTX_set_callback(it[i].wait, callback, &it[i]) == 1);
        op_init(&ops[i], i);
        ops[i].wait = it[i].wait;
        CHECK(op_run(&ops[i]) == ASYNC_PAUSE);
    }
    for (int i = 0; i < K; i++) {
        wait_until_told(&it[i], 1);
        CHECK(it[i].status == ASYNC_STATUS_OK);
        op_free(&ops[i]);
    }
    op_alone(100);
    CHECK(open_fds() == before);
}

/* Resumes all the time, whether told or not; pause_us between. */
static void host_resumes(int pause_us)
{
    ASYNC_WAIT_CTX *wait = ASYNC_WAIT_CTX_new();
    int fd = -1;

    for (int i = 0; i < total; i++) {
        struct op op;

        op_init(&op, i);
        op.wait = wait;
        while (op_run(&op) == ASYNC_PAUSE) {
            CHECK(fd == -1 || fd == only_fd(wait));
            fd = only_fd(wait);
            if (pause_us > 0)
                usleep(pause_us);
        }
        CHECK(op.status == ASYNC_FINISH && op_is_right(&op));
        op_free(&op);
    }
    ASYNC_WAIT_CTX_free(wait);
}

/* The number of resumes that were blocked does not count: the operation waits on the spot. */
static int hash_blocked(void *arg)
{
    int ret;

    ASYNC_block_pause();
    ret = hash_in_job(arg);
    ASYNC_unblock_pause();
    return ret;
}

static void host_blocks(void)
{
    for (int i = 0; i < total; i++) {
        struct op op, *arg = &op;

        op_init(&op, i);
        op.wait = ASYNC_WAIT_CTX_new();
        CHECK(ASYNC_start_job(&op.job, op.wait, &op.ret, hash_blocked, &arg, sizeof(arg)) == ASYNC_FINISH);
        CHECK(op_is_right(&op));
        op_free(&op);
        ASYNC_WAIT_CTX_free(op.wait);
        /* And the next one pauses. */
        op_alone(i);
    }
}

static pthread_mutex_t connection = PTHREAD_MUTEX_INITIALIZER;

static int locking_callback(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&connection);
    pthread_mutex_unlock(&connection);
    return 1;
}

static int hash_twice_in_job(void *arg)
{
    struct op *op = *(struct op **)arg;

    if (hash_in_job(arg) != 1 || EVP_DigestInit_ex(op->md, EVP_sha256(), NULL) != 1)
        return 0;
    return hash_in_job(arg);
}

/* Holds a lock while its job runs, and its callback wants the same; two operations in each job. */
static void host_callback_locks(void)
{
    for (int i = 0; i < total; i++) {
        struct op op, *arg = &op;

        op_init(&op, i);
        op.wait = ASYNC_WAIT_CTX_new();
        CHECK(ASYNC_WAIT_CTX_set_callback(op.wait, locking_callback, NULL) == 1);
        do {
            pthread_mutex_lock(&connection);
            op.status = ASYNC_start_job(&op.job, op.wait, &op.ret, hash_twice_in_job, &arg, sizeof(arg));
            pthread_mutex_unlock(&connection);
            usleep(20); /* or the callback may never get it */
        } while (op.status == ASYNC_PAUSE);
        CHECK(op.status == ASYNC_FINISH && op_is_right(&op));
        ASYNC_WAIT_CTX_free(op.wait);
        op_free(&op);
    }
}

int main(int argc, char **argv)
{
    int before;

    CHECK(argc == 3);
    total = atoi(argv[2]);
    op_alone(0);
    before = open_fds();
    if (strcmp(argv[1], "poll") == 0)
        host_poll();
    else if (strcmp(argv[1], "edge") == 0)
        host_edge();
    else if (strcmp(argv[1], "callback") == 0)
        host_callback();
    else if (strcmp(argv[1], "callback-freed") == 0)
        host_callback_freed();
    else if (strcmp(argv[1], "callback-frees") == 0)
        host_callback_frees();
    else if (strcmp(argv[1], "callback-locks") == 0)
        host_callback_locks();
    else if (strcmp(argv[1], "spurious") == 0)
        host_resumes(100);
    else if (strcmp(argv[1], "busy") == 0)
        host_resumes(0);
    else if (strcmp(argv[1], "blocks") == 0)
        host_blocks();
    else
        CHECK(!"a mode");
    CHECK(open_fds() == before);
    puts("done");
    return 0;
}
